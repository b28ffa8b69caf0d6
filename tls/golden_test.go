package tls

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/tls/porttest"
)

// The golden table is sockopt.md section 8, and what its other sections prove with
// labels of the same kind. Each row is tried in four ways: between our own two ends,
// with the real socat in the place of the one and of the other, and between two
// socats, which shows that the row is true. The connection always goes over
// loopback, whatever name is wanted. Two socats meet each time where we differ from
// them; where we do not, in the long run only (E2E_LONG=1), for they are slow.

// golden is one case of a row.
type golden struct {
	label string // as in sockopt.md, and in testdata/golden-labels.txt
	what  string

	joiner, donor end
	over6         bool // over ::1; else 127.0.0.1

	// What becomes of it between our two ends: nothing of these means a connection.
	joinerSees, donorSees []string // pieces of its error
	noLoad                []string // of the error of Load, at one end at least

	version, cipher string // of the connection: the first, and how the second begins

	// With socat on one side, or on both. as is as between our two ends.
	socatJoiner, socatDonor, socats verdict
	differs                         string // why, where socat on both sides does otherwise than we

	// alone is a row that is no meeting of two ends.
	alone func(t *testing.T)
}

type verdict int

const (
	as verdict = iota
	connects
	fails
	untried // it would prove nothing, or ask on a terminal
)

// end is one end of a case.
type end struct {
	ca, cert, key string
	sockopt       string
	host          string // donor: the name it wants; "localhost" if it gives none
}

func (e end) config(role Role) Config {
	c := Config{Role: role, CA: e.ca, Cert: e.cert, Key: e.key, Sockopt: e.sockopt, Host: e.host}
	if role == Donor && c.Host == "" {
		c.Host = "localhost"
	}
	return c
}

// ok is what we make of a case between our own ends.
func (g golden) ok() bool { return len(g.joinerSees)+len(g.donorSees)+len(g.noLoad) == 0 }

func (g golden) expects(v verdict) bool { return v == as && g.ok() || v == connects }

func (g golden) ip() string {
	if g.over6 {
		return "::1"
	}
	return "127.0.0.1"
}

func goldenTable(t *testing.T) []golden {
	return slices.Concat(goldenNames(t), goldenVerify(t), goldenFiles(t), goldenTLS(t), goldenGrammar(t), goldenNet(t), goldenCurves(t))
}

func TestGolden(t *testing.T) {
	table := goldenTable(t)
	for len(table) > 0 {
		label := table[0].label
		var row []golden
		row, table = partition(table, func(g golden) bool { return g.label == label })
		t.Run(label, func(t *testing.T) {
			for _, g := range row {
				t.Run(g.what, func(t *testing.T) {
					t.Parallel()
					g.run(t)
				})
			}
		})
	}
}

func partition[T any](list []T, first func(T) bool) (yes, no []T) {
	for _, v := range list {
		if first(v) {
			yes = append(yes, v)
		} else {
			no = append(no, v)
		}
	}
	return yes, no
}

func (g golden) run(t *testing.T) {
	if g.alone != nil {
		g.alone(t)
		return
	}
	if g.over6 {
		needIPv6(t)
	}
	if g.ok() != g.expects(g.socats) && g.socats != untried && g.differs == "" {
		t.Error("the case does not say why we differ from socat")
	}
	if g.ok() == g.expects(g.socats) && g.socats != untried && g.differs != "" {
		t.Errorf("no difference for %q", g.differs)
	}
	t.Run("ours", func(t *testing.T) { t.Parallel(); g.ours(t) })
	for _, c := range []struct {
		name string
		want verdict
		try  func(*testing.T, golden) (bool, string)
	}{
		{"socat is joiner", g.socatJoiner, socatIsJoiner},
		{"socat is donor", g.socatDonor, socatIsDonor},
		{"socat is both", g.socats, socatIsBoth},
	} {
		long := c.name == "socat is both" && g.differs == "" && os.Getenv("E2E_LONG") == ""
		if c.want == untried || long {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tool(t, "socat")
			if got, log := c.try(t, g); got != g.expects(c.want) {
				t.Errorf("connected: %v, want %v\n%s", got, g.expects(c.want), log)
			}
		})
	}
}

func (g golden) ours(t *testing.T) {
	joiner, err1 := Load(g.joiner.config(Joiner))
	donor, err2 := Load(g.donor.config(Donor))
	if len(g.noLoad) > 0 {
		err := err1
		if err == nil {
			err = err2
		}
		wantErr(t, "Load", err, g.noLoad...)
		return
	}
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	o := meetOver(t, g.ip(), joiner, donor)
	wantErr(t, "joiner", o.joinerErr, g.joinerSees...)
	wantErr(t, "donor", o.donorErr, g.donorSees...)
	if g.version == "" || o.donor == nil || o.joiner == nil {
		return
	}
	p, q := o.donor.Peer(), o.joiner.Peer()
	if p.Version != g.version || !strings.HasPrefix(p.Cipher, g.cipher) {
		t.Errorf("%s with %s, want %s %s", p.Version, p.Cipher, g.version, g.cipher)
	}
	if q.Version != p.Version || q.Cipher != p.Cipher {
		t.Errorf("the joiner says %s %s, the donor %s %s", q.Version, q.Cipher, p.Version, p.Cipher)
	}
}

