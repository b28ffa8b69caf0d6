package sst

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/sst/confine"
	"wsrep_sst_rsync_tunnel/sst/plan"
	"wsrep_sst_rsync_tunnel/sst/report"
	"wsrep_sst_rsync_tunnel/tls/porttest"
)

// The torture: somebody does to the donor's files whatever a server might do, and
// more, while they are copied and for a while under the lock. When the SST is over the
// two directories are equal to the byte. A seed fixes what is done; when it is done in
// relation to the copy is the machine's.

// tortures are the seeds that are tried: a few, thousands with E2E_LONG, and, for a choice of one's own,
//
//	SST_SEEDS=500 go test ./sst -run TestTortureOfTheFiles -timeout 2h        # 0 to 499
//	SST_SEEDS=1 SST_FIRST_SEED=4711 go test ./sst -run TestTortureOfTheFiles  # that one alone
func tortures() (first, n int) {
	n = 24
	if testing.Short() {
		n = 6
	}
	if os.Getenv("E2E_LONG") != "" {
		n = 3000
	}
	fmt.Sscan(os.Getenv("SST_SEEDS"), &n)
	fmt.Sscan(os.Getenv("SST_FIRST_SEED"), &first)
	return first, n
}

func TestTortureOfTheFilesWhileTheyAreCopied(t *testing.T) {
	c := newCluster(t)
	donorCert, joinerCert := c.certificate("localhost", true), c.certificate("localhost", true)
	var mu sync.Mutex
	skipped := 0
	t.Run("seeds", func(t *testing.T) {
		slots := make(chan struct{}, 8)
		first, n := tortures()
		for seed := first; seed < first+n; seed++ {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				slots <- struct{}{}
				defer func() { <-slots }()
				c := *c
				c.t = t
				donor, joiner := c.node(donorCert), c.node(joinerCert)
				n := torture(t, uint64(seed), donor, joiner)
				mu.Lock()
				defer mu.Unlock()
				skipped += n
			})
		}
	})
	if _, n := tortures(); n > 1 && skipped == 0 && !t.Failed() {
		t.Error("no file was ever skipped under the lock: the rules for that were not tried")
	}
}

// torture runs one SST and says how many files were skipped under the lock.
func torture(t *testing.T, seed uint64, donor, joiner *node) (skipped int) {
	t.Helper()
	h := &hand{t: t, dir: donor.dir, rnd: rand.New(rand.NewPCG(seed, 1)), next: map[string]int{}}
	h.make()
	if h.rnd.IntN(2) == 0 { // a former member
		old := &hand{t: t, dir: joiner.dir, rnd: rand.New(rand.NewPCG(seed, 2)), next: map[string]int{}}
		old.make()
		old.work(old.rnd.IntN(20), true)
	}
	locked, stopped := make(chan struct{}), make(chan struct{})
	seams := h.seams(stopped)
	h.wait.Go(func() { h.keepWorking(locked, stopped) })
	port := porttest.Free(t)
	into := startRun(t, joiner, realSeams(), fmt.Sprintf("--role joiner --address localhost:%d", port))
	into.expect(fmt.Sprintf("ready localhost:%d/rsync_tunnel_sst", port))
	from := startRun(t, donor, seams, strings.ReplaceAll(donorArgs(port, ""), "'", ""))
	from.expect("flush tables")
	close(locked)
	<-h.quiet()
	donor.flushed(42)
	from.expect("continue")
	from.expect("done " + testUUID + ":42 0")
	from.exit(0)
	into.expect(testUUID + ":42 0")
	into.exit(0)
	if diff := cmp.Diff(state(t, donor.dir), state(t, joiner.dir)); diff != "" {
		t.Errorf("seed %d: what the donor has (-), what the joiner has (+):\n%s\ndone meanwhile:\n%s\ndonor:\n%s", seed, diff, strings.Join(h.done, "\n"), donor.said())
	}
	return skippedBy(donor.said())
}

