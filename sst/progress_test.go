package sst

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/tls"
	"wsrep_sst_rsync_tunnel/tls/porttest"
)

// A journey is a transfer of 1 MB a second, of which progress is told: 25 s of the only
// round and, if it goes on, 9.5 s under the lock.
type journey struct {
	to           string
	every        time.Duration
	total        int64 // of the round; 0: not known
	locked, long bool  // it goes on; the round takes 250 s
}

// tell gives what was said in the log, to mariadbd, and on the terminal.
func (j journey) tell(t *testing.T, also func(*progress)) (log, warnings []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var bytes atomic.Int64
		at := newPassing()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		began := time.Now()
		p := progress{role: "donor", verb: "sent", to: j.to, every: j.every, bytes: bytes.Load, pass: at.at, news: at.news, since: func() time.Time { return began },
			infof: func(f string, a ...any) { log = append(log, fmt.Sprintf(f, a...)) }, warn: func(s string) { warnings = append(warnings, s) }}
		if also != nil {
			also(&p)
		}
		if j.total > 0 {
			at.enter(1, j.total, bytes.Load)
		}
		go func() {
			defer close(ended)
			p.run(ctx)
		}()
		time.Sleep(50 * time.Millisecond) // no tick and no addition at the same moment
		move := func(tenths int) {
			for range tenths {
				time.Sleep(100 * time.Millisecond)
				bytes.Add(100_000)
			}
		}
		move(250)
		if j.long {
			move(2250)
		}
		if j.locked {
			at.lock(true)
			at.enter(0, 20_000_000, bytes.Load)
			move(95)
			at.lock(false)
		}
		cancel()
		<-ended
	})
	return log, warnings
}

func TestProgressInTheLog(t *testing.T) {
	for _, c := range []struct {
		name string
		journey
		want []string
	}{
		{"by default", journey{total: 50_000_000, locked: true}, []string{
			"donor: 19 % (9.4 MiB of 47.7 MiB), about 41 s left, round 1, 1 MB/s now, 1 MB/s on average, sent 9.4 MiB in 10 s",
			"donor: 39 % (19.0 MiB of 47.7 MiB), about 30 s left, round 1, 1 MB/s now, 1 MB/s on average, sent 19.0 MiB in 20 s",
			"donor: 24 % (4.7 MiB of 19.1 MiB), about 15 s left, donor locked 5.0 s, 1 MB/s now, 1 MB/s on average, sent 28.5 MiB in 30 s"}},
		{"none", journey{to: "none", total: 50_000_000}, nil},
		{"every minute after the first", journey{to: "1", total: 500_000_000, long: true}, []string{
			"donor: 1 % (9.4 MiB of 476.8 MiB), about 8 min left, round 1, 1 MB/s now, 1 MB/s on average, sent 9.4 MiB in 10 s",
			"donor: 3 % (19.0 MiB of 476.8 MiB), about 8 min left, round 1, 1 MB/s now, 1 MB/s on average, sent 19.0 MiB in 20 s",
			"donor: 5 % (28.5 MiB of 476.8 MiB), about 8 min left, round 1, 1 MB/s now, 1 MB/s on average, sent 28.5 MiB in 30 s",
			"donor: 7 % (38.1 MiB of 476.8 MiB), about 8 min left, round 1, 1 MB/s now, 1 MB/s on average, sent 38.1 MiB in 40 s",
			"donor: 9 % (47.6 MiB of 476.8 MiB), about 8 min left, round 1, 1 MB/s now, 1 MB/s on average, sent 47.6 MiB in 50 s",
			"donor: 11 % (57.1 MiB of 476.8 MiB), about 7 min left, round 1, 1 MB/s now, 1 MB/s on average, sent 57.1 MiB in 60 s",
			"donor: 23 % (114.3 MiB of 476.8 MiB), about 6 min left, round 1, 1 MB/s now, 1 MB/s on average, sent 114.3 MiB in 2 min",
			"donor: 35 % (171.6 MiB of 476.8 MiB), about 5 min left, round 1, 1 MB/s now, 1 MB/s on average, sent 171.6 MiB in 3 min",
			"donor: 47 % (228.8 MiB of 476.8 MiB), about 4 min left, round 1, 1 MB/s now, 1 MB/s on average, sent 228.8 MiB in 4 min"}},
		{"of an unknown whole, at times that were set", journey{every: 15 * time.Second}, []string{
			"donor: 1 MB/s now, 1 MB/s on average, sent 14.2 MiB in 15 s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, warnings := c.tell(t, nil)
			if !slices.Equal(got, c.want) || warnings != nil {
				t.Errorf("got  %s\nwant %s\nwarnings %q", strings.Join(got, "\n     "), strings.Join(c.want, "\n     "), warnings)
			}
		})
	}
}

