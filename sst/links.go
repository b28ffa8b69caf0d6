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

// noteLink remembers that a session came for a database.
func (j *joiner) noteLink(dest string) {
	name, _, _ := strings.Cut(path.Clean(dest), "/")
	if _, ok := j.links[name]; ok {
		j.filled.Store(name, true)
	}
}

// noteLinks does so for a list of the whole data directory, which only a donor of ours
// sends: the last one decides.
func (j *joiner) noteLinks(t *transfer.Session) {
	if t.Path != flist.Root || t.Module != j.args.moduleBase() || !j.contact.resumes() {
		return
	}
	j.filled.Clear()
	for _, e := range t.List.Entries {
		if _, ok := j.links[e.Name]; ok && e.IsDir() && !e.NoContent {
			j.filled.Store(e.Name, true)
		}
	}
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
