package throughput

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"wsrep_sst_rsync_tunnel/tls"
	"wsrep_sst_rsync_tunnel/transfer"
	"wsrep_sst_rsync_tunnel/transfer/ext"
)

func channel(role tls.Role) (*tls.Channel, error) {
	cert := os.Getenv("THROUGHPUT_CERT")
	return tls.Load(tls.Config{Role: role, CA: cert, Cert: cert, Host: "localhost"})
}

func connections() int { n, _ := strconv.Atoi(os.Getenv("THROUGHPUT_CONNECTIONS")); return n }
func port() int        { n, _ := strconv.Atoi(os.Getenv("THROUGHPUT_PORT")); return n }

// listen accepts TLS connections and hands them to serve, until stdin ends.
func listen(serve func(net.Conn) error) error {
	ch, err := channel(tls.Joiner)
	if err != nil {
		return err
	}
	ln, err := ch.Listen(context.Background(), "127.0.0.1", 0)
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr().(*net.TCPAddr).Port)
	var serving sync.WaitGroup
	failed := make(chan error, 64)
	serving.Go(func() {
		for {
			raw, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				conn, err := ch.Server(context.Background(), raw)
				if err == nil {
					err = serve(conn)
					conn.Close()
				}
				failed <- err
			})
		}
	})
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	ln.Close()
	serving.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}

func ownJoiner() (time.Duration, error) {
	root, err := os.OpenRoot(os.Getenv("THROUGHPUT_DST"))
	if err != nil {
		return 0, err
	}
	store, err := transfer.NewDirStore(root, transfer.StoreOptions{})
	if err != nil {
		return 0, err
	}
	r := &ext.Receiver{Stores: []transfer.Store{store}}
	if err := listen(func(conn net.Conn) error { return r.Serve(context.Background(), conn) }); err != nil {
		return 0, err
	}
	return 0, r.Close()
}

func ownDonor() (time.Duration, error) {
	ch, err := channel(tls.Donor)
	if err != nil {
		return 0, err
	}
	how, err := ext.ParseCompression(os.Getenv("THROUGHPUT_COMPRESS"))
	if err != nil {
		return 0, err
	}
	src := os.Getenv("THROUGHPUT_SRC")
	root, err := os.OpenRoot(src)
	if err != nil {
		return 0, err
	}
	source, err := transfer.NewDirSource(root, transfer.DirSourceOptions{})
	if err != nil {
		return 0, err
	}
	s := ext.New(ext.Options{
		Connections: connections(), Compress: how,
		Dial: func(ctx context.Context) (net.Conn, error) { return ch.Dial(ctx, "127.0.0.1", port()) },
		Log:  func(line string) { fmt.Fprintln(os.Stderr, line) },
	})
	begin := time.Now()
	var files []ext.File
	err = filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name := path[len(src)+1:]
		files = append(files, ext.File{Name: name, Size: info.Size(), Mode: 0o640, UID: uint32(os.Getuid()), GID: uint32(os.Getgid()),
			Open: func() (ext.Source, error) {
				f, err := source.Open(name)
				if err != nil {
					return nil, err
				}
				return ext.FromSource(f)
			}})
		return nil
	})
	if err != nil {
		return 0, err
	}
	results, err := s.Send(context.Background(), files)
	if err != nil {
		return 0, err
	}
	for _, r := range results {
		if r.Err != nil {
			return 0, r.Err
		}
	}
	wall := time.Since(begin)
	return wall, s.Close()
}
