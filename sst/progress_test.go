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
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// progressOf runs 25 s of a transfer of 1 MB a second and gives what was said in the
// log. total is what was announced.
func progressOf(t *testing.T, to string, total int64) (log []string, warnings []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var bytes atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		p := progress{role: "donor", verb: "sent", to: to, bytes: bytes.Load, total: func() int64 { return total },
			infof: func(f string, a ...any) { log = append(log, fmt.Sprintf(f, a...)) }, warn: func(s string) { warnings = append(warnings, s) }}
		go func() {
			defer close(ended)
			p.run(ctx)
		}()
		time.Sleep(50 * time.Millisecond) // no tick and no addition at the same moment
		for range 250 {
			time.Sleep(100 * time.Millisecond)
			bytes.Add(100_000)
		}
		cancel()
		<-ended
	})
	return log, warnings
}

func TestProgressInTheLog(t *testing.T) {
	for _, c := range []struct {
		name, to string
		total    int64
		want     []string
	}{
		{"by default", "", 50_000_000, []string{"sent 9.4 MiB so far (1 MB/s now)", "sent 19.0 MiB so far (1 MB/s now)"}},
		{"none", "none", 50_000_000, nil},
		{"asked for", "1", 50_000_000, []string{
			"donor: sent 9.4 MiB of 47.7 MiB (19 %), 1 MB/s now, 1 MB/s on average, 10 s, about 41 s left",
			"donor: sent 19.0 MiB of 47.7 MiB (39 %), 1 MB/s now, 1 MB/s on average, 20 s, about 30 s left",
			"donor: sent 23.8 MiB of 47.7 MiB (50 %), 1 MB/s now, 1 MB/s on average, 25 s"}},
		{"of an unknown whole", "1", 0, []string{
			"donor: sent 9.4 MiB, 1 MB/s now, 1 MB/s on average, 10 s",
			"donor: sent 19.0 MiB, 1 MB/s now, 1 MB/s on average, 20 s",
			"donor: sent 23.8 MiB, 1 MB/s now, 1 MB/s on average, 25 s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, warnings := progressOf(t, c.to, c.total)
			if !slices.Equal(got, c.want) || warnings != nil {
				t.Errorf("got  %q\nwant %q, warnings %q", got, c.want, warnings)
			}
		})
	}
}

var progressLine = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d donor: sent [0-9.]+ (bytes|[KM]iB) of 47\.7 MiB \(\d+ %\), \d+ MB/s now, \d+ MB/s on average, \d+ s(, about \d+ s left)?$`)

func TestProgressInAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "progress")
	for run := 1; run <= 2; run++ { // the second adds to the file
		log, warnings := progressOf(t, file, 50_000_000)
		if len(log) != 2 || warnings != nil {
			t.Errorf("log %q, warnings %q", log, warnings)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		if n := len(lines); n < 25*run || n > 26*run {
			t.Errorf("%d lines after %d runs", n, run)
		}
		for _, line := range lines {
			if !progressLine.MatchString(line) {
				t.Errorf("line %q", line)
			}
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
	if log, warnings := progressOf(t, file, 50_000_000); len(log) != 2 || warnings != nil {
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
		_, warnings := progressOf(t, file, 1)
		if len(warnings) != 1 || !strings.HasPrefix(warnings[0], "progress="+file+": ") {
			t.Errorf("warnings %q", warnings)
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
	if err != nil || !strings.Contains(string(text), " donor: sent ") || !strings.Contains(string(text), " joiner: received ") {
		t.Errorf("%v: %s", err, text)
	}
	for _, n := range []*node{donor, joiner} {
		if strings.Contains(n.said(), "verysecret") {
			t.Errorf("the password is in the log:\n%s", n.said())
		}
	}
}
