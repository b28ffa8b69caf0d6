package report

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// DevLog is where the system's log listens.
const DevLog = "/dev/log"

// A Syslog sends lines to the system's log: datagrams to a socket of the file system,
// in the form that syslog(3) has (RFC 3164 without a host). It never waits, and says of
// each line whether it was taken.
type Syslog struct {
	path string
	tag  string // with the process, before the text
	fd   int    // -1: not connected
	now  func() time.Time
}

// OpenSyslog connects to the socket at path. Lines go out as from a program tag.
func OpenSyslog(path, tag string) (*Syslog, error) {
	s := &Syslog{path: path, tag: fmt.Sprintf("%s[%d]", tag, os.Getpid()), fd: -1, now: time.Now}
	return s, s.connect()
}

// connect makes a new connection: the log may have been started anew.
func (s *Syslog) connect() error {
	s.Close()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: s.path}); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	s.fd = fd
	return nil
}

// priorities are those of syslog(3): the facility daemon, and info, warning, err.
var priorities = map[Level]int{Info: 3<<3 | 6, Warning: 3<<3 | 4, Error: 3<<3 | 3}

// send gives a line away, and says whether it was taken.
func (s *Syslog) send(level Level, line string) bool {
	text := fmt.Sprintf("<%d>%s %s: %s", priorities[level], s.now().Format(time.Stamp), s.tag, line)
	for range 2 {
		if s.fd < 0 && s.connect() != nil {
			return false
		}
		err := unix.Sendto(s.fd, []byte(text), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
		switch {
		case err == nil:
			return true
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EMSGSIZE): // it is there, and does not take it
			return false
		}
		s.Close()
	}
	return false
}

// Close ends it; lines after that connect again.
func (s *Syslog) Close() {
	if s.fd >= 0 {
		_ = unix.Close(s.fd) // nothing is pending in a datagram socket
		s.fd = -1
	}
}
