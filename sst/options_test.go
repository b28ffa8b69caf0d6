package sst

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestMisspeltKeys(t *testing.T) {
	for _, c := range []struct{ key, meant string }{
		{"sockopts", "sockopt"},
		{"sockop", "sockopt"},
		{"sock_opt", "sockopt"},
		{"tcerts", "tcert"},
		{"tcret", "tcert"},
		{"cert", "tcert"},
		{"tcertfile", "tcert"},
		{"tkeys", "tkey"},
		{"tekys", ""},
		{"tcafile", "tca"},
		{"tca_file", "tca"},
		{"TCA", "tca"},
		{"rlimits", "rlimit"},
		{"rate-limit", ""},
		{"times", "time"},
		{"backup_thread", "backup-threads"},
		{"sst-initial-timeuot", "sst-initial-timeout"},
		{"sst_init_timeout", ""},
		{"loose-sockopts", "sockopt"},
		{"encript", "encrypt"},
		{"server_versions", "server-version"},
		{"wsrep_sst_auht", "wsrep-sst-auth"},
		// of nobody we know
		{"unknown-key", ""}, {"user", ""}, {"x", ""}, {"", ""}, {strings.Repeat("sockopt", 1000), ""},
	} {
		t.Run(c.key, func(t *testing.T) {
			s := mustSettings(t, "[sst]\n"+c.key+"=1\n", nil)
			want := ""
			if c.meant != "" {
				want = "my.cnf:2: " + c.key + " in [sst] is not known; is " + c.meant + " meant?"
			}
			if got := strings.Join(s.Warnings, "\n"); (got == "") != (want == "") || !strings.HasSuffix(got, want) {
				t.Errorf("warnings %q, want %q", got, want)
			}
		})
	}
}

func TestAllKnownKeysAreSpeltRight(t *testing.T) {
	cnf := "[sst]\n"
	for _, k := range knownKeys {
		if k.groups.withSST() && k.name != "encrypt" {
			cnf += strings.ReplaceAll(k.name, "-", "_") + "=" + k.example + "\n"
		}
	}
	for _, key := range pathKeys {
		cnf += "loose-" + key + "=/x\n"
	}
	for _, method := range []string{"rsync_tunnel", "rsync"} {
		s, err := settingsAs(t, method, cnf, nil)
		// Over which transport is no matter of taste: the stock methods say that they have one only.
		s.Warnings = slices.DeleteFunc(s.Warnings, func(w string) bool {
			return method == "rsync" && strings.Contains(w, "transport=dtls has no effect on rsync")
		})
		if err != nil || len(s.Warnings) > 0 {
			t.Errorf("%s: %v, warnings %q", method, err, s.Warnings)
		}
	}
}

func TestMisspeltKeysAreBounded(t *testing.T) {
	cnf := "[sst]\n"
	for i := range 100 {
		cnf += fmt.Sprintf("sockopt%c%c=1\n", 'a'+i/26, 'a'+i%26)
	}
	if s := mustSettings(t, cnf, nil); len(s.Warnings) != maxMisspelt {
		t.Errorf("%d warnings", len(s.Warnings))
	}
}

func TestMisspeltKeysOfOtherGroupsAreNotOurs(t *testing.T) {
	if s := mustSettings(t, "[mysqld]\nsockopts=1\n[client]\ntcerts=1\n", nil); len(s.Warnings) > 0 {
		t.Errorf("%q", s.Warnings)
	}
	s := mustSettings(t, "[sst.2]\nsockopts=1\n", nil, "--defaults-group-suffix", ".2")
	if len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "sockopts in [sst.2]") {
		t.Errorf("%q", s.Warnings)
	}
}

func TestKeysOfAnotherMethodAreNoted(t *testing.T) {
	s := mustSettings(t, "[sst]\nssl-mode=VERIFY_CA\n", nil)
	if len(s.Warnings) > 0 || len(s.Notes) != 1 || !strings.HasSuffix(s.Notes[0], "my.cnf:2: ssl-mode is read by the method rsync, rsync_wan only") {
		t.Errorf("warnings %q, notes %q", s.Warnings, s.Notes)
	}
}

// Every key that the table says has an effect is asked for by the loader, in some
// method and role. The other way round, it panics.
func TestTheLoaderAsksForEveryKey(t *testing.T) {
	cnf := map[bool]string{false: "[mysqld]\n", true: "[sst]\n"}
	for _, k := range knownKeys {
		cnf[k.groups.withSST()] += k.name + "=" + k.example + "\n"
	}
	found := map[string]bool{}
	for _, method := range []string{"rsync_tunnel", "rsync"} {
		for _, role := range []string{"joiner", "donor"} {
			s, err := settingsAs(t, method, cnf[false]+cnf[true], nil, "--role", role)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range s.Effective() {
				if strings.Contains(e.From, "my.cnf:") {
					found[e.Key] = true
				}
			}
		}
	}
	for _, k := range knownKeys {
		// skip-log-bin has no value, but it had its effect: there are no binlogs here.
		if !found[k.name] && k.name != "skip-log-bin" && k.name != "log-bin" && k.name != "log-bin-index" {
			t.Errorf("nobody asks for %s", k.name)
		}
	}
}

