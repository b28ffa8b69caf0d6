package hostile

import (
	"encoding/binary"
	"slices"
	"strings"
)

// A program is what the fuzzer really changes: a list of steps, each of which does something to the fields of a session that
// somebody might do who knows the protocol and means harm. The fields around stay as they were, so that a session gets as
// far as it can before the peer meets the change.
type program struct{ code []byte }

// maxSteps bounds a program, and the others what it makes.
const (
	maxSteps  = 12
	maxFields = 5_000
	maxText   = 1 << 20
)

// next takes n bytes of the program as a number; what is missing counts as zero.
func (p *program) next(n int) int64 {
	var b [8]byte
	k := copy(b[:n], p.code)
	p.code = p.code[k:]
	return int64(binary.LittleEndian.Uint64(b[:]))
}

func (p *program) text() string {
	n := min(int(p.next(1)), len(p.code))
	s := string(p.code[:n])
	p.code = p.code[n:]
	return s
}

// numbers are the borders where programs err.
var numbers = []int64{
	0, 1, -1, 2, -2, 3, -3, -101, 4, 7, 8, 15, 16, 17, 63, 64, 100, 127, 128, 255, 256, 257, 700, 4095, 4096, 4097, 5119, 5120,
	32767, 32768, 32769, 65535, 65536, 131071, 131072, 131073, 1<<24 - 1, 1 << 24, 1<<28 + 1, 1<<31 - 1, -1 << 31, 1 << 32, 1<<62 - 1, 1<<63 - 1, -1 << 63,
	0o120777, 0o020666, 0o060660, 0o010644, 0o140777, 0o104755, 0o040755, 0o100644, 0x8000, 0xa000, 0x8800, 0x9000, 0x0800, 0x1000, 0x2000, 0x0200, 0x1200, 0x4000,
}

// texts are names, rules and lines that ask for what is not given.
var texts = []string{
	"", ".", "..", "/", "//", "../x", "/etc/passwd", "out", "out/canary", "out/new", "a/../../x", "./x", "x/", "x//y", "nul\x00nul", "new\nline",
	"ibdata1", "ibdata1/x", "db1", "db1/t1.ibd", "-log_dir", "rsync_sst/../out", "rsync_sst/out", "rsync_sst/./out/", "--sender", "--daemon",
	"--partial-dir=/tmp", "--backup-dir=..", "--temp-dir=..", "--copy-dest=..", "--link-dest=/", "--log-file=x", "--max-alloc=0", "--files-from=x",
	"--append", "--remove-source-files", "--write-devices", "--timeout=99999999999", "--checksum-choice=none", "--checksum-choice=md5", "--checksum-seed=1",
	"-s", "-e.i", "-vvvvvvvvvvvvqlHogDtprSAXcz", ". /etc/merge", ": .rules", "- **", "+ [[[[", "- ********************x", "P x", "R *", "!", "#list", "#early_input=5120",
	"@RSYNCD: EXIT", "@ERROR: x", "@RSYNCD: OK", "@RSYNCD: AUTHREQD x", "@RSYNCD: 31.0", "@RSYNCD: 40.0 md5", "xxh128", "none", "md5 xxh64", "bash",
}

// change runs the program.
func (p *program) change(fields []field) []field {
	fields = slices.Clone(fields)
	for range maxSteps {
		if len(p.code) == 0 || len(fields) == 0 || len(fields) > maxFields {
			break
		}
		fields = p.step(fields)
	}
	// What a session may have of text is bounded too, or the fuzzer measures the speed of copying.
	for i, left := 0, maxText; i < len(fields); i++ {
		if left -= len(fields[i].text); left < 0 {
			return fields[:i]
		}
	}
	return fields
}

func (p *program) step(fields []field) []field {
	what := p.next(1)
	i := int(p.next(2)) % len(fields)
	f := &fields[i]
	switch what % 13 {
	case 0: // a border
		f.n = numbers[int(p.next(1))%len(numbers)]
	case 1: // any number
		f.n = p.next(8)
	case 2: // nearly right
		f.n += int64(int8(p.next(1)))
	case 3: // a text with a meaning
		f.text = texts[int(p.next(1))%len(texts)]
	case 4: // any text
		f.text = p.text()
	case 5: // a long text
		piece := f.text[:min(len(f.text), 100)] + "x"
		f.text = strings.Repeat(piece, (1+int(p.next(2))%8000)/len(piece)+1)
	case 6: // not there
		fields = slices.Delete(fields, i, i+1)
	case 7: // many times
		fields = slices.Insert(fields, i, slices.Repeat([]field{*f}, 1+int(p.next(1)))...)
	case 8: // a piece once more
		n := min(1+int(p.next(2))%64, len(fields)-i)
		fields = slices.Insert(fields, i, slices.Clone(fields[i:i+n])...)
	case 9: // in another place
		j := int(p.next(2)) % len(fields)
		fields[i], fields[j] = fields[j], fields[i]
	case 10: // something in between
		fields = slices.Insert(fields, i, field{kind(p.next(1)) % kinds, p.next(4), p.text()})
	case 11: // a message
		fields = slices.Insert(fields, i, field{kMessage, p.next(1), p.text()})
	case 12: // the end
		fields = fields[:i]
	}
	return fields
}
