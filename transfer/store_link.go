package transfer

// linked is a Store with directories that its owner keeps elsewhere, by links: a
// session may empty one but not remove it. What comes for it later would land on
// another disk, or as a directory in the place of the link.
type linked interface{ IsLink(name string) bool }

// IsLink says whether name is one of Links.
func (s *DirStore) IsLink(name string) bool {
	_, ok := s.o.Links[name]
	return ok
}

// isLink says whether a name below the destination is the store's owner's link.
func (g *generator) isLink(name string) bool {
	s, ok := g.module.Store.(linked)
	return ok && s.IsLink(join(g.dest, name))
}
