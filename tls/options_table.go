package tls

import "golang.org/x/sys/unix"

// options is every option that an openssl address of socat takes, and a few that
// are asked for though no socat has them. docs/sockopt.md lists the same; a test
// holds the two together, another compares the names with the installed socat.
var options = []known{
	// TLS, sockopt.md section 4
	{names: "openssl-certificate cert certificate", does: native, once: true, text: (*settings).setCert},
	{names: "openssl-key key", does: native, once: true, text: (*settings).setKey},
	{names: "openssl-cafile cafile", does: native, once: true, text: (*settings).setCA},
	{names: "openssl-capath capath", does: mapped, once: true, text: (*settings).setCAPath},
	{names: "openssl-verify verify", does: native, once: true, number: flag(func(s *settings, on bool) { s.verify = on })},
	{names: "openssl-commonname commonname cn", does: native, once: true, text: (*settings).setCommonname},
	{names: "openssl-cipherlist cipher ciphers cipherlist", does: mapped, once: true, text: (*settings).setCipher},
	{names: "openssl-min-proto-version min-version min-proto-version", does: native, text: (*settings).minVersion},
	{names: "openssl-max-proto-version max-version max-proto-version", does: native, text: (*settings).maxVersion},
	{names: "openssl-method method opensslmethod", does: mapped, once: true, text: (*settings).setMethod},
	{names: "openssl-dhparam dhparam dhparams dh openssl-dhparams", does: ignored, once: true, why: "no key exchange here uses such parameters"},
	{names: "openssl-compress compress", does: mapped, once: true, text: (*settings).setCompress},
	{names: "openssl-no-sni no-sni nosni", does: native, at: donorOnly, once: true, number: flag(func(s *settings, on bool) { s.noSNI = on })},
	{names: "openssl-snihost snihost", does: native, at: donorOnly, once: true, text: (*settings).setSNIHost},
	{names: "openssl-fips fips", does: mapped, once: true, number: (*settings).setFIPS},
	{names: "openssl-egd egd", does: ignored, once: true, why: "random numbers come from the kernel"},
	{names: "openssl-pseudo pseudo", does: ignored, once: true, why: "random numbers come from the kernel"},
	{names: "openssl-maxfraglen maxfraglen", does: ignored, once: true, why: "records have the size that is fastest"},
	{names: "openssl-maxsendfrag maxsendfrag", does: ignored, once: true, why: "records have the size that is fastest"},
	{names: "ciphersuites", does: refused, why: "no option of socat: the ciphers of TLS 1.3 cannot be chosen", instead: "remove it; for TLS 1.2 use cipher"},

	// who connects, and how often; section 6
	{names: "protocol-family pf", does: mapped, once: true, text: (*settings).setFamily},
	{names: "bind", does: native, at: donorOnly, once: true, text: (*settings).setBind},
	{names: "sourceport sp", does: mapped, once: true, number: integer(0, 65535, func(s *settings, n int) { s.sourcePort = n })},
	{names: "lowport", does: mapped, once: true, number: flag(func(s *settings, on bool) { s.lowPort = on })},
	{names: "range", does: native, at: joinerOnly, once: true, text: (*settings).setRange},
	{names: "connect-timeout", does: native, at: donorOnly, time: (*settings).setConnectTimeout},
	{names: "retry", does: native, number: integer(0, anyInt, func(s *settings, n int) { s.retry = n })},
	{names: "interval intervall", does: native, time: (*settings).setInterval},
	{names: "forever", does: native, number: flag(func(s *settings, on bool) { s.forever = on })},
	{names: "backlog", does: native, at: joinerOnly, once: true, number: integer(0, anyInt, func(s *settings, n int) { s.backlog = &n })},
	{names: "accept-timeout listen-timeout", does: mapped, at: joinerOnly, time: (*settings).setAcceptTimeout},
	{names: "max-children maxchildren", does: mapped, at: joinerOnly, once: true, number: integer(0, anyInt, func(s *settings, n int) { s.maxChildren = n })},
	{names: "tcpwrappers tcpwrap tcpwrapper wrap libwrap", does: refused, why: "hosts.allow and hosts.deny are not read", instead: "use range or a firewall rule, and remove the option"},
	{names: "tcpwrap-hosts-allow-table hosts-allow allow-table", does: refused, why: "hosts.allow is not read", instead: "use range or a firewall rule, and remove the option"},
	{names: "tcpwrap-hosts-deny-table hosts-deny deny-table", does: refused, why: "hosts.deny is not read", instead: "use range or a firewall rule, and remove the option"},
	{names: "tcpwrap-etc tcpwrap-dir", does: refused, why: "hosts.allow and hosts.deny are not read", instead: "use range or a firewall rule, and remove the option"},

	// sockets; section 6
	socketInt("so-keepalive keepalive", unix.SOL_SOCKET, unix.SO_KEEPALIVE, always),
	socketInt("tcp-keepidle keepidle", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, always),
	socketInt("tcp-keepintvl keepintvl", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, always),
	socketInt("tcp-keepcnt keepcnt", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, always),
	socketInt("tcp-nodelay nodelay", unix.IPPROTO_TCP, unix.TCP_NODELAY, always),
	socketInt("so-sndbuf sndbuf", unix.SOL_SOCKET, unix.SO_SNDBUF, early),
	socketInt("so-rcvbuf rcvbuf", unix.SOL_SOCKET, unix.SO_RCVBUF, early),
	socketInt("so-sndbuf-late sndbuf-late", unix.SOL_SOCKET, unix.SO_SNDBUF, late),
	socketInt("so-rcvbuf-late rcvbuf-late", unix.SOL_SOCKET, unix.SO_RCVBUF, late),
	socketInt("so-priority priority", unix.SOL_SOCKET, unix.SO_PRIORITY, always),
	socketPair("ip-tos tos iptos", unix.IP_TOS, unix.IPV6_TCLASS),
	socketPair("ip-ttl ttl ipttl", unix.IP_TTL, unix.IPV6_UNICAST_HOPS),
	socketPair("ip-mtu-discover mtudiscover ipmtudiscover", unix.IP_MTU_DISCOVER, unix.IPV6_MTU_DISCOVER),
	socketPair("ip-freebind freebind ipfreebind", unix.IP_FREEBIND, unix.IPV6_FREEBIND),
	socketPair("ip-transparent transparent", unix.IP_TRANSPARENT, unix.IPV6_TRANSPARENT),
	socketInt("tcp-maxseg mss maxseg", unix.IPPROTO_TCP, unix.TCP_MAXSEG, early),
	socketInt("tcp-maxseg-late mss-late maxseg-late", unix.IPPROTO_TCP, unix.TCP_MAXSEG, late),
	socketInt("tcp-defer-accept defer-accept", unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, early),
	socketInt("tcp-syncnt syncnt", unix.IPPROTO_TCP, unix.TCP_SYNCNT, early),
	socketInt("tcp-quickack quickack", unix.IPPROTO_TCP, unix.TCP_QUICKACK, late),
	socketInt("tcp-linger2 linger2", unix.IPPROTO_TCP, unix.TCP_LINGER2, early),
	socketInt("tcp-window-clamp window-clamp", unix.IPPROTO_TCP, unix.TCP_WINDOW_CLAMP, always),
	socketInt("so-reuseaddr reuseaddr", unix.SOL_SOCKET, unix.SO_REUSEADDR, early),
	socketInt("so-reuseport reuseport", unix.SOL_SOCKET, unix.SO_REUSEPORT, early),
	{names: "ipv6-v6only ipv6only v6only", does: native, number: integer(-anyInt, anyInt, (*settings).setV6Only)},
	{names: "so-bindtodevice if interface bindtodevice", does: native, text: (*settings).setDevice},
	{names: "setsockopt-int sockopt-int", does: native, text: (*settings).setRawInt},
	{names: "setsockopt-string sockopt-string", does: native, text: (*settings).setRawString},
	{names: "setsockopt sockopt", does: refused, why: "binary values are not read", instead: "use setsockopt-int=LEVEL:OPTION:NUMBER or setsockopt-string"},
	{names: "setsockopt-bin sockopt-bin", does: refused, why: "binary values are not read", instead: "use setsockopt-int=LEVEL:OPTION:NUMBER or setsockopt-string"},
	{names: "setsockopt-listen sockopt-listen", does: refused, why: "binary values are not read", instead: "use setsockopt-int=LEVEL:OPTION:NUMBER or setsockopt-string"},
	{names: "so-type type socktype", does: mapped, number: onlyNumber(unix.SOCK_STREAM, "the connection is TCP, whose type is 1")},
	{names: "so-protocol protocol prototype so-prototype", does: mapped, number: onlyNumber(unix.IPPROTO_TCP, "the connection is TCP, whose number is 6")},

	// what this program does in a way of its own
	{names: "so-linger linger", does: ignored, why: "a connection is shut down in order, its end waits for nobody"},
	{names: "tcp-cork cork", does: ignored, why: "records are collected before they are sent"},
	{names: "tcp-md5sig", does: ignored, why: "it needs a key, for which socat has no option either"},
	{names: "tcp-info info", does: ignored, why: "it cannot be set"},
	{names: "fork", does: ignored, once: true, why: "all connections are served"},
	{names: "rcvtimeo", does: ignored, why: "sst-timeout is the limit for a silent peer"},
	{names: "sndtimeo", does: ignored, why: "sst-timeout is the limit for a silent peer"},
	{names: "cool-write coolwrite", does: ignored, why: endOfTransfer},
	{names: "end-close close", does: ignored, why: endOfTransfer},
	{names: "shut-none", does: ignored, why: endOfTransfer},
	{names: "shut-down", does: ignored, why: endOfTransfer},
	{names: "shut-close", does: ignored, why: endOfTransfer},
	{names: "shut-null", does: ignored, why: endOfTransfer},
	{names: "null-eof", does: ignored, why: endOfTransfer},
	{names: "substuser su", does: ignored, why: noUsers},
	{names: "substuser-delayed su-d", does: ignored, why: noUsers},
	{names: "substuser-early su-e", does: ignored, why: noUsers},
	{names: "setuid", does: ignored, why: noUsers}, {names: "setuid-early", does: ignored, why: noUsers},
	{names: "setgid", does: ignored, why: noUsers}, {names: "setgid-early", does: ignored, why: noUsers},
	{names: "user owner uid", does: ignored, why: noOwner}, {names: "user-late uid-l", does: ignored, why: noOwner},
	{names: "group gid", does: ignored, why: noOwner}, {names: "group-late gid-l", does: ignored, why: noOwner},
	{names: "perm mode", does: ignored, why: noOwner}, {names: "perm-late", does: ignored, why: noOwner},
	{names: "setsid sid", does: ignored, why: noProcess}, {names: "chdir", does: ignored, why: noProcess},
	{names: "children-shutup", does: ignored, why: noProcess}, {names: "netns", does: ignored, why: noProcess},
	{names: "cloexec", does: ignored, why: noProcess}, {names: "fiosetown", does: ignored, why: noProcess}, {names: "siocspgrp", does: ignored, why: noProcess},
	{names: "lockfile", does: ignored, why: "two SSTs of one data directory keep out of each other's way anyway"},
	{names: "waitlock", does: ignored, why: "two SSTs of one data directory keep out of each other's way anyway"},
	{names: "append o-append", does: ignored, why: noTCP}, {names: "async o-async", does: ignored, why: noTCP}, {names: "o-noatime noatime", does: ignored, why: noTCP},
	{names: "so-broadcast broadcast", does: ignored, why: noTCP}, {names: "so-oobinline oobinline", does: ignored, why: noTCP},
	{names: "so-debug debug", does: ignored, why: noUse}, {names: "so-dontroute dontroute", does: ignored, why: noUse},
	{names: "so-acceptconn acceptconn", does: ignored, why: noUse}, {names: "so-attach-filter attach-filter attachfilter", does: ignored, why: noUse},
	{names: "so-detach-filter detach-filter detachfilter", does: ignored, why: noUse}, {names: "so-bsdcompat bsdcompat", does: ignored, why: noUse},
	{names: "so-error error", does: ignored, why: noUse}, {names: "so-no-check no-check nocheck", does: ignored, why: noTCP},
	{names: "so-passcred passcred", does: ignored, why: noTCP}, {names: "so-peercred peercred", does: ignored, why: noTCP},
	{names: "so-rcvlowat rcvlowat", does: ignored, why: noUse}, {names: "so-sndlowat sndlowat", does: ignored, why: noUse}, {names: "so-timestamp timestamp", does: ignored, why: noTCP},
	{names: "so-security-authentication security-authentication securityauthentication", does: ignored, why: noUse},
	{names: "so-security-encryption-network security-encryption-network securityencryptionnetwork", does: ignored, why: noUse},
	{names: "so-security-encryption-transport security-encryption-transport securityencryptiontransport", does: ignored, why: noUse},
	{names: "ip-add-membership add-membership ip-membership membership", does: ignored, why: noTCP},
	{names: "ip-multicast-if multicast-if", does: ignored, why: noTCP},
	{names: "ip-multicast-loop ipmulticastloop multicast-loop multicastloop", does: ignored, why: noTCP},
	{names: "ip-multicast-ttl ipmulticastttl multicast-ttl multicastttl", does: ignored, why: noTCP},
	{names: "ip-hdrincl hdrincl iphdrincl", does: ignored, why: noTCP}, {names: "ip-mtu ipmtu mtu", does: ignored, why: "it cannot be set for TCP; maxseg can"},
	{names: "ip-options ipoptions", does: ignored, why: noUse}, {names: "ip-pktinfo ippktinfo pktinfo", does: ignored, why: noTCP},
	{names: "ip-pktoptions ippktoptions pktoptions pktopts", does: ignored, why: noTCP}, {names: "ip-recverr iprecverr recverr", does: ignored, why: noTCP},
	{names: "ip-recvopts iprecvopts recvopts", does: ignored, why: noTCP}, {names: "ip-recvtos iprecvtos recvtos", does: ignored, why: noTCP},
	{names: "ip-recvttl iprecvttl recvttl", does: ignored, why: noTCP}, {names: "ip-retopts ipretopts retopts", does: ignored, why: noTCP},
	{names: "ip-router-alert iprouteralert routeralert", does: ignored, why: noTCP},
	{names: "ipv6-join-group ipv6-add-membership join-group", does: ignored, why: noTCP},
	{names: "ipv6-authhdr authhdr", does: ignored, why: noTCP}, {names: "ipv6-dstopts dstopts", does: ignored, why: noTCP},
	{names: "ipv6-hoplimit hoplimit", does: ignored, why: noTCP}, {names: "ipv6-hopopts hopopts", does: ignored, why: noTCP},
	{names: "ipv6-recvdstopts recvdstopts", does: ignored, why: noTCP}, {names: "ipv6-recvhoplimit recvhoplimit", does: ignored, why: noTCP},
	{names: "ipv6-recvhopopts recvhopopts", does: ignored, why: noTCP}, {names: "ipv6-recvpktinfo recvpktinfo", does: ignored, why: noTCP},
	{names: "ipv6-recvrthdr recvrthdr", does: ignored, why: noTCP}, {names: "ipv6-rthdr rthdr", does: ignored, why: noTCP},
	{names: "ipv6-unicast-hops unicast-hops", does: ignored, why: "ttl sets it, too"}, {names: "ipv6-tclass", does: ignored, why: "tos sets it, too"},
	{names: "res-defnames defnames", does: ignored, why: noResolver}, {names: "res-dnsrch dnsrch", does: ignored, why: noResolver}, {names: "res-igntc igntc", does: ignored, why: noResolver},
	{names: "res-recurse recurse", does: ignored, why: noResolver}, {names: "res-stayopen stayopen", does: ignored, why: noResolver}, {names: "res-usevc usevc", does: ignored, why: noResolver},
	{names: "flock-ex flock", does: ignored, why: noTCP}, {names: "flock-ex-nb flock-nb", does: ignored, why: noTCP},
	{names: "f-setlk-rd setlk-rd", does: ignored, why: noTCP}, {names: "f-setlk-wr f-setlk setlk setlk-wr", does: ignored, why: noTCP},
	{names: "f-setlkw-rd setlkw-rd", does: ignored, why: noTCP}, {names: "f-setlkw-wr f-setlkw lock lockw setlkw setlkw-wr", does: ignored, why: noTCP},
	{names: "ioctl-void ioctl", does: ignored, why: noUse},

	// what would corrupt the stream, or pretend to protect
	{names: "chroot", does: refused, why: "the process does not change its root", instead: "remove the option"},
	{names: "chroot-early", does: refused, why: "the process does not change its root", instead: "remove the option"},
	{names: "crnl crlf", does: refused, why: "it would corrupt the files sent", instead: "remove the option"},
	{names: "cr", does: refused, why: "it would corrupt the files sent", instead: "remove the option"},
	{names: "ignoreeof ignoreof", does: refused, why: "the transfer would never end", instead: "remove the option"},
	{names: "readbytes bytes", does: refused, why: "it would cut the transfer short", instead: "remove the option"},
	{names: "escape", does: refused, why: "it would cut the transfer short", instead: "remove the option"},
	{names: "o-nonblock nonblock ndelay o-ndelay o_ndelay", does: refused, why: "no handshake would succeed with socat", instead: "remove the option"},

	// no option of an address, but asked for
	{names: "tcp-user-timeout", does: refused, why: "no option of socat", instead: "use keepalive with keepidle, keepintvl, keepcnt"},
	{names: "congestion tcp-congestion", does: refused, why: "no option of socat", instead: "set net.ipv4.tcp_congestion_control for the host, or setsockopt-string=6:13:NAME"},
	{names: "t", does: refused, why: "-T is an option of the program socat, not of an address", instead: "remove it; sst-timeout is the limit for a silent peer"},
	{names: "b", does: refused, why: "-b is an option of the program socat, not of an address", instead: "remove it"},
	{names: "v", does: refused, why: "-v is an option of the program socat, not of an address", instead: "remove it"},
}

// Reasons why an option has no effect.
const (
	endOfTransfer = "how a transfer ends is decided here"
	noUsers       = "the program runs as the user of mariadbd"
	noOwner       = "a TCP connection has no owner and no mode"
	noProcess     = "no process of its own serves a connection"
	noResolver    = "names are resolved as the host is configured"
	noTCP         = "it means nothing for a TCP connection"
	noUse         = "there is no use for it here"
)

// families are beginnings of names of which socat's versions have many without a
// use here.
var families = []struct{ prefix, why string }{
	{"res-", noResolver}, {"ai-", noResolver}, {"so-", noUse}, {"ip-recv", noTCP}, {"ip-add-", noTCP}, {"ipv6-", noTCP},
	{"ioctl-", noUse}, {"flock-", noTCP}, {"f-set", noTCP},
}
