package tunnel

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// port is that of every SST: each pair of hosts has its own network.
const port = 4444

// base are the options of all runs but the last (script-sessions.md).
var base = []string{"--owner", "--group", "--perms", "--links", "--specials", "--ignore-times", "--inplace", "--delete", "--quiet", "--whole-file"}

// tlsOptions is the tail of both socat addresses: certificate, key if apart, CA, then sockopt.
func (n *node) tlsOptions() string {
	s := "cert=" + n.cert
	if n.key != "" {
		s += ",key=" + n.key
	}
	if n.ca != "" {
		s += ",cafile=" + n.ca
	}
	if n.sockopt != "" {
		s += "," + n.sockopt
	}
	return s
}

// joinsByScript starts what the script starts on a joiner: rsync's daemon on localhost, and socat before it.
func (n *node) joinsByScript(t *testing.T) *process {
	t.Helper()
	conf := n.path("rsync_tunnel_sst.conf")
	text := fmt.Sprintf(`pid file = %s
use chroot = no
read only = no
timeout = 300
uid = 0
gid = 0
[rsync_tunnel_sst]
    path = %s
[rsync_tunnel_sst-log_dir]
    path = %s
`, n.path("rsync.pid"), n.data(), n.redo())
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	daemon := n.start(t, n.command(t, n.rsync, "--daemon", "--no-detach", "--address=127.0.0.1", fmt.Sprintf("--port=%d", port), "--config="+conf))
	daemon.listens(t, port)
	socat := n.start(t, n.command(t, n.socat, "-d", "-d", fmt.Sprintf("openssl-listen:%d,bind=%s,reuseaddr,fork,%s", port, n.address, n.tlsOptions()),
		fmt.Sprintf("tcp:localhost:%d", port)))
	socat.eventually(t, "listen", func() bool {
		table, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", socat.cmd.Process.Pid))
		return strings.Count(string(table), fmt.Sprintf(":%04X 00000000:0000 0A", port)) == 2
	})
	return socat
}

// donatesByScript makes the runs of the script on a donor through its socat: T1 to T4, or with bypass T4 alone.
func (n *node) donatesByScript(t *testing.T, joiner string, bypass bool, position string) {
	t.Helper()
	socat := n.start(t, n.command(t, n.socat, fmt.Sprintf("tcp-listen:%d,bind=localhost,reuseaddr,fork", port),
		fmt.Sprintf("openssl:%s:%d,%s", joiner, port, n.tlsOptions())))
	socat.listens(t, port)
	url := fmt.Sprintf("rsync://localhost:%d/rsync_tunnel_sst", port)
	var running []*process
	rsync := func(args ...string) {
		running = append(running, n.start(t, n.command(t, n.rsync, args...)))
	}
	wait := func() {
		for _, p := range running {
			p.exits(t)
		}
		running = nil
	}
	with := func(args ...string) []string { return append(append([]string{}, base...), args...) }
	if !bypass {
		rsync(with("--dirs", "-f", "- /lost+found", "-f", "- /.fseventsd", "-f", "- /.Trashes", "-f", "+ /wsrep_sst_binlog.tar",
			"-f", "+ /ib_lru_dump", "-f", "+ /ibdata*", "-f", "+ /*/", "-f", "- /*", n.data()+"/", url)...)
		wait()
		rsync(with("--dirs", "-f", "+ /ib_logfile[0-9]*", "-f", "- **", n.redo()+"/", url+"-log_dir")...)
		wait()
		entries, err := os.ReadDir(n.data())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.IsDir() && e.Name() != "lost+found" {
				rsync(with("--recursive", "--exclude", "*/ib_logfile*", n.data()+"/./"+e.Name()+"/", url+"/./"+e.Name())...)
			}
		}
		wait()
	}
	magic := filepath.Join(n.data(), "rsync_tunnel_sst_complete")
	if err := os.WriteFile(magic, []byte(position+"\n"), 0o660); err != nil {
		t.Fatal(err)
	}
	rsync("--archive", "--quiet", "--checksum", magic, url)
	wait()
	if err := os.Remove(magic); err != nil {
		t.Fatal(err)
	}
}

// certificate makes a key and a certificate with openssl. by is the folder of a CA; empty: self-signed.
func certificate(t *testing.T, openssl, dir, name, cn, by string) (key, cert string) {
	t.Helper()
	key, cert = filepath.Join(dir, name+".key"), filepath.Join(dir, name+".crt")
	if by == "" {
		run(t, openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-days", "365000", "-subj", "/CN="+cn, "-out", cert, "-batch")
		return key, cert
	}
	request := filepath.Join(dir, name+".csr")
	run(t, openssl, "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-subj", "/O=Example/CN="+cn, "-out", request, "-batch")
	run(t, openssl, "x509", "-req", "-in", request, "-CA", filepath.Join(by, "ca.crt"), "-CAkey", filepath.Join(by, "ca.key"), "-CAcreateserial",
		"-days", "365", "-out", cert)
	return key, cert
}

// bundle puts files into one.
func bundle(t *testing.T, name string, parts ...string) string {
	t.Helper()
	out, err := exec.Command("cat", parts...).Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, out, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
