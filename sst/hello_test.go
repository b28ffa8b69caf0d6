package sst

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestHelloComesThroughAsItWasSent(t *testing.T) {
	for _, h := range []hello{
		{Version: "1", Role: "donor", Capabilities: []string{}},
		{Version: "1.2.3", Role: "donor", Capabilities: []string{"a", "b"}, Control: true, Need: 1 << 60,
			Needs: map[string]int64{"": 5, "log_dir": 6}, PageSize: 16384},
		{Version: "1", Role: "joiner", Capabilities: []string{}, Free: 7, Refused: `no room on "/var/lib/mysql" <disk>`},
	} {
		line, err := h.line()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Count(line, []byte("\n")) != 1 || line[len(line)-1] != '\n' {
			t.Errorf("not one line: %q", line)
		}
		got, err := parseHello(line, h.Role)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(h, got); d != "" {
			t.Error(d)
		}
	}
}

func TestHelloOfALaterVersionIsUnderstood(t *testing.T) {
	h, err := parseHello([]byte(`{"version":"9","capabilities":["segments"],"role":"joiner","mood":{"good":true},"free_bytes":3}`), "joiner")
	if err != nil || h.Free != 3 || h.Version != "9" {
		t.Fatalf("%+v, %v", h, err)
	}
	n, err := parseNotice([]byte(`{"turn":7}`))
	if err != nil || n != (notice{}) {
		t.Fatalf("%+v, %v", n, err)
	}
}

func TestHelloIsRefused(t *testing.T) {
	for name, line := range map[string]string{
		"when it is no JSON":                 "@RSYNCD: 31.0",
		"when it is empty":                   "",
		"when it is a list":                  "[]",
		"when both sides are joiners":        `{"version":"1","role":"joiner"}`,
		"when a size is negative":            `{"version":"1","role":"donor","need_bytes":-1}`,
		"when a size of a place is negative": `{"version":"1","role":"donor","needs":{"x":-1}}`,
		"when a size is no whole number":     `{"version":"1","role":"donor","need_bytes":1e300}`,
	} {
		t.Run(name, func(t *testing.T) {
			if h, err := parseHello([]byte(line), "donor"); err == nil {
				t.Errorf("taken as %+v", h)
			}
		})
	}
}

// However long and strange a reason is, the line must go out.
func TestAnyReasonFitsItsLine(t *testing.T) {
	for _, s := range []string{
		strings.Repeat("x", 1<<20), strings.Repeat(`"`, 5000), strings.Repeat("\\", 5000), strings.Repeat("\x01", 5000),
		strings.Repeat("\xff", 5000), strings.Repeat("ü", 5000), strings.Repeat("\u2028", 5000), strings.Repeat("<&>", 5000),
		strings.Repeat("😀", 5000), "two\nlines",
	} {
		line, err := hello{Version: "1", Role: "joiner", Refused: s}.line()
		if err != nil {
			t.Errorf("%.10q: %v", s, err)
		}
		if _, err := parseHello(line, "joiner"); err != nil {
			t.Errorf("%.10q: %v", s, err)
		}
		if _, err := (notice{State: s, Error: s}).line(); err != nil {
			t.Errorf("%.10q: %v", s, err)
		}
	}
}

func TestReadLineTakesNoByteOfWhatFollows(t *testing.T) {
	r := strings.NewReader("{}\r\n@RSYNCD: 32.0\n")
	line, err := readLine(r)
	if err != nil || string(line) != "{}" {
		t.Fatalf("%q, %v", line, err)
	}
	if rest, _ := io.ReadAll(r); string(rest) != "@RSYNCD: 32.0\n" {
		t.Errorf("left %q", rest)
	}
	if _, err := readLine(strings.NewReader(strings.Repeat("x", maxHello+1))); !errors.Is(err, errLineTooLong) {
		t.Errorf("a line without end: %v", err)
	}
	if _, err := readLine(strings.NewReader("half")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half a line: %v", err)
	}
	if _, err := readLine(strings.NewReader("")); !errors.Is(err, io.EOF) {
		t.Errorf("no line: %v", err)
	}
}

func TestHelloIsNotWaitedForForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		began := time.Now()
		if _, err := receiveHello(a, "donor"); err == nil || time.Since(began) != helloLimit {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		began = time.Now()
		if err := sendHello(a, hello{Version: "1", Role: "joiner"}); err == nil || time.Since(began) != helloLimit {
			t.Errorf("sending, after %v: %v", time.Since(began), err)
		}
	})
}

func FuzzHello(f *testing.F) {
	f.Add([]byte(`{"version":"1","capabilities":[],"role":"donor","need_bytes":5,"needs":{"":5},"page_size":16384}`))
	f.Add([]byte(`{"role":"donor","refused":"\u0007"}`))
	f.Add([]byte(`{"error":"x","state":"y"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if line, err := readLine(bytes.NewReader(b)); err == nil && len(line) > maxHello {
			t.Errorf("a line of %d bytes", len(line))
		}
		if n, err := parseNotice(b); err == nil {
			isPlain(t, n.Error)
			isPlain(t, n.State)
		}
		h, err := parseHello(b, "donor")
		if err != nil {
			return
		}
		isPlain(t, h.Refused)
		isPlain(t, h.Version)
		if h.Need < 0 || h.Free < 0 || h.PageSize < 0 {
			t.Errorf("negative: %+v", h)
		}
	})
}

func isPlain(t *testing.T, s string) {
	t.Helper()
	if len(s) > 4*maxReason || strings.ContainsAny(s, "\n\r\x00\x1b") {
		t.Errorf("not fit for a log: %q", s)
	}
}

// pair gives the two ends of a control connection.
func pair(silence time.Duration) (donor, joiner *control) {
	a, b := net.Pipe()
	return newControl(a, "joiner", silence), newControl(b, "donor", silence)
}

func TestControlStaysAliveForHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		donor, joiner := pair(30 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Hour)
		defer cancel()
		donor.tell("waiting for the lock")
		heard := make(chan string, 10)
		got := make(chan error, 2)
		go func() { got <- donor.run(ctx, func(s string) { heard <- "joiner: " + s }) }()
		go func() { got <- joiner.run(ctx, func(s string) { heard <- s }) }()
		time.Sleep(time.Hour)
		donor.tell("sending")
		for range 2 {
			if err := <-got; err != nil {
				t.Error(err)
			}
		}
		close(heard)
		var states []string
		for s := range heard {
			states = append(states, s)
		}
		if d := cmp.Diff([]string{"waiting for the lock", "sending"}, states); d != "" {
			t.Error(d)
		}
	})
}

func TestControlTellsWhyTheOtherSideEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		donor, joiner := pair(30 * time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error)
		go func() { left <- joiner.run(ctx, func(string) {}) }()
		got := make(chan error)
		go func() { got <- donor.run(t.Context(), func(string) {}) }()
		synctest.Wait()
		joiner.giveUp(errors.New("no space left\non device"))
		cancel()
		if err := <-left; err != nil {
			t.Error(err)
		}
		if err := <-got; err == nil || err.Error() != "joiner gave up: no space left?on device" {
			t.Errorf("got %v", err)
		}
	})
}

func TestControlEndsInPeaceWhenAllHasArrived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		donor, joiner := pair(30 * time.Second)
		go func() {
			joiner.complete()
			joiner.conn.Close()
		}()
		if err := donor.run(t.Context(), func(string) {}); err != nil {
			t.Errorf("got %v", err)
		}
	})
}

func TestControlSeesAPeerThatIsGoneOrSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		donor, joiner := pair(30 * time.Second)
		joiner.conn.Close()
		if err := donor.run(t.Context(), func(string) {}); !errors.Is(err, errPeerLeft) {
			t.Errorf("gone: %v", err)
		}
		donor, joiner = pair(30 * time.Second)
		defer joiner.conn.Close()
		began := time.Now()
		err := donor.run(t.Context(), func(string) {}) // nobody reads or writes at the other end
		if err == nil || time.Since(began) < 30*time.Second || time.Since(began) > 32*time.Second {
			t.Errorf("silent, after %v: %v", time.Since(began), err)
		}
		began = time.Now()
		donor.giveUp(errors.New("x"))
		donor.tell("y")
		if time.Since(began) > 2*time.Second {
			t.Errorf("last words took %v", time.Since(began))
		}
	})
}