// What mariadbd is told, it has asked for; what a terminal shows does not go to the log.
func TestProgressElsewhere(t *testing.T) {
	var stdout, live []string
	log, _ := journey{total: 25_000_000, locked: true}.tell(t, func(p *progress) {
		p.stdout = func(at pass) {
			if at.total > 0 {
				stdout = append(stdout, fmt.Sprintf("%d/%d", at.done, at.total))
			}
		}
		p.live = func(s string) { live = append(live, s) }
	})
	stdout = slices.Compact(stdout)
	want := []string{"0/25000000", "9900000/25000000", "19900000/25000000", "0/20000000", "9500000/20000000"}
	if !slices.Equal(stdout, want) {
		t.Errorf("mariadbd is told\n%q, want\n%q", stdout, want)
	}
	if len(log) > 0 {
		t.Errorf("beside the line of a terminal there are %q", log)
	}
	n := len(live)
	if n < 70 || n > 80 || live[n-1] != "" || !slices.ContainsFunc(live, func(s string) bool { return strings.Contains(s, ", donor locked 9.0 s, ") }) {
		t.Errorf("%d lines on the terminal, the last: %q", n, live[max(0, n-3):])
	}
}

var fileLine = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} donor: \d+ % \([0-9.]+ (bytes|[KM]iB) of 47\.7 MiB\), (about \d+ s left, )?round 1, \d+ MB/s now, \d+ MB/s on average, sent [0-9.]+ (bytes|[KM]iB) in \d+ s \[sent=\d+ done=\d+ total=50000000 round=1\]$`)

func TestProgressInAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "progress")
	for run := 1; run <= 2; run++ { // the second adds to the file
		log, warnings := journey{to: file, total: 50_000_000}.tell(t, nil)
		if len(log) != 2 || warnings != nil {
			t.Errorf("log %q, warnings %q", log, warnings)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		if n := len(lines); n < 65*run || n > 68*run { // five a second at first, then one
			t.Errorf("%d lines after %d runs", n, run)
		}
		for _, line := range lines {
			if !fileLine.MatchString(line) {
				t.Errorf("line %q", line)
			}
		}
	}
}

// Two roles of one host begin with the same file at the same moment: both make it, and both have their lines in it.
func TestTwoRolesShareAFileOfProgress(t *testing.T) {
	for range 300 {
		path := filepath.Join(t.TempDir(), "progress")
		begin := make(chan struct{})
		var roles sync.WaitGroup
		for _, line := range []string{"donor\n", "joiner\n"} {
			roles.Go(func() {
				f := &watchedFile{path: path, fd: -1}
				defer f.close()
				<-begin
				if err := f.write(line); err != nil {
					t.Error(err)
				}
			})
		}
		close(begin)
		roles.Wait()
		if text, err := os.ReadFile(path); err != nil || len(text) != len("donor\njoiner\n") {
			t.Fatalf("%q, %v", text, err)
		}
	}
}

// Programs read the lines, too: demo and bench draw them.
func TestProgressLinesAreUnderstood(t *testing.T) {
	file := filepath.Join(t.TempDir(), "progress")
	journey{to: file, total: 50_000_000, locked: true}.tell(t, nil)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rounds, locked, moved := 0, 0, int64(0)
	for line := range strings.Lines(string(text)) {
		l, ok := ParseProgress(strings.TrimSuffix(line, "\n"))
		if !ok || l.Role != "donor" || l.Moved < moved || l.At.IsZero() || l.Done > l.Total {
			t.Fatalf("%q: %+v, %t", line, l, ok)
		}
		moved = l.Moved
		switch {
		case l.Locked >= 0 && l.Round == 0 && l.Total == 20_000_000:
			locked++
		case l.Round == 1 && l.Locked < 0:
			rounds++
		}
	}
	if rounds < 60 || locked < 9 || moved != 34_500_000 {
		t.Errorf("%d lines of the round, %d of the lock, %d bytes", rounds, locked, moved)
	}
	for _, line := range []string{"", "2026-11-26 00:00:00.000 donor: x", "2026-13-26 00:00:00.000 donor: x [sent=1 done=1 total=1]", "2026-11-26 00:00:00.000 donor: x [sent=-1 done=1 total=1]"} {
		if l, ok := ParseProgress(line); ok {
			t.Errorf("%q is read as %+v", line, l)
		}
	}
}

func FuzzParseProgress(f *testing.F) {
	f.Add("2026-11-26 00:00:00.000 donor: x [sent=1 done=1 total=2 round=1 locked=0.100]")
	f.Fuzz(func(t *testing.T, line string) {
		if l, ok := ParseProgress(line); ok && (l.Moved < 0 || l.Done < 0 || l.Total < 0 || l.Round < 0 || l.Locked < -1) {
			t.Errorf("%q is read as %+v", line, l)
		}
	})
}

// A joiner tells what it hears of its donor, and counts on in between.
func TestAJoinerFollowsThePassOfItsDonor(t *testing.T) {
	f := followed{news: make(chan struct{}, 1)}
	if p := f.at(5); p != (pass{}) {
		t.Errorf("before anything is heard: %+v", p)
	}
	f.hear(notice{Round: 2, Done: 100, Total: 1000}, 500)
	p := f.at(650)
	if p.round != 2 || p.done != 250 || p.total != 1000 || !p.locked.IsZero() || f.at(5000).done != 1000 {
		t.Errorf("in the round: %+v", p)
	}
	<-f.news
	f.hear(notice{Round: 2, Done: 300, Total: 1000}, 700)
	if select0(f.news) || f.at(700).began != p.began {
		t.Error("the same round counts as another")
	}
	f.hear(notice{Locked: true, Done: 0, Total: 10}, 700)
	if p := f.at(700); p.locked.IsZero() || p.round != 0 || !select0(f.news) {
		t.Errorf("under the lock: %+v", p)
	}
	if _, err := parseNotice([]byte(`{"done_bytes":-1}`)); err == nil {
		t.Error("a negative size is taken")
	}
}

func select0(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestWhatBoundTheSpeed(t *testing.T) {
	const s = time.Second
	for want, u := range map[string]use{
		"too short":        {took: s / 100},
		"rlimit":           {took: 10 * s, open: 20 * s, limit: 8 * s, cpus: 2, cpu: 20 * s},
		"precopy-rlimit":   {took: 10 * s, open: 20 * s, paced: 8 * s, cpus: 2},
		"the donor's CPUs": {took: 10 * s, open: 20 * s, cpus: 2, cpu: 18 * s, flow: tls.Flow{Busy: 20 * s, Full: 20 * s}},
		"the joiner":       {took: 10 * s, open: 20 * s, cpus: 2, cpu: 2 * s, flow: tls.Flow{Busy: 20 * s, Full: 10 * s}},
		"the network":      {took: 10 * s, open: 20 * s, cpus: 2, cpu: 2 * s, flow: tls.Flow{Busy: 18 * s, Full: s}},
		"reading":          {took: 10 * s, open: 20 * s, cpus: 2, cpu: 2 * s, flow: tls.Flow{Busy: 3 * s}},
	} {
		if got := u.boundBy(); !strings.Contains(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func fifo(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAFifoThatNobodyReadsDoesNotHoldUpAnSST(t *testing.T) {
	file := fifo(t)
	if log, warnings := (journey{to: file, total: 50_000_000}).tell(t, nil); len(log) != 2 || warnings != nil {
		t.Errorf("log %q, warnings %q", log, warnings)
	}
	if info, err := os.Lstat(file); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		t.Errorf("the FIFO is gone: %v, %v", info, err)
	}
}

func TestAFifoWhoseReaderIsSlow(t *testing.T) {
	file := fifo(t)
	r, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f := watchedFile{path: file, fd: -1}
	defer f.close()
	line := strings.Repeat("x", 999) + "\n"
	for range 1000 { // many times what a pipe holds
		if err := f.write(line); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := bufio.NewReader(r).ReadString('\n'); got != line {
		t.Errorf("the reader gets %q, %v", got, err)
	}
}

func TestAFifoWhoseReaderComesAndGoes(t *testing.T) {
	file := fifo(t)
	f := watchedFile{path: file, fd: -1}
	defer f.close()
	if err := f.write("lost\n"); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"first\n", "second\n"} {
		r, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.write(line); err != nil {
			t.Fatal(err)
		}
		if got, err := bufio.NewReader(r).ReadString('\n'); got != line {
			t.Errorf("got %q, %v", got, err)
		}
		r.Close()
		if err := f.write("lost\n"); err != nil { // EPIPE
			t.Fatal(err)
		}
	}
}

func TestAProgressFileThatCannotBeWritten(t *testing.T) {
	for _, file := range []string{t.TempDir(), filepath.Join(t.TempDir(), "no", "such")} {
		_, warnings := journey{to: file, total: 1}.tell(t, nil)
		if len(warnings) != 1 || !strings.HasPrefix(warnings[0], "progress="+file+": ") {
			t.Errorf("warnings %q", warnings)
		}
	}
}

// Only a server that asks with --progress 1 is told on stdout: older ones take any line
// for the last.
func TestMariadbdIsToldHowFarItIsIfItAsks(t *testing.T) {
	donor, joiner := newCluster(t).pair()
	port := porttest.Free(t)
	joiner.start(fmt.Sprintf("--role 'joiner' --address 'localhost:%d' --parent $PPID --progress 1", port))
	joiner.expect(fmt.Sprintf("ready localhost:%d/rsync_tunnel_sst", port))
	donor.start(strings.Replace(donorArgs(port, ""), "--progress 0", "--progress 1", 1))
	told := map[*node]int{}
	until := func(n *node, want string) {
		for line := range n.line {
			var total, complete int64
			switch {
			case line == want:
				return
			case strings.HasPrefix(line, "total "):
				if _, err := fmt.Sscanf(line, "total %d", &total); err != nil || total <= 0 {
					t.Fatalf("%q", line)
				}
				next := <-n.line
				if _, err := fmt.Sscanf(next, "complete %d", &complete); err != nil || complete < 0 || complete > total {
					t.Fatalf("%q after %q", next, line)
				}
				told[n]++
			default:
				t.Fatalf("stdout has %q, want %q", line, want)
			}
		}
		t.Fatalf("%q did not come\n%s", want, n.said())
	}
	until(donor, "flush tables")
	donor.flushed(42)
	until(donor, "continue")
	until(donor, "done "+testUUID+":42 0")
	donor.exit(0)
	until(joiner, testUUID+":42 0")
	joiner.exit(0)
	if told[donor] == 0 || told[joiner] == 0 {
		t.Errorf("the donor's server is told %d times, the joiner's %d times", told[donor], told[joiner])
	}
}

// Both logs end with what an operator asks afterwards.
func TestTheSummaryOnBothSides(t *testing.T) {
	donor, joiner := newCluster(t).pair()
	whole(donor, joiner)
	const numbers = `waited \d+\.\d\d s for the server to lock and flush its tables, copied for \d+\.\d\d s under its lock, of \d+\.\d s; ` +
		`sent 13\.6 MiB in 1 round, [0-9.]+ \S+ of it under the lock, \d+ MB/s; (it was too short|the speed was bound by)`
	const who = ` 127\.0\.0\.1:\d+, TLS 1\.3, TLS_\w+, certificate CN=localhost, serial [0-9a-f]+, SHA-256 [0-9a-f]{64}; \d+ connections`
	for _, c := range []struct {
		n    *node
		want []string
	}{
		{donor, []string{`to 127\.0\.0\.1 \(certificate CN=localhost\): ` + numbers, `joiner` + who}},
		{joiner, []string{`received 13\.6 MiB in \d+\.\d s \(\d+ MB/s\) from 127\.0\.0\.1`, `the donor has ` + numbers, `donor` + who}},
	} {
		for _, want := range c.want {
			if !regexp.MustCompile(`\[INFO\] ` + want).MatchString(c.n.said()) {
				t.Errorf("the log does not say %s:\n%s", want, c.n.said())
			}
		}
	}
}

// The options that only show in the log, in a whole SST.
func TestAnSSTWithProgressRateAndTimes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "progress")
	donor, joiner := newCluster(t).pair("rlimit=16m", "time=1", "progress="+file, "wsrep_sst_auth=root:verysecret", "tcerts=/x", "encrypt=3")
	began := time.Now()
	whole(donor, joiner)
	if took := time.Since(began).Seconds(); took < 13.6/16-rateCredit.Seconds() {
		t.Errorf("13.6 MiB took %g s", took)
	}
	donor.says("NOTE: Donor-Flush took ", "NOTE: Donor-Precopy took ", "NOTE: Donor-Transfer took ", "Total time on donor: ",
		"tcerts in [sst] is not known; is tcert meant?", "settings: rlimit=16m ("+donor.cnf+":6), progress="+file)
	joiner.says("NOTE: Joiner-Receive, with the wait for a donor, took ", "NOTE: Joiner-Sync took ", "Total time on joiner: ", "settings: progress="+file)
	text, err := os.ReadFile(file)
	if err != nil || !regexp.MustCompile(`of 13\.6 MiB\), .*, sent `).Match(text) || !regexp.MustCompile(`of 13\.6 MiB\), .*, received `).Match(text) {
		t.Errorf("%v: %s", err, text)
	}
	for _, n := range []*node{donor, joiner} {
		if strings.Contains(n.said(), "verysecret") {
			t.Errorf("the password is in the log:\n%s", n.said())
		}
	}
}

func TestTimesAreNoFinerThanWanted(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 400 * time.Millisecond: "0 s", 119 * time.Second: "119 s", 2 * time.Minute: "2 min", 149 * time.Second: "2 min", 150 * time.Second: "3 min",
		119 * time.Minute: "119 min", 2 * time.Hour: "2 h 0 min", 150*time.Minute + 29*time.Second: "2 h 30 min", 30 * time.Hour: "30 h 0 min",
	} {
		if got := timeText(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
