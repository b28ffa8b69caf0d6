package flist

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp/cmpopts"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

var ignorePool = cmpopts.IgnoreUnexported(List{})

// A peer with many connections gets no more than one with one: lists share what there is, and give it back.
func TestListsShareAPool(t *testing.T) {
	pool := NewPool(4 * poolStep)
	o := formA
	o.Pool = pool
	var entries []*Entry
	for i := range 15 { // some 30 KiB, which is two steps
		entries = append(entries, &Entry{Name: strings.Repeat(string(rune('a'+i)), 1800), Mode: file})
	}
	var stream bytes.Buffer
	w := wire.NewWriter(&stream)
	if err := errors.Join(Encode(w, entries, 0, o, nil, nil), w.Flush()); err != nil {
		t.Fatal(err)
	}
	one := func() (*List, error) {
		return Decode(wire.NewReader(bytes.NewReader(stream.Bytes())), o)
	}
	first, err := one()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one(); err != nil {
		t.Fatal(err)
	}
	if _, err := one(); err == nil || !strings.Contains(err.Error(), "of all sessions") {
		t.Errorf("a third list: %v", err)
	}
	first.Release()
	first.Release() // once counts
	if left := pool.left.Load(); left != 2*poolStep {
		t.Errorf("%d bytes are left, want %d", left, 2*poolStep)
	}
	if _, err := one(); err != nil {
		t.Error(err)
	}
}
