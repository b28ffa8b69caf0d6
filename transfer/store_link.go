package transfer

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

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

// older is a Store that has, for some files that are not there yet, an older one to
// start from: the owner moved it out of the way before the session.
type older interface {
	// Older opens it; fs.ErrNotExist when there is none.
	Older(name string) (SourceFile, error)
}

// Older opens the file that StoreOptions.Older names.
func (s *DirStore) Older(name string) (SourceFile, error) {
	if s.o.Older != nil {
		if d, ok := s.o.Older(name); ok {
			f, err := s.tree.openLeaf(d, unix.O_RDONLY, 0)
			if err != nil {
				return nil, err
			}
			return f, nil
		}
	}
	return nil, fs.ErrNotExist
}

// openBasis opens what a file at name can start from: itself, or, when it is not
// there yet, an older one.
func openBasis(s Store, name string, isNew bool) (SourceFile, error) {
	if !isNew {
		return s.Open(name)
	}
	if o, ok := s.(older); ok {
		return o.Older(name)
	}
	return nil, pathError("open", name, fs.ErrNotExist)
}
