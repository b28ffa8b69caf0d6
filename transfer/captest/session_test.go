package captest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/transfer/flist"
	"wsrep_sst_rsync_tunnel/transfer/wire"
)

const captures = "../../testdata/captures"

// Sessions that are told apart from the rest. Every other recording must be read and written again completely.
var (
	// What no package of ours speaks.
	notSpoken = map[string]string{
		"x-c-delta-lz4-p32":        "compression",
		"x-c-delta-z-cli3.0.9":     "compression",
		"x-c-delta-z-cli3.1.3":     "compression",
		"x-c-delta-z-cli3.2.7":     "compression",
		"x-c-delta-zlib-p30":       "compression",
		"x-c-delta-zlib-p32":       "compression",
		"x-c-delta-zlibx-p32":      "compression",
		"x-c-delta-znegotiate-p32": "compression",
		"x-c-delta-zstd-p32":       "compression",
		"x-c-hardlinks-cli3.0.9":   "hard links",
		"x-c-hardlinks-cli3.1.3":   "hard links",
		"x-c-hardlinks-cli3.2.7":   "hard links",
		"x-c-hardlinks-noinc-p32":  "hard links",
		"x-c-hardlinks-p32":        "hard links",
	}
	// The server sent the client away before or after the binary setup.
	sentAway = map[string]bool{
		"e-list": true, "e-unknown": true, "e-missingpath": true, "e-auth-bad": true,
		"e-readonly": true, "e-readonly-309": true, "e-refuse": true,
	}
	// Files that failed their digest, because the proxy had flipped a byte.
	failed = map[string]int{"e-redo-a-whole-p32": 1, "e-redo-c-delta-p32": 1, "e-redofail-a-whole-p32": 2}
)

func TestRecordedSessions(t *testing.T) {
	recordings, err := filepath.Glob(captures + "/*.c2s")
	if err != nil || len(recordings) < 90 {
		t.Fatalf("%d recordings, error %v", len(recordings), err)
	}
	for _, path := range recordings {
		name := strings.TrimSuffix(filepath.Base(path), ".c2s")
		t.Run(name, func(t *testing.T) {
			if what, ok := notSpoken[name]; ok {
				t.Skip(what)
			}
			newSession(t, name).run(name)
		})
	}
}

func newSession(t *testing.T, name string) *session {
	return &session{
		t: t, replies: make(map[int32][]reply), oldServer: strings.Contains(name, "-srv"),
		c: newDirection(t, "client to server", read(t, name+".c2s")),
		s: newDirection(t, "server to client", read(t, name+".s2c")),
	}
}

// A real list with hard links, in a session that did not agree on them: CVE-2026-70458.
func TestARecordedListWithHardLinksIsRefused(t *testing.T) {
	s := newSession(t, "x-c-hardlinks-noinc-p32")
	if !s.handshake() {
		t.Fatal("the server sent the client away")
	}
	s.filters()
	_, err := flist.Decode(s.c.r, s.listOptions())
	if pe := new(wire.ProtocolError); !errors.As(err, &pe) || !strings.Contains(pe.Msg, "hard link") {
		t.Errorf("error is %v", err)
	}
}

// A real list of incremental recursion where none was agreed on.
func TestARecordedListWithOwnerNamesInItIsRefused(t *testing.T) {
	s := newSession(t, "d-whole-p32")
	if !s.handshake() {
		t.Fatal("the server sent the client away")
	}
	_, err := flist.Decode(s.c.r, s.listOptions())
	if pe := new(wire.ProtocolError); !errors.As(err, &pe) || !strings.Contains(pe.Msg, "incremental recursion") {
		t.Errorf("error is %v", err)
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(captures, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *session) run(name string) {
	if s.handshake() {
		s.filters()
		s.firstList()
		// The client's side first: it has the names, and what a redo finds is what an earlier reply has left.
		clientDones := s.clientStream()
		serverDones := s.serverStream()
		if s.incremental != nil {
			s.incremental.end()
		}
		if !sentAway[name] {
			s.checkEnd(name, clientDones, serverDones)
		}
	} else if !sentAway[name] {
		s.t.Error("the server sent the client away")
	}
	s.c.end(s.proto)
	s.s.end(s.proto)
}

// checkEnd holds a complete session against rsync-wire.md §14.2.
func (s *session) checkEnd(name string, clientDones, serverDones int) {
	want := len(s.lists) + 2
	if s.proto >= 31 {
		want++
	}
	if clientDones != want || serverDones != want+1 {
		s.t.Errorf("NDX_DONE %d times from the client, %d times from the server, want %d and %d", clientDones, serverDones, want, want+1)
	}
	if s.incremental != nil && s.incremental.eof != 1 {
		s.t.Errorf("the lists end %d times", s.incremental.eof)
	}
	bad := 0
	for _, replies := range s.replies {
		for _, r := range replies {
			if r.iflags&transfer != 0 && !r.ok {
				bad++
			}
		}
	}
	if bad != failed[name] {
		s.t.Errorf("%d files failed their digest, want %d", bad, failed[name])
	}
}
