package tls

import (
	"fmt"
	"strings"
)

// known is an option that socat has (sockopt.md sections 4 and 6).
type known struct {
	names string // canonical name first, then the aliases
	once  bool   // socat refuses connections when it stands twice

	// One of these applies the value; with none of them the option is refused by
	// name, for the reason in refused or because this version does not handle it.
	number func(*settings, int64)        // a bare option means 1
	text   func(*settings, string) error // bare is an error

	refused string // why it never can be taken
	instead string // what to do then
}

func (k known) name() string { return strings.Fields(k.names)[0] }

// set applies an option to the settings, or says why not.
func (k known) set(s *settings, o option) error {
	object := "sockopt " + o.text
	var err error
	switch {
	case k.refused != "":
		return fault(object, k.instead, "%s", k.refused)
	case k.number == nil && k.text == nil:
		hint := k.instead
		if hint == "" {
			hint = fmt.Sprintf("remove %s from sockopt", o.name)
		}
		return fault(object, hint, "%s is an option of socat that this version does not handle", o.name)
	case k.number != nil && o.bare:
		k.number(s, 1)
	case k.number != nil:
		var n int64
		if n, err = cNumber(o.value); err == nil {
			k.number(s, n)
		}
	case o.bare:
		err = fmt.Errorf("a value is required")
	default:
		err = k.text(s, o.value)
	}
	if err != nil {
		return &Error{Object: object, Err: err}
	}
	return nil
}

