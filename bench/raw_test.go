package bench

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tables makes a directory with files of these lengths.
func tables(t *testing.T, sizes map[string]int) string {
	t.Helper()
	dir := t.TempDir()
	for name, size := range sizes {
		content := strings.Repeat(name+"\n", size/(len(name)+1)+1)[:size]
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestTheBareProgramCopies(t *testing.T) {
	from, to := tables(t, map[string]int{"a/b/c": 1, "a/empty": 0, "two chunks": 2 * chunk, "more": 3*chunk + 7, "grastate.dat": 9}), t.TempDir()
	s, err := listSet(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.arrived(to); err == nil {
		t.Fatal("nothing is taken for everything")
	}
	a, b := net.Pipe()
	received := make(chan error, 1)
	go func() { received <- (&end{EndOptions: EndOptions{Dir: to}}).receiveFiles(b) }()
	buffer := make([]byte, rawHead+4096+chunk+sumSize)
	jobs := newJobs(s)
	if err := jobs.each(t.Context(), func(j job) error { return sendPart(a, from, j, buffer) }); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write(make([]byte, rawHead)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(a, buffer[:1]); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(<-received, s.arrived(to)); err != nil {
		t.Fatal(err)
	}
	for _, f := range s.files {
		want, _ := os.ReadFile(filepath.Join(from, f.name))
		if got, err := os.ReadFile(filepath.Join(to, f.name)); err != nil || string(got) != string(want) {
			t.Errorf("%s differs (%v)", f.name, err)
		}
	}
	if err := os.Truncate(filepath.Join(to, "more"), 5); err != nil {
		t.Fatal(err)
	}
	if err := s.arrived(to); err == nil || !strings.Contains(err.Error(), "more has 5 bytes") {
		t.Errorf("a short file: %v", err)
	}
}

func TestLargeFilesAreCutIntoPartsThatMeet(t *testing.T) {
	s := &set{files: []file{{"large", 2*part + 5}, {"exact", part}, {"empty", 0}}}
	next := map[string]int64{}
	for _, j := range newJobs(s).all {
		if j.from != next[j.name] || j.to-j.from > part {
			t.Errorf("%+v after %d", j, next[j.name])
		}
		next[j.name] = j.to
	}
	for _, f := range s.files {
		if n, known := next[f.name]; !known || n != f.size {
			t.Errorf("%s: parts up to %d of %d", f.name, n, f.size)
		}
	}
}

// What an authenticated peer sends may be damaged all the same.
func FuzzReceiveFiles(f *testing.F) {
	f.Add([]byte("\x01\x00" + strings.Repeat("\x00", 16) + "\x01" + strings.Repeat("\x00", 7) + "a"))
	f.Add(make([]byte, rawHead))
	f.Add([]byte("\x03\x00" + strings.Repeat("\x00", 24) + "../"))
	f.Fuzz(func(t *testing.T, said []byte) {
		dir := t.TempDir()
		to := filepath.Join(dir, "to")
		if err := os.Mkdir(to, 0o700); err != nil {
			t.Fatal(err)
		}
		a, b := net.Pipe()
		go io.Copy(io.Discard, a)
		go func() { a.Write(said); a.Close() }()
		_ = (&end{EndOptions: EndOptions{Dir: to}}).receiveFiles(b)
		b.Close()
		if outside, err := os.ReadDir(dir); err != nil || len(outside) != 1 {
			t.Fatalf("%q wrote outside: %v", said, outside)
		}
	})
}
