package report

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// The line buffers of mariadbd, the newline included (sst-contract.md, section 4).
// It cuts what is longer without a word, and a cut position is a wrong one.
const (
	DonorLine  = 128
	JoinerLine = 512
)

// Dialogue is the protocol on stdout. One object serves one role.
type Dialogue struct {
	mu    sync.Mutex
	w     io.Writer
	limit int
}

// NewDialogue writes to w, stdout, lines of at most limit bytes: DonorLine or
// JoinerLine.
func NewDialogue(w io.Writer, limit int) *Dialogue { return &Dialogue{w: w, limit: limit} }

// Ready is the joiner's first line: where it listens. The server sends address to
// the cluster as it is.
func (d *Dialogue) Ready(address string) error { return d.line("ready " + address) }

// Position is the joiner's last line: UUID:SEQNO and the domain. mariadbd takes it
// for success whatever the exit status is.
func (d *Dialogue) Position(position string) error { return d.line(position) }

// FlushTables makes the donor's server flush and lock its tables.
func (d *Dialogue) FlushTables() error { return d.line("flush tables") }

// Continue lets the donor's server go on writing.
func (d *Dialogue) Continue() error { return d.line("continue") }

// Done tells the donor's server that its state, up to position, is with the joiner.
func (d *Dialogue) Done(position string) error { return d.line("done " + position) }

// Progress tells how many of total bytes are done, in two lines. Only a server that was
// started with wsrep_debug asks for them; older ones take any such line for the last.
func (d *Dialogue) Progress(total, done int64) error {
	if err := d.line(fmt.Sprintf("total %d", total)); err != nil {
		return err
	}
	return d.line(fmt.Sprintf("complete %d", done))
}

func (d *Dialogue) line(text string) error {
	if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }); i >= 0 {
		return fmt.Errorf("line %q for mariadbd has a control character", text)
	}
	if text == "" || strings.HasSuffix(text, " ") {
		return fmt.Errorf("line %q for mariadbd is not complete", text)
	}
	if len(text) >= d.limit {
		return fmt.Errorf("line %q for mariadbd has %d bytes, its buffer takes %d", text, len(text), d.limit-1)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := io.WriteString(d.w, text+"\n"); err != nil {
		return fmt.Errorf("tell mariadbd %q: %w", text, err)
	}
	return nil
}
