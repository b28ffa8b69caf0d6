package captest

import (
	"path"

	"wsrep_sst_rsync_tunnel/transfer/filter"
	"wsrep_sst_rsync_tunnel/transfer/flist"
	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// list is one file list: entries in sorted order, numbered from start.
type list struct {
	start   int32
	entries []*flist.Entry
	dir     *flist.Entry // whose contents it is; nil for the first list
}

// rules of the four cases as they were typed.
var (
	rulesA = []string{"- /lost+found", "- /.zfs", "+ /wsrep_sst_binlog.tar", "+ /ib_lru_dump", "+ /ibdata*", "+ /undo*", "+ /*/", "- /*"}
	rulesB = []string{"+ /ib_logfile[0-9]*", "+ /aria_log.*", "- **"}
	rulesC = []string{"exclude */ib_logfile*"}
)

// filters reads the client's rules. They are written again from what was typed, except in a recording whose rules the README
// does not tell.
func (s *session) filters() {
	if !s.deletes() {
		return
	}
	got, err := filter.Receive(s.c.r)
	s.c.must(err)
	typed := rulesA
	switch {
	case s.module == "nodel":
		typed = nil
	case !s.letter("d"):
		typed = rulesC
	case s.key("") == "-log_dir:":
		typed = rulesB
	}
	if typed != nil {
		got, err = filter.Parse(typed...)
		s.c.must(err)
	}
	got.Send(s.c.w)
}

// firstList reads the list that every session begins with, and the id lists. Without incremental recursion it is the only
// one, and all flist's.
func (s *session) firstList() {
	if s.compatHas(wire.CompatIncRecurse) {
		s.incremental = newIncremental(s)
		s.incremental.list(nil)
		return
	}
	o := s.listOptions()
	l, err := flist.DecodeUnsorted(s.c.r, o)
	s.c.must(err)
	s.c.must(flist.Encode(s.c.w, l.Entries, l.IOError, o, l.Users, l.Groups))
	s.c.must(l.Settle())
	s.checkList(l)
	s.addList(&list{entries: l.Entries})
}

func (s *session) addList(l *list) {
	for _, e := range l.entries {
		if e.Cleared {
			s.t.Errorf("%q is taken for a duplicate", e.Name)
		}
	}
	s.lists = append(s.lists, l)
}

// checkList uses a complete list as a receiver does.
func (s *session) checkList(l *flist.List) {
	seen := 0
	for i, e := range l.Entries {
		if at, found := l.Find(e.Name); !found || at != i {
			s.t.Errorf("Find(%q) is %d, %v, want %d", e.Name, at, found, i)
		}
		if e.IsDir() {
			for at, child := range l.Dir(e.Name) {
				if l.Entries[at] != child || path.Dir(child.Name) != e.Name {
					s.t.Errorf("Dir(%q) gives %d, %q", e.Name, at, child.Name)
				}
				seen++
			}
		}
	}
	if _, root := l.Find(flist.Root); root && seen != len(l.Entries)-1 {
		s.t.Errorf("the directories hold %d of %d entries", seen, len(l.Entries)-1)
	}
}

// entry is the file that an index stands for.
func (s *session) entry(ndx int32) *flist.Entry {
	for _, l := range s.lists {
		switch i := ndx - l.start; {
		case i >= 0 && int(i) < len(l.entries):
			return l.entries[i]
		case i == -1 && l.dir != nil:
			return l.dir
		case i == -1 && len(l.entries) > 0 && l.entries[0].Name == flist.Root:
			return l.entries[0]
		}
	}
	s.t.Fatalf("index %d is in no list", ndx)
	return nil
}
