package check

import (
	"flag"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the transcripts into the page")

const transcriptPage = "../../docs/check.md"

// Five nodes that an SST would fail with, as docs/check.md shows them.
var broken = []struct {
	name string
	make func(m *machine)
	want []string
}{
	{"expired", func(m *machine) {
		m.own = issue(m.t, wish{cn: "localhost", by: m.ca, from: -400, until: -35})
		m.certificates(m.own.certPEM())
	}, []string{"error certificate: expired on 2026-10-21"}},
	{"wrong name", func(m *machine) {
		m.own = issue(m.t, wish{cn: "node2.example.com", by: m.ca})
		m.certificates(m.own.certPEM())
	}, []string{"error certificate: bears CN=node2.example.com and not the wanted name localhost"}},
	{"key mismatch", func(m *machine) {
		m.certificates(m.own.certPEM())
		put(m.t, 0o600, m.path("tls/node.key"), m.ca.keyPEM(m.t))
	}, []string{"error certificate: does not match certificate"}},
	{"missing intermediate", func(m *machine) {
		between := issue(m.t, wish{cn: "Example Issuing CA 7", ca: true, by: m.ca})
		m.own = issue(m.t, wish{cn: "localhost", by: between})
		m.certificates(m.own.certPEM())
	}, []string{"error certificate: was issued by CN=Example Issuing CA 7, which is not in"}},
	{"port taken", func(m *machine) {
		l, err := net.Listen("tcp", fmt.Sprintf("localhost:%d", m.port))
		if err != nil {
			m.t.Fatal(err)
		}
		m.t.Cleanup(func() { l.Close() })
	}, []string{"error port : the port is taken"}},
}

// The page shows what check says, not what somebody once thought it would.
func TestTranscriptsOfBrokenNodes(t *testing.T) {
	page, err := os.ReadFile(transcriptPage)
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	for _, b := range broken {
		t.Run(b.name, func(t *testing.T) {
			m := newMachine(t)
			b.make(m)
			r := m.check()
			wants(t, r, strings.Replace(b.want[0], "port :", fmt.Sprintf("port %d:", m.port), 1))
			got := "```\n" + m.transcript(r) + "```\n"
			begin, end := "<!-- transcript: "+b.name+" -->\n", "<!-- end -->"
			before, rest, ok := strings.Cut(text, begin)
			old, after, ended := strings.Cut(rest, end)
			switch {
			case !ok || !ended:
				t.Fatalf("%s has no place for it: %s … %s", transcriptPage, begin, end)
			case *update:
				text = before + begin + got + end + after
			case old != got:
				t.Errorf("%s shows\n%s\nand check says\n%s\n(go test ./cli/check -run Transcripts -update)", transcriptPage, old, got)
			}
		})
	}
	if *update {
		if err := os.WriteFile(transcriptPage, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// transcript makes of a test's machine one that could be anybody's.
func (m *machine) transcript(r *Report) string {
	for i, f := range r.Findings {
		if text, loopback := strings.CutSuffix(f.Text, ": a loopback address, which nodes on other machines cannot reach"); loopback {
			r.Findings[i] = Finding{Level: OK, Subject: f.Subject, Text: text}
		}
	}
	var out strings.Builder
	fmt.Fprintln(&out, "$ wsrep_sst_rsync_tunnel check")
	if err := r.Tell(&out); err != nil {
		m.t.Fatal(err)
	}
	if err := r.Err(); err != nil {
		fmt.Fprintln(&out, "wsrep_sst_rsync_tunnel:", err)
	}
	text := out.String()
	for _, change := range [][2]string{
		{m.path("etc"), "/etc/mysql"}, {m.path("tls"), "/etc/mysql/tls"}, {m.path("data"), "/var/lib/mysql"}, {m.path("bin"), "/usr/bin"},
		{fmt.Sprint(m.port), "4444"}, {"localhost", "node1.example.com"}, {"[::1]", "10.0.0.1"}, {"127.0.0.1", "10.0.0.1"},
	} {
		text = strings.ReplaceAll(text, change[0], change[1])
	}
	text = regexp.MustCompile(`process \d+ \([^)]*\)`).ReplaceAllString(text, "process 2113 (socat)")
	// The port may be shorter or longer than 4444.
	text = regexp.MustCompile(`(?m)^(\S+ +)port 4444 +`).ReplaceAllString(text, "${1}port 4444     ")
	text = regexp.MustCompile(`[0-9.]+ [KMGT]iB are free, an SST of what is here now is [0-9.]+ [KMGT]iB`).ReplaceAllString(text, "81.4 GiB are free, an SST of what is here now is 12.7 GiB")
	return regexp.MustCompile(`sends [0-9.]+ [KMGT]iB in \d+ files`).ReplaceAllString(text, "sends 12.7 GiB in 1840 files")
}
