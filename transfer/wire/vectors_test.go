package wire

import (
	"bytes"
	"encoding/hex"
	"strconv"
	"strings"
	"testing"
)

// The vectors of rsync-wire.md, Appendix C: "value bytes | value bytes ...".
const (
	varintVectors = `0 00 | 1 01 | 127 7f | 128 80 80 | 255 80 ff | 256 81 00 | 300 81 2c | 500 81 f4 | 510 81 fe | 12345 b0 39 |
		16383 bf ff | 16384 c0 00 40 | 65535 c0 ff ff | 2097151 df ff ff | 2097152 e0 00 00 20 | 123456789 e7 15 cd 5b |
		268435455 ef ff ff ff | 268435456 f0 00 00 00 10 | 2147483647 f0 ff ff ff 7f | -1 f0 ff ff ff ff | -2 f0 fe ff ff ff`
	varlong3Vectors = `0 00 00 00 | 1 00 01 00 | 300 00 2c 01 | 700 00 bc 02 | 65535 00 ff ff | 65536 01 00 00 | 8388607 7f ff ff |
		8388608 80 00 00 80 | 16777216 81 00 00 00 | 2147483648 c0 00 00 00 80 | 5368709123 c1 03 00 00 40 |
		1099511627776 e1 00 00 00 00 00 | 281474976710655 f0 ff ff ff ff ff ff | 4611686018427387904 fc 00 00 00 00 00 00 00 40`
	varlong4Vectors = `0 00 00 00 00 | 1700000000 65 00 f1 53 | 1700000100 65 64 f1 53 | 2147483647 7f ff ff ff | 2147483648 80 00 00 00 80 |
		4294967296 81 00 00 00 00 | -1 f8 ff ff ff ff ff ff ff ff | -86400 f8 80 ae fe ff ff ff ff ff`
	ndxVectors = `0 01 | 1 01 | 2 01 | 5 03 | 258 fd | 512 fe 00 fe | 512 fe 00 00 | 40000 fe 80 40 9c 00 | 3 fe 80 03 00 00 | -1 00 |
		-102 ff 65 | -103 ff 01 | -2 ff fe 80 02 00 00 | -3 ff 01 | 4 01 | 70000 fe 80 70 11 01 | 16909060 fe 81 04 03 02`
)

func TestAppendixC(t *testing.T) {
	tests := []struct {
		name, vectors string
		read          func(*Reader) (int64, error)
		write         func(*Writer, int64)
	}{
		{"varint", varintVectors,
			func(r *Reader) (int64, error) { v, err := r.Varint(); return int64(v), err },
			func(w *Writer, v int64) { w.Varint(int32(v)) }},
		{"varlong with a floor of 3", varlong3Vectors,
			func(r *Reader) (int64, error) { return r.Varlong(3) },
			func(w *Writer, v int64) { w.Varlong(v, 3) }},
		{"varlong with a floor of 4", varlong4Vectors,
			func(r *Reader) (int64, error) { return r.Varlong(4) },
			func(w *Writer, v int64) { w.Varlong(v, 4) }},
		{"indices on one connection", ndxVectors,
			func(r *Reader) (int64, error) { v, err := r.NDX(); return int64(v), err },
			func(w *Writer, v int64) { w.NDX(int32(v)) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, want bytes.Buffer
			w := NewWriter(&out)
			defer w.Release()
			var values []int64
			for vector := range strings.SplitSeq(tt.vectors, "|") {
				f := strings.Fields(vector)
				v, err := strconv.ParseInt(f[0], 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				code, err := hex.DecodeString(strings.Join(f[1:], ""))
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, v)
				want.Write(code)
				tt.write(w, v)
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
				if !bytes.HasSuffix(out.Bytes(), code) || out.Len() != want.Len() {
					t.Fatalf("%d written as % x, want % x", v, out.Bytes()[want.Len()-len(code):], code)
				}
			}
			r := NewReader(&want)
			defer r.Release()
			for _, v := range values {
				if got, err := tt.read(r); err != nil || got != v {
					t.Fatalf("read %d, %v; want %d", got, err, v)
				}
			}
		})
	}
}
