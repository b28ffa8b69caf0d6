package flist

import (
	"bytes"
	"testing"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// encode returns the stream bytes of a list.
func encode(t testing.TB, list []*Entry, ioError int32, o Options, users, groups map[uint32]string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := wire.NewWriter(&out)
	defer w.Release()
	if err := Encode(w, list, ioError, o, users, groups); err != nil {
		t.Fatalf("Encode: %v", err)
	}
	if err := w.Flush(); err != nil {
		t.Fatalf("Flush: %v", err)
	}
	return out.Bytes()
}
