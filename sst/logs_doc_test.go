package sst

import (
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var updateLogs = flag.Bool("update", false, "write the logs into docs/troubleshooting.md")

// What differs from one run to the next, and on other machines.
var volatile = []struct{ is, becomes string }{
	{` \(20\d{6} [0-9:.]+\)$`, ``},
	{`\d+\.\d+ s\b`, `… s`},
	{`\d+ MB/s`, `… MB/s`},
	{`[0-9.]+ \S+ are free there`, `… are free there`},
	{`valid to [0-9: -]+UTC`, `valid to …`},
	{`serial [0-9a-f]+, SHA-256 [0-9a-f]{64}`, `serial …, SHA-256 …`},
	{`\d+ connections`, `… connections`},
	{`TLS_\w+`, `TLS_…`},
	{`donor 127\.0\.0\.1:\d+,`, `donor 127.0.0.1:…,`},
	{`it was too short to say what bound the speed|the speed was bound by .*$`, `the speed was bound by …`},
	{`[0-9.]+ \S+ of it under the lock`, `… of it under the lock`},
	{`[0-9.]+ (bytes|[KM]iB) (read|sent)\b`, `… $2`},
}

// Lines that a run may have or not, or that depend on the kernel.
var omitted = regexp.MustCompile(`landlock|\[INFO\] (donor|joiner): |not completed, waiting|connection with data broke|waiting for it to come again|waiting for mariadbd to flush`)

// forReaders is a log as the document shows it.
func (n *node) forReaders() string {
	var out []string
	for line := range strings.Lines(n.said()) {
		line = strings.TrimSuffix(line, "\n")
		if !strings.HasPrefix(line, "WSREP_SST: ") || omitted.MatchString(line) {
			continue
		}
		for _, v := range volatile {
			line = regexp.MustCompile(v.is).ReplaceAllString(line, v.becomes)
		}
		line = strings.NewReplacer(n.dir, "/var/lib/mysql", n.cnf, "/etc/my.cnf", n.ca, "/etc/mysql/tls/all.crt").Replace(line)
		line = regexp.MustCompile(regexp.QuoteMeta(n.path)+`/[0-9a-f]+\.pem`).ReplaceAllString(line, "/etc/mysql/tls/node.pem")
		out = append(out, line)
	}
	return strings.Join(out, "\n") + "\n"
}

// A shownSST is one of which the document shows what the logs say.
type shownSST struct {
	name string
	run  func(t *testing.T, c *cluster) (logs []shownLog)
}

type shownLog struct {
	side string
	node *node
	port int
}

var shownSSTs = []shownSST{
	{"one that goes well", func(t *testing.T, c *cluster) []shownLog {
		donor, joiner := c.pair()
		whole(donor, joiner)
		return []shownLog{{"joiner", joiner, portOf(joiner)}, {"donor", donor, portOf(joiner)}}
	}},
	{"the joiner's port is taken", func(t *testing.T, c *cluster) []shownLog {
		_, joiner := c.pair()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		port := l.Addr().(*net.TCPAddr).Port
		joiner.start(fmt.Sprintf("--role 'joiner' --address 'localhost:%d' --parent $PPID --progress 0", port))
		joiner.exit(exitBusy)
		return []shownLog{{"joiner", joiner, port}}
	}},
	{"the joiner's certificate has another name", func(t *testing.T, c *cluster) []shownLog {
		joiner, donor := c.node(c.certificate("node7.my.cluster", true)), c.node(c.certificate("localhost", true))
		database(t, donor.dir)
		port := joiner.ready()
		donor.donate(port, "")
		donor.exit(exitOther)
		return []shownLog{{"donor", donor, port}}
	}},
	{"the joiner does not trust the donor's certificate", func(t *testing.T, c *cluster) []shownLog {
		joiner := c.node(c.certificate("localhost", true))
		donor := c.node(c.certificate("node1.my.cluster", false))
		database(t, donor.dir)
		port := joiner.ready()
		donor.donate(port, "")
		donor.exit(exitOther)
		return []shownLog{{"donor", donor, port}}
	}},
	{"the nodes differ in innodb_page_size", func(t *testing.T, c *cluster) []shownLog {
		donor, joiner := c.pair()
		text, err := os.ReadFile(joiner.cnf)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Dir(joiner.cnf), "my.cnf", strings.Replace(string(text), "[mysqld]", "[mysqld]\ninnodb_page_size=64k", 1))
		port := joiner.ready()
		donor.donate(port, "")
		donor.exit(exitOther)
		joiner.fails(exitPipe)
		return []shownLog{{"joiner", joiner, port}, {"donor", donor, port}}
	}},
	{"mariadbd cannot lock its tables", func(t *testing.T, c *cluster) []shownLog {
		donor, joiner := c.pair()
		port := joiner.ready()
		donor.donate(port, "")
		donor.expect("flush tables")
		write(t, donor.dir, failedFile, "")
		donor.exit(exitOther)
		joiner.fails(exitPipe)
		return []shownLog{{"joiner", joiner, port}, {"donor", donor, port}}
	}},
}

// The page shows what an operator sees: one good SST and five that fail, as they were run.
// go test ./sst -run LogsOfTheDocument -update writes them.
func TestLogsOfTheDocument(t *testing.T) {
	if raced {
		t.Skip("a program with cgo, as the race detector needs it, says more: no_new_privs is not for it")
	}
	const file, begin, end = "../docs/troubleshooting.md", "<!-- logs: written by sst/logs_doc_test.go -->\n", "<!-- end of the logs -->\n"
	var all strings.Builder
	texts := make([]string, len(shownSSTs))
	t.Run("SSTs", func(t *testing.T) {
		for i, s := range shownSSTs {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				texts[i] = "### " + strings.ToUpper(s.name[:1]) + s.name[1:] + "\n"
				for _, l := range s.run(t, newCluster(t)) {
					text := strings.ReplaceAll(l.node.forReaders(), fmt.Sprint(l.port), "4444")
					texts[i] += "\nThe " + l.side + ":\n\n```\n" + text + "```\n"
				}
			})
		}
	})
	if t.Failed() {
		return
	}
	all.WriteString(strings.Join(texts, "\n"))
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), begin)
	shown, after, okToo := strings.Cut(rest, end)
	if !ok || !okToo {
		t.Fatalf("%s has no place for the logs", file)
	}
	if *updateLogs {
		if err := os.WriteFile(file, []byte(before+begin+all.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if shown != all.String() {
		got, want := strings.Split(all.String(), "\n"), strings.Split(shown, "\n")
		for i := range got {
			if i >= len(want) || got[i] != want[i] {
				t.Fatalf("%s does not show what is said; the first line that differs:\n got %s\nwant %s", file, got[i], want[min(i, len(want)-1)])
			}
		}
		t.Fatalf("%s shows more than is said", file)
	}
}
