package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestANodeAsItShouldBe(t *testing.T) {
	m := newMachine(t)
	r := m.check()
	wants(t, r)
	for _, subject := range []string{"option files", "method", "program", "clock", "key", "certificate", "name", "datadir", "leftovers", "as donor", "space", fmt.Sprintf("port %d", m.port)} {
		has(t, r, OK, subject, "")
	}
	if err := r.Err(); err != nil {
		t.Error(err)
	}
}

// One thing is wrong with each node, and check says that and nothing else.
func TestWhatIsWrongWithANode(t *testing.T) {
	for _, c := range []struct {
		name string
		ruin func(m *machine)
		want []string
	}{
		{"an option file with an error", func(m *machine) { m.sst = append(m.sst, "[mariadb") }, []string{"error option files: group without"}},
		{"no option file", func(m *machine) { m.o.Dirs = []string{m.path("nowhere")} },
			[]string{"warning option files: there is none", "warning method: is not set", "error program: there is no wsrep_sst_rsync ", "warning certificate: nothing is encrypted", "*"}},
		{"no method set", func(m *machine) { m.mariadb = m.mariadb[1:]; m.o.Method = "rsync_tunnel" },
			[]string{"warning method: the rest is about rsync_tunnel, but wsrep_sst_method is rsync, since it is not set"}},
		{"another method", func(m *machine) { m.mariadb[0] = "wsrep_sst_method=mariabackup" }, []string{"warning method: wsrep_sst_method is mariabackup, which is not this program"}},
		{"an address that is none", func(m *machine) { m.mariadb[1] = "wsrep_sst_receive_address=node:1:2" }, []string{"error address: wsrep_sst_receive_address: address"}},
		{"an address of use on this host only", func(m *machine) { m.mariadb[1] = "wsrep_node_address=fe80::1%eth0" }, []string{"error address: is of use on this host only"}},
		{"settings of the version that the data has", func(m *machine) {
			put(m.t, 0o600, m.path("data/mariadb_upgrade_info"), []byte("10.11.19-MariaDB"))
			m.mariadb = append(m.mariadb, "[mysqld-10.11]", "wsrep_sst_method=rsync_wan")
		}, []string{"error program: there is no wsrep_sst_rsync_wan in"}},
		{"settings that it warns of", func(m *machine) { m.sst = append(m.sst, "sst-timeout=soon", "encrypt=1") },
			[]string{"warning settings: sst-timeout=soon is not a number", "warning settings: encrypt=1"}},

		{"no program", func(m *machine) { os.Remove(m.path("bin/" + method)) }, []string{"error program: there is no wsrep_sst_rsync_tunnel in"}},
		{"a script in its place", func(m *machine) {
			os.Remove(m.path("bin/" + method))
			put(m.t, 0o755, m.path("bin/"+method), []byte("#!/bin/sh\n"))
		}, []string{"error program: which is not this program"}},
		{"a script before it in PATH", func(m *machine) {
			put(m.t, 0o755, m.path("first/"+method), []byte("#!/bin/sh\n"))
			m.o.ServerDir = m.path("first")
		}, []string{"error program: first, which is not this program, and never comes to"}},
		{"a script that nobody may run before it", func(m *machine) {
			put(m.t, 0o644, m.path("first/"+method), []byte("#!/bin/sh\n"))
			m.o.ServerDir = m.path("first")
		}, nil},

		{"a clock of 1970", func(m *machine) { m.o.Now = func() time.Time { return time.Unix(3600, 0) } },
			[]string{"error clock: 1970-01-01", "error certificate: is not valid before", "warning dates: CN=Example CA is not valid before"}},
		{"no certificate", func(m *machine) { m.sst = m.sst[:1] }, []string{"error certificate: tcert: is not set"}},
		{"a certificate of somebody else's authority", func(m *machine) {
			m.own = issue(m.t, wish{cn: "localhost", by: issue(m.t, wish{cn: "Other CA", ca: true})})
			m.certificates(m.own.certPEM())
		}, []string{"error certificate: this node as joiner and as donor: its certificate CN=localhost was issued by CN=Other CA"}},
		{"a certificate for servers alone", func(m *machine) {
			m.own = issue(m.t, wish{cn: "localhost", by: m.ca, usage: serverOnly})
			m.certificates(m.own.certPEM())
		}, []string{"error certificate: this node as donor: the extended key usage"}},
		{"a name that donors must bear, and this node does not", func(m *machine) { m.sst = append(m.sst, "sockopt=,commonname=cluster") },
			[]string{"error certificate: this node as joiner and as donor: its certificate bears CN=localhost and not the wanted name cluster"}},
		{"a wrong name that nobody looks at", func(m *machine) {
			m.own = issue(m.t, wish{cn: "elsewhere", by: m.ca})
			m.certificates(m.own.certPEM())
			m.sst = append(m.sst, "sockopt=,commonname=")
		}, []string{"warning trust: commonname=: any trusted certificate will do"}},
		{"nobody is verified", func(m *machine) {
			m.own = issue(m.t, wish{cn: "elsewhere", by: m.ca, from: -10, until: -5})
			m.certificates(m.own.certPEM())
			m.sst = append(m.sst, "sockopt=,verify=0")
		}, []string{"warning trust: verify=0: whoever reaches the port", "warning trust: verify=0: the database is sent", "warning trust: expired on"}},
		{"a certificate that ends soon", func(m *machine) {
			m.own = issue(m.t, wish{cn: "localhost", by: m.ca, from: -100, until: 7})
			m.certificates(m.own.certPEM())
		}, []string{"warning dates: the certificate CN=localhost expires on 2026-12-02, in 7 days"}},
		{"an old authority beside the new one", func(m *machine) {
			old := issue(m.t, wish{cn: "Old CA", ca: true, from: -100, until: -1})
			ending := issue(m.t, wish{cn: "Ending CA", ca: true, from: -100, until: 3})
			put(m.t, 0o644, m.path("tls/ca.pem"), old.certPEM(), ending.certPEM(), m.ca.certPEM())
		}, []string{"warning dates: the trusted certificate CN=Old CA expired on", "warning dates: the trusted certificate CN=Ending CA expires on"}},
		{"a key for everybody", func(m *machine) { os.Chmod(m.path("tls/node.key"), 0o644) }, []string{"warning key: everybody may read the key"}},
		{"files that everybody may write", func(m *machine) {
			os.Chmod(m.path("tls/ca.pem"), 0o666)
			os.Chmod(m.path("tls"), 0o777)
		}, []string{"warning trust: tls/ca.pem (mode 0666), and so decide", "warning trust: /tls (mode 0777)"}},
		{"files in a directory as /tmp is one", func(m *machine) { os.Chmod(m.path("tls"), 0o777|os.ModeSticky) }, nil},
		{"a key that its group may write", func(m *machine) { os.Chmod(m.path("tls/node.key"), 0o660) }, []string{"warning key: its group may write"}},
		{"a sockopt that is refused", func(m *machine) { m.sst = append(m.sst, "sockopt=,crnl") }, []string{"error certificate: sockopt crnl"}},

		{"no key file of encrypted tables", func(m *machine) {
			m.mariadb = append(m.mariadb, "file_key_management_filename=keys.enc", "file_key_management_filekey=FILE:"+m.path("filekey"))
		}, []string{"error table keys: file_key_management_filename", "error table keys: file_key_management_filekey"}},
		{"key files that are there", func(m *machine) {
			put(m.t, 0o600, m.path("data/keys.enc"), []byte("1;00"))
			put(m.t, 0o600, m.path("filekey"), []byte("secret"))
			m.mariadb = append(m.mariadb, "file_key_management_filename=keys.enc", "file_key_management_filekey=FILE:"+m.path("filekey"))
		}, nil},
		{"a key that is no file", func(m *machine) { m.mariadb = append(m.mariadb, "file_key_management_filekey=secret") }, nil},

		{"no data directory", func(m *machine) { m.mariadb[2] = "datadir=" + m.path("nothing") }, []string{"error datadir: no such file"}},
		{"a file for a data directory", func(m *machine) { m.mariadb[2] = "datadir=" + m.path("data/ibdata1") }, []string{"error datadir: is not a directory"}},
		{"what an SST left", func(m *machine) {
			for _, name := range []string{".wsrep_sst_new.ibdata1", ".wsrep_sst_old.ibdata1", "sst_in_progress", "wsrep_sst.pid", "rsync_tunnel_sst_complete"} {
				put(m.t, 0o600, m.path("data/"+name), nil)
			}
		}, []string{"warning leftovers: was not completed here", "warning leftovers: ended without cleaning up"}},
		{"a database that leads nowhere", func(m *machine) { os.Symlink(m.path("gone"), m.path("data/shop")) },
			[]string{"error as joiner: shop is a symbolic link to", "error as donor: shop is a symbolic link to"}},
		{"a table that lies elsewhere", func(m *machine) { put(m.t, 0o600, m.path("data/mysql/t.isl"), []byte(m.path("far/t.ibd"))) },
			[]string{"error as donor: t.isl"}},
		{"files of another engine", func(m *machine) { put(m.t, 0o600, m.path("data/shop.mrn"), nil) }, []string{"warning as donor: Mroonga"}},
		{"an empty data directory", func(m *machine) {
			m.mariadb[2] = "datadir=" + m.path("empty")
			os.Mkdir(m.path("empty"), 0o700)
		}, nil},
		{"a place that does not exist yet", func(m *machine) { m.mariadb = append(m.mariadb, "innodb_undo_directory="+m.path("undo")) }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t)
			c.ruin(m)
			r := m.check()
			if n := len(c.want); n > 0 && c.want[n-1] == "*" { // this machine's own address and data directory count
				for _, w := range c.want[:n-1] {
					head, part, _ := strings.Cut(w, ": ")
					level, subject, _ := strings.Cut(head, " ")
					has(t, r, Level(level), subject, part)
				}
				return
			}
			wants(t, r, c.want...)
			for _, f := range r.Findings {
				if f.Level == Error && f.Hint == "" && f.Subject != "option files" {
					t.Errorf("no hint: %+v", f)
				}
			}
		})
	}
}

