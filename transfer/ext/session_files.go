package ext

import (
	"errors"
	"fmt"

	"wsrep_sst_rsync_tunnel/transfer"
)

func (s *session) handle(number uint32) (*handle, error) {
	h := s.handles[number]
	if h == nil {
		return nil, malformed("a frame for handle %d, which was not announced", number)
	}
	return h, nil
}

func (s *session) file(f frame) error {
	file, err := parseFile(f)
	if err != nil {
		return err
	}
	if old := s.handles[file.handle]; old != nil {
		s.r.release(old.f, false)
		delete(s.handles, file.handle)
	}
	if len(s.handles) >= maxHandles {
		return malformed("more than %d files on one stream at a time", maxHandles)
	}
	rf, err := s.r.acquire(file.root, file.name)
	if err != nil {
		return err
	}
	s.handles[file.handle] = &handle{f: rf, attrs: s.r.attrs(&file)}
	return nil
}

// data checks the digest, writes, and remembers what was written.
func (s *session) data(f frame) error {
	d, err := parseData(f)
	if err != nil {
		return err
	}
	h, err := s.handle(d.handle)
	if err != nil || h.refused {
		return err
	}
	p := d.payload
	if d.zstd {
		if p, err = s.unzip.expand(p, d.raw); err != nil {
			return malformed("DATA of %s: %w", quote(h.f.mem.name), err)
		}
	}
	n, _ := s.hasher.blocks(p, &s.digests)
	if s.hasher.of(s.digests[:n]) != d.digest {
		s.r.log(transfer.Warning, "%s: damaged on its way, at %d: the connection is made again", quote(h.f.mem.name), d.off)
		return fmt.Errorf("content of %s at %d was damaged on its way", quote(h.f.mem.name), d.off)
	}
	err = h.f.use(func(file transfer.File) error {
		_, err := file.WriteAt(p, d.off)
		return err
	})
	if err != nil {
		return s.trouble(d.handle, h, err)
	}
	s.r.Memory.set(h.f.mem, d.off/blockSize, s.digests[:n])
	s.r.progress(int64(len(p)))
	return nil
}

func (s *session) zero(f frame) error {
	z, err := parseRange(f)
	if err != nil {
		return err
	}
	h, err := s.handle(z.handle)
	if err != nil || h.refused {
		return err
	}
	if err := h.f.use(func(file transfer.File) error { return file.Zero(z.off, z.n) }); err != nil {
		return s.trouble(z.handle, h, err)
	}
	first, whole := z.off/blockSize, int(z.n/blockSize)
	s.r.Memory.setZero(h.f.mem, first, whole)
	if rest := z.n % blockSize; rest > 0 {
		s.r.Memory.set(h.f.mem, first+int64(whole), []digest{s.hasher.sum(zeroBlock[:rest])})
	}
	s.r.progress(z.n)
	return nil
}

func (s *session) commit(f frame) error {
	c, err := parseCommit(f)
	if err != nil {
		return err
	}
	h, err := s.handle(c.handle)
	if err != nil {
		return err
	}
	if h.refused {
		_ = h.f.close() // its fate is known
	} else {
		agreed, err := h.f.commit(&c, h.attrs)
		if err != nil {
			if err := s.trouble(c.handle, h, err); err != nil {
				return err
			}
		} else if !agreed {
			s.r.log(transfer.Warning, "%s: what arrived is not what was sent: asked for once more", quote(h.f.mem.name))
			delete(s.handles, c.handle)
			s.r.release(h.f, false)
			return s.say(writeLimit, le.AppendUint32(appendHead(nil, frameMismatch, 0, 4), c.handle))
		}
	}
	delete(s.handles, c.handle)
	s.r.release(h.f, true)
	return nil
}

func (s *session) letGo(f frame) error {
	if err := f.want(4, 4, flagAbandon); err != nil {
		return err
	}
	number := le.Uint32(f.body)
	h, err := s.handle(number)
	if err != nil {
		return err
	}
	delete(s.handles, number)
	abandon := f.flags&flagAbandon != 0
	if abandon {
		_ = h.f.close() // nothing is promised of it
	}
	s.r.release(h.f, abandon)
	return nil
}

// trouble decides what an error of the store means: the disk's ends all, a file's own only
// that.
func (s *session) trouble(number uint32, h *handle, err error) error {
	var fatal *FatalError
	if errors.As(err, &fatal) {
		return err
	}
	if transfer.Fatal(err) {
		return &FatalError{Err: fmt.Errorf("write %s: %w", quote(h.f.mem.name), err)}
	}
	h.refused = true
	s.r.Memory.cut(h.f.mem, 0)
	s.r.log(transfer.Error, "%s: %v", quote(h.f.mem.name), err)
	text := err.Error()
	text = text[:min(len(text), maxReason)]
	out := le.AppendUint32(appendHead(nil, frameRefused, 0, 4+len(text)), number)
	return s.say(writeLimit, append(out, text...))
}
