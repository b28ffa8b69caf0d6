package throughput

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zeebo/xxh3"

	"wsrep_sst_rsync_tunnel/tls"
)

// The bare program: a header (length of the name, size, offset, length), the name, the
// content, the xxh128 of it. It cuts files like ours do, believes all it is told, and neither compares
// nor keeps anything.

const bareBuffer = 256 << 10

type bareJob struct {
	name      string
	size      int64
	off, upto int64
}

func bareDonor() (time.Duration, error) {
	ch, err := channel(tls.Donor)
	if err != nil {
		return 0, err
	}
	src := os.Getenv("THROUGHPUT_SRC")
	begin := time.Now()
	var jobs []bareJob
	err = filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		for off := int64(0); ; off += 32 << 20 {
			jobs = append(jobs, bareJob{path[len(src)+1:], info.Size(), off, min(info.Size(), off+32<<20)})
			if off+32<<20 >= info.Size() {
				return nil
			}
		}
	})
	if err != nil {
		return 0, err
	}
	var next atomic.Int64
	errs := make([]error, connections())
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			conn, err := ch.Dial(context.Background(), "127.0.0.1", port())
			if err != nil {
				errs[i] = err
				return
			}
			errs[i] = bareSend(conn, src, jobs, &next)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return time.Since(begin), nil
}

func bareSend(conn net.Conn, src string, jobs []bareJob, next *atomic.Int64) error {
	const head = 26
	buf := make([]byte, 8192+bareBuffer+16)
	for {
		i := int(next.Add(1)) - 1
		if i >= len(jobs) {
			break
		}
		j := jobs[i]
		f, err := os.Open(filepath.Join(src, j.name))
		if err != nil {
			return err
		}
		n := head + copy(buf[head:], j.name)
		binary.LittleEndian.PutUint16(buf, uint16(len(j.name)))
		binary.LittleEndian.PutUint64(buf[2:], uint64(j.size))
		binary.LittleEndian.PutUint64(buf[10:], uint64(j.off))
		binary.LittleEndian.PutUint64(buf[18:], uint64(j.upto-j.off))
		for off := j.off; ; {
			m, err := f.ReadAt(buf[n:n+int(min(bareBuffer, j.upto-off))], off)
			if err != nil && err != io.EOF {
				return err
			}
			sum := xxh3.Hash128(buf[n : n+m]).Bytes()
			off += int64(m)
			n += m + copy(buf[n+m:], sum[:])
			if _, err := conn.Write(buf[:n]); err != nil {
				return err
			}
			n = 0
			if off >= j.upto {
				break
			}
		}
		f.Close()
	}
	// The joiner closes when all is written.
	if _, err := conn.Write(make([]byte, head)); err != nil {
		return err
	}
	_, err := conn.Read(buf[:1])
	if err == io.EOF {
		err = nil
	}
	conn.Close()
	return err
}

func bareJoiner() (time.Duration, error) {
	dst := os.Getenv("THROUGHPUT_DST")
	return 0, listen(func(conn net.Conn) error { return bareReceive(conn, dst) })
}

func bareReceive(conn net.Conn, dst string) error {
	head, buf := make([]byte, 26), make([]byte, bareBuffer+16)
	for {
		if _, err := io.ReadFull(conn, head); err != nil {
			return err
		}
		name := make([]byte, binary.LittleEndian.Uint16(head))
		if len(name) == 0 {
			return nil
		}
		size, off, left := int64(binary.LittleEndian.Uint64(head[2:])), int64(binary.LittleEndian.Uint64(head[10:])), int64(binary.LittleEndian.Uint64(head[18:]))
		if _, err := io.ReadFull(conn, name); err != nil {
			return err
		}
		f, err := os.OpenFile(filepath.Join(dst, string(name)), os.O_RDWR|os.O_CREATE, 0o640)
		if err != nil {
			return err
		}
		for ok := true; ok; ok = left > 0 {
			n := int(min(bareBuffer, left))
			if _, err := io.ReadFull(conn, buf[:n+16]); err != nil {
				return err
			}
			if sum := xxh3.Hash128(buf[:n]).Bytes(); string(sum[:]) != string(buf[n:n+16]) {
				return fmt.Errorf("%s: damaged at %d", name, off)
			}
			if _, err := f.WriteAt(buf[:n], off); err != nil {
				return err
			}
			off, left = off+int64(n), left-int64(n)
		}
		if off == size {
			if err := os.Chtimes(f.Name(), time.Now(), time.Now()); err != nil {
				return err
			}
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
}
