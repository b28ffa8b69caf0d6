package flist

import (
	"fmt"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// text is a name as the wire gives it or as an Entry holds it.
type text interface{ string | []byte }

// checkName refuses a name that a receiver must not use (rsync-wire.md §17.2). What is not in normal form is refused, not
// repaired: two spellings of one name would pass every test for duplicates. Real senders clean their names.
func checkName[T text](name T) error {
	switch {
	case len(name) == 0:
		return wire.Errorf("17.2", "a name in the file list is empty")
	case len(name) > wire.MaxName:
		return wire.Errorf("17.1", "name %s is longer than %d bytes", Quote(string(name)), wire.MaxName)
	case name[0] == '/':
		return wire.Errorf("17.2", "name %s is absolute", Quote(string(name)))
	case string(name) == Root:
		return nil
	}
	start := 0 // of the component
	for i := 0; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' {
			if name[i] == 0 {
				return wire.Errorf("17.2", "name %s contains a NUL byte", Quote(string(name)))
			}
			continue
		}
		switch string(name[start:i]) {
		case "", ".":
			return wire.Errorf("17.2", "name %s is not in normal form", Quote(string(name)))
		case "..":
			return wire.Errorf("17.2", "name %s climbs out of the transfer", Quote(string(name)))
		}
		start = i + 1
	}
	return nil
}

// checkMode refuses what is none of the seven types, and a root that is no directory.
func checkMode[T text](name T, mode uint32) error {
	switch mode & TypeMask {
	case TypeFIFO, TypeChar, TypeDir, TypeBlock, TypeRegular, TypeSymlink, TypeSocket:
	default:
		return wire.Errorf("17.2", "mode %#o of %s is of no known file type", mode, Quote(string(name)))
	}
	switch {
	case mode > 0o177777:
		return wire.Errorf("8.3", "mode %#o of %s has unknown bits", mode, Quote(string(name)))
	case string(name) == Root && mode&TypeMask != TypeDir:
		return wire.Errorf("17.2", "the root of the transfer is not a directory but has mode %#o", mode)
	}
	return nil
}

// checkLink refuses a link target that no file system could hold.
func checkLink[T text](name, link T) error {
	if n := len(link); n < 1 || n > wire.MaxName {
		return wire.Errorf("17.1", "link target of %s is %d bytes long, not 1 to %d", Quote(string(name)), n, wire.MaxName)
	}
	for i := range len(link) {
		if link[i] == 0 {
			return wire.Errorf("8.3", "link target of %s contains a NUL byte", Quote(string(name)))
		}
	}
	return nil
}

// Check says why an entry cannot be sent, or nil. Encode refuses a list with such an entry as a whole, so a source leaves the
// entry out, says so, and sets the general bit of the list's I/O error.
func (e *Entry) Check(o Options) error { return e.check(&o) }

func (e *Entry) check(o *Options) error {
	if err := checkName(e.Name); err != nil {
		return err
	}
	if err := checkMode(e.Name, e.Mode); err != nil {
		return err
	}
	switch {
	case e.Size < 0:
		return fmt.Errorf("size %d of %s is negative", e.Size, Quote(e.Name))
	case e.Nsec > maxNsec:
		return fmt.Errorf("%d nanoseconds of %s: the limit is %d", e.Nsec, Quote(e.Name), maxNsec)
	case o.sendsSum(e) && len(e.Sum) != o.SumLen:
		return fmt.Errorf("digest of %s has %d bytes, not %d", Quote(e.Name), len(e.Sum), o.SumLen)
	case o.sendsLink(e):
		return checkLink(e.Name, e.Link)
	}
	return nil
}

// Quote makes a name from the wire fit for a message: unprintable bytes escaped, a very long name cut.
func Quote(name string) string {
	const most = 250
	if len(name) > most {
		return fmt.Sprintf("%q... (%d bytes)", name[:most], len(name))
	}
	return fmt.Sprintf("%q", name)
}