var options = []known{
	// TLS, section 4
	{names: "openssl-verify verify", once: true, number: (*settings).setVerify},
	{names: "openssl-commonname commonname cn", once: true, text: (*settings).setCommonname},
	{names: "openssl-cipherlist cipher ciphers cipherlist", once: true, text: (*settings).setCipher},
	{names: "openssl-min-proto-version min-version min-proto-version", text: (*settings).minVersion},
	{names: "openssl-max-proto-version max-version max-proto-version", text: (*settings).maxVersion},
	{names: "openssl-certificate cert certificate", once: true, instead: "put the file into tcert"},
	{names: "openssl-key key", once: true, instead: "put the file into tkey"},
	{names: "openssl-cafile cafile", once: true, instead: "put the file into tca"},
	{names: "openssl-capath capath", once: true, instead: "put the certificates into one file, and that into tca"},
	{names: "openssl-method method opensslmethod", once: true, instead: "use min-version and max-version"},
	{names: "openssl-dhparam dhparam dhparams dh", once: true},
	{names: "openssl-compress compress", once: true},
	{names: "openssl-no-sni no-sni nosni", once: true},
	{names: "openssl-snihost snihost", once: true},
	{names: "openssl-fips fips", once: true},
	{names: "openssl-egd egd", once: true},
	{names: "openssl-pseudo pseudo", once: true},
	{names: "openssl-maxfraglen maxfraglen", once: true},
	{names: "openssl-maxsendfrag maxsendfrag", once: true},

	// addresses and sockets, section 6
	{names: "protocol-family pf", once: true, text: (*settings).setFamily},
	{names: "bind", once: true},
	{names: "sourceport sp"},
	{names: "lowport"},
	{names: "so-bindtodevice if interface bindtodevice"},
	{names: "so-keepalive keepalive"},
	{names: "tcp-keepidle keepidle"},
	{names: "tcp-keepintvl keepintvl"},
	{names: "tcp-keepcnt keepcnt"},
	{names: "tcp-nodelay nodelay"},
	{names: "so-sndbuf sndbuf"},
	{names: "so-rcvbuf rcvbuf"},
	{names: "so-sndbuf-late sndbuf-late"},
	{names: "so-rcvbuf-late rcvbuf-late"},
	{names: "so-linger linger"},
	{names: "ip-tos tos"},
	{names: "ip-ttl ttl"},
	{names: "so-priority priority"},
	{names: "tcp-maxseg mss maxseg"},
	{names: "tcp-maxseg-late mss-late maxseg-late"},
	{names: "tcp-cork cork"},
	{names: "tcp-defer-accept defer-accept"},
	{names: "tcp-syncnt syncnt"},
	{names: "tcp-quickack quickack"},
	{names: "tcp-linger2 linger2"},
	{names: "tcp-window-clamp window-clamp"},
	{names: "tcp-md5sig md5sig"},
	{names: "ip-mtu-discover mtudiscover"},
	{names: "ip-freebind freebind"},
	{names: "ip-transparent transparent"},
	{names: "ipv6-v6only ipv6only v6only"},
	{names: "connect-timeout"},
	{names: "retry"},
	{names: "interval intervall"},
	{names: "forever"},
	{names: "so-reuseaddr reuseaddr"},
	{names: "so-reuseport reuseport"},
	{names: "backlog"},
	{names: "accept-timeout listen-timeout"},
	{names: "max-children maxchildren"},
	{names: "range"},
	{names: "fork", once: true},
	{names: "su substuser"},
	{names: "su-d substuser-delayed"},
	{names: "su-e substuser-early"},
	{names: "setuid"}, {names: "setgid"}, {names: "user"}, {names: "group"}, {names: "mode"}, {names: "perm"},
	{names: "cool-write"},
	{names: "end-close close"},
	{names: "shut-none"}, {names: "shut-down"}, {names: "shut-close"}, {names: "shut-null"}, {names: "null-eof"},
	{names: "setsockopt"}, {names: "setsockopt-int"}, {names: "setsockopt-bin"},
	{names: "setsockopt-string"}, {names: "setsockopt-listen"},
	{names: "lockfile"}, {names: "waitlock"}, {names: "cloexec"}, {names: "broadcast"}, {names: "debug"}, {names: "dontroute"},
	{names: "rcvtimeo"}, {names: "sndtimeo"}, {names: "netns"}, {names: "chdir"}, {names: "children-shutup"},
	{names: "so-type type socktype"},
	{names: "so-protocol protocol"},

	// never taken: they would weaken trust or corrupt the stream
	{names: "tcpwrappers tcpwrap wrap libwrap", refused: "hosts.allow and hosts.deny are not read", instead: "use a firewall rule, and remove the option"},
	{names: "hosts-allow", refused: "hosts.allow is not read", instead: "use a firewall rule, and remove the option"},
	{names: "hosts-deny", refused: "hosts.deny is not read", instead: "use a firewall rule, and remove the option"},
	{names: "tcpwrap-etc", refused: "hosts.allow and hosts.deny are not read", instead: "use a firewall rule, and remove the option"},
	{names: "chroot", refused: "the process does not change its root", instead: "remove the option"},
	{names: "chroot-early", refused: "the process does not change its root", instead: "remove the option"},
	{names: "crnl crlf", refused: "it would corrupt the files sent", instead: "remove the option"},
	{names: "cr", refused: "it would corrupt the files sent", instead: "remove the option"},
	{names: "ignoreeof", refused: "the transfer would never end", instead: "remove the option"},
	{names: "readbytes bytes", refused: "it would cut the transfer short", instead: "remove the option"},
	{names: "escape", refused: "it would cut the transfer short", instead: "remove the option"},
	{names: "nonblock", refused: "no handshake would succeed with socat", instead: "remove the option"},
	{names: "ndelay", refused: "no handshake would succeed with socat", instead: "remove the option"},

	// no option of socat, but asked for
	{names: "ciphersuites", refused: "no option of socat: the ciphers of TLS 1.3 cannot be chosen", instead: "remove it; for TLS 1.2 use cipher"},
	{names: "tcp-user-timeout", refused: "no option of socat", instead: "remove it"},
	{names: "congestion", refused: "no option of socat", instead: "remove it; set net.ipv4.tcp_congestion_control for the host"},
	{names: "t", refused: "-T is an option of the program socat, not of an address", instead: "remove it"},
	{names: "b", refused: "-b is an option of the program socat, not of an address", instead: "remove it"},
	{names: "v", refused: "-v is an option of the program socat, not of an address", instead: "remove it"},
}

// families are beginnings of names of which socat has many without a use here.
var families = []string{"res-", "ai-", "so-", "ip-recv", "ip-add-", "ipv6-", "ioctl-", "flock-", "f-set"}

// lookup finds an option by any of its names; case does not count (C9).
func lookup(name string) (known, bool) {
	name = strings.ToLower(name)
	if strings.ContainsAny(name, " \t\n") {
		return known{}, false
	}
	for _, k := range options {
		if hasWord(" "+k.names+" ", name) {
			return k, true
		}
	}
	for _, f := range families {
		if strings.HasPrefix(name, f) && len(name) > len(f) {
			return known{names: name}, true
		}
	}
	return known{}, false
}

// unknownOption refuses a name and points to the likeliest slip of the pen.
func unknownOption(o option) error {
	hint := "remove it from sockopt"
	if strings.Contains(o.name, "=") {
		hint = "a quote may not enclose the \"=\""
	} else if k, ok := lookup(strings.TrimSpace(o.name)); ok {
		hint = fmt.Sprintf("no blanks around the name: %s", k.name())
	} else if k, ok := lookup(strings.ReplaceAll(o.name, "_", "-")); ok {
		hint = fmt.Sprintf("socat writes it %s", k.name())
	}
	return fault("sockopt "+o.text, hint, "socat has no option %q", o.name)
}
