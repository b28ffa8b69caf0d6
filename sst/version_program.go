package sst

import (
	"bytes"
	"debug/elf"
	"io"
	"slices"

	"wsrep_sst_rsync_tunnel/mycnf"
)

const (
	// serverMark is what stands before X.Y among the constants of mariadbd: the name of
	// the group [mysqld-X.Y], which is the very thing that is looked for. All releases
	// have it, and no other constant begins so and goes on with a version.
	serverMark = "\x00mysqld-"
	// maxSeries is the longest X.Y that is looked for.
	maxSeries = 16
	// maxProgram is how many bytes of a program are read at most. mariadbd has 6 MB of
	// constants, and 20 MB with its instructions.
	maxProgram = 256 << 20
	// programWindow is how many bytes are in memory at a time.
	programWindow = 256 << 10
)

// programSeries is the X.Y of mariadbd's program; "" for any other file, and where
// it is not certain.
func programSeries(f io.ReaderAt) string {
	program, err := elf.NewFile(f)
	if err != nil {
		return ""
	}
	// Constants are in a part that is neither written nor executed; with old linkers
	// among the instructions.
	left := int64(maxProgram)
	for _, flags := range []elf.ProgFlag{elf.PF_R, elf.PF_R | elf.PF_X} {
		var found []string
		for _, p := range program.Progs {
			if p.Type != elf.PT_LOAD || p.Flags != flags {
				continue
			}
			part := &io.LimitedReader{R: p.Open(), N: left}
			found = append(found, marked(part)...)
			left = part.N
		}
		slices.Sort(found)
		if found = slices.Compact(found); len(found) > 0 {
			return only(found)
		}
	}
	return ""
}

func only(found []string) string {
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

// marked gives what follows the marks in a part of a program, if it is an X.Y and
// nothing else. What cannot be read has none.
func marked(r io.Reader) (found []string) {
	const overlap = len(serverMark) + maxSeries
	window := make([]byte, programWindow)
	kept := 0
	for {
		n, err := io.ReadFull(r, window[kept:])
		data := window[:kept+n]
		for rest := data; ; {
			_, after, ok := bytes.Cut(rest, []byte(serverMark))
			if !ok {
				break
			}
			rest = after
			if end := bytes.IndexByte(after[:min(len(after), maxSeries)], 0); end > 0 {
				if s := string(after[:end]); mycnf.Series(s) == s {
					found = append(found, s)
				}
			}
		}
		if err != nil {
			return found
		}
		kept = copy(window, data[len(data)-overlap:])
	}
}
