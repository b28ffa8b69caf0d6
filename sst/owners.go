package sst

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// owners gives received files to the user of the same name, as rsync does, and to
// the owner of the data directory where there is none: a number that means mysql
// on the donor may mean anybody here.
type owners struct {
	uid, gid uint32
}

func newOwners(datadir *os.Root) (owners, error) {
	info, err := datadir.Stat(".")
	if err != nil {
		return owners{}, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return owners{}, fmt.Errorf("%s: the owner cannot be found out", datadir.Name())
	}
	return owners{uid: st.Uid, gid: st.Gid}, nil
}

// UID implements transfer.Owners.
func (o owners) UID(_ uint32, name string) uint32 {
	if name != "" {
		if u, err := user.Lookup(name); err == nil {
			return number(u.Uid, o.uid)
		}
	}
	return o.uid
}

// GID implements transfer.Owners.
func (o owners) GID(_ uint32, name string) uint32 {
	if name != "" {
		if g, err := user.LookupGroup(name); err == nil {
			return number(g.Gid, o.gid)
		}
	}
	return o.gid
}

func number(s string, otherwise uint32) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return otherwise
	}
	return uint32(n)
}

// idNames are the names of the ids of this system, each looked up once.
type idNames struct {
	users, groups map[uint32]string
}

func newIDNames() *idNames {
	return &idNames{users: map[uint32]string{}, groups: map[uint32]string{}}
}

// maxIDName is the longest name that travels.
const maxIDName = 255

func (n *idNames) user(id uint32) string {
	return lookUp(n.users, id, func(id string) (string, error) {
		u, err := user.LookupId(id)
		if err != nil {
			return "", err
		}
		return u.Username, nil
	})
}

func (n *idNames) group(id uint32) string {
	return lookUp(n.groups, id, func(id string) (string, error) {
		g, err := user.LookupGroupId(id)
		if err != nil {
			return "", err
		}
		return g.Name, nil
	})
}

// lookUp gives "" for an id without a name.
func lookUp(known map[uint32]string, id uint32, find func(string) (string, error)) string {
	name, ok := known[id]
	if !ok {
		var err error
		if name, err = find(strconv.FormatUint(uint64(id), 10)); err != nil || len(name) > maxIDName {
			name = ""
		}
		known[id] = name
	}
	return name
}
