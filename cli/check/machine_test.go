package check

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/tls/porttest"
)

// A machine is a node with everything as it should be, for a test to break.
type machine struct {
	t       *testing.T
	dir     string
	port    int
	sst     []string // lines of the group [sst]
	mariadb []string // and of [mariadb]
	o       Options

	ca, own *identity
}

const method = "wsrep_sst_rsync_tunnel"

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir(), port: porttest.Free(t)}
	m.ca = issue(t, wish{cn: "Example CA", ca: true})
	m.own = issue(t, wish{cn: "localhost", by: m.ca})
	m.certificates(m.own.certPEM())
	m.sst = []string{"tca=" + m.path("tls/ca.pem"), "tcert=" + m.path("tls/node.crt"), "tkey=" + m.path("tls/node.key")}
	m.mariadb = []string{"wsrep_sst_method=rsync_tunnel", fmt.Sprintf("wsrep_sst_receive_address=localhost:%d", m.port), "datadir=" + m.path("data")}
	for _, name := range []string{"ibdata1", "ib_logfile0", "aria_log_control", "mysql/db.frm"} {
		put(t, 0o600, m.path("data/"+name), make([]byte, 4096))
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(m.path("bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, m.path("bin/"+method)); err != nil {
		t.Fatal(err)
	}
	m.o = Options{
		Self: self, Now: clock, ServerDir: m.path("bin"), Dirs: []string{m.path("etc")},
		LookupEnv: func(name string) (string, bool) {
			return map[string]string{"PATH": m.path("bin"), "HOME": m.path("home")}[name], true
		},
	}
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

// certificates writes the node's files.
func (m *machine) certificates(cert ...[]byte) {
	put(m.t, 0o644, m.path("tls/ca.pem"), m.ca.certPEM())
	put(m.t, 0o644, m.path("tls/node.crt"), cert...)
	put(m.t, 0o600, m.path("tls/node.key"), m.own.keyPEM(m.t))
}

// configure writes the option file.
func (m *machine) configure() {
	put(m.t, 0o644, m.path("etc/my.cnf"), []byte("[mariadb]\n"+strings.Join(m.mariadb, "\n")+"\n\n[sst]\n"+strings.Join(m.sst, "\n")+"\n"))
}

// check runs it.
func (m *machine) check() *Report {
	m.t.Helper()
	m.configure()
	return Node(m.t.Context(), m.o)
}

// wants compares the findings that are not ok with the wanted ones, each "LEVEL SUBJECT:
// part of the text".
func wants(t *testing.T, r *Report, want ...string) {
	t.Helper()
	want = slices.Clone(want)
	for _, f := range r.Findings {
		if f.Level == OK || strings.Contains(f.Text, "a loopback address, which nodes") {
			continue
		}
		i := slices.IndexFunc(want, func(w string) bool {
			head, part, _ := strings.Cut(w, ": ")
			return head == string(f.Level)+" "+f.Subject && strings.Contains(f.Text, part)
		})
		if i < 0 {
			t.Errorf("unexpected: %+v", f)
			continue
		}
		want = slices.Delete(want, i, i+1)
	}
	for _, w := range want {
		t.Errorf("missing: %s", w)
	}
	if t.Failed() {
		var all strings.Builder
		r.told = 0
		_ = r.Tell(&all)
		t.Log("\n" + all.String())
	}
}

// has looks for a finding.
func has(t *testing.T, r *Report, level Level, subject, part string) {
	t.Helper()
	if !slices.ContainsFunc(r.Findings, func(f Finding) bool {
		return f.Level == level && f.Subject == subject && strings.Contains(f.Text, part)
	}) {
		t.Errorf("no %s %s: %s in %+v", level, subject, part, r.Findings)
	}
}
