package check

import (
	"cmp"
	"crypto/x509"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"wsrep_sst_rsync_tunnel/sst/report"
	"wsrep_sst_rsync_tunnel/tls"
)

// soon is how long before its end a certificate is worth a word: time for a renewal on
// all nodes.
const soon = 30 * 24 * time.Hour

const dateForm = "2006-01-02"

// channels loads both roles' channels; nil for what cannot be loaded.
func (n *node) channels() map[tls.Role]*tls.Channel {
	out := map[tls.Role]*tls.Channel{}
	said := map[string]bool{}
	for _, role := range []tls.Role{tls.Joiner, tls.Donor} {
		c, err := tls.Load(n.channel(role))
		if err == nil {
			out[role] = c
			continue
		}
		if !said[err.Error()] {
			n.r.add(Error, "certificate", report.Hint(err), err.Error())
		}
		said[err.Error()] = true
	}
	return out
}

// trust loads keys and certificates as both roles do, and shows this node's own to
// itself: what another node with the same settings would make of it.
func (n *node) trust() {
	if s := n.joiner.Settings; s.Clear || n.donor.Settings.Clear {
		n.r.warn("certificate", "set tcert, tkey and tca in [sst], or ssl-mode",
			"nothing is encrypted, and nobody's identity is checked: %s", s.WhyClear()+n.donorsReason())
		if s.Clear && n.donor.Settings.Clear {
			return
		}
	}
	n.rights()
	loaded := n.channels()
	joiner, donor := loaded[tls.Joiner], loaded[tls.Donor]
	if joiner == nil || donor == nil {
		return
	}
	n.warnings(joiner, donor)
	n.own(joiner, donor)
	n.dates(joiner, donor)
}

// donorsReason is why the donor alone has no TLS, which may differ from the joiner.
func (n *node) donorsReason() string {
	if n.joiner.Settings.Clear {
		return ""
	}
	return n.donor.Settings.WhyClear()
}

// warnings are what the settings leave open, and what is odd about the files.
func (n *node) warnings(joiner, donor *tls.Channel) {
	said := map[string]bool{}
	for _, c := range []*tls.Channel{joiner, donor} {
		all := c.WarningsBeside()
		if !c.Verifies() { // others may
			all = c.Warnings()
		}
		for _, w := range all {
			if !said[w] {
				n.r.warn("trust", "", "%s", w)
			}
			said[w] = true
		}
	}
}

// own shows the node's certificates to itself in both purposes.
func (n *node) own(joiner, donor *tls.Channel) {
	server := donor.Accepts(joiner.Chain())
	var client error
	if len(donor.Chain()) > 0 || joiner.Verifies() {
		client = joiner.Accepts(donor.Chain())
	}
	leaf := joiner.Chain()[0]
	switch {
	case server == nil && client == nil && !donor.Verifies():
		n.r.ok("certificate", "%s, issued by %s, valid to %s; nodes with these settings do not verify it",
			tls.Title(leaf), tls.IssuerTitle(leaf), leaf.NotAfter.UTC().Format(dateForm))
	case server == nil && client == nil:
		n.r.ok("certificate", "%s, issued by %s, valid to %s; good as joiner and as donor",
			tls.Title(leaf), tls.IssuerTitle(leaf), leaf.NotAfter.UTC().Format(dateForm))
	case sameReason(server, client):
		n.r.add(Error, "certificate", report.Hint(server), strings.Replace(server.Error(), "this node as joiner", "this node as joiner and as donor", 1))
	default:
		for _, err := range []error{server, client} {
			if err != nil {
				n.r.failed("certificate", err)
			}
		}
	}
	if wanted := donor.WantedName(); wanted != "" && server == nil {
		n.r.ok("name", "the certificate bears %s, the name that donors look for", wanted)
	} else if server == nil && donor.Verifies() {
		n.r.ok("name", "donors with these settings accept any name")
	}
}

// sameReason compares what two roles say of one certificate.
func sameReason(server, client error) bool {
	return server != nil && client != nil &&
		strings.ReplaceAll(server.Error(), "joiner", "donor") == strings.ReplaceAll(client.Error(), "joiner", "donor")
}

