package sst

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/mycnf"
	"wsrep_sst_rsync_tunnel/sst/status"
)

// usualDatadir is where MariaDB's packages have the data. mariadbd passes its own to
// an SST.
const usualDatadir = "/var/lib/mysql"

// StatusQuery is what a person or a probe knows of a node. The zero value is the node
// as the usual option files have it.
type StatusQuery struct {
	File     string     // the status file itself; then the rest only says whose it may be
	Datadir  string     // "" = that of mariadbd's arguments or of the option files
	Defaults mycnf.Args // that mariadbd is started with
	Mysqld   []string   // its other arguments

	LookupEnv func(string) (string, bool) // nil is os.LookupEnv
	Dirs      []string                    // as in mycnf.LoadOptions
}

// FindStatus reads the status file of a node: where an SST has written last, of the
// places where it may. Without any, the file is empty and name is the place where the
// next one will be looked for first. The error is about the option files, or about a
// status file that is there and cannot be trusted or read.
func FindStatus(q StatusQuery) (file status.File, name string, err error) {
	places, datadir, err := q.places()
	if err != nil {
		return status.File{}, "", err
	}
	owner := -1
	var st unix.Stat_t
	if unix.Stat(datadir, &st) == nil {
		owner = int(st.Uid)
	}
	name = places[0]
	for _, place := range places {
		got, e := status.Read(place, owner)
		if errors.Is(e, fs.ErrNotExist) {
			continue
		}
		if e != nil {
			err = cmp.Or(err, e)
			continue
		}
		if written(got).After(written(file)) {
			file, name = got, place
		}
	}
	if !written(file).IsZero() {
		err = nil // what somebody else has put into the other place does not matter
	}
	return file, name, err
}

// written is when an SST last put something into the file.
func written(f status.File) time.Time {
	if f.Current != nil {
		return f.Current.Updated
	}
	if len(f.Last) > 0 {
		return f.Last[0].Updated
	}
	return time.Time{}
}

// places finds where the status file may be, the same as [Settings.StatusFiles], and the
// data directory.
func (q StatusQuery) places() (files []string, datadir string, err error) {
	a := Args{Datadir: q.Datadir, Defaults: q.Defaults, Mysqld: parseMysqldArgs(q.Mysqld)}
	a.Mysqld.decideFiles(&a.Defaults)
	datadir = cmp.Or(q.Datadir, a.Mysqld.Value("datadir"))
	if q.File != "" {
		return []string{q.File}, cmp.Or(datadir, usualDatadir), nil
	}
	o := mycnf.LoadOptions{LookupEnv: q.LookupEnv, Dirs: q.Dirs}
	found, err := mycnf.Load(a.Defaults, o)
	if err != nil {
		return nil, "", err
	}
	if option, ok := found.Get([]string{serverGroup}, "datadir"); ok && datadir == "" && !a.Mysqld.NoDefaults {
		datadir = option.Value
	}
	if a.Datadir, err = filepath.Abs(cmp.Or(datadir, usualDatadir)); err != nil {
		return nil, "", err
	}
	if found.NeedVersion() {
		path, _ := lookup(q.LookupEnv, "PATH")
		o.ServerVersion = ServerVersion(a.Datadir, path)
	}
	// Settings that no SST could have do not matter here.
	s, err := LoadSettings(a, o)
	if len(s.StatusFiles) == 0 {
		if err == nil {
			err = advise(fmt.Errorf("no status file is kept: status-file is off, or no absolute path"),
				"set status-file in the [sst] group, or take it out for the default")
		}
		return nil, "", err
	}
	return s.StatusFiles, a.Datadir, nil
}

func lookup(env func(string) (string, bool), name string) (string, bool) {
	if env == nil {
		return os.LookupEnv(name)
	}
	return env(name)
}
