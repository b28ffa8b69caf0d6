package sst

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// event makes one of a binlog.
func event(kind byte, server uint32, body ...any) []byte {
	var b bytes.Buffer
	for _, v := range body {
		if s, ok := v.(string); ok {
			v = []byte(s)
		}
		binary.Write(&b, binary.LittleEndian, v)
	}
	h := make([]byte, eventHeader)
	h[4] = kind
	binary.LittleEndian.PutUint32(h[5:], server)
	binary.LittleEndian.PutUint32(h[9:], uint32(eventHeader+b.Len()))
	return append(h, b.Bytes()...)
}

func binlogOf(events ...[]byte) []byte {
	return append(bytes.Clone(binlogMagic), bytes.Join(events, nil)...)
}

const formatEvent, otherEvent = 15, 2

func TestTheEndOfABinlog(t *testing.T) {
	list := event(gtidListEvent, 1, uint32(3|1<<28), uint32(0), uint32(1), uint64(7), uint32(0), uint32(2), uint64(9), uint32(5), uint32(1), uint64(3))
	gtid := event(gtidEvent, 4, uint64(10), uint32(0), [7]byte{})
	checkpoint := event(checkpointEvent, 1, uint32(10), "bin.000001", uint32(0xcccccccc))
	for _, c := range []struct {
		name       string
		content    []byte
		gtid, want string // want: part of the error
	}{
		{"with nothing in it", binlogOf(event(formatEvent, 1, [90]byte{})), "", ""},
		{"with a list alone", binlogOf(list), "0-2-9,5-1-3", ""},
		{"with changes", binlogOf(event(formatEvent, 1, [90]byte{}), list, checkpoint, gtid, event(otherEvent, 4, [40]byte{})), "0-4-10,5-1-3", ""},
		{"that is encrypted", binlogOf(event(encryptionEvent, 1, [40]byte{})), "", "encrypted"},
		{"that is none", []byte("#!/bin/sh\n"), "", "it is no binlog"},
		{"that is cut in an event", binlogOf(list, gtid)[:len(binlogOf(list, gtid))-3], "", "it ends within the event at 75"},
		{"that is cut in a header", append(binlogOf(list), 1, 2, 3), "", "it ends within the event"},
		{"with a list that lies", binlogOf(event(gtidListEvent, 1, uint32(9))), "", "a list of 9 GTIDs in 4 bytes"},
		{"with an event that is too short", binlogOf(make([]byte, eventHeader)), "", "an event of 0 bytes"},
		{"with a checkpoint that lies", binlogOf(event(checkpointEvent, 1, uint32(99), "x")), "", "a checkpoint of"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := binlogEnd(bufio.NewReader(bytes.NewReader(c.content)))
			switch {
			case c.want != "":
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %s", err, c.want)
				}
			case err != nil || p.GTID != c.gtid || p.Pos != int64(len(c.content)):
				t.Errorf("got %+v, %v", p, err)
			}
		})
	}
}

// The copy of a locked server recovers when it starts, and looks into the binlogs that its
// last checkpoint names.
func TestHowManyBinlogsACopyNeeds(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "bin.000003", string(binlogOf(event(checkpointEvent, 1, uint32(10), "bin.000001"), event(checkpointEvent, 1, uint32(10), "bin.000002"))))
	write(t, dir, "bin.index", "./bin.000001\n./bin.000002\n./bin.000003\n")
	b := Binlog{Name: "bin", Path: filepath.Join(dir, "bin"), Index: filepath.Join(dir, "bin.index")}
	p, needed, err := lastPosition(b, dir)
	if err != nil || needed != 2 || p.File != "bin.000003" {
		t.Errorf("%+v, %d, %v", p, needed, err)
	}
	write(t, dir, "bin.index", "./bin.000003\n")
	if _, _, err := lastPosition(b, dir); err == nil || !strings.Contains(err.Error(), "bin.000002, which is not in the index") {
		t.Errorf("a binlog that is gone: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "bin.index")); err != nil {
		t.Fatal(err)
	}
	if _, needed, err := lastPosition(b, dir); err != nil || needed != 0 {
		t.Errorf("without an index: %d, %v", needed, err)
	}
}

func FuzzBinlogEnd(f *testing.F) {
	f.Add(binlogOf(event(gtidListEvent, 1, uint32(1), uint32(0), uint32(1), uint64(7)), event(gtidEvent, 4, uint64(10), uint32(0)), event(checkpointEvent, 1, uint32(1), "x")))
	f.Fuzz(func(t *testing.T, content []byte) {
		p, err := binlogEnd(bufio.NewReader(bytes.NewReader(content)))
		if err == nil && (p.Pos > int64(len(content)) || strings.Trim(p.GTID, "0123456789-,") != "") {
			t.Errorf("%+v of %d bytes", p, len(content))
		}
	})
}
