package bench

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestLinksAreRead(t *testing.T) {
	for _, c := range []struct {
		text string
		want Link
		ok   bool
	}{
		{"20MB/s,40ms", Link{20e6, 40 * time.Millisecond}, true},
		{"40ms,20MB/s", Link{20e6, 40 * time.Millisecond}, true},
		{"1.5GB/s", Link{Rate: 1.5e9}, true},
		{"100kB/s", Link{Rate: 100e3}, true},
		{"2s", Link{Delay: 2 * time.Second}, true},
		{"", Link{}, false}, {"20", Link{}, false}, {"0MB/s", Link{}, false}, {"-1MB/s", Link{}, false}, {"NaNMB/s", Link{}, false}, {"1e99GB/s", Link{}, false},
		{"0ms", Link{}, false}, {"-1ms", Link{}, false}, {"11s", Link{}, false}, {"1MB/s,2MB/s", Link{}, false}, {"1ms,2ms", Link{}, false}, {"1MB/s,", Link{}, false},
	} {
		var got Link
		err := got.UnmarshalText([]byte(c.text))
		if (err == nil) != c.ok || got != c.want {
			t.Errorf("%q: %+v, %v", c.text, got, err)
		}
		var again Link
		if c.ok {
			if err := again.UnmarshalText([]byte(got.String())); err != nil || again != got {
				t.Errorf("%q is written as %q and then read as %+v (%v)", c.text, got, again, err)
			}
		}
	}
}

func FuzzLink(f *testing.F) {
	f.Add("20MB/s,40ms")
	f.Add("1e3kB/s")
	f.Fuzz(func(t *testing.T, text string) {
		var l Link
		if err := l.UnmarshalText([]byte(text)); err == nil && (!l.on() || l.Rate != 0 && (l.Rate < minLinkRate || l.Rate > maxLinkRate) || l.Delay < 0 || l.Delay > maxLinkDelay) {
			t.Errorf("%q: %+v", text, l)
		}
	})
}

func TestAPacerLetsSoManyBytesThroughInASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, began := pacer{rate: 1000}, time.Now()
		for range 10 {
			p.take(500)
		}
		if got := p.take(0).Sub(began); got != 5*time.Second {
			t.Errorf("5000 bytes at 1000 a second have left after %v", got)
		}
		time.Sleep(time.Minute) // of the bubble's clock: a link that was idle saves nothing up
		if got := time.Until(p.take(1000)); got != time.Second {
			t.Errorf("after a pause 1000 bytes take %v", got)
		}
		free := pacer{}
		if got := time.Until(free.take(1 << 40)); got != 0 {
			t.Errorf("without a rate bytes take %v", got)
		}
	})
}

// echoThrough sends content through a link to one that sends it back.
func echoThrough(t *testing.T, l Link, content []byte) time.Duration {
	t.Helper()
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	go func() {
		if conn, err := target.Accept(); err == nil {
			io.Copy(conn, conn)
			conn.Close()
		}
	}()
	p, err := l.proxy(t.Context(), target.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	conn, err := net.Dial("tcp", p.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	began, sent := time.Now(), make(chan error, 1)
	go func() {
		_, err := conn.Write(content)
		sent <- errors.Join(err, conn.(*net.TCPConn).CloseWrite())
	}()
	got, err := io.ReadAll(conn)
	if err = errors.Join(err, <-sent); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, content) {
		t.Fatalf("%d bytes went through and %d came back, or others", len(content), len(got))
	}
	return time.Since(began)
}

// A link can be slower than it says when the machine has other work, never faster.
func TestALinkIsAsSlowAsItSays(t *testing.T) {
	content := make([]byte, 400<<10)
	rand.Read(content)
	for _, c := range []struct {
		link  Link
		bytes int
		least time.Duration
	}{
		{Link{Rate: 2e6}, len(content), time.Duration(float64(len(content)) / 2e6 * float64(time.Second))},
		{Link{Delay: 100 * time.Millisecond}, 100, 100 * time.Millisecond},
		{Link{}, len(content), 0},
	} {
		if got := echoThrough(t, c.link, content[:c.bytes]); got < c.least || got > c.least+20*time.Second {
			t.Errorf("%v: %d bytes took %v, should take %v", c.link, c.bytes, got, c.least)
		}
	}
}

func TestALinkThatIsClosedBreaksItsConnections(t *testing.T) {
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	p, err := Link{Rate: 1e6, Delay: time.Second}.proxy(t.Context(), target.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", p.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	other, err := target.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := conn.Write(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	p.close()
	if _, err := io.ReadAll(conn); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Logf("the end comes as %v", err)
	}
}
