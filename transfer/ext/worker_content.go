package ext

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"time"
)

// do does one job up to the batch that ends it.
func (w *worker) do(j *job) error {
	if w.prepare(j) {
		return nil
	}
	f := j.file
	if j.kind != part || !f.failed() {
		if err := w.announce(j); err != nil {
			return err
		}
	}
	if j.asked && !w.st.answered(j) {
		if err := w.flush(0); err != nil {
			return err
		}
		if w.st.waitFor(func() bool { return j.ready }) != nil {
			return errBroken
		}
	}
	if j.kind != finish && !f.failed() {
		if err := w.content(j); err != nil {
			return err
		}
	}
	if err := w.end(j); err != nil {
		return err
	}
	if _, err := w.room(0); err != nil {
		return err
	}
	w.rec.ends = append(w.rec.ends, j)
	return nil
}

// content reads a range and sends what differs. A file that cannot be read on has failed; that
// is no error here.
func (w *worker) content(j *job) error {
	f := j.file
	f.mu.Lock()
	src := f.src
	f.mu.Unlock()
	off := j.off
	for off < j.end {
		want := int(min(maxData, j.end-off))
		if w.s.o.Pace != nil {
			if err := w.s.o.Pace(w.ctx, want); err != nil {
				return err
			}
		}
		if w.ctx.Err() != nil {
			return context.Cause(w.ctx)
		}
		n, err := w.block(f, src, j.handle, off, want)
		off += int64(n)
		if err == io.EOF {
			break
		}
		if err == errBroken {
			return err
		}
		if err != nil {
			f.fail(err)
		}
		if f.failed() {
			return nil
		}
	}
	f.metEnd(j.off, off, off < j.end)
	_ = f.stampAfter(src) // noted there
	if j.kind == wholeFile {
		f.close()
	}
	return nil
}

// block reads want bytes at off, straight to where they are sent from, and leaves in the batch
// what differs from what the joiner has. Its error is the file's, or errBroken.
func (w *worker) block(f *fileState, src Source, handle uint32, off int64, want int) (int, error) {
	b, err := w.room(dataHead + want)
	if err != nil {
		return 0, err
	}
	base := b.n
	p := b.buf[base+dataHead : base+dataHead+want]
	n, err := src.ReadAt(p, off)
	if n == want {
		err = nil
	} else if err == nil {
		err = io.ErrNoProgress
	}
	if n == 0 {
		return 0, err
	}
	p = p[:n]
	m := w.s.o.Memory
	first := off / blockSize
	count, zeros := w.hasher.blocks(p, &w.now)
	m.get(f.mem, first, w.was[:count])
	var differ uint32
	for i := range count {
		if w.now[i] != w.was[i] {
			differ |= 1 << i
		}
	}
	sent := 0
	if differ != 0 {
		m.set(f.mem, first, w.now[:count])
		sent = w.pack(f.mem, handle, off, p, differ, zeros)
	}
	f.read.Add(int64(n))
	f.sent.Add(int64(sent))
	if w.s.o.Progress != nil {
		w.s.o.Progress(int64(n), int64(sent))
	}
	return n, err
}

// pack makes frames of the blocks of p that differ, in the batch, whose bytes p is part of: a
// frame for each run of them. They move forward in it: what is left out before a run is more
// than the headers need.
func (w *worker) pack(f *memFile, handle uint32, off int64, p []byte, differ, zeros uint32) (sent int) {
	b := w.b
	for i := 0; differ>>i != 0; {
		if differ>>i&1 == 0 {
			i += bits.TrailingZeros32(differ >> i)
			continue
		}
		zero := zeros>>i&1 != 0
		run := i + 1
		for differ>>run&1 != 0 && zeros>>run&1 != 0 == zero {
			run++
		}
		at, end := i*blockSize, min(run*blockSize, len(p))
		if zero {
			b.n = len(appendRange(b.buf[:b.n], frameZero, handle, off+int64(at), int64(end-at)))
		} else {
			sent += w.data(handle, off+int64(at), p[at:end], w.hasher.of(w.now[i:run]))
		}
		w.remember(f, off/blockSize+int64(i), int64(run-i))
		i = run
	}
	return sent
}

// data puts one DATA into the batch and gives the length of its payload.
func (w *worker) data(handle uint32, off int64, p []byte, d digest) int {
	b := w.b
	flags, payload := byte(0), p
	if z := w.zip.compress(p); z != nil {
		flags, payload = flagZstd, z
	}
	to := b.buf[b.n:]
	raw := len(p)
	if len(payload) > 0 && &payload[0] != &to[dataHead] {
		copy(to[dataHead:], payload)
	}
	putData(to, flags, handle, off, raw, len(payload), d)
	b.n += dataHead + len(payload)
	return len(payload)
}

// remember notes that blocks are on their way.
func (w *worker) remember(f *memFile, first, n int64) {
	if k := len(w.rec.ranges); k > 0 {
		last := &w.rec.ranges[k-1]
		if last.f == f && last.first+last.n == first {
			last.n += n
			return
		}
	}
	w.rec.ranges = append(w.rec.ranges, sentRange{f, first, n})
}

// end puts the frame into the batch that a job ends with.
func (w *worker) end(j *job) error {
	f := j.file
	if !j.opened {
		return nil // a part of a file that had failed before
	}
	if j.kind == part || f.failed() {
		flags := byte(0)
		if j.kind != part {
			flags = flagAbandon
		}
		b, err := w.room(releaseSize)
		if err == nil {
			b.n = len(appendRelease(b.buf[:b.n], j.handle, flags))
		}
		return err
	}
	f.mu.Lock()
	mtime := time.Unix(0, f.result.After.MtimeNs)
	f.mu.Unlock()
	c := commitFrame{handle: j.handle, size: f.finalSize(), mtime: mtime.Unix(), nsec: uint32(mtime.Nanosecond())}
	m := w.s.o.Memory
	var known bool
	if c.digest, known = m.whole(f.mem, blocksIn(c.size)); !known {
		return fmt.Errorf("digests of %s are lost: %w", quote(f.f.Name), errors.Join(m.failure(), errLost))
	}
	m.cut(f.mem, blocksIn(c.size))
	b, err := w.room(commitSize)
	if err == nil {
		b.n = len(c.append(b.buf[:b.n]))
	}
	return err
}

var errLost = errors.New("they were there when its blocks were read")