// seams lets the hand work until the fence.
func (h *hand) seams(stopped chan<- struct{}) seams {
	// The margin is what this machine needs for a write into memory, with some to spare;
	// a server's writes to a disk take longer, which precopy-facts.md has measured.
	margin := 400 * time.Millisecond
	if h.rnd.IntN(2) == 0 {
		time.Sleep(margin) // ages cannot be faked: the kernel sets ctime
	}
	all := realSeams()
	all.tiny = 0
	all.skipping = func() skipping {
		s := newSkipping()
		s.margin = margin
		s.disks.kind = func(string) (int64, error) { return unix.EXT4_SUPER_MAGIC, nil }
		return s
	}
	// The disk below may be slow, and its writes are not what these files wait for.
	all.writes = func(plan.Places) *writeProbe { return &writeProbe{every: probeEvery} }
	all.beforeFence = func() {
		close(stopped)
		h.wait.Wait()
	}
	return all
}

// skippedBy says by a donor's log how many files it did not read under the lock.
func skippedBy(log string) (n int) {
	for line := range strings.Lines(log) {
		if _, after, ok := strings.Cut(line, "under the lock: "); ok {
			if i := strings.LastIndex(after, "; "); i >= 0 {
				after = after[i+2:]
			}
			fmt.Sscanf(after, "%d files", &n)
		}
	}
	return n
}

// A tortured is one side, run in this process.
type tortured struct {
	node   *node
	stdout *os.File
	lines  *bufio.Scanner
	status chan int
}

// startRun runs the program in this process, with seams.
func startRun(t *testing.T, n *node, s seams, args string) *tortured {
	t.Helper()
	return startRunAs(t, n, s, "wsrep_sst_rsync_tunnel", args)
}

func startRunAs(t *testing.T, n *node, s seams, program, args string) *tortured {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	argv := append([]string{program}, strings.Fields(args)...)
	parsed, err := ParseArgs(append(argv, "--datadir", n.dir+"/", "--defaults-file", n.cnf))
	if err != nil {
		t.Fatal(err)
	}
	// Landlock would restrict the whole test.
	kernel := confine.Kernel{Version: func() (int, error) { return 0, unix.ENOSYS }, NoNewPrivs: func() error { return nil }}
	sst := &run{kernel: kernel, args: parsed, stdin: null, log: report.NewLog(n, nil), out: report.NewDialogue(w, 512), watch: newServerWatch(), seams: s}
	o := &tortured{node: n, stdout: r, lines: bufio.NewScanner(r), status: make(chan int, 1)}
	go func() {
		o.status <- sst.exitStatus()
		w.Close()
		null.Close()
	}()
	t.Cleanup(func() { r.Close() })
	return o
}

func (o *tortured) expect(want string) {
	o.node.t.Helper()
	if !o.lines.Scan() || o.lines.Text() != want {
		o.node.t.Fatalf("stdout: %q, want %q\n%s", o.lines.Text(), want, o.node.said())
	}
}

func (o *tortured) exit(want int) {
	o.node.t.Helper()
	if got := <-o.status; got != want {
		o.node.t.Fatalf("status %d, want %d\n%s", got, want, o.node.said())
	}
	o.stdout.Close()
}

// A hand changes files.
type hand struct {
	t    *testing.T
	dir  string
	rnd  *rand.Rand
	wait sync.WaitGroup
	done []string
	next map[string]int

	once sync.Once
	calm chan struct{}
}

// quiet is closed when the hand knows of the lock and has ended what no lock allows.
func (h *hand) quiet() <-chan struct{} {
	h.once.Do(func() { h.calm = make(chan struct{}) })
	return h.calm
}

const page = 16 << 10

// make makes a small database.
func (h *hand) make() {
	for _, db := range []string{"a", "b", "c d"} {
		h.must(os.MkdirAll(filepath.Join(h.dir, db), 0o700))
		for range 1 + h.rnd.IntN(6) {
			h.create(filepath.Join(db, h.name()))
		}
	}
	for _, name := range []string{"ibdata1", "ib_logfile0", "undo001", "aria_log_control", "aria_log.00000001"} {
		h.write(name, 0, h.bytes(page*(1+h.rnd.IntN(20))))
	}
	write(h.t, h.dir, grastateFile, grastateText(zeroUUID))
}

