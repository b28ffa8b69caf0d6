package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path"
	"path/filepath"
	"sync/atomic"

	"github.com/zeebo/xxh3"
)

// The bare program, the yardstick: it does what cannot be left out (read, hash,
// encrypt, send; decrypt, hash, compare, write) and nothing else. It believes all it is told,
// and knows no attributes, no old data and no SST.
//
// For each part of a file: a header (length of the name, length of the file, offset,
// length), the name, then chunks, each with its xxh128. A header without a name is the end, and
// is answered by a byte.

// part is how long a part of a file is at most, so that all connections work at a
// large one.
const part = 32 << 20

// A job is a part of a file.
type job struct {
	name     string
	size     int64
	from, to int64
}

// jobs are handed out to goroutines.
type jobs struct {
	all  []job
	next atomic.Int64
}

func newJobs(s *set) *jobs {
	j := &jobs{}
	for _, f := range s.files {
		for from := int64(0); ; from += part {
			j.all = append(j.all, job{f.name, f.size, from, min(f.size, from+part)})
			if from+part >= f.size {
				break
			}
		}
	}
	return j
}

// each calls f with jobs until there are no more.
func (j *jobs) each(ctx context.Context, f func(job) error) error {
	for {
		i := j.next.Add(1) - 1
		if i >= int64(len(j.all)) {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := f(j.all[i]); err != nil {
			return err
		}
	}
}

const (
	rawHead = 2 + 8 + 8 + 8
	sumSize = 16
)

func (e *end) sendFiles(ctx context.Context) error {
	s, err := listSet(e.Dir)
	if err != nil {
		return err
	}
	jobs := newJobs(s)
	return parallel(e.Threads, func(int) error {
		conn, err := e.dial(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		buffer := make([]byte, rawHead+4096+chunk+sumSize)
		if err := jobs.each(ctx, func(j job) error { return sendPart(conn, e.Dir, j, buffer) }); err != nil {
			return err
		}
		if _, err := conn.Write(make([]byte, rawHead)); err != nil {
			return err
		}
		_, err = io.ReadFull(conn, buffer[:1])
		return err
	})
}

func sendPart(conn net.Conn, dir string, j job, buffer []byte) error {
	f, err := os.Open(filepath.Join(dir, j.name))
	if err != nil {
		return err
	}
	defer f.Close()
	if len(j.name) > 4096 {
		return fmt.Errorf("the name %.40q… is too long", j.name)
	}
	le := binary.LittleEndian
	le.PutUint16(buffer, uint16(len(j.name)))
	le.PutUint64(buffer[2:], uint64(j.size))
	le.PutUint64(buffer[10:], uint64(j.from))
	le.PutUint64(buffer[18:], uint64(j.to-j.from))
	n := rawHead + copy(buffer[rawHead:], j.name)
	for off := j.from; off < j.to || n > 0; {
		got := int(min(chunk, j.to-off))
		if got > 0 {
			if _, err := f.ReadAt(buffer[n:n+got], off); err != nil {
				return err
			}
			sum := xxh3.Hash128(buffer[n : n+got]).Bytes()
			n += got + copy(buffer[n+got:], sum[:])
		}
		if _, err := conn.Write(buffer[:n]); err != nil {
			return err
		}
		off, n = off+int64(got), 0
	}
	return nil
}

func (e *end) receiveFiles(conn net.Conn) error {
	root, err := os.OpenRoot(e.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	buffer := make([]byte, chunk+sumSize)
	for {
		if _, err := io.ReadFull(conn, buffer[:rawHead]); err != nil {
			return err
		}
		le := binary.LittleEndian
		length, from, n := le.Uint16(buffer), le.Uint64(buffer[10:]), le.Uint64(buffer[18:])
		if length == 0 {
			_, err := conn.Write(buffer[:1])
			return err
		}
		if length > 4096 || from > 1<<62 || n > part {
			return errors.New("the other end sends a header that makes no sense")
		}
		if _, err := io.ReadFull(conn, buffer[:length]); err != nil {
			return err
		}
		if err := receivePart(conn, root, string(buffer[:length]), int64(from), int64(n), buffer); err != nil {
			return err
		}
	}
}

func receivePart(conn net.Conn, root *os.Root, name string, off, left int64, buffer []byte) error {
	f, err := create(root, name)
	if err != nil {
		return err
	}
	return errors.Join(receiveChunks(conn, f, name, off, left, buffer), f.Close())
}

func receiveChunks(conn net.Conn, f *os.File, name string, off, left int64, buffer []byte) error {
	for left > 0 {
		n := min(chunk, left)
		if _, err := io.ReadFull(conn, buffer[:n+sumSize]); err != nil {
			return err
		}
		if sum := xxh3.Hash128(buffer[:n]).Bytes(); string(sum[:]) != string(buffer[n:n+sumSize]) {
			return fmt.Errorf("%s: damaged at byte %d", name, off)
		}
		if _, err := f.WriteAt(buffer[:n], off); err != nil {
			return err
		}
		off, left = off+n, left-n
	}
	return nil
}

// create opens a file to write, and makes it and its directories if need be.
func create(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = root.MkdirAll(path.Dir(name), 0o700); err == nil {
			f, err = root.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
		}
	}
	return f, err
}
