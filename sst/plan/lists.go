package plan

import "slices"

// lists makes the sessions that carry the list and no data: one for each root, that of
// the data directory over the top level and all databases at once. What they list and
// protect is what the sessions of the plan do together.
func (d *donor) lists() []Session {
	top := d.plan.Sessions[0]
	all := Session{Root: DataDir, Module: top.Module, Dir: top.Dir, Recursive: true, Rules: excludeAll(housekeeping), Follow: map[string]string{}}
	for _, b := range d.branches {
		if b.rel != "" && slices.Contains(d.names, b.rel) {
			all.Follow[b.rel] = b.dir
		}
	}
	for _, c := range d.cuts {
		all.Rules = append(all.Rules, c.rules("")...)
	}
	for _, name := range d.names {
		if isHidden(name) {
			all.Rules = append(all.Rules, "+ /"+literal(name, false)+"/")
		}
	}
	all.Rules = append(all.Rules, "- /.*/", "+ /"+BinlogArchive, "+ /*/", "- /*")
	lists := []Session{all}
	for _, s := range d.plan.Sessions[1:] {
		if s.Root != DataDir {
			lists = append(lists, s)
		}
	}
	return lists
}
