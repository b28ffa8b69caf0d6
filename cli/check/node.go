package check

import (
	"cmp"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"wsrep_sst_rsync_tunnel/mycnf"
	"wsrep_sst_rsync_tunnel/sst"
	"wsrep_sst_rsync_tunnel/tls"
)

// serverGroups are the option groups that mariadbd reads; methods are the names under
// which this program is called.
var (
	serverGroups = []string{"--mysqld"}
	methods      = []sst.Method{sst.Tunnel, sst.Rsync, sst.RsyncWan}
)

const (
	defaultMethod  = "rsync" // mariadbd's own
	defaultDatadir = "/var/lib/mysql"
)

// A node is what the option files make of this machine.
type node struct {
	o       Options
	r       *Report
	files   *mycnf.Files
	version string // of the server, X.Y; "" if it is not needed or not known
	mysqld  sst.MysqldArgs
	method  sst.Method
	called  bool // mariadbd calls this method, as far as is known

	joiner, donor sst.Survey
	address       sst.Address
	source        string // where the address is from
}

// readNode reads the option files; nil if there is nothing to go on with.
func readNode(o Options, r *Report) *node {
	n := &node{o: o, r: r, mysqld: sst.ParseMysqldArgs(o.Mysqld)}
	n.defaults()
	if !n.load() {
		return nil
	}
	n.chooseMethod()
	if !n.chooseAddress() || !n.settings() {
		return nil
	}
	return n
}

// defaults takes over what decides which option files there are.
func (n *node) defaults() {
	d := &n.o.Defaults
	for _, a := range []struct {
		name  string
		value *string
		has   *bool
	}{
		{"defaults-file", &d.File, &d.HasFile},
		{"defaults-extra-file", &d.ExtraFile, &d.HasExtra},
		{"defaults-group-suffix", &d.Suffix, &d.HasSuffix},
	} {
		if !*a.has && n.mysqld.Has(a.name) {
			*a.value, *a.has = n.mysqld.Value(a.name), true
		}
	}
}

func (n *node) loadOptions() mycnf.LoadOptions {
	return mycnf.LoadOptions{LookupEnv: n.o.LookupEnv, Dirs: n.o.Dirs, ServerVersion: n.version}
}

// load reads the option files for what mariadbd alone knows in an SST: the settings
// read them once more, each for its role.
func (n *node) load() bool {
	files, err := mycnf.Load(n.o.Defaults, n.loadOptions())
	if err != nil {
		n.r.failed("option files", err)
		return false
	}
	n.files = files
	if version, ok := files.Get([]string{"sst"}, "server-version"); ok {
		n.version = mycnf.Series(version.Value)
	} else if files.NeedVersion() {
		path, _ := n.o.LookupEnv("PATH")
		n.version = sst.ServerVersion(n.configuredDatadir(), path)
	}
	files = files.ForServer(n.version)
	n.files = files
	var names []string
	for _, option := range files.Options("sst", "--mysqld") {
		if !slices.Contains(names, option.File) {
			names = append(names, option.File)
		}
	}
	if len(names) == 0 {
		n.r.warn("option files", "name the file that mariadbd is started with: check --defaults-file=FILE",
			"there is none with a group [sst] or one that mariadbd reads")
		return true
	}
	n.r.ok("option files", "%s", strings.Join(names, " "))
	return true
}

// server is a setting of mariadbd, by its command line or its groups.
func (n *node) server(key string) string {
	if v := n.mysqld.Value(key); v != "" {
		return v
	}
	if n.mysqld.NoDefaults {
		return ""
	}
	o, _ := n.files.Get(serverGroups, key)
	return o.Value
}

func (n *node) configuredDatadir() string {
	return cmp.Or(n.o.Datadir, n.server("datadir"), defaultDatadir)
}

func (n *node) chooseMethod() {
	wanted, configured := n.o.Method, n.server("wsrep-sst-method")
	if wanted == "" {
		wanted = cmp.Or(configured, defaultMethod)
		n.called = true
	} else {
		n.called = wanted == cmp.Or(configured, defaultMethod)
	}
	i := slices.IndexFunc(methods, func(m sst.Method) bool { return m.String() == wanted })
	switch {
	case i < 0:
		n.called = false
		n.r.warn("method", "set wsrep_sst_method=rsync_tunnel on all nodes",
			"wsrep_sst_method is %s, which is not this program: the rest is about rsync_tunnel", wanted)
		return
	case !n.called:
		n.r.warn("method", "set wsrep_sst_method="+wanted+" on all nodes",
			"the rest is about %s, but wsrep_sst_method is %s", wanted, cmp.Or(configured, defaultMethod+", since it is not set"))
	case configured == "" && n.o.Method == "":
		n.r.warn("method", "set wsrep_sst_method=rsync_tunnel on all nodes, or say which one is meant: check --method=rsync_tunnel",
			"wsrep_sst_method is not set: mariadbd uses %s then", defaultMethod)
	default:
		n.r.ok("method", "%s", wanted)
	}
	n.method = methods[i]
}

