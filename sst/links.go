package sst

import (
	"errors"
	"io"
	"os"
	"path"
	"strings"

	"wsrep_sst_rsync_tunnel/transfer"
	"wsrep_sst_rsync_tunnel/transfer/flist"
)

// A database of ours may be a link to another disk. The donor's sessions go through
// it, and when the donor has no such database they empty it and leave the link: at
// that moment nobody knows whether something comes for it later.

// noteLinks remembers that a session came for a database: by its destination, or by a
// directory that it lists at the top of the data directory.
func (j *joiner) noteLinks(t *transfer.Session) {
	if t.Module != j.args.moduleBase() {
		return
	}
	names := []string{t.Path}
	if t.Path == flist.Root {
		if j.contact.resumes() {
			j.filled.Clear() // a list of everything: the last one decides
		}
		for _, e := range topDirs(t) {
			names = append(names, e.Name)
		}
	}
	for _, name := range names {
		name, _, _ = strings.Cut(path.Clean(name), "/")
		if _, ok := j.links[name]; ok {
			j.filled.Store(name, true)
		}
	}
}

// topDirs are the directories that a session lists right in its destination.
func topDirs(t *transfer.Session) (dirs []*flist.Entry) {
	for _, e := range t.List.Entries {
		if e.IsDir() && e.Name != flist.Root && !strings.Contains(e.Name, "/") {
			dirs = append(dirs, e)
		}
	}
	return dirs
}

// dropLinks removes the links that nothing came for and that lead to an empty
// directory: each would be an empty database that the donor does not have. The
// directory belongs to the operator and stays.
func (j *joiner) dropLinks() {
	for name, root := range j.links {
		if _, ok := j.filled.Load(name); ok {
			continue
		}
		if empty, err := isEmpty(root); err != nil || !empty {
			continue
		}
		if err := removeControl(j.root, name); err != nil {
			j.warn(err.Error())
			continue
		}
		j.infof("the donor has no database %s: the link to %s is removed, the directory is empty", name, root.Name())
	}
}

func isEmpty(root *os.Root) (bool, error) {
	d, err := root.Open(".")
	if err != nil {
		return false, err
	}
	defer d.Close()
	_, err = d.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}
