package sst

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestMovesAreMadeInOrder(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		write(t, dir, name, name)
	}
	root := openRoot(t, dir)
	before := childrenOf(t)
	// Each depends on the one before it.
	if err := moveAll([]move{{root, "a", "x"}, {root: root}, {root, "x", "y"}, {root: root, from: "b"}, {root, "c", "b"}, {root: root}}); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"b", "y"}) {
		t.Errorf("left %q", got)
	}
	if after := childrenOf(t); after != before {
		t.Errorf("children before %q, after %q", before, after)
	}
}

func TestTheFirstMoveThatFailsIsNamed(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", "a")
	write(t, dir, "c", "c")
	root := openRoot(t, dir)
	err := moveAll([]move{{root, "a", "x"}, {root, "b", "y"}, {root, "c", "z"}})
	if err == nil || !strings.Contains(err.Error(), "rename b of "+dir+" to y: no such file or directory") {
		t.Errorf("%v", err)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"c", "x"}) {
		t.Errorf("left %q", got)
	}
}

func TestMovesWithoutAChild(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", "a")
	var s script
	defer s.close()
	if err := s.add(move{openRoot(t, dir), "a", "b"}); err != nil {
		t.Fatal(err)
	}
	if i, errno := s.run(); errno != 0 {
		t.Errorf("step %d: %v", i, errno)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"b"}) {
		t.Errorf("left %q", got)
	}
}

const killedInTheMiddle = "TEST_KILLED_IN_THE_MIDDLE"

// A joiner is killed by SIGKILL between two renames: the second one comes all the
// same.
func TestMovesGoOnWhenTheirProcessIsKilled(t *testing.T) {
	if dir := os.Getenv(killedInTheMiddle); dir != "" {
		moveWithAPause(t, dir)
		return
	}
	dir := t.TempDir()
	write(t, dir, "a", "a")
	write(t, dir, "c", "c")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), killedInTheMiddle+"="+dir)
	cmd.ExtraFiles = []*os.File{r}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	waitFor(t, "the first move", func() bool { return slices.Contains(names(t, dir), "b") })
	cmd.Process.Kill()
	cmd.Wait()
	if got := names(t, dir); !slices.Equal(got, []string{"b", "c"}) {
		t.Fatalf("too early: %q", got)
	}
	if _, err := w.Write([]byte{0}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the second move", func() bool { return slices.Contains(names(t, dir), "d") })
}

// moveWithAPause waits between two moves for a byte from descriptor 3.
func moveWithAPause(t *testing.T, dir string) {
	root := openRoot(t, dir)
	var s script
	if err := s.add(move{root, "a", "b"}); err != nil {
		t.Fatal(err)
	}
	s.names = append(s.names, new(byte))
	s.steps = append(s.steps, step{unix.SYS_READ, [4]uintptr{3, uintptr(unsafe.Pointer(s.names[len(s.names)-1])), 1}})
	if err := s.add(move{root, "c", "d"}); err != nil {
		t.Fatal(err)
	}
	s.inChild()
}

func openRoot(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// childrenOf lists the child processes of this one.
func childrenOf(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, file := range files {
		b, _ := os.ReadFile(file) // a thread may have ended
		all += string(b)
	}
	return all
}
