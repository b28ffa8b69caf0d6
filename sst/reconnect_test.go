package sst

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wsrep_sst_rsync_tunnel/sst/report"
	"wsrep_sst_rsync_tunnel/tls/porttest"
)

// A wire is what lies between the donor and the joiner, and can be cut.
type wire struct {
	t      *testing.T
	l      net.Listener
	target string
	close  func()

	mu    sync.Mutex
	conns []net.Conn
	made  int     // connections so far
	bytes int64   // towards the joiner
	cuts  []int64 // cut all connections when so many bytes have passed; in order

	// passed is called with the bytes that have gone towards the joiner, before more go
	// in either direction: it may hold them up.
	passed func(total int64)
}

func newWire(t *testing.T, port int) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, l: l, target: fmt.Sprintf("127.0.0.1:%d", port)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { w.carry(c) })
		}
	})
	w.close = func() {
		l.Close()
		w.cut()
		wg.Wait()
	}
	t.Cleanup(w.close)
	return w
}

// onPassed has f called with what has passed. It may be set while connections are
// about to come.
func (w *wire) onPassed(f func(total int64)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.passed = f
}

// cutAt has all connections cut n times, at random, while size bytes pass.
func (w *wire) cutAt(n int, size int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range n {
		w.cuts = append(w.cuts, rand.Int64N(size))
	}
	slices.Sort(w.cuts)
	w.t.Logf("cut after %d bytes", w.cuts)
}

func (w *wire) port() int { return w.l.Addr().(*net.TCPAddr).Port }

func (w *wire) carry(c net.Conn) {
	defer c.Close()
	w.mu.Lock()
	target := w.target
	w.mu.Unlock()
	far, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer far.Close()
	w.mu.Lock()
	w.conns, w.made = append(w.conns, c, far), w.made+1
	w.mu.Unlock()
	back := make(chan struct{})
	go func() {
		io.Copy(io.MultiWriter(c, backwards{w}), far)
		c.(*net.TCPConn).CloseWrite()
		close(back)
	}()
	io.Copy(io.MultiWriter(far, w), c)
	far.(*net.TCPConn).CloseWrite()
	<-back
}

// Write counts, and cuts when it is time.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	w.bytes += int64(len(p))
	cut := len(w.cuts) > 0 && w.bytes > w.cuts[0]
	if cut {
		w.cuts = w.cuts[1:]
	}
	total, passed := w.bytes, w.passed
	w.mu.Unlock()
	if cut {
		w.cut()
	}
	if passed != nil {
		passed(total)
	}
	return len(p), nil
}

// backwards is what goes towards the donor: it is not counted.
type backwards struct{ w *wire }

func (b backwards) Write(p []byte) (int, error) {
	b.w.mu.Lock()
	total, passed := b.w.bytes, b.w.passed
	b.w.mu.Unlock()
	if passed != nil {
		passed(total)
	}
	return len(p), nil
}

// cut cuts all connections.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	w.conns = nil
}

// between starts a joiner and gives the wire to it.
func between(t *testing.T, joiner *node) (*tortured, *wire) {
	t.Helper()
	port := porttest.Free(t)
	into := startRun(t, joiner, realSeams(), fmt.Sprintf("--role joiner --address localhost:%d", port))
	into.expect(fmt.Sprintf("ready localhost:%d/rsync_tunnel_sst", port))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the joiner:\n%s", joiner.said())
		}
	})
	return into, newWire(t, port)
}

func (o *tortured) donates(w *wire) string {
	return strings.ReplaceAll(donorArgs(w.port(), ""), "'", "")
}

// large makes a file that takes a while.
func large(t *testing.T, dir string) (size int64) {
	t.Helper()
	b := make([]byte, 64<<20)
	rand.NewChaCha8([32]byte{}).Read(b)
	write(t, dir, "db1/large.ibd", string(b))
	return int64(len(b))
}

func finish(t *testing.T, from, into *tortured) {
	t.Helper()
	from.expect("flush tables")
	from.node.flushed(42)
	from.expect("continue")
	from.expect("done " + testUUID + ":42 0")
	from.exit(0)
	into.expect(testUUID + ":42 0")
	into.exit(0)
	if diff := cmp.Diff(state(t, from.node.dir), state(t, into.node.dir)); diff != "" {
		t.Error(diff)
	}
	from.node.nothingLeft()
	into.node.nothingLeft()
}