// dates looks for what ends soon. What is out of date in our own chain is refused, which
// has been said; in tca it may be an old authority among new ones.
func (n *node) dates(channels ...*tls.Channel) {
	seen := map[string]bool{}
	first := func(cert *x509.Certificate) bool {
		was := seen[string(cert.Raw)]
		seen[string(cert.Raw)] = true
		return !was
	}
	for _, c := range channels {
		for i, cert := range c.Chain() {
			if first(cert) {
				n.r.ownDate(cert, i, n.o.Now())
			}
		}
	}
	for _, c := range channels {
		for _, cert := range c.Trusted() {
			if first(cert) {
				n.r.trustedDate(cert, n.o.Now())
			}
		}
	}
}

func (r *Report) ownDate(cert *x509.Certificate, at int, now time.Time) {
	what := "the certificate"
	if at > 0 {
		what = "the intermediate"
	}
	if left := cert.NotAfter.Sub(now); left < soon && tls.OutOfDate(cert, now) == "" {
		r.warn("dates", "renew it; a node that waits for its donor reads the new files, no restart is needed",
			"%s %s expires on %s, in %d days", what, tls.Title(cert), cert.NotAfter.UTC().Format(dateForm), days(left))
	}
}

func (r *Report) trustedDate(cert *x509.Certificate, now time.Time) {
	left := cert.NotAfter.Sub(now)
	switch text := tls.OutOfDate(cert, now); {
	case text != "" && now.Before(cert.NotBefore):
		r.warn("dates", "correct this host's clock; until then certificates that it issued are refused", "the trusted certificate %s %s", tls.Title(cert), text)
	case text != "":
		r.warn("dates", "remove it from tca when its successor is there; certificates that it issued are refused", "the trusted certificate %s %s", tls.Title(cert), text)
	case left < soon:
		r.warn("dates", "put its successor into tca on all nodes first, then renew what it issued",
			"the trusted certificate %s expires on %s, in %d days", tls.Title(cert), cert.NotAfter.UTC().Format(dateForm), days(left))
	}
}

func days(d time.Duration) int { return int(d.Hours() / 24) }

// rights looks at who else may do what with the files. That we can read them is found
// when they are loaded.
func (n *node) rights() {
	seen := map[string]bool{}
	for _, role := range []tls.Role{tls.Joiner, tls.Donor} {
		c := n.channel(role)
		for _, file := range []string{c.CA, c.CAPath, c.Cert, c.Key} {
			if file == "" {
				continue
			}
			for _, path := range []string{file, filepath.Dir(file)} {
				if !seen[path] {
					seen[path] = true
					n.r.writable(path)
				}
			}
		}
		key := cmp.Or(c.Key, c.Cert)
		if key != "" && !seen["key "+key] {
			seen["key "+key] = true
			n.r.readable(key)
		}
	}
}

// writable warns of a file or directory that anybody may put something else into.
func (r *Report) writable(path string) {
	info, err := os.Stat(path)
	if err != nil {
		return // loading it says so
	}
	const shared = fs.ModeSticky | fs.ModeDir // as /tmp: each may remove his own
	if info.Mode().Perm()&0o002 != 0 && info.Mode()&shared != shared {
		r.warn("trust", "chmod o-w "+path, "everybody may write to %s (mode %04o), and so decide whom this node trusts", path, info.Mode().Perm())
	}
}

func (r *Report) readable(key string) {
	info, err := os.Stat(key)
	switch {
	case err != nil:
		// loading it says so
	case info.Mode().Perm()&0o004 != 0:
		r.warn("key", "chmod o= "+key, "everybody may read the key %s (mode %04o)", key, info.Mode().Perm())
	case info.Mode().Perm()&0o020 != 0:
		r.warn("key", "chmod g-w "+key, "its group may write to the key %s (mode %04o)", key, info.Mode().Perm())
	default:
		r.ok("key", "%s, mode %04o", key, info.Mode().Perm())
	}
}
