package flist

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// encode returns the stream bytes of a list that must be good.
func encode(t testing.TB, list []*Entry, ioError int32, o Options, users, groups map[uint32]string) []byte {
	t.Helper()
	data, err := encodeAll(list, ioError, o, users, groups)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// encodeAll returns what Encode puts into the stream, and its error.
func encodeAll(list []*Entry, ioError int32, o Options, users, groups map[uint32]string) ([]byte, error) {
	var out bytes.Buffer
	w := wire.NewWriter(&out)
	defer w.Release()
	err := Encode(w, list, ioError, o, users, groups)
	err = errors.Join(err, w.Flush())
	return out.Bytes(), err
}

// decode reads a list with the given function, Decode or DecodeUnsorted, and says how many bytes were left behind it.
func decode(data []byte, o Options, how func(*wire.Reader, Options) (*List, error)) (l *List, left int, err error) {
	r := wire.NewReader(bytes.NewReader(data))
	defer r.Release()
	if l, err = how(r, o); err != nil {
		return nil, 0, err
	}
	for {
		if _, err := r.Byte(); err != nil {
			return l, left, nil
		}
		left++
	}
}

// unhex reads bytes as the reference writes them; what follows a "|" is a remark up to the line's end.
func unhex(t testing.TB, text string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "|")
		for field := range strings.FieldsSeq(line) {
			digits.WriteString(field)
		}
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// encodeFramed returns the frames of a list in a session of the given protocol.
func encodeFramed(t testing.TB, proto int, list []*Entry, ioError int32, o Options) []byte {
	t.Helper()
	var out bytes.Buffer
	w := wire.NewWriter(&out)
	defer w.Release()
	w.StartMux(proto)
	if err := Encode(w, list, ioError, o, nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
