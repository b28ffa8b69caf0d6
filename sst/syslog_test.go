package sst

import (
	"bytes"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/sst/report"
)

func TestWhoseLinesGoToSyslog(t *testing.T) {
	for _, c := range []struct {
		name, cnf string
		env       map[string]string
		want      string
		warns     string
	}{
		{"nothing is set", "", nil, "", ""},
		{"on", "[sst]\nsst-syslog=1\n", nil, "wsrep-sst-donor", ""},
		{"as the server's", "[mysqld_safe]\nsyslog\n", nil, "wsrep-sst-donor", ""},
		{"as the server's, with its tag", "[mysqld_safe]\nsyslog\nsyslog-tag=db1\n", nil, "db1-wsrep-sst-donor", ""},
		{"a tag of the environment", "[sst]\nsst_syslog=1\n", map[string]string{"SST_SYSLOG_TAG": "db2"}, "db2-wsrep-sst-donor", ""},
		{"never", "[mysqld_safe]\nsyslog\n[sst]\nsst-syslog=-1\n", nil, "", ""},
		{"off, but the server's counts", "[mysqld_safe]\nsyslog\n[sst]\nsst-syslog=0\n", nil, "wsrep-sst-donor", ""},
		{"a tag alone", "[mysqld_safe]\nsyslog-tag=db1\n", nil, "", ""},
		{"nonsense", "[sst]\nsst-syslog=yes\n", nil, "", "none of 1, 0 and -1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := mustSettings(t, c.cnf, c.env, "--role", "donor")
			all := strings.Join(s.Warnings, "\n")
			if s.SyslogTag != c.want || !strings.Contains(all, c.warns) || c.warns == "" && all != "" {
				t.Errorf("%q, warnings: %s", s.SyslogTag, all)
			}
		})
	}
}

func TestLinesGoToSyslogOrStay(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, c := range []struct {
		name, path string
		there      string // what the error log has
	}{
		{"there is one", path, "go to syslog from here on"},
		{"there is none", filepath.Join(dir, "none"), "[INFO] hello"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var rest bytes.Buffer
			r := &run{settings: &Settings{SyslogTag: "wsrep-sst-joiner"}, log: report.NewLog(&rest, nil)}
			r.toSyslog(c.path)
			r.say("hello")
			if got := rest.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, c.there) {
				t.Errorf("the error log has %q", got)
			}
		})
	}
	b := make([]byte, 1000)
	_ = l.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := l.Read(b); err != nil || !strings.Contains(string(b[:n]), "wsrep-sst-joiner[") || !strings.Contains(string(b[:n]), "WSREP_SST: [INFO] hello (") {
		t.Errorf("syslog has %q, %v", b[:max(n, 0)], err)
	}
}