// options are what the script appends to its socat address.
func (e end) options() string {
	s := ""
	for _, o := range []struct{ name, value string }{{"cert", e.cert}, {"key", e.key}, {"cafile", e.ca}} {
		if o.value != "" {
			s += "," + o.name + "=" + o.value
		}
	}
	if e.sockopt != "" {
		s += "," + e.sockopt
	}
	return s
}

// listenWithSocat is the joiner of the script; each connection gets one byte. It
// gives no process if socat does not start.
func (g golden) listenWithSocat(t *testing.T) (p *process, port int) {
	t.Helper()
	bind := g.ip()
	if g.over6 {
		bind = "[::1]"
	}
	for range 10 {
		port = porttest.Free(t)
		p = start(t, tool(t, "socat"), "-d", "-d", "-t0", "-U", fmt.Sprintf("openssl-listen:%d,bind=%s,reuseaddr,fork%s", port, bind, g.joiner.options()), "OPEN:"+oneByte+",rdonly")
		taken := false
		for line := range p.lines {
			if strings.Contains(line, "listening on") {
				return p, port
			}
			taken = taken || strings.Contains(line, "Address already in use")
		}
		if !taken { // by another test, meanwhile
			return nil, port
		}
	}
	t.Fatal("no free port")
	return nil, 0
}

// dialWithSocat is the donor of the script.
func (g golden) dialWithSocat(t *testing.T, port int) *process {
	t.Helper()
	host, more := g.donor.host, ""
	switch {
	case host == "":
		host = "localhost"
	case g.over6:
		host = "[" + host + "]"
	case strings.Contains(host, "my.cluster"): // nobody resolves it
		host, more = "127.0.0.1", ",commonname="+host
	}
	if !strings.Contains(g.donor.sockopt, "pf=") && !strings.Contains(g.donor.sockopt, "protocol-family") {
		more += ",pf=" + map[bool]string{false: "ip4", true: "ip6"}[g.over6]
	}
	return start(t, tool(t, "socat"), "-d", "-d", "-t0", "-u", fmt.Sprintf("openssl:%s:%d%s%s", host, port, g.donor.options(), more), "-")
}

// gets says whether the byte has come out of a socat.
func gets(p *process) bool {
	got, err := io.ReadAll(p.stdout)
	return err == nil && bytes.Equal(got, []byte("@"))
}

func socatIsJoiner(t *testing.T, g golden) (bool, string) {
	p, port := g.listenWithSocat(t)
	if p == nil {
		return false, "socat does not start"
	}
	donor, err := Load(g.donor.config(Donor))
	if err != nil {
		return false, err.Error()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := donor.Dial(ctx, g.ip(), port)
	if err == nil {
		defer conn.Close()
		_, err = io.ReadFull(conn, make([]byte, 1))
	}
	return err == nil, fmt.Sprintf("donor: %v\n%s", err, p.log())
}

func socatIsDonor(t *testing.T, g golden) (bool, string) {
	joiner, err := Load(g.joiner.config(Joiner))
	if err != nil {
		return false, err.Error()
	}
	ln, err := joiner.Listen(t.Context(), g.ip(), 0)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	var sees error
	serving.Go(func() {
		raw, err := ln.Accept()
		if sees = err; err != nil {
			return
		}
		conn, err := joiner.Server(context.Background(), raw)
		if sees = err; err != nil {
			return
		}
		conn.Write([]byte("@"))
		conn.Close()
	})
	p := g.dialWithSocat(t, portOf(ln))
	ok := gets(p)
	ln.Close()
	serving.Wait()
	return ok, fmt.Sprintf("joiner: %v\n%s", sees, p.log())
}

func socatIsBoth(t *testing.T, g golden) (bool, string) {
	l, port := g.listenWithSocat(t)
	if l == nil {
		return false, "socat does not start"
	}
	c := g.dialWithSocat(t, port)
	return gets(c), l.log() + "\n" + c.log()
}

// TestNoGoldenRowIsMissing compares the labels with the list of sockopt.md.
func TestNoGoldenRowIsMissing(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "golden-labels.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		want = append(want, strings.Fields(line)...)
	}
	// F6 is about addresses, which sst reads.
	elsewhere, err := os.ReadFile(filepath.Join("..", "sst", "address_test.go"))
	if err != nil || strings.Count(string(elsewhere), `"F6 `) < 4 {
		t.Errorf("row F6 is not in sst/address_test.go: %v", err)
	}
	for _, g := range goldenTable(t) {
		if !slices.Contains(got, g.label) {
			got = append(got, g.label)
		}
	}
	for _, label := range want {
		if !slices.Contains(got, label) {
			t.Errorf("row %s has no case", label)
		}
	}
	for _, label := range got {
		if !slices.Contains(want, label) {
			t.Errorf("row %s is not in the list of labels", label)
		}
	}
	if len(want) < 100 {
		t.Errorf("only %d labels in the list", len(want))
	}
}

// meetOver is meet over an address of loopback, listening as a joiner does.
func meetOver(t *testing.T, ip string, joiner, donor *Channel) outcome {
	t.Helper()
	ln, err := joiner.Listen(t.Context(), ip, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return meetOn(t, ln, joiner, donor)
}