func TestEffectiveSettings(t *testing.T) {
	cnf := "[mysqld]\nbackup-threads=3\nlog_bin=b\ninnodb_undo_directory=undo\ntmpdir=/t\n[sst]\nrlimit=1m\nbackup-threads=5\nsst_timeout=soon\nwsrep_sst_auth=root:secret\nencrypt=3\nencrypt-key=0123\nsockopt=verify=1\n"
	s := mustSettings(t, cnf, map[string]string{"INNODB_DATA_HOME_DIR": "/home"},
		"--role", "donor", "--aria-log-dir-path", "/aria", "--mysqld-args", "--innodb-page-size=4k")
	var got []string
	for _, e := range s.Effective() {
		from := e.From
		if i := strings.Index(from, "my.cnf:"); i >= 0 {
			from = from[i:]
		}
		line := e.Key + " | " + e.Value + " | " + from
		if e.Note != "" {
			line += " | " + e.Note[strings.LastIndexByte(e.Note, '/')+1:]
		}
		got = append(got, line)
	}
	want := []string{
		"tca |  | default", "tcert |  | default", "tkey |  | default", "sockopt | verify=1 | my.cnf:13", "transport | tls | default", "dtls-mtu | 1200 | default",
		"backup-threads | 3 | my.cnf:2", "sst-max-binlogs | 1 | default", "rlimit | 1m | my.cnf:7 | 1048576 bytes a second",
		"compress | off | default", "progress | 1 | default", "progress-interval | 10 s in the first minute, then 60 s | default", "landlock | on | default", "status-file | " + s.StatusFiles[0] + " | default", "metrics-file |  | default", "tmpdir | /t | my.cnf:5", "sst-syslog | 0 | default", "time | 0 | default",
		"precopy | auto | default", "precopy-rounds | 6 | default", "precopy-max-time | 3600 | default", "precopy-rlimit | no limit | default",
		"sst-timeout | 300 | default | my.cnf:9 is not a number of seconds", "sst-connect-timeout | 10 | default",
		"sst-handshake-timeout | 30 | default", "sst-previous-timeout | 30 | default",
		"sst-timeout-locked | 60 | default", "sst-reconnect-timeout | 60 | default", "sst-reconnect-timeout-locked | 10 | default",
		"server-version | found out | default", "innodb-data-home-dir | /home | environment INNODB_DATA_HOME_DIR",
		"innodb-log-group-home-dir | /var/lib/mysql | default", "innodb-undo-directory | /var/lib/mysql/undo | my.cnf:4",
		"aria-log-dir-path | /aria | argument --aria-log-dir-path", "innodb-data-file-path | ibdata* | default",
		"innodb-page-size | 4k | mariadbd's argument --innodb-page-size | 4096 bytes",
		"log-bin | /var/lib/mysql/b | my.cnf:3", "log-bin-index | /var/lib/mysql/b.index | default", "log-basename |  | default", "socket |  | default", "wsrep-sst-donor-rejects-queries | off | default", "skip-log-bin |  | default",
		"lower-case-table-names | 0 | default", "innodb-undo-tablespaces |  | default", "innodb-encrypt-log | off | default", "innodb-encrypt-tables | off | default",
		"plugin-load |  | default", "plugin-load-add |  | default", "wsrep-provider-options |  | default",
	}
	others := slices.IndexFunc(got, func(l string) bool { return strings.HasPrefix(l, "wsrep-sst-auth") })
	if others < 0 {
		t.Fatalf("%q", got)
	}
	if !slices.Equal(got[:others], want) {
		t.Errorf("got  %q\nwant %q", got[:others], want)
	}
	text := strings.Join(got[others:], "\n")
	for _, line := range []string{"wsrep-sst-auth | (not shown) | my.cnf:10 |", "encrypt | 3 | my.cnf:11 |", "encrypt-key | (not shown) |"} {
		if !strings.Contains(text, line) {
			t.Errorf("%s is missing in\n%s", line, text)
		}
	}
	if all := fmt.Sprint(s.Effective(), s.Warnings, s.Notes, s.summary()); strings.Contains(all, "secret") || strings.Contains(all, "0123") {
		t.Errorf("a secret is shown: %s", all)
	}
	if got := s.summary(); strings.Count(got, "my.cnf") != 3 || !strings.Contains(got, "settings: backup-threads=3 (") || !strings.Contains(got, ", rlimit=1m (") {
		t.Errorf("%s", got)
	}
	if got := mustSettings(t, "[sst]\ntca=/x\n", nil).summary(); got != "" {
		t.Errorf("%s", got)
	}
}

func TestStockFilesThatAreNotUsed(t *testing.T) {
	s, err := settingsAs(t, "rsync", "[mysqld]\nssl-ca=/a\nssl-cert=/b\n[sst]\ntca=/c\nssl-server-ca=/d\n", nil, "--role", "joiner")
	if err != nil {
		t.Fatal(err)
	}
	notes := map[string]string{}
	for _, e := range s.Effective() {
		notes[e.Key] = e.Note
	}
	for key, want := range map[string]string{"ssl-server-ca": "", "tca": "not used", "ssl-ca": "not used", "ssl-cert": "not used"} {
		if notes[key] != want {
			t.Errorf("%s: note %q, want %q", key, notes[key], want)
		}
	}
}