func TestAnSSTWhoseConnectionsAreCutGoesOn(t *testing.T) {
	donor, joiner := newCluster(t).pair()
	whole := large(t, donor.dir) + databaseBytes
	long := os.Getenv("E2E_LONG") == "1"
	if long {
		f, err := os.Create(filepath.Join(donor.dir, "db1/huge.ibd"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		n, err := io.CopyN(f, rand.NewChaCha8([32]byte{1}), 960<<20)
		if err != nil {
			t.Fatal(err)
		}
		whole += n
	}
	into, w := between(t, joiner)
	const cuts = 20
	w.cutAt(cuts, whole)
	from := startRun(t, donor, realSeams(), into.donates(w))
	finish(t, from, into)
	w.mu.Lock()
	defer w.mu.Unlock()
	// What is on its way is lost with each cut, in the buffers of two connections.
	const onItsWay = 8 << 20
	limit := whole + cuts*onItsWay
	if long {
		limit = whole * 11 / 10
	}
	t.Logf("%d bytes went over for %d: %.3f times", w.bytes, whole, float64(w.bytes)/float64(whole))
	if len(w.cuts) > 0 || w.bytes > limit {
		t.Errorf("%d cuts were not made; %d bytes went over for %d", len(w.cuts), w.bytes, whole)
	}
	donor.says("the control connection broke and was made again")
	joiner.says("the donor has come again")
}

// Whatever an SST has opened and started is gone at its end, also if its connections broke.
func TestAnSSTLeavesNoGoroutineAndNoDescriptor(t *testing.T) {
	open := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	sideBySide.Store(t.Name(), false) // it counts what the whole process has
	donor, joiner := newCluster(t).pair()
	sst := func() {
		t.Helper()
		into, w := between(t, joiner)
		w.cutAt(2, databaseBytes)
		finish(t, startRun(t, donor, realSeams(), into.donates(w)), into)
		w.close()
	}
	sst() // what is made once stays
	goroutines, descriptors := runtime.NumGoroutine(), open()
	for range 5 {
		sst()
	}
	waitFor(t, "no goroutine and no descriptor more than before", func() bool {
		return runtime.NumGoroutine() <= goroutines && open() <= descriptors
	})
}

func TestConnectionsCutUnderTheLock(t *testing.T) {
	donor, joiner := newCluster(t).pair()
	into, w := between(t, joiner)
	s := realSeams()
	s.beforeFence = func() {
		write(t, donor.dir, "db1/new.ibd", strings.Repeat("x", 100_000))
		write(t, donor.dir, "late/t.ibd", strings.Repeat("y", 100_000))
		w.cut()
	}
	finish(t, startRun(t, donor, s, into.donates(w)), into)
}

// A joiner that cannot be reached any more gives the donor back to its clients in time.
func TestAJoinerThatIsGoneUnderTheLock(t *testing.T) {
	donor, joiner := newCluster(t).pair("sst-reconnect-timeout-locked=1", "sst-reconnect-timeout=1")
	into, w := between(t, joiner)
	s := realSeams()
	var began time.Time
	s.beforeFence = func() {
		write(t, donor.dir, "db1/new.ibd", "x")
		began = time.Now()
		w.mu.Lock()
		w.target = "127.0.0.1:1" // nobody is there
		w.mu.Unlock()
		w.cut()
	}
	from := startRun(t, donor, s, into.donates(w))
	from.expect("flush tables")
	donor.flushed(42)
	if got := <-from.status; got == 0 || time.Since(began) > 10*time.Second {
		t.Errorf("status %d after %v", got, time.Since(began))
	}
	donor.says("[ERROR]", "joiner 127.0.0.1")
	waitFor(t, "the joiner to give up", func() bool { return strings.Contains(joiner.said(), "has not come again within 1s") })
	joiner.says("datadir incomplete")
}

func TestConnectionsOfAnotherSSTAreRefused(t *testing.T) {
	c := &contact{}
	first := hello{ID: strings.Repeat("a", idLength), Control: true}
	for name, h := range map[string]hello{"a stream": {ID: first.ID, Stream: true}, "a control connection made again": {ID: first.ID, Control: true, Again: true}} {
		if c.admits(h) == nil {
			t.Errorf("%s before the SST has begun is let in", name)
		}
	}
	if err := c.admits(first); err != nil {
		t.Fatal(err)
	}
	c.begin(first.ID)
	other := strings.Repeat("b", idLength)
	for name, h := range map[string]hello{
		"a second first one": first, "another's control": {ID: other, Control: true}, "another's stream": {ID: other, Stream: true},
		"another's session": {ID: other}, "a session without an id": {},
	} {
		if c.admits(h) == nil {
			t.Errorf("%s is let in", name)
		}
	}
	for name, h := range map[string]hello{"a session": {ID: first.ID}, "a stream": {ID: first.ID, Stream: true}, "control again": {ID: first.ID, Control: true, Again: true}} {
		if err := c.admits(h); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A stream before any list would write into a directory that is still the old node's.
func TestNoStreamBeforeTheFirstList(t *testing.T) {
	j := &joiner{dir: &datadir{state: saysUntouched}}
	j.contact.begin("id")
	if j.mayCome(hello{ID: "id", Stream: true}) == nil {
		t.Error("let in")
	}
	j.dir.state = saysIncomplete
	if err := j.mayCome(hello{ID: "id", Stream: true}); err != nil {
		t.Error(err)
	}
}

// What a stream must not touch is what a session must not touch.
func TestProtectedFilesAreRefusedOnStreams(t *testing.T) {
	_, joiner := newCluster(t).pair()
	b, err := os.ReadFile(joiner.cnf)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(joiner.dir, "ssl"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Dir(joiner.cnf), "my.cnf", string(b)+"[mysqld]\nssl_key="+filepath.Join(joiner.dir, "ssl/node.key")+"\n")
	args, err := ParseArgs([]string{"wsrep_sst_rsync_tunnel", "--role", "joiner", "--address", "localhost:1", "--datadir", joiner.dir + "/", "--defaults-file", joiner.cnf})
	if err != nil {
		t.Fatal(err)
	}
	r := &run{args: args, log: report.NewLog(io.Discard, nil), root: openTestRoot(t, joiner.dir)}
	if err := r.loadSettings(); err != nil {
		t.Fatal(err)
	}
	j := newJoiner(r)
	if err := j.prepare(); err != nil {
		t.Fatal(err)
	}
	defer j.release()
	store := j.receiver.Stores[0]
	for _, name := range []string{"ssl/node.key", "ssl/new"} {
		if f, err := store.Update(name, true); err == nil {
			f.Abandon(-1)
			t.Errorf("%s can be written", name)
		}
	}
	if err := os.Mkdir(filepath.Join(joiner.dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := store.Update("db/t.ibd", true)
	if err != nil {
		t.Fatal(err)
	}
	f.Abandon(-1)
}
