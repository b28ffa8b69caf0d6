package sst

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"wsrep_sst_rsync_tunnel/tls"
)

// Under the names of the stock methods the rules of the stock script hold
// (sst-options.md, TLS): which keys name the files, what ssl-mode means and what it
// is when nobody has set it. sockopt is never read.

// stockChannel reads the keys of the secure channel as the stock script does.
func (l *settingsLoader) stockChannel() error {
	files := l.stockFiles()
	l.s.CA, l.s.CAPath, l.s.Cert, l.s.Key = files["ca"].Value, files["capath"].Value, files["cert"].Value, files["key"].Value
	l.s.keys = tls.Keys{CA: files["ca"].key, CAPath: files["capath"].key, Cert: files["cert"].key, Key: files["key"].key}
	if ca := l.s.CA.Text; ca != "" && (strings.HasSuffix(ca, "/") || isDirectory(ca)) {
		l.s.CAPath, l.s.keys.CAPath = l.s.CA, l.s.keys.CA
		l.s.CA, l.s.keys.CA = Value{}, ""
	}
	return l.sslMode()
}

// keyedValue is a value with the key that it was found under.
type keyedValue struct {
	Value
	key string
}

// stockFiles finds the four files: tca, tcapath, tcert and tkey of [sst], or, if none
// of them is set, ssl-*; then what is set for this role alone.
func (l *settingsLoader) stockFiles() map[string]keyedValue {
	parts := []string{"ca", "capath", "cert", "key"}
	own := map[string]string{"ca": "tca", "capath": "tcapath", "cert": "tcert", "key": "tkey"}
	found := map[string]keyedValue{}
	servers := map[string]keyedValue{}
	role := "ssl-client-"
	if l.args.Role == Joiner {
		role = "ssl-server-"
	}
	for _, part := range parts {
		l.pick(found, part, own[part])
		l.pick(servers, part, "ssl-"+part)
	}
	switch {
	case len(found) == 0:
		found = servers
	case slices.ContainsFunc(parts, func(part string) bool { return servers[part].Text != found[part].Text }) && len(servers) > 0:
		l.note("ssl-ca, ssl-capath, ssl-cert and ssl-key are ignored by SST: [sst] sets some of tca, tcapath, tcert and tkey")
	}
	for _, part := range parts {
		l.pick(found, part, role+part)
		for _, key := range []string{own[part], "ssl-" + part, role + part} {
			if _, set := l.found[key]; set && key != found[part].key {
				l.remark(key, "not used")
			}
		}
	}
	return found
}

// pick puts a value that is set into to.
func (l *settingsLoader) pick(to map[string]keyedValue, part, key string) {
	if o, ok := l.get(key); ok && o.Value != "" {
		to[part] = keyedValue{Value{o.Value, where(o)}, key}
	}
}

func (l *settingsLoader) note(text string) { l.s.Notes = append(l.s.Notes, text) }

// sslMode reads ssl-mode, or derives it from what is known.
func (l *settingsLoader) sslMode() error {
	o, _ := l.get("ssl-mode")
	s := &l.s
	known := false
	switch {
	case strings.EqualFold(o.Value, "DISABLED"):
		s.Clear, s.whyClear = true, where(o)+": ssl-mode=DISABLED"
	case o.Value != "":
		if s.Mode, known = tls.ParseMode(o.Value); !known {
			return advise(fmt.Errorf("%s: ssl-mode=%s is not known", where(o), o.Value), "it is one of DISABLED, REQUIRED, VERIFY_CA, VERIFY_IDENTITY")
		}
	case s.CA.Text != "" || s.CAPath.Text != "":
		s.Mode = tls.VerifyCA
	case s.Key.Text != "" && s.Cert.Text != "":
		s.Mode = tls.Required
	case s.Cert.Text != "":
		s.Clear, s.whyClear = true, fmt.Sprintf("ssl-mode is not set, and %s alone does not turn encryption on; ssl-mode=REQUIRED does", s.keys.Cert)
	default:
		s.Clear, s.whyClear = true, "ssl-mode is not set, and there is no CA, and no certificate with a key"
	}
	if o.Value == "" {
		l.record("ssl-mode", s.Mode.String(), byDefault)
	}
	if s.Clear {
		l.record("ssl-mode", "DISABLED", l.found["ssl-mode"].From)
		l.remark("ssl-mode", "nothing is encrypted: "+s.whyClear)
	}
	return nil
}

// clearWarning is said each time that nothing is encrypted.
func clearWarning(s *Settings) string {
	return "the database travels over the network unencrypted, and nobody's identity is checked: " + s.whyClear
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// identityOf says which names ssl-mode=VERIFY_IDENTITY accepts: the one that came with
// the address, else, for a donor, the joiner's host, and localhost too if that is this
// machine. A joiner does not know who will come.
func identityOf(role tls.Role, user, host string) tls.Identity {
	if user != "" {
		return tls.Identity{Hosts: []string{user}}
	}
	if role == tls.Joiner {
		return tls.Identity{}
	}
	var id tls.Identity
	if _, err := netip.ParseAddr(host); err == nil {
		id.IP = host
	} else {
		id.Hosts = []string{host}
	}
	if isThisHost(host) && !slices.Contains(id.Hosts, "localhost") {
		id.Hosts = append(id.Hosts, "localhost")
	}
	return id
}

// isThisHost knows loopback addresses, the names of this machine and the addresses of
// its interfaces.
func isThisHost(host string) bool {
	if host == "localhost" {
		return true
	}
	if name, err := os.Hostname(); err == nil {
		short, _, _ := strings.Cut(name, ".")
		if host == name || host == short {
			return true
		}
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	ip = ip.WithZone("").Unmap()
	if ip.IsLoopback() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(addrs, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		if !ok {
			return false
		}
		own, ok := netip.AddrFromSlice(n.IP)
		return ok && own.Unmap() == ip
	})
}

// stockModule is the name of the main module: the one in the address, else the stock
// script's own.
func stockModule(a Address) string {
	if a.Module != "" {
		return a.Module
	}
	return "rsync_sst"
}

// checkModule takes names that rsyncd takes for a module and nothing for an option, a
// path or a command.
func checkModule(name string) error {
	if len(name) > 64 || strings.Trim(name, ".") == "" {
		return fmt.Errorf("%q is no name of an rsync module", shorten(name))
	}
	for _, c := range []byte(name) {
		if !isAddressByte(c) {
			return fmt.Errorf("%q is no name of an rsync module", shorten(name))
		}
	}
	return nil
}