// chooseAddress finds the address that mariadbd will give to the joiner
// (sst-options.md, section 3).
func (n *node) chooseAddress() bool {
	text := n.server("wsrep-sst-receive-address")
	n.source = "wsrep_sst_receive_address"
	if text == "" || strings.EqualFold(text, "AUTO") {
		text, n.source = n.automatic()
	}
	if text == "" {
		n.r.fail("address", "set wsrep_node_address to the address at which the other nodes reach this one",
			"no network interface but loopback has an address, and none is configured")
		return false
	}
	a, err := sst.ParseAddress(text)
	if err == nil {
		_, err = a.Ready("x")
	}
	if err != nil {
		n.r.fail("address", "set wsrep_sst_receive_address=HOST:PORT", "%s: %v", n.source, err)
		return false
	}
	n.address = a
	if ip, err := netip.ParseAddr(a.Host); a.Host == "localhost" || err == nil && ip.IsLoopback() {
		n.r.warn("address", "set wsrep_node_address to the address at which the other nodes reach this one",
			"%s, by %s: a loopback address, which nodes on other machines cannot reach", a.HostPort(), n.source)
		return true
	}
	n.r.ok("address", "%s, by %s", a.HostPort(), n.source)
	return true
}

// automatic is what AUTO stands for: no port is part of it.
func (n *node) automatic() (address, source string) {
	if a := n.server("wsrep-node-address"); a != "" {
		return withoutPort(a), "wsrep_node_address"
	}
	if a := n.server("bind-address"); a != "" && !isWildcard(a) {
		a, _, _ = strings.Cut(a, ",")
		return bracketed(a), "bind_address"
	}
	a, device := firstAddress()
	return bracketed(a), "the first network interface (" + device + ")"
}

func withoutPort(a string) string {
	if _, err := netip.ParseAddr(a); err == nil {
		return bracketed(a)
	}
	if host, _, err := net.SplitHostPort(a); err == nil {
		return bracketed(host)
	}
	return a
}

func bracketed(host string) string {
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		return "[" + host + "]"
	}
	return host
}

func isWildcard(a string) bool {
	if a == "*" {
		return true
	}
	ip, err := netip.ParseAddr(a)
	return err == nil && ip.IsUnspecified()
}

// firstAddress is the guess of mariadbd: that of the first interface which is up and no
// loopback.
func firstAddress() (address, device string) {
	all, err := net.Interfaces()
	if err != nil {
		return "", ""
	}
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, _ := i.Addrs()
		for _, a := range addrs {
			if ip, ok := a.(*net.IPNet); ok {
				return ip.IP.String(), i.Name
			}
		}
	}
	return "", ""
}

// settings reads them as both roles do at their start.
func (n *node) settings() bool {
	datadir, err := filepath.Abs(n.configuredDatadir())
	if err != nil {
		n.r.failed("datadir", err)
		return false
	}
	args := sst.Args{Program: "wsrep_sst_" + n.method.String(), Method: n.method, Address: n.address,
		Datadir: datadir, Defaults: n.o.Defaults, Mysqld: n.mysqld}
	said := map[string]bool{}
	good := true
	for _, s := range []*sst.Survey{&n.joiner, &n.donor} {
		s.Args = args
		s.Args.Role = sst.Joiner
		if s == &n.donor {
			s.Args.Role = sst.Donor
		}
		if s.Settings, err = sst.LoadSettings(s.Args, n.loadOptions()); err != nil {
			if !said[err.Error()] {
				n.r.failed("settings", err)
			}
			said[err.Error()] = true
			good = false
		}
	}
	for _, s := range []sst.Survey{n.joiner, n.donor} {
		for _, w := range append(slices.Clone(s.Settings.Warnings), s.Settings.Notes...) {
			if !said[w] {
				n.r.warn("settings", "", "%s", w)
			}
			said[w] = true
		}
	}
	return good
}

// channel is the configuration of the secure channel for a role.
func (n *node) channel(role tls.Role) tls.Config {
	s := n.joiner
	if role == tls.Donor {
		s = n.donor
	}
	c := s.TLS(role, n.address.Host)
	c.Now = n.o.Now
	return c
}
