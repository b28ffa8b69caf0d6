package sst

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// serverWrites counts what mariadbd writes to its disks: pages twice where it has a
// doublewrite buffer, and the redo log with them. A nil one knows nothing: the kernel tells
// only whom it would let trace the server, and not if that has changed its user.
type serverWrites struct{ file *os.File }

// openServerWrites is for before landlock, which has no place for other processes.
func openServerWrites(pid int) *serverWrites {
	if pid <= 0 {
		return nil
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return nil
	}
	w := &serverWrites{f}
	if _, ok := w.total(); !ok {
		f.Close()
		return nil
	}
	return w
}

func (w *serverWrites) close() {
	if w != nil {
		w.file.Close()
	}
}

// total is in bytes since the server's start (proc(5), write_bytes).
func (w *serverWrites) total() (n int64, ok bool) {
	if w == nil {
		return 0, false
	}
	text, err := io.ReadAll(io.NewSectionReader(w.file, 0, 4096))
	if err != nil {
		return 0, false
	}
	return writeBytes(string(text))
}

func writeBytes(text string) (n int64, ok bool) {
	for line := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(line, "write_bytes:"); found {
			n, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// since is how much was written after total was before; 0 if that is not known. Writes to
// memory are not counted, so that nothing counts as not known.
func (w *serverWrites) since(before int64) int64 {
	now, ok := w.total()
	if !ok {
		return 0
	}
	return max(now-before, 0)
}
