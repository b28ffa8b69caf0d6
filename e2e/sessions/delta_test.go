package sessions

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/e2e/internal/peers"
)

const pageSize = 16384

// pages writes files as InnoDB does: in pages of 16 KiB with a checksum, a number and a log sequence number in front, a
// trailer at the end, and a body of rows that fills them more or less.
type pages struct {
	rng *rand.Rand
	lsn uint64
}

func (p *pages) page(number uint32) []byte {
	b := make([]byte, pageSize)
	rows := pageSize/2 + p.rng.IntN(pageSize/2-200)
	for i := 38; i < 38+rows; i += 8 {
		binary.BigEndian.PutUint64(b[i:], p.rng.Uint64())
	}
	p.lsn += uint64(p.rng.IntN(5000))
	binary.BigEndian.PutUint32(b[4:], number)
	binary.BigEndian.PutUint64(b[16:], p.lsn)
	binary.BigEndian.PutUint16(b[24:], 17855)
	binary.BigEndian.PutUint32(b[pageSize-4:], uint32(p.lsn))
	binary.BigEndian.PutUint32(b, crc32.Checksum(b[4:pageSize-8], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// file makes a table space of n pages.
func (p *pages) file(t *testing.T, path string, n int) {
	t.Helper()
	write(t, path, n, p.page)
}

func write(t *testing.T, path string, n int, page func(number uint32) []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := range n {
		if _, err := f.Write(page(uint32(i))); err != nil {
			t.Fatal(err)
		}
	}
}

// change rewrites one page in a hundred, here and there, and returns how many.
func (p *pages) change(t *testing.T, path string) int {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	n := int(info.Size() / pageSize)
	for _, i := range p.rng.Perm(n)[:n/100] {
		if _, err := f.WriteAt(p.page(uint32(i)), int64(i)*pageSize); err != nil {
			t.Fatal(err)
		}
	}
	return n / 100
}

// way is who is at which end.
type way struct {
	name string
	send sender
	to   daemon
	rsync
}

// ways are our engine with itself, and as either end with the installed rsync; in the long run, with every rsync.
func ways(t *testing.T) []way {
	t.Helper()
	out := []way{{name: "we send, we receive", send: byUs, to: ourDaemon}}
	list := []rsync{describe(t, "installed", peers.Need(t, "rsync"))}
	if os.Getenv("E2E_LONG") != "" {
		list = rsyncs(t)
	}
	for i := range list {
		r := &list[i]
		if r.name == "installed" && among(*r, list) {
			continue
		}
		out = append(out,
			way{fmt.Sprintf("we send, rsync %s (%s) receives", r.version, r.name), byUs,
				func(t *testing.T, l layout) string { return serveBy(t, r.program, l) }, *r},
			way{fmt.Sprintf("rsync %s (%s) sends, we receive", r.version, r.name),
				func(t *testing.T, l layout, run run, v variant, address string) error {
					v.rsync = r
					return byRsync(t, l, run, v, address)
				}, ourDaemon, *r})
	}
	return out
}

// wan is a run of the wan method: deltas, at the highest protocol both ends know.
func (w way) wan() variant {
	v := variant{protocol: 32}
	if w.program != "" {
		v.matrix.rsync = &w.rsync
	}
	return v
}

func TestADeltaOntoAStaleDatabaseSendsThreePercentAtMost(t *testing.T) {
	peers.Need(t, "rsync")
	sizes := map[string]int{"ibd": 48, "big": 32, "small": 4} // MiB
	if os.Getenv("E2E_LONG") != "" {
		sizes = map[string]int{"ibd": 96, "big": 400, "small": 16, "middle": 64}
	}
	from, stale := layout{root: folder(t)}, layout{root: folder(t)}
	p := &pages{rng: rand.New(rand.NewPCG(1, 2))}
	total, changed := int64(0), 0
	for _, name := range []string{"ibd", "big", "small", "middle"} {
		if sizes[name] == 0 {
			continue
		}
		path := filepath.Join(stale.dir(data), "db1", name+".ibd")
		p.file(t, path, sizes[name]<<20/pageSize)
		total += int64(sizes[name]) << 20
	}
	copyTree(t, stale.root, from.root)
	for name := range sizes {
		changed += p.change(t, filepath.Join(from.dir(data), "db1", name+".ibd"))
	}
	r := run{name: "R6 db1", from: data, below: "db1", module: "rsync_sst", recursive: true}
	for _, w := range ways(t) {
		t.Run(w.name, func(t *testing.T) {
			to := layout{root: folder(t)}
			copyTree(t, stale.root, to.root)
			address, sent := relay(t, w.to(t, to))
			began := time.Now()
			if err := w.send(t, from, r, w.wan(), address); err != nil {
				t.Fatal(err)
			}
			took := time.Since(began)
			for name := range sizes {
				same(t, filepath.Join(from.dir(data), "db1", name+".ibd"), filepath.Join(to.dir(data), "db1", name+".ibd"))
			}
			share := 100 * float64(sent.Load()) / float64(total)
			t.Logf("%d of %d pages changed: %d bytes sent, %.2f %% of %d MiB, in %.1f s", changed, total/pageSize, sent.Load(), share, total>>20, took.Seconds())
			if share > 3 {
				t.Errorf("%.2f %% of the bytes were sent, want 3 at most", share)
			}
			if share < 0.5 {
				t.Errorf("%.2f %% of the bytes were sent, less than have changed: the test measures nothing", share)
			}
		})
	}
}

// TestEqualPagesTakeNoLongerThanOthers: all blocks of a table space that was made and never filled have one sum. A sender
// that looks at every block of that sum each time is never done.
func TestEqualPagesTakeNoLongerThanOthers(t *testing.T) {
	peers.Need(t, "rsync")
	size := 32 << 20
	if os.Getenv("E2E_LONG") != "" {
		size = 1 << 30
	}
	n := size / pageSize
	p := &pages{rng: rand.New(rand.NewPCG(3, 4))}
	equal := p.page(7)
	r := run{name: "R6 db1", from: data, below: "db1", module: "rsync_sst", recursive: true}
	// shifted is an equal page as seen from an odd offset: at no block boundary is there a match, at every offset nearly.
	shifted := append(append([]byte{}, equal[1000:]...), equal[:1000]...)

	cases := []struct {
		name        string
		stale, have func(number uint32) []byte // pages of the joiner's file, of the donor's
		change      bool
	}{
		{"other pages, one in a hundred changed", p.page, nil, true},
		{"equal pages, one in a hundred changed", func(uint32) []byte { return equal }, nil, true},
		{"equal pages, shifted", func(uint32) []byte { return equal }, func(uint32) []byte { return shifted }, false},
		{"other pages where there were equal ones", func(uint32) []byte { return equal }, p.page, false},
		{"equal pages where there were others", p.page, func(uint32) []byte { return equal }, false},
		{"other pages where there were others", p.page, p.page, false},
	}
	ends := ways(t)
	if os.Getenv("E2E_LONG") == "" {
		ends = ends[:1]
	}
	took := map[string]time.Duration{}
	for _, c := range cases {
		from, stale := layout{root: folder(t)}, layout{root: folder(t)}
		want, have := filepath.Join(from.dir(data), "db1/t.ibd"), filepath.Join(stale.dir(data), "db1/t.ibd")
		write(t, have, n, c.stale)
		if c.have == nil {
			copyTree(t, stale.root, from.root)
		} else {
			write(t, want, n, c.have)
		}
		if c.change {
			p.change(t, want)
		}
		for _, w := range ends {
			t.Run(c.name+": "+w.name, func(t *testing.T) {
				best := time.Duration(1 << 62)
				place := folder(t)
				for i := range 2 {
					to := layout{root: filepath.Join(place, fmt.Sprint(i))}
					copyTree(t, stale.root, to.root)
					address := w.to(t, to)
					before := cpu(t)
					if err := w.send(t, from, r, w.wan(), address); err != nil {
						t.Fatal(err)
					}
					best = min(best, cpu(t)-before)
					same(t, want, filepath.Join(to.dir(data), "db1/t.ibd"))
					if err := os.RemoveAll(to.dir(data)); err != nil {
						t.Fatal(err)
					}
				}
				t.Logf("%d MiB cost us %.2f s of a processor", size>>20, best.Seconds())
				took[c.name+": "+w.name] = best
			})
		}
	}
	for _, w := range ends {
		// The yardstick is the dearer of the two ways in which a file without equal pages can go.
		dearer := max(took[cases[0].name+": "+w.name], took[cases[5].name+": "+w.name])
		for i, c := range cases[1:5] {
			yard := dearer
			if i == 0 { // which has its exact counterpart
				yard = took[cases[0].name+": "+w.name]
			}
			if d := took[c.name+": "+w.name]; d > 2*yard+50*time.Millisecond {
				t.Errorf("%s, %s: %v of processor time, want twice %v at most", c.name, w.name, d, yard)
			}
		}
	}
}

// cpu is the processor time this process has used: what our end costs, on a machine that does other things as well.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", from+"/.", to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
}
