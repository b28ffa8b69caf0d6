package tls

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// when is the moment at which a socket gets an option.
type when byte

const (
	early  when           = 1 << iota // before it connects or listens; accepted ones inherit it
	late                              // once it is connected
	always = early | late             // crypto and net have their own idea of it in between
)

// socketOption is one setsockopt.
type socketOption struct {
	name       string // canonical, for messages
	when       when
	level, opt int
	value      int
	text       string // in the place of value, for isText
	isText     bool
	opt6       int  // the option of IPPROTO_IPV6 that IPv6 sockets get besides; 0: none
	only6      bool // IPv4 sockets do not have it
	strict     bool // it restricts who can connect: without it there is no connection
}

func (o socketOption) String() string {
	value := strconv.Itoa(o.value)
	if o.isText {
		value = printable(o.text)
	}
	if strings.HasPrefix(o.name, "setsockopt") {
		value = fmt.Sprintf("%d:%d:%s", o.level, o.opt, value)
	}
	return o.name + "=" + value
}

// socketInt is an option of socat that is one setsockopt with an int.
func socketInt(names string, level, opt int, at when) known {
	name, _, _ := strings.Cut(names, " ")
	return known{names: names, does: native, number: integer(-anyInt, anyInt, func(s *settings, n int) {
		s.addSocket(socketOption{name: name, when: at, level: level, opt: opt, value: n})
	})}
}

// socketPair is one of IPPROTO_IP with a sister for IPv6, which socat leaves alone.
func socketPair(names string, opt, opt6 int) known {
	name, _, _ := strings.Cut(names, " ")
	return known{names: names, does: native, number: integer(-anyInt, anyInt, func(s *settings, n int) {
		s.addSocket(socketOption{name: name, when: early, level: unix.IPPROTO_IP, opt: opt, opt6: opt6, value: n})
	})}
}

// addSocket notes an option; the last one of a name counts, as setsockopt has it.
// Raw ones are told apart by what they set.
func (s *settings) addSocket(o socketOption) {
	for i, have := range s.socket {
		if have.name == o.name && have.level == o.level && have.opt == o.opt {
			s.socket[i] = o
			return
		}
	}
	s.socket = append(s.socket, o)
}

func (s *settings) setV6Only(n int) {
	s.addSocket(socketOption{name: "ipv6-v6only", when: early, level: unix.IPPROTO_IPV6, opt: unix.IPV6_V6ONLY, value: n, only6: true, strict: true})
}

func (s *settings) setDevice(name string) error {
	if len(name) >= unix.IFNAMSIZ {
		return fmt.Errorf("is longer than the name of an interface, at most %d bytes", unix.IFNAMSIZ-1)
	}
	s.addSocket(socketOption{name: "so-bindtodevice", when: early, level: unix.SOL_SOCKET, opt: unix.SO_BINDTODEVICE, text: name, isText: true, strict: true})
	return nil
}

// setRawInt and setRawString read LEVEL:OPTION:VALUE.
func (s *settings) setRawInt(value string) error {
	o, rest, err := rawOption("setsockopt-int", value)
	if err != nil {
		return err
	}
	n, err := cNumber(rest)
	if err != nil {
		return err
	}
	if n < -anyInt || n > anyInt {
		return fmt.Errorf("the value is out of range")
	}
	o.value = int(n)
	s.addSocket(o)
	return nil
}

func (s *settings) setRawString(value string) error {
	o, rest, err := rawOption("setsockopt-string", value)
	if err != nil {
		return err
	}
	o.text, o.isText = rest, true
	s.addSocket(o)
	return nil
}

func rawOption(name, value string) (socketOption, string, error) {
	parts := strings.SplitN(value, ":", 3)
	if len(parts) < 3 {
		return socketOption{}, "", errors.New("LEVEL:OPTION:VALUE is required, three parts")
	}
	o := socketOption{name: name, when: late}
	for i, to := range []*int{&o.level, &o.opt} {
		n, err := cNumber(parts[i])
		if err != nil {
			return socketOption{}, "", err
		}
		if n < 0 || n > anyInt {
			return socketOption{}, "", fmt.Errorf("%d is out of range", n)
		}
		*to = int(n)
	}
	return o, parts[2], nil
}

// onlyNumber is an option of which one value means what is done anyway.
func onlyNumber(n int64, why string) func(*settings, int64) error {
	return func(_ *settings, got int64) error {
		if got != n && got != 0 {
			return fault("", "remove it from sockopt", "%s", why)
		}
		return nil
	}
}

// configure sets the options that belong to a moment. An option that only tunes
// never stops an SST: what the system says no to is a warning.
func (c *Channel) configure(raw syscall.RawConn, at when) error {
	if len(c.set.socket) == 0 {
		return nil
	}
	var failed error
	err := raw.Control(func(fd uintptr) {
		family, _ := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		for _, o := range c.set.socket {
			if o.when&at == 0 || o.only6 && family != unix.AF_INET6 {
				continue
			}
			err := o.apply(int(fd), family)
			switch {
			case err == nil:
			case o.strict:
				failed = o.fault(err)
				return
			default:
				c.warn("sockopt " + o.String() + ": the system does not take it (" + err.Error() + "), the connection goes on without")
			}
		}
	})
	return errors.Join(err, failed)
}

func (o socketOption) apply(fd, family int) error {
	if o.isText {
		return os.NewSyscallError("setsockopt", unix.SetsockoptString(fd, o.level, o.opt, o.text))
	}
	if o.opt6 != 0 && family == unix.AF_INET6 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, o.opt6, o.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, o.level, o.opt, o.value))
}

// fault is for an option that restricts who can connect.
func (o socketOption) fault(err error) error {
	hint := "remove it from sockopt, or give mariadbd what it needs"
	switch {
	case errors.Is(err, syscall.ENODEV):
		hint = "ip link shows the interfaces of this host"
	case errors.Is(err, syscall.EPERM):
		hint = "it needs CAP_NET_RAW: AmbientCapabilities=CAP_NET_RAW in the unit of mariadbd, or a firewall rule in its place"
	}
	return fault("sockopt "+o.String(), hint, "it restricts who can connect, and the system does not take it: %w", err)
}
