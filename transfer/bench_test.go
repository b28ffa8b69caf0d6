package transfer

import (
	"fmt"
	"net"
	"os"
	"testing"
)

// BenchmarkSession sends a gigabyte in files of 64 MiB over loopback, without TLS:
// the engine's own share of an SST.
func BenchmarkSession(b *testing.B) {
	src, err := os.MkdirTemp("/dev/shm", "sst-bench")
	if err != nil {
		src = b.TempDir()
	} else {
		defer os.RemoveAll(src)
	}
	from, to := src+"/from", src+"/to"
	for _, d := range []string{from, to} {
		if err := os.Mkdir(d, 0o755); err != nil {
			b.Fatal(err)
		}
	}
	const files, size = 16, 64 << 20
	for i := range files {
		name := fmt.Sprintf("%s/t%d.ibd", from, i)
		if err := os.WriteFile(name, content(name, size), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	open := func(dir string) *os.Root {
		r, err := os.OpenRoot(dir)
		if err != nil {
			b.Fatal(err)
		}
		return r
	}
	s, err := NewDirStore(open(to), StoreOptions{})
	if err != nil {
		b.Fatal(err)
	}
	d := &Daemon{Modules: []Module{{Name: "m", Store: s}}}
	source, err := NewDirSource(open(from), DirSourceOptions{Recursive: true})
	if err != nil {
		b.Fatal(err)
	}
	o := PushOptions{Module: "m", Recursive: true, WholeFile: true, Inplace: true, IgnoreTimes: true, Perms: true}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	b.SetBytes(files * size)
	b.ReportAllocs()
	for b.Loop() {
		done := make(chan error, 1)
		go func() {
			c, err := l.Accept()
			if err == nil {
				_, err = d.Serve(b.Context(), c)
				c.Close()
			}
			done <- err
		}()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Push(b.Context(), c, source, o); err != nil {
			b.Fatal(err)
		}
		c.Close()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}