// Under the names of the stock methods ssl-mode decides.
func TestStockMethods(t *testing.T) {
	for _, c := range []struct {
		name string
		sst  []string
		ruin func(m *machine)
		want []string
	}{
		{"VERIFY_CA", nil, nil, nil},
		{"VERIFY_CA and a certificate of another authority", nil, func(m *machine) {
			m.own = issue(m.t, wish{cn: "localhost", by: issue(m.t, wish{cn: "Other CA", ca: true})})
			m.certificates(m.own.certPEM())
		}, []string{"error certificate: does not match tca"}},
		{"names do not count", nil, func(m *machine) {
			m.own = issue(m.t, wish{cn: "elsewhere", by: m.ca})
			m.certificates(m.own.certPEM())
		}, nil},
		{"REQUIRED", []string{"ssl-mode=REQUIRED"}, nil, []string{"warning trust: whoever reaches the port", "warning trust: the database is sent to"}},
		{"DISABLED", []string{"ssl-mode=DISABLED"}, nil, []string{"warning certificate: ssl-mode=DISABLED"}},
		{"VERIFY_IDENTITY with the authority alone", []string{"ssl-mode=VERIFY_IDENTITY"}, nil,
			[]string{"error certificate: this node as joiner and as donor: its certificate CN=localhost is not itself in tca"}},
		{"VERIFY_IDENTITY with the certificates themselves", []string{"ssl-mode=VERIFY_IDENTITY"}, func(m *machine) {
			put(m.t, 0o644, m.path("tls/ca.pem"), m.ca.certPEM(), m.own.certPEM())
		}, nil},
		{"a donor's certificate that ends soon", nil, func(m *machine) {
			o := issue(m.t, wish{cn: "donor", by: m.ca, from: -5, until: 5})
			put(m.t, 0o600, m.path("tls/donor.pem"), o.certPEM(), o.keyPEM(m.t))
			m.sst = append(m.sst, "ssl-client-cert="+m.path("tls/donor.pem"), "ssl-client-key="+m.path("tls/donor.pem"))
		}, []string{"warning dates: the certificate CN=donor expires on"}},
		{"an unknown mode", []string{"ssl-mode=PREFERRED"}, nil, []string{"error settings: ssl-mode=PREFERRED is not known"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t)
			m.mariadb[0] = "wsrep_sst_method=rsync_wan"
			if err := os.Rename(m.path("bin/"+method), m.path("bin/wsrep_sst_rsync_wan")); err != nil {
				t.Fatal(err)
			}
			m.sst = append(m.sst, c.sst...)
			if c.ruin != nil {
				c.ruin(m)
			}
			wants(t, m.check(), c.want...)
		})
	}
}

