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
