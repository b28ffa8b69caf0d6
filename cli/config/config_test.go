package config

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/mycnf"
	"wsrep_sst_rsync_tunnel/sst/report"
)

// read makes a report about an option file, and both of its forms.
func read(t *testing.T, cnf string, o Options) (r *Report, text, json string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "my.cnf")
	if err := os.WriteFile(file, []byte(cnf), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Defaults = mycnf.Args{File: file, HasFile: true}
	o.LookupEnv = func(string) (string, bool) { return "", false }
	r, err := Read(o)
	if err != nil {
		t.Fatal(err)
	}
	var b, j strings.Builder
	if err := r.Tell(&b); err != nil {
		t.Fatal(err)
	}
	if err := r.TellJSON(&j); err != nil {
		t.Fatal(err)
	}
	return r, strings.ReplaceAll(b.String(), filepath.Dir(file)+"/", ""), j.String()
}

func TestWhoseMethodItIs(t *testing.T) {
	for _, c := range []struct {
		name, cnf string
		o         Options
		want      string // of the first line
		warns     string
	}{
		{"the option file's", "[galera]\nwsrep-sst-method=rsync_wan\n", Options{}, "method rsync_wan (my.cnf:2)", ""},
		{"mariadbd's argument", "[galera]\nwsrep_sst_method=rsync\n", Options{Mysqld: []string{"--wsrep_sst_method=rsync_tunnel"}},
			"method rsync_tunnel (mariadbd's argument --wsrep-sst-method)", ""},
		{"ours", "[galera]\nwsrep_sst_method=rsync\n", Options{Method: "rsync_tunnel"}, "method rsync_tunnel (argument --method)", ""},
		{"nobody's", "", Options{}, "method rsync (default)", "wsrep_sst_method is not set"},
		{"another program's", "[mysqld]\nwsrep_sst_method=mariabackup\n", Options{}, "method rsync_tunnel (default)", "my.cnf:2: wsrep_sst_method=mariabackup is not this program"},
		{"a server's that reads no files", "[mysqld]\nwsrep_sst_method=rsync_wan\ndatadir=/x\n", Options{Mysqld: []string{"--no-defaults"}},
			"method rsync (default), data directory /var/lib/mysql (default)", "wsrep_sst_method is not set"},
		{"the option file's, with its directory", "[mysqld]\nwsrep_sst_method=rsync\ndatadir=/x\n", Options{}, "method rsync (my.cnf:2), data directory /x (my.cnf:3)", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, text, _ := read(t, c.cnf, c.o)
			if !strings.HasPrefix(text, c.want) {
				t.Errorf("%s", text)
			}
			if (c.warns == "") != !strings.Contains(text, "\nwarning: ") || !strings.Contains(text, c.warns) {
				t.Errorf("want the warning %q in\n%s", c.warns, text)
			}
		})
	}
}

// What an option file holds must not look like something that this program says.
func TestValuesCannotForgeLines(t *testing.T) {
	_, text, json := read(t, "[sst]\nprogress=/x\\nwarning: all is lost\ncompressor=\x1b[2J\nsockopts\x1b=1\n", Options{Method: "rsync"})
	if strings.Contains(text, "\nwarning: all") || strings.Contains(text+json, "\x1b") || !strings.Contains(text, `"/x\nwarning: all is lost"`) {
		t.Errorf("%q\n%q", text, json)
	}
}

func TestASecretIsInNeitherForm(t *testing.T) {
	cnf := "[sst]\nwsrep_sst_auth=root:hunter2\nencrypt_key=hunter2\n[mysqld]\nfile_key_management_filekey=hunter2\nloose_wsrep_sst_auth=a:hunter2\n"
	_, text, json := read(t, cnf, Options{Method: "rsync", Mysqld: []string{"--wsrep-sst-auth=root:hunter2", "--password=hunter2"}})
	if strings.Contains(text+json, "hunter2") {
		t.Errorf("%s%s", text, json)
	}
	if !regexp.MustCompile(`wsrep-sst-auth +\(not shown\) +my.cnf:2`).MatchString(text) {
		t.Errorf("that there is one is not said:\n%s", text)
	}
}

func TestWhoseSettingsAreUnusable(t *testing.T) {
	for _, c := range []struct{ name, cnf, method, says string }{
		{"both roles'", "[sst]\ntcert=/nowhere/c.pem\n", "rsync_tunnel", "these settings cannot be used: tcert /nowhere/c.pem: no such file or directory"},
		{"the joiner's", "[sst]\nssl-mode=REQUIRED\nssl-server-cert=/nowhere/c.pem\n", "rsync", "these settings cannot be used as a joiner: ssl-server-cert /nowhere/c.pem"},
		{"each in its way", "[sst]\nssl-mode=REQUIRED\nssl-server-cert=/nowhere/s.pem\nssl-client-cert=/nowhere/c.pem\n", "rsync",
			"these settings cannot be used as a donor: ssl-client-cert /nowhere/c.pem: no such file or directory; as a joiner: ssl-server-cert /nowhere/s.pem"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _, json := read(t, c.cnf, Options{Method: c.method})
			err := r.Err()
			if err == nil || !strings.HasPrefix(err.Error(), c.says) || report.Hint(err) == "" {
				t.Errorf("%v, hint %q", err, report.Hint(err))
			}
			if !strings.Contains(json, `"error": "`) || !strings.Contains(json, `"hint": "`) {
				t.Errorf("%s", json)
			}
		})
	}
	if r, _, _ := read(t, "", Options{Method: "rsync"}); r.Err() != nil {
		t.Errorf("nothing is set, which a stock method can have: %v", r.Err())
	}
}
