package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"

	"wsrep_sst_rsync_tunnel/bench/mariadbd"
	"wsrep_sst_rsync_tunnel/tls"
)

// The kinds of limits.
const (
	Reading = "reading"
	Network = "network"
	TLS     = "tls"
	Writing = "writing"
	Raw     = "raw"
)

// EndOptions say which end of which limit a process is.
type EndOptions struct {
	Kind, Role string // one of the kinds, or Stock; donor or joiner
	Dir        string // of the data, or to write to
	Like       string // Reading: the directory; Writing: the one whose files are imitated
	Bytes      int64  // Network, TLS: how much to send
	Threads    int
	CA, Cert   string // PEM files
	Transport  string // of TLS and Raw: tls or dtls
	Port       int    // donor: where the joiner listens
}

// chunk is the unit of reading, sending and writing in bytes, as in the engine.
const chunk = 256 << 10

// End is one end of a limit. A joiner prints the port that it listens on to out and ends
// when in does.
func End(ctx context.Context, o EndOptions, in io.Reader, out io.Writer) error {
	if o.Threads < 1 || o.Threads > maxThreads {
		return fmt.Errorf("%d threads: should be from 1 to %d", o.Threads, maxThreads)
	}
	switch o.Kind {
	case Reading, Writing:
		return o.withoutNetwork(ctx)
	case Network, TLS, Raw, Stock:
	default:
		return fmt.Errorf("there is no limit %q", o.Kind)
	}
	e := end{EndOptions: o}
	if o.Kind != Network {
		role := tls.Donor
		if o.Role == "joiner" {
			role = tls.Joiner
		}
		var err error
		if e.channel, err = tls.Load(tls.Config{Role: role, CA: o.CA, Cert: o.Cert, Host: mariadbd.Host, Transport: tls.Transport(o.Transport)}); err != nil {
			return err
		}
	}
	if o.Role == "joiner" {
		return e.listen(ctx, in, out)
	}
	switch o.Kind {
	case Raw:
		return e.sendFiles(ctx)
	case Stock:
		return e.push(ctx)
	}
	return parallel(e.Threads, func(int) error {
		conn, err := e.dial(ctx)
		if err != nil {
			return err
		}
		return errors.Join(Pump(conn, o.Bytes/int64(o.Threads)), conn.Close())
	})
}

func (o EndOptions) withoutNetwork(ctx context.Context) error {
	s, err := listSet(o.Like)
	if err != nil {
		return err
	}
	if o.Kind == Reading {
		return readSet(ctx, s, o.Threads)
	}
	return writeSet(ctx, s, o.Dir, o.Threads)
}

type end struct {
	EndOptions
	channel *tls.Channel // nil: in the clear
}

func (e *end) dial(ctx context.Context) (net.Conn, error) {
	if e.channel != nil {
		return e.channel.Dial(ctx, mariadbd.Host, e.Port)
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", net.JoinHostPort(mariadbd.Host, fmt.Sprint(e.Port)))
}

// parallel does f in n goroutines.
func parallel(n int, f func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (e *end) listener(ctx context.Context) (net.Listener, error) {
	if e.channel != nil {
		return e.channel.Listen(ctx, mariadbd.Host, 0)
	}
	return net.Listen("tcp", net.JoinHostPort(mariadbd.Host, "0"))
}

// listen serves connections until in ends.
func (e *end) listen(ctx context.Context, in io.Reader, out io.Writer) error {
	l, err := e.listener(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, port); err != nil {
		return err
	}
	var serving sync.WaitGroup
	var mu sync.Mutex
	var failed error
	serving.Go(func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				if err := e.serve(ctx, raw); err != nil {
					mu.Lock()
					defer mu.Unlock()
					failed = errors.Join(failed, err)
				}
			})
		}
	})
	_, err = io.Copy(io.Discard, in)
	l.Close()
	serving.Wait()
	return errors.Join(err, failed)
}

func (e *end) serve(ctx context.Context, conn net.Conn) error {
	if e.channel != nil {
		secure, err := e.channel.Server(ctx, conn)
		if err != nil {
			return err
		}
		conn = secure
	}
	defer conn.Close()
	switch e.Kind {
	case Raw:
		return e.receiveFiles(conn)
	case Stock:
		return e.receiveSession(ctx, conn)
	}
	return Drain(conn)
}

// Pump sends so many bytes to a Drain and returns when it says that all have come.
func Pump(conn net.Conn, bytes int64) error {
	buffer := make([]byte, chunk)
	for i := range buffer { // not zeros, which something on the way may compress
		buffer[i] = byte(i*i>>8 ^ i)
	}
	head := binary.LittleEndian.AppendUint64(nil, uint64(bytes))
	if _, err := conn.Write(head); err != nil {
		return err
	}
	for bytes > 0 {
		n := min(bytes, chunk)
		if _, err := conn.Write(buffer[:n]); err != nil {
			return err
		}
		bytes -= n
	}
	_, err := io.ReadFull(conn, head[:1])
	return err
}

// Drain reads what a Pump sends, and says when it has all.
func Drain(conn net.Conn) error {
	buffer := make([]byte, chunk)
	if _, err := io.ReadFull(conn, buffer[:8]); err != nil {
		return err
	}
	for left := binary.LittleEndian.Uint64(buffer); left > 0; {
		n, err := conn.Read(buffer[:min(left, chunk)])
		if err != nil {
			return err
		}
		left -= uint64(n)
	}
	_, err := conn.Write(buffer[:1])
	return err
}

// readSet reads the files of a set and does nothing with them.
func readSet(ctx context.Context, s *set, threads int) error {
	jobs := newJobs(s)
	return parallel(threads, func(int) error {
		buffer := make([]byte, chunk)
		return jobs.each(ctx, func(j job) error {
			f, err := os.Open(filepath.Join(s.dir, j.name))
			if err != nil {
				return err
			}
			defer f.Close()
			for off := j.from; off < j.to; {
				n, err := f.ReadAt(buffer[:min(chunk, j.to-off)], off)
				if off += int64(n); err != nil && off < j.to {
					return err
				}
			}
			return nil
		})
	})
}

// writeSet writes files of the lengths of a set to dir.
func writeSet(ctx context.Context, s *set, dir string, threads int) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	jobs := newJobs(s)
	return parallel(threads, func(int) error {
		buffer := make([]byte, chunk)
		for i := range buffer {
			buffer[i] = byte(i + 1)
		}
		return jobs.each(ctx, func(j job) error {
			f, err := create(root, j.name)
			if err != nil {
				return err
			}
			for off := j.from; off < j.to && err == nil; off += chunk {
				_, err = f.WriteAt(buffer[:min(chunk, j.to-off)], off)
			}
			return errors.Join(err, f.Close())
		})
	})
}