// mariadbd's own arguments count as they do for mariadbd.
func TestArgumentsOfTheServer(t *testing.T) {
	m := newMachine(t)
	m.configure()
	m.o.Dirs = []string{m.path("nowhere")}
	m.o.Mysqld = []string{"--defaults-file=" + m.path("etc/my.cnf"), "--wsrep_sst_receive_address=AUTO", "--wsrep-node-address=127.0.0.3:4567"}
	r := Node(t.Context(), m.o)
	has(t, r, OK, "option files", m.path("etc/my.cnf"))
	has(t, r, Warning, "address", "127.0.0.3:4444, by wsrep_node_address")
	has(t, r, Error, "certificate", "and not the wanted name 127.0.0.3")
}

func TestTheAddressAsMariadbdHasIt(t *testing.T) {
	for _, c := range []struct{ receive, node, bind, want, source string }{
		{"h:5000", "n", "b", "h:5000", "wsrep_sst_receive_address"},
		{"AUTO", "n:4567", "b", "n:4444", "wsrep_node_address"},
		{"", "[fd00::1]:4567", "b", "[fd00::1]:4444", "wsrep_node_address"},
		{"", "fd00::1", "", "[fd00::1]:4444", "wsrep_node_address"},
		{"", "", "10.1.2.3", "10.1.2.3:4444", "bind_address"},
		{"", "", "fd00::2", "[fd00::2]:4444", "bind_address"},
		{"auto", "", "*", "", "the first network interface"},
		{"", "", "0.0.0.0", "", "the first network interface"},
		{"", "", "::", "", "the first network interface"},
	} {
		m := newMachine(t)
		m.mariadb = append(m.mariadb[:1:1], "wsrep_sst_receive_address="+c.receive, "wsrep_node_address="+c.node, "bind_address="+c.bind)
		m.configure()
		n := &node{o: m.o.withDefaults(), r: &Report{}}
		if !n.load() {
			t.Fatal(n.r.Findings)
		}
		if !n.chooseAddress() && c.want != "" {
			t.Errorf("%+v: %+v", c, n.r.Findings)
			continue
		}
		if !strings.HasPrefix(n.source, c.source) || c.want != "" && n.address.HostPort() != c.want {
			t.Errorf("%+v: %s by %s", c, n.address.HostPort(), n.source)
		}
	}
}

