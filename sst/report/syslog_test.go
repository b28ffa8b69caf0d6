package report

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// listenLog is the system's log.
func listenLog(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// received is the next line that the system's log got.
func received(t *testing.T, l *net.UnixConn) string {
	t.Helper()
	if err := l.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 8192)
	n, err := l.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// logTo makes a log whose lines go to the system's log at path, else to the buffer.
func logTo(t *testing.T, path string) (*Log, *bytes.Buffer) {
	t.Helper()
	s, err := OpenSyslog(path, "wsrep-sst-donor")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	var rest bytes.Buffer
	l := NewLog(&rest, nil)
	l.To(s)
	return l, &rest
}

func TestLinesInSyslogHaveItsFormAndOurs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	syslog := listenLog(t, path)
	l, rest := logTo(t, path)
	const stamp = `[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} wsrep-sst-donor\[[0-9]+\]: WSREP_SST: `
	l.Infof("one\ntwo")
	l.Warningf("three")
	l.Error(errors.New("four"))
	for _, want := range []string{"<30>" + stamp + `\[INFO\] one \([0-9]{8} [0-9:.]+\)`, "<30>" + stamp + `\[INFO\] two .*`,
		"<28>" + stamp + `\[WARNING\] three .*`, "<27>" + stamp + `\[ERROR\] four .*`} {
		if got := received(t, syslog); !regexp.MustCompile("^" + want + "$").MatchString(got) {
			t.Errorf("%q, want %s", got, want)
		}
	}
	if got := rest.String(); strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "WSREP_SST: [ERROR] four (") {
		t.Errorf("the error log has %q", got)
	}
}

// A log that hangs must not hold up a donor under its lock, nor may lines be lost: what
// it does not take goes to the error log.
func TestASyslogThatDoesNotReadHoldsNobodyUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	listenLog(t, path)
	l, rest := logTo(t, path)
	const lines = 5000 // more than the socket holds
	began := time.Now()
	for range lines {
		l.Infof("%s", strings.Repeat("x", 100))
	}
	if d := time.Since(began); d > 20*time.Second {
		t.Errorf("took %v", d)
	}
	if n := strings.Count(rest.String(), "\n"); n == 0 || n >= lines {
		t.Errorf("%d lines of %d are in the error log", n, lines)
	}
}

func TestASyslogThatIsStartedAnewIsFoundAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	first := listenLog(t, path)
	l, rest := logTo(t, path)
	l.Infof("one")
	received(t, first)
	first.Close()
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	l.Infof("two")
	if !strings.Contains(rest.String(), "two") {
		t.Errorf("the error log has %q", rest)
	}
	second := listenLog(t, path)
	l.Infof("three")
	if got := received(t, second); !strings.Contains(got, "three") {
		t.Errorf("%q", got)
	}
}

func TestWithoutASyslogThereIsAnError(t *testing.T) {
	if _, err := OpenSyslog(filepath.Join(t.TempDir(), "none"), "x"); err == nil {
		t.Error("connected to nothing")
	}
}
