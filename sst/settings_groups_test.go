package sst

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/mycnf"
)

// The group lists of sst-options.md, section 1, written out once more: who wins when a
// key stands in [sst], in a group of the server and in one of mariabackup.
func TestWhichGroupWins(t *testing.T) {
	for groups, keys := range map[string]string{
		"sst": "tca tcapath tcert tkey sockopt rlimit progress time sst-initial-timeout sst-timeout sst-connect-timeout sst-handshake-timeout " +
			"sst-previous-timeout wsrep-sst-auth compressor decompressor streamfmt transferfmt cpat sst-special-dirs sst-log-archive sst-log-archive-dir " +
			"sst-syslog use-extra incremental rebuild rebuildcmd donor-timeout joiner-timeout",
		"mysqld sst": "backup-threads sst-max-binlogs tmpdir ssl-mode ssl-ca ssl-capath ssl-cert ssl-key ssl-server-ca ssl-server-capath ssl-server-cert " +
			"ssl-server-key ssl-client-ca ssl-client-capath ssl-client-cert ssl-client-key",
		"mysqld sst xtrabackup mariabackup": "encrypt encrypt-algo encrypt-format encrypt-key encrypt-key-file encrypt-threads encrypt-chunk-size " +
			"ssl-dhparams compress compress-chunk-size compress-threads",
		"sst xtrabackup mariabackup": "inno-backup-opts inno-apply-opts inno-move-opts use-memory",
		"mysqld":                     "innodb-data-home-dir innodb-log-group-home-dir innodb-undo-directory aria-log-dir-path innodb-data-file-path innodb-page-size log-basename",
	} {
		for key := range strings.FieldsSeq(keys) {
			t.Run(key, func(t *testing.T) {
				k, known := lookupKey(key)
				if !known {
					t.Fatal("is not known")
				}
				order := strings.Fields(groups)
				for first := range order { // the ones before it do not have the key
					if got := placeOf(t, k, order[first:], ""); got != order[first] {
						t.Errorf("of %q, %s wins", order[first:], got)
					}
				}
				for _, other := range []string{"mysqld", "sst", "xtrabackup", "mariabackup", "client", "mysqldump"} {
					if !strings.Contains(" "+groups+" ", " "+other+" ") {
						if got := placeOf(t, k, []string{other}, ""); got != "" {
							t.Errorf("is found in [%s]", got)
						}
					}
				}
				if got := placeOf(t, k, order, ".2"); got != order[0]+".2" {
					t.Errorf("with a suffix, %s wins", got)
				}
			})
		}
	}
}

// placeOf loads an option file with the key in all the groups, spelt in another way in
// each, and says which of them its value is from, "" if from none.
func placeOf(t *testing.T, k knownKey, groups []string, suffix string) string {
	t.Helper()
	spellings := []string{k.name, strings.ReplaceAll(k.name, "-", "_"), "loose-" + k.name, "loose_" + strings.ReplaceAll(k.name, "-", "_")}
	cnf, places := "", map[string]string{}
	for i, group := range groups {
		cnf += fmt.Sprintf("[%s%s]\n%s = %s\n", group, suffix, spellings[(i+len(groups))%len(spellings)], k.example)
		places[fmt.Sprintf("my.cnf:%d", 2*i+2)] = group + suffix
	}
	method, role := "rsync_tunnel", "donor"
	if k.methods == stockOnly {
		method = "rsync"
	}
	if k.roles == joinerOnly {
		role = "joiner"
	}
	more := []string{"--role", role}
	if suffix != "" {
		more = append(more, "--defaults-group-suffix", suffix)
	}
	s, err := settingsAs(t, method, cnf, nil, more...)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range s.Effective() {
		if e.Key == k.name {
			return places[e.From[strings.LastIndexByte(e.From, '/')+1:]]
		}
	}
	return ""
}

