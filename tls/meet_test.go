package tls

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// outcome is what the two ends saw of one connection.
type outcome struct {
	joiner, donor       *Conn // nil when refused
	joinerErr, donorErr error
}

// load is Load that must succeed.
func load(t testing.TB, c Config) *Channel {
	t.Helper()
	ch, err := Load(c)
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func loopback(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func portOf(ln net.Listener) int { return ln.Addr().(*net.TCPAddr).Port }

// meet connects two channels over loopback. The donor reads one byte that the
// joiner writes: only then has a TLS 1.3 joiner accepted it.
func meet(t testing.TB, joiner, donor *Channel) outcome {
	t.Helper()
	return meetOn(t, loopback(t), joiner, donor)
}

func meetOn(t testing.TB, ln net.Listener, joiner, donor *Channel) (o outcome) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		raw, err := ln.Accept()
		if err != nil {
			o.joinerErr = err
			return
		}
		if o.joiner, o.joinerErr = joiner.Server(ctx, raw); o.joinerErr == nil {
			_, o.joinerErr = o.joiner.Write([]byte("@"))
		}
	}()
	o.donor, o.donorErr = donor.Dial(ctx, ln.Addr().(*net.TCPAddr).IP.String(), portOf(ln))
	if donor := o.donor; donor != nil {
		t.Cleanup(func() { donor.Close() })
		_, err := o.donor.Read(make([]byte, 1))
		if o.donorErr = o.donor.Explain(err); err != nil {
			donor.Close()
			o.donor = nil
		}
	}
	if o.donorErr != nil {
		ln.Close() // it may never have come
	}
	<-done
	if o.joiner != nil {
		t.Cleanup(func() { o.joiner.Close() })
	}
	return o
}

// wantErr checks an error for pieces of its text; none means no error.
func wantErr(t testing.TB, who string, err error, pieces ...string) {
	t.Helper()
	if len(pieces) == 0 {
		if err != nil {
			t.Errorf("%s: %v", who, err)
		}
		return
	}
	if err == nil {
		t.Errorf("%s: no error, want one with %q", who, pieces)
		return
	}
	text := err.Error() + " hint: " + Hint(err)
	for _, p := range pieces {
		if !strings.Contains(text, p) {
			t.Errorf("%s: %q lacks %q", who, text, p)
		}
	}
}
