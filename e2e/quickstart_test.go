package e2e

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A step is one block of docs/quickstart.md, with the note above it that says where it belongs.
type step struct {
	note, kind string
	lines      []string
}

var (
	ofNodes = regexp.MustCompile(`^<!-- not run: on (node1|node2|both) -->$`)
	ofFile  = regexp.MustCompile(`^<!-- file (\S+) on both -->$`)
)

// quickstart reads the page's steps up to the second way of making certificates.
func quickstart(t *testing.T) (steps []step) {
	t.Helper()
	page, err := os.ReadFile("../docs/quickstart.md")
	if err != nil {
		t.Fatal(err)
	}
	first, _, found := strings.Cut(string(page), "\n## An authority")
	if !found {
		t.Fatal("docs/quickstart.md has no part about an authority")
	}
	within, before := false, ""
	for line := range strings.SplitSeq(first, "\n") {
		kind, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && !within:
			steps = append(steps, step{note: before, kind: kind})
		case within && !fence:
			steps[len(steps)-1].lines = append(steps[len(steps)-1].lines, line)
		}
		if fence {
			within = !within
		}
		before = line
	}
	return steps
}

// onMachine says whether a step is one for node 1 or 2.
func (s step) onMachine(name string) bool {
	m := ofNodes.FindStringSubmatch(s.note)
	return m != nil && (m[1] == name || m[1] == "both")
}

// asOn is the option file of the page, which is node1's, as it tells node2 to have it.
func (s step) asOn(name string) string {
	var b strings.Builder
	for _, line := range s.lines {
		if strings.HasPrefix(line, "wsrep_node_address") || strings.HasPrefix(line, "tcert") {
			line = strings.ReplaceAll(line, "node1.example.com", name+".example.com")
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// follow does what the page says, both nodes at once. What it leaves to the reader is done by hand: node2's certificate is
// carried to node1 and the other way round, before the first command that needs it. A line that skip knows is left out.
func follow(t *testing.T, both [2]machine, skip func(line string) bool) {
	t.Helper()
	typed := 0
	for _, s := range quickstart(t) {
		if m := ofFile.FindStringSubmatch(s.note); m != nil {
			for _, at := range both {
				at.write(t, m[1], s.asOn(at.network))
			}
			continue
		}
		for _, line := range s.lines {
			line, isCommand := strings.CutPrefix(line, "$ ")
			if !isCommand || s.kind != "console" || skip(line) {
				continue
			}
			if strings.Contains(line, "certs bundle") {
				exchangeCertificates(t, both)
			}
			for _, at := range both {
				if s.onMachine(at.network) {
					at.does(t, line)
					typed++
				}
			}
		}
	}
	if typed < 10 {
		t.Fatalf("only %d commands of the page were typed", typed)
	}
}

func exchangeCertificates(t *testing.T, both [2]machine) {
	t.Helper()
	for i, from := range both {
		name := "/etc/mysql/tls/" + from.network + ".example.com.crt"
		both[1-i].copyIn(t, from.path(name), name)
	}
}

// sells leaves nothing of the page out, but writes to node1 before node2 joins.
func sells(t *testing.T, both [2]machine, what string) func(string) bool {
	return func(line string) bool {
		if strings.Contains(line, "mariadb start") {
			both[0].does(t, `mariadb -e "CREATE DATABASE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY, v VARCHAR(20)); INSERT INTO shop.orders VALUES (1, '`+what+`')"`)
		}
		return false
	}
}

// joined checks that node2 is a member that took node1's data by our program, encrypted.
func joined(t *testing.T, both [2]machine, mark string) {
	t.Helper()
	if got := both[1].does(t, "mariadb -BNe 'SELECT v FROM shop.orders'"); strings.TrimSpace(got) != mark {
		t.Errorf("node2 has %q in its copy, want %q", got, mark)
	}
	if got := both[1].does(t, `mariadb -BNe "SHOW STATUS LIKE 'wsrep_cluster_size'"`); !strings.HasSuffix(strings.TrimSpace(got), "2") {
		t.Errorf("the size of the cluster: %q", got)
	}
	for _, m := range both {
		if log := m.log(); !strings.Contains(log, "WSREP_SST: [INFO]") || !strings.Contains(log, "TLS 1.3") {
			t.Errorf("%s's log tells of no encrypted SST:\n%s", m.network, log)
		}
	}
}

// stopped ends both servers, so that nothing writes when the machines go.
func stopped(t *testing.T, both [2]machine) {
	t.Helper()
	for _, m := range []machine{both[1], both[0]} {
		m.does(t, "mariadb-admin shutdown")
	}
}

// Someone who has never read anything of ours types what the page says, on two machines that have nothing but Debian and
// mariadb-server. He should be done in five minutes, most of which he reads.
func TestTheQuickStartOnBareDebian(t *testing.T) {
	onlyLong(t)
	if !alone(t) {
		return
	}
	both := twoMachines(t)
	for _, m := range both {
		for _, tool := range []string{"rsync", "socat", "stunnel", "openssl", "lsof"} {
			if _, err := m.types(t, "command -v "+tool); err == nil {
				t.Logf("%s has %s, which is not needed", m.network, tool)
			}
		}
		m.copyIn(t, product(t), "/root/wsrep_sst_rsync_tunnel")
	}
	began := time.Now()
	follow(t, both, sells(t, both, "first"))
	took := time.Since(began)
	joined(t, both, "first")
	t.Logf("the quick start took %.0f s", took.Seconds())
	if took > 5*time.Minute {
		t.Errorf("the quick start took %v, five minutes are promised", took)
	}
	stopped(t, both)
}