// An SST of this node that listens on the port is no fault: it is told by the pid file
// of the data directory, and by who has the socket open.
func TestAnSSTAtWork(t *testing.T) {
	cat, err := exec.LookPath("cat")
	if err != nil {
		t.Skip("there is no cat to stand for an SST")
	}
	m := newMachine(t)
	l, err := net.Listen("tcp", fmt.Sprintf("localhost:%d", m.port))
	if err != nil {
		t.Fatal(err)
	}
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	stdin, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	sst := &exec.Cmd{Path: cat, Args: []string{"wsrep_sst_rsync_tunnel"}, Stdin: stdin, ExtraFiles: []*os.File{socket}}
	if err := sst.Start(); err != nil {
		t.Fatal(err)
	}
	stdin.Close()
	t.Cleanup(func() { hold.Close(); sst.Wait() })
	l.Close()
	socket.Close()
	put(t, 0o600, m.path("data/wsrep_sst.pid"), []byte(strconv.Itoa(sst.Process.Pid)+"\n"))
	put(t, 0o600, m.path("data/sst_in_progress"), nil)

	r := m.check()
	wants(t, r)
	has(t, r, OK, fmt.Sprintf("port %d", m.port), fmt.Sprintf("(process %d) listens there", sst.Process.Pid))
	has(t, r, OK, "running SST", "at this moment")
}

// A process that is none of an SST has the port, and the pid file is of long ago.
func TestAStalePidFileExcusesNobody(t *testing.T) {
	m := newMachine(t)
	l, err := net.Listen("tcp", fmt.Sprintf("localhost:%d", m.port))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	put(t, 0o600, m.path("data/wsrep_sst.pid"), []byte("999999999\n"))
	wants(t, m.check(), fmt.Sprintf("error port %d: process %d (", m.port, os.Getpid()), "warning leftovers: wsrep_sst.pid")
}

// Nothing is written or taken away.
func TestCheckLeavesNoTrace(t *testing.T) {
	m := newMachine(t)
	put(t, 0o600, m.path("data/.wsrep_sst_new.ibdata1"), []byte("half"))
	m.configure()
	list := func() string {
		out, err := exec.Command("find", m.dir, "-printf", `%p %m %s %T@ %C@\n`).Output()
		if err != nil {
			t.Skip("there is no find to list a tree with times")
		}
		return string(out)
	}
	before := list()
	Node(t.Context(), m.o)
	if after := list(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestJSON(t *testing.T) {
	m := newMachine(t)
	os.Chmod(m.path("tls/node.key"), 0o644)
	r := m.check()
	var out bytes.Buffer
	if err := r.TellJSON(&out); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Errors, Warnings *int
		Findings         []Finding
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if got.Errors == nil || *got.Errors != 0 || *got.Warnings != r.Count(Warning) || len(got.Findings) != len(r.Findings) {
		t.Errorf("%s", out.String())
	}
}

// What a file is called must not make a line of the report.
func TestAFindingStaysOnItsLine(t *testing.T) {
	r := &Report{}
	r.fail("x", "do\nthis", "a\nok  forged \x1b[2J")
	var out strings.Builder
	if err := r.Tell(&out); err != nil {
		t.Fatal(err)
	}
	if want := "error    x             a ok  forged \\x1b[2J\n                       hint: do this\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

func FuzzListening(f *testing.F) {
	f.Add("   0: 0100007F:115C 00000000:0000 0A 00000000:00000000 00:00000000 00000000   102        0 12345 1 0000 100 0 0 10 0", 4444)
	f.Add("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode", 0)
	f.Fuzz(func(t *testing.T, line string, port int) {
		if inode := listening(line, port); inode != "" && (port < 0 || port > 65535) {
			t.Errorf("%q has no port %d", line, port)
		}
	})
}
