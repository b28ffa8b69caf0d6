package ext

import (
	"errors"
	"os"
)

// A spill is the temporary file of a Memory: slots of 4 KiB, a chunk each. It is unlinked
// as soon as it is made, so that nothing is left behind, however we end.
type spill struct {
	dir   string
	f     *os.File
	slots int64
	empty []int64 // slots that are free again
}

const slotSize = chunkDigests * 16

func (s *spill) open() error {
	if s.f != nil {
		return nil
	}
	dir := s.dir
	if dir == "" {
		dir = os.TempDir()
	}
	f, err := os.CreateTemp(dir, ".wsrep_sst_digests.*")
	if err != nil {
		return err
	}
	if err := os.Remove(f.Name()); err != nil {
		return errors.Join(err, f.Close())
	}
	s.f = f
	return nil
}

// write puts a chunk into its slot.
func (s *spill) write(c *chunk) error {
	if err := s.open(); err != nil {
		return err
	}
	if c.slot == 0 {
		if n := len(s.empty); n > 0 {
			c.slot, s.empty = s.empty[n-1], s.empty[:n-1]
		} else {
			s.slots++
			c.slot = s.slots
		}
	}
	c.size = len(c.d)
	_, err := s.f.WriteAt(bytesOf(c.d), (c.slot-1)*slotSize)
	if err != nil {
		s.free(c)
		c.size = 0
	}
	return err
}

func (s *spill) read(c *chunk) error {
	_, err := s.f.ReadAt(bytesOf(c.d), (c.slot-1)*slotSize)
	return err
}

func (s *spill) free(c *chunk) {
	if c.slot > 0 {
		s.empty = append(s.empty, c.slot)
		c.slot = 0
	}
}

func (s *spill) close() error {
	if s.f == nil {
		return nil
	}
	f := s.f
	s.f, s.slots, s.empty = nil, 0, nil
	return f.Close()
}
