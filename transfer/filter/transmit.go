package filter

import (
	"fmt"
	"io"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// Limits of a list that a peer sends. Real clients send a dozen rules; the sizes of one are in package wire.
const (
	maxRules     = 10000
	maxRuleBytes = 1 << 20
)

// Send writes what the receiver must know of the list, and the end of it (rsync-wire.md §7.1). Rules for the sender alone
// are left out. Whether a list is sent at all is decided by the session's options, not here.
// A nil list is an empty one.
func (l *List) Send(w *wire.Writer) {
	if l == nil {
		l = new(List)
	}
	for i := range l.rules {
		if r := &l.rules[i]; r.on(Receiver) {
			text := r.String()
			w.Int(int32(len(text)))
			w.Bytes([]byte(text))
		}
	}
	w.Int(0)
}

// Receive reads a list up to its end. A rule we do not implement is a [*RuleError]: to go on without it could delete what it
// protects. Other failures are those of the Reader; input that ends before the list does is io.ErrUnexpectedEOF.
func Receive(r *wire.Reader) (*List, error) {
	l := new(List)
	buf := make([]byte, wire.MaxRule)
	for count, total := 0, 0; ; count++ {
		n, err := r.Int()
		if err != nil {
			return nil, cut(count, err)
		}
		if n == 0 {
			return l, nil
		}
		if n < 0 || n > wire.MaxRule {
			return nil, wire.Errorf("7.1", "filter rule of %d bytes, at most %d are allowed", n, wire.MaxRule)
		}
		if total += int(n); total > maxRuleBytes || count == maxRules {
			return nil, wire.Errorf("7.1", "filter rules of more than %d bytes, or more than %d of them", maxRuleBytes, maxRules)
		}
		if err := r.Full(buf[:n]); err != nil {
			return nil, cut(count, err)
		}
		if err := l.Add(string(buf[:n])); err != nil {
			return nil, err
		}
	}
}

func cut(count int, err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("filter list after %d rules: %w", count, err)
}