var suffixes = []string{".ibd", ".ibd", ".ibd", ".frm", ".MYD", ".MYI", ".MAD", ".MAI", ".CSV", ".par", ".opt", ".other"}

func (h *hand) name() string {
	suffix := suffixes[h.rnd.IntN(len(suffixes))]
	h.next[suffix]++
	return fmt.Sprintf("t%d%s", h.next[suffix], suffix)
}

// keepWorking works until the lock, with pauses that let files become old, and then on
// the files that change under it, until stopped is closed.
func (h *hand) keepWorking(locked, stopped <-chan struct{}) {
	h.quiet()
	pause := time.Duration(h.rnd.IntN(20)) * time.Millisecond
	for done := false; !done; {
		h.work(1+h.rnd.IntN(5), true)
		select {
		case <-locked:
			done = true
		case <-time.After(pause):
		}
	}
	under := h.rnd.IntN(3) > 0
	if under {
		h.work(3, false)
	}
	close(h.calm)
	for under {
		h.work(1, false)
		select {
		case <-stopped:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// work does n things. free are those that no lock is held against.
func (h *hand) work(n int, free bool) {
	for range n {
		kinds := 4
		if free {
			kinds = 20
		}
		h.one(h.rnd.IntN(kinds))
	}
}

func (h *hand) one(kind int) {
	files := h.files()
	pick := func() string { return files[h.rnd.IntN(len(files))] }
	if kind < 4 { // as a rollback does
		tables := slices.DeleteFunc(files, func(f string) bool { return kind > 1 == strings.Contains(f, "/") })
		if len(tables) > 0 {
			f := tables[h.rnd.IntN(len(tables))]
			h.overwrite(f)
		}
		return
	}
	file := pick()
	inDB := strings.Contains(file, "/")
	switch kind {
	case 4, 5, 6, 7:
		h.overwrite(file)
	case 8:
		h.write(file, h.size(file), h.bytes(1+h.rnd.IntN(3*page)))
	case 9:
		h.note("truncate", file)
		h.must(os.Truncate(filepath.Join(h.dir, file), int64(h.rnd.IntN(4*page))))
	case 10:
		h.note("rebuild", file)
		h.must(os.Truncate(filepath.Join(h.dir, file), 0))
		h.write(file, 0, h.bytes(h.rnd.IntN(8*page)))
	case 11:
		if inDB {
			h.note("remove", file)
			h.must(os.Remove(filepath.Join(h.dir, file)))
		}
	case 12, 13:
		h.create(filepath.Join(h.database(), h.name()))
	case 14:
		if other := pick(); inDB && strings.Contains(other, "/") {
			h.note("rename", file+" -> "+other)
			h.must(os.Rename(filepath.Join(h.dir, file), filepath.Join(h.dir, other)))
		}
	case 15:
		h.newDatabase()
	case 16:
		h.dropDatabase(h.database())
	case 17:
		h.mapped(file)
	case 18:
		if inDB {
			h.note("another kind", file)
			h.must(os.Remove(filepath.Join(h.dir, file)))
			h.must(os.MkdirAll(filepath.Join(h.dir, file), 0o700))
			h.create(filepath.Join(file, "x.ibd"))
		}
	case 19:
		h.note("chmod", file)
		h.must(os.Chmod(filepath.Join(h.dir, file), []os.FileMode{0o600, 0o640, 0o660}[h.rnd.IntN(3)]))
	}
}

func (h *hand) newDatabase() {
	h.next["db"]++
	db := fmt.Sprintf("db%d", h.next["db"])
	h.note("mkdir", db)
	h.must(os.Mkdir(filepath.Join(h.dir, db), 0o700))
	h.create(filepath.Join(db, h.name()))
}

// dropDatabase removes or renames one, unless it is the last.
func (h *hand) dropDatabase(db string) {
	if db == "a" {
		return
	}
	if h.rnd.IntN(2) == 0 {
		h.next["db"]++
		to := fmt.Sprintf("db%d", h.next["db"])
		h.note("rename", db+" -> "+to)
		h.must(os.Rename(filepath.Join(h.dir, db), filepath.Join(h.dir, to)))
		return
	}
	h.note("drop", db)
	h.must(os.RemoveAll(filepath.Join(h.dir, db)))
	if h.rnd.IntN(2) == 0 {
		h.note("make again", db)
		h.must(os.Mkdir(filepath.Join(h.dir, db), 0o700))
		h.create(filepath.Join(db, h.name()))
	}
}

// database names one.
func (h *hand) database() string {
	var names []string
	entries, err := os.ReadDir(h.dir)
	h.must(err)
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names[h.rnd.IntN(len(names))]
}

// files names those that the server has.
func (h *hand) files() (names []string) {
	h.must(fs.WalkDir(os.DirFS(h.dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && (strings.Contains(name, "/") || strings.HasPrefix(name, "ib") || strings.HasPrefix(name, "undo") || strings.HasPrefix(name, "aria")) {
			names = append(names, name)
		}
		return err
	}))
	return names
}

func (h *hand) create(file string) {
	n := h.rnd.IntN(20*page) * h.rnd.IntN(2)
	h.note("create", file)
	h.write(file, 0, h.bytes(n))
	if h.rnd.IntN(4) == 0 {
		h.note("grow by a hole", file)
		h.must(os.Truncate(filepath.Join(h.dir, file), int64(n+h.rnd.IntN(4)*page)))
	}
}

// overwrite changes a page or a few bytes, possibly to what they are.
func (h *hand) overwrite(file string) {
	size := h.size(file)
	if size == 0 {
		return
	}
	off := h.rnd.Int64N(size)
	n := min(int64(1+h.rnd.IntN(200)), size-off)
	if h.rnd.IntN(2) == 0 {
		off -= off % page
		n = min(page, size-off)
	}
	b := h.bytes(int(n))
	if h.rnd.IntN(8) == 0 {
		clear(b)
	}
	h.write(file, off, b)
}

// mapped writes through a mapping, which moves the stamps late or not at all.
func (h *hand) mapped(file string) {
	size := h.size(file)
	if size == 0 || !strings.HasSuffix(file, ".MYD") {
		return
	}
	h.note("store to a mapping", file)
	f, err := os.OpenFile(filepath.Join(h.dir, file), os.O_RDWR, 0)
	h.must(err)
	defer f.Close()
	b, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	h.must(err)
	for range 3 {
		b[h.rnd.Int64N(size)]++
	}
	h.must(unix.Munmap(b))
}

func (h *hand) size(file string) int64 {
	info, err := os.Stat(filepath.Join(h.dir, file))
	h.must(err)
	return info.Size()
}

func (h *hand) bytes(n int) []byte {
	b := make([]byte, n)
	if h.rnd.IntN(4) == 0 {
		return bytes.Repeat([]byte{byte(h.rnd.Uint32())}, n)
	}
	for i := 0; i < n; i += 8 {
		v := h.rnd.Uint64()
		for j := i; j < min(i+8, n); j++ {
			b[j] = byte(v >> (8 * (j - i)))
		}
	}
	return b
}

func (h *hand) write(file string, off int64, b []byte) {
	h.note("write", fmt.Sprintf("%s %d+%d", file, off, len(b)))
	f, err := os.OpenFile(filepath.Join(h.dir, file), os.O_RDWR|os.O_CREATE, 0o600)
	h.must(err)
	defer f.Close()
	_, err = f.WriteAt(b, off)
	h.must(err)
}

func (h *hand) note(what, file string) {
	h.done = append(h.done, time.Now().Format("05.000000 ")+what+" "+file)
}

func (h *hand) must(err error) {
	if err != nil {
		h.t.Helper()
		panic(err)
	}
}
