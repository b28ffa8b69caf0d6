package sst

import (
	"fmt"
	"strings"

	"wsrep_sst_rsync_tunnel/mycnf"
)

// A Setting is what one key comes to for one SST.
type Setting struct {
	Key   string `json:"key"`            // with "-"
	Value string `json:"value"`          // in effect; of a secret only that there is one
	From  string `json:"from"`           // FILE:LINE, "default", "environment NAME", "argument --NAME", "mariadbd's argument --NAME"
	Note  string `json:"note,omitempty"` // what the value alone does not tell
}

const (
	byDefault = "default"
	hidden    = "(not shown)"
)

// Effective lists the settings of the SST in the order of docs/options.md: those that
// its method and role have, with the values in effect. Keys of other methods are there
// if they are set, with a note. After an error of LoadSettings it lists what was found
// until then.
func (s *Settings) Effective() []Setting { return s.effective }

// get picks the value of a key, and keeps it for Effective.
func (l *settingsLoader) get(name string) (mycnf.Option, bool) {
	k := mustKnow(name)
	if !l.mentions(name) {
		return mycnf.Option{}, false
	}
	o, ok := k.find(l.files, l.args.Mysqld.NoDefaults)
	if ok {
		l.record(name, o.Value, where(o))
	}
	return o, ok
}

// mentions says whether a key is in any of the groups that we read. Few of those that
// we know are, and looking through all groups for each of the others takes time in
// which the cluster waits.
func (l *settingsLoader) mentions(name string) bool {
	if l.mentioned == nil {
		l.mentioned = map[string]bool{}
		for _, o := range l.files.Options(inAll.names(false)...) {
			l.mentioned[o.Name()] = true
		}
	}
	return l.mentioned[name]
}

// mustKnow finds a key of the table. One that is not there would be missing from the
// document, and the misspelling check would warn of it.
func mustKnow(name string) knownKey {
	k, ok := lookupKey(name)
	if !ok {
		panic("key " + name + " is not in the table of known keys")
	}
	return k
}

// record keeps what a key comes to.
func (l *settingsLoader) record(name, value, from string) {
	k := mustKnow(name)
	if k.secret && value != "" {
		value = hidden
	}
	l.found[name] = Setting{Key: name, Value: value, From: from, Note: l.found[name].Note}
}

// remark says more about a key than its value does.
func (l *settingsLoader) remark(name, note string) {
	s := l.found[name]
	s.Note = note
	l.found[name] = s
}

// inOrder makes the list for Effective.
func (l *settingsLoader) inOrder() []Setting {
	var all []Setting
	for _, k := range knownKeys {
		if !k.methods.has(l.args.Method) || !k.roles.has(l.args.Role) {
			continue
		}
		if k.part == partOthers {
			if _, set := l.get(k.name); !set {
				continue
			}
			l.remark(k.name, "no effect here")
		}
		s := l.found[k.name]
		s.Key = k.name
		if s.From == "" {
			s.Value, s.From = plainText(k.standard), byDefault
		}
		all = append(all, s)
	}
	return all
}

// plainText is text of the document without its marks.
func plainText(s string) string { return strings.ReplaceAll(s, "`", "") }

// summary is one line for the log about what the option files set, but for the secure
// channel, which tells of itself, and the places. "" if they set nothing.
func (s *Settings) summary() string {
	var set []string
	for _, e := range s.effective {
		k := mustKnow(e.Key)
		if e.From != byDefault && (k.part == partTransfer || k.part == partTimes) {
			set = append(set, fmt.Sprintf("%s=%s (%s)", e.Key, e.Value, e.From))
		}
	}
	if set == nil {
		return ""
	}
	return "settings: " + strings.Join(set, ", ")
}