// Command lines as mariadbd 10.11 wrote them (sst-contract.md, section 2).
func TestSettingsWithMariadbdsCommandLines(t *testing.T) {
	const cnf = "[mysqld]\nlog_bin=other\nbackup-threads=5\n[mysqld.2]\nbackup-threads=7\ninnodb_undo_directory=./undo\n[sst]\nrlimit=1g\n[sst.2]\nrlimit=20m\nsst-max-binlogs=4\n"
	mysqld := `--defaults-group-suffix=.2 --log-output=file --wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:5567;gcache.dir=/gcache ` +
		`--wsrep_sst_auth=root:secret --innodb-page-size=32k --loose-aria-log-dir-path=aria --skip-networking`
	for _, c := range []struct {
		name, argv string
		ok         func(*Settings) bool
	}{
		{"a joiner", `wsrep_sst_rsync_tunnel --role joiner --address 10.0.0.2:4444 --datadir /var/lib/mysql/ --defaults-file CNF --defaults-group-suffix .2 ` +
			`--parent 5306 --progress 0 --binlog mysqld-bin --binlog-index mysqld-bin.index --mysqld-args ` + mysqld,
			func(s *Settings) bool {
				return s.MaxBinlogs == 4 && s.Binlog.Path == "/var/lib/mysql/mysqld-bin" && s.PageSize == 32<<10 &&
					s.Places.UndoDir == "/var/lib/mysql/undo" && s.Places.AriaDir == "/var/lib/mysql/aria" && s.InitialTimeout == 0
			}},
		{"a donor", `wsrep_sst_rsync_tunnel --role donor --address 10.0.0.2:4444/rsync_tunnel_sst --local-port 3306 --socket /run/mysqld/mysqld.sock --progress 0 ` +
			`--datadir /var/lib/mysql/ --defaults-file CNF --defaults-group-suffix .2 --gtid 3098c6fd-e766-11f1-a4b4-477c3b5b7c8d:2 --gtid-domain-id 0 ` +
			`--binlog mysqld-bin --binlog-index mysqld-bin.index --mysqld-args ` + mysqld,
			func(s *Settings) bool { return s.RateLimit == 20<<20 && s.BackupThreads == 7 }},
		{"a donor of an IST, without a suffix", `wsrep_sst_rsync_wan --role donor --address [::1]:19041/rsync_sst --local-port 3306 --socket /run/mysqld/mysqld.sock --progress 1 ` +
			`--datadir /var/lib/mysql/ --defaults-file CNF --gtid 50ca5ddb-e766-11f1-a59b-025d89c68912:3 --gtid-domain-id 0 ` +
			`--binlog-index mysqld-bin.index --bypass --mysqld-args --log-output=file`,
			func(s *Settings) bool {
				return s.RateLimit == 1<<30 && s.BackupThreads == 5 && s.MaxBinlogs == 1 && s.Binlog.Path == "/var/lib/mysql/other"
			}},
		{"a server without option files", `wsrep_sst_rsync_tunnel --role donor --address h:4444 --datadir /d/ --defaults-file CNF --mysqld-args --no-defaults --log-bin`,
			func(s *Settings) bool {
				return s.BackupThreads != 5 && s.RateLimit == 1<<30 && s.Binlog.Path == "/d/mysql-bin"
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "my.cnf", cnf)
			a, err := ParseArgs(strings.Fields(strings.ReplaceAll(c.argv, "CNF", filepath.Join(dir, "my.cnf"))))
			if err != nil {
				t.Fatal(err)
			}
			s, err := LoadSettings(a, mycnf.LoadOptions{LookupEnv: func(string) (string, bool) { return "", false }})
			if err != nil || !c.ok(s) || len(a.Unknown) > 0 || len(s.Warnings) > 0 {
				t.Errorf("%v, unknown %q, warnings %q, %+v", err, a.Unknown, s.Warnings, s)
			}
			if strings.Contains(fmt.Sprint(s.Effective(), s.Notes, s.summary()), "secret") {
				t.Error("the password is shown")
			}
		})
	}
}

func FuzzRates(f *testing.F) {
	for _, s := range []string{"10m", "1.5G", "2 k", "0", "999999999999t", ".", "1e3", "-1k"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if rate, err := parseRate(s); err == nil && rate != 0 && (rate < minRate || rate > maxRate) || err != nil && rate != 0 {
			t.Errorf("%q: %d, %v", s, rate, err)
		}
	})
}

func FuzzMisspelt(f *testing.F) {
	f.Add("sockopts", "sockopt")
	f.Add("tcret", "tcert")
	f.Add("", "s")
	f.Add("000湯", "0000")
	f.Fuzz(func(t *testing.T, a, b string) {
		d := differs(a, b)
		if d != differs(b, a) || d < 0 || d > maxDistance+1 || (d == 0) != (a == b) {
			t.Errorf("%q, %q: %d and %d", a, b, d, differs(b, a))
		}
		resembling(a)
	})
}
