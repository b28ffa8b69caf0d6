package certs

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
)

// An Owner is whom new files are given to. The zero value leaves them to whoever
// makes them.
type Owner struct {
	UID, GID int
	text     string // "": leave them
}

// databaseUser is whom MariaDB's packages make.
const databaseUser = "mysql"

// FindOwner reads USER or USER:GROUP, names or numbers. Without one, root gives the
// files to the user mysql, if there is one: mariadbd has to read them.
func FindOwner(text string) (Owner, error) {
	if text == "" {
		if os.Geteuid() != 0 {
			return Owner{}, nil
		}
		if _, err := user.Lookup(databaseUser); err != nil {
			return Owner{}, nil //nolint:nilerr // no such user: root keeps them
		}
		text = databaseUser
	}
	name, group, hasGroup := strings.Cut(text, ":")
	o := Owner{text: text}
	u, err := user.Lookup(name)
	if n, e := strconv.Atoi(name); err != nil && e == nil && n >= 0 {
		if u, err = user.LookupId(name); err != nil { // a number needs no entry
			u, err = &user.User{Uid: name, Gid: name}, nil
		}
	}
	if err != nil {
		return Owner{}, fmt.Errorf("--owner %s: %w", text, err)
	}
	gid := u.Gid
	if hasGroup {
		gid = group
		if _, e := strconv.Atoi(group); e != nil {
			g, err := user.LookupGroup(group)
			if err != nil {
				return Owner{}, fmt.Errorf("--owner %s: %w", text, err)
			}
			gid = g.Gid
		}
	}
	var e1, e2 error
	o.UID, e1 = strconv.Atoi(u.Uid)
	o.GID, e2 = strconv.Atoi(gid)
	if err := errors.Join(e1, e2); err != nil || o.UID < 0 || o.GID < 0 {
		return Owner{}, fmt.Errorf("--owner %s: no user and group that a file can have", text)
	}
	return o, nil
}

// String is how the owner was given, or who runs this.
func (o Owner) String() string {
	if o.text != "" {
		return o.text
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return strconv.Itoa(os.Geteuid())
}

func (o Owner) give(f *os.File) error {
	if o.text == "" {
		return nil
	}
	return f.Chown(o.UID, o.GID)
}
