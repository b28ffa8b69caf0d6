package sessions

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"wsrep_sst_rsync_tunnel/e2e/internal/peers"
	"wsrep_sst_rsync_tunnel/e2e/internal/tree"
)

// Beyond 2^32 every counter of a file has to be wide enough: the size in the list, offsets, block numbers.
const beyond = 1<<32 + 3<<20 + 12345

func TestAFileBeyondFourGigabytesArrivesWithItsHoles(t *testing.T) {
	peers.Need(t, "rsync")
	from := layout{root: folder(t)}
	m := maker{t, from.dir(data)}
	m.dir("db1", 0o750)
	m.holes("db1/huge.ibd", beyond)
	r := run{name: "R6 db1", from: data, below: "db1", module: "rsync_sst", recursive: true}

	for _, way := range []struct {
		name string
		send sender
	}{{"from rsync to us", byRsync}, {"from us to us", byUs}} {
		t.Run(way.name, func(t *testing.T) {
			to := layout{root: folder(t)}
			maker{t, to.dir(data)}.dir(".", 0o750)
			if err := way.send(t, from, r, variant{protocol: 32, whole: true}, sparseDaemon(t, to)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(to.dir(data), "db1/huge.ibd")
			same(t, m.path("db1/huge.ibd"), path)
			// Three stretches of data, each at most a few blocks.
			if n, err := tree.Blocks(path); err != nil || n > 4<<20 {
				t.Errorf("the file takes %d bytes on disk (%v): its holes were filled", n, err)
			}
		})
	}
	t.Run("from us to rsync, which fills the holes", func(t *testing.T) {
		if os.Getenv("E2E_LONG") == "" {
			t.Skip("writes 4 GiB to disk: only in the long run (E2E_LONG=1)")
		}
		to := layout{root: t.TempDir()}
		maker{t, to.dir(data)}.dir(".", 0o750)
		if err := byUs(t, from, r, variant{protocol: 32, whole: true}, rsyncDaemon(t, to)); err != nil {
			t.Fatal(err)
		}
		same(t, m.path("db1/huge.ibd"), filepath.Join(to.dir(data), "db1/huge.ibd"))
	})
}

// same compares two large files.
func same(t *testing.T, want, got string) {
	t.Helper()
	a, err := os.Open(want)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := os.Open(got)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	p, q := make([]byte, 1<<20), make([]byte, 1<<20)
	for at := int64(0); ; at += int64(len(p)) {
		n, errA := io.ReadFull(a, p)
		k, errB := io.ReadFull(b, q)
		if !bytes.Equal(p[:n], q[:k]) {
			t.Fatalf("%s and %s differ between bytes %d and %d", want, got, at, at+int64(len(p)))
		}
		if errA != nil || errB != nil {
			if !ends(errA) || !ends(errB) {
				t.Fatal(errors.Join(errA, errB))
			}
			return
		}
	}
}

func ends(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
