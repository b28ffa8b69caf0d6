package sst

import (
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/mycnf"
	"wsrep_sst_rsync_tunnel/sst/plan"
	"wsrep_sst_rsync_tunnel/sst/report"
	"wsrep_sst_rsync_tunnel/tls"
)

// settingsAs loads an option file as a method, with an environment and more arguments.
func settingsAs(t *testing.T, method, cnf string, env map[string]string, more ...string) (*Settings, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "my.cnf")
	if err := os.WriteFile(file, []byte(cnf), 0o600); err != nil {
		t.Fatal(err)
	}
	words := argv(append([]string{"--defaults-file", file}, more...)...)
	words[0] = "wsrep_sst_" + method
	a, err := ParseArgs(words)
	if err != nil {
		t.Fatal(err)
	}
	return LoadSettings(a, mycnf.LoadOptions{LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
}

func settingsOf(t *testing.T, cnf string, env map[string]string, more ...string) (*Settings, error) {
	t.Helper()
	return settingsAs(t, "rsync_tunnel", cnf, env, more...)
}

func mustSettings(t *testing.T, cnf string, env map[string]string, more ...string) *Settings {
	t.Helper()
	s, err := settingsOf(t, cnf, env, more...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDefaultSettings(t *testing.T) {
	const dir = "/var/lib/mysql"
	got := mustSettings(t, "", nil)
	want := &Settings{
		Places:   plan.Places{Datadir: dir, InnoDBHome: dir, RedoDir: dir, UndoDir: dir, AriaDir: dir},
		PageSize: 16384, BackupThreads: runtime.GOMAXPROCS(0), MaxBinlogs: 1,
		Silence: 300 * time.Second, ConnectTimeout: 10 * time.Second,
		HandshakeTimeout: 30 * time.Second, PreviousTimeout: 30 * time.Second,
		Precopy: true, PrecopyRounds: 6, PrecopyMaxTime: time.Hour,
		Reconnect: 60 * time.Second, ReconnectLocked: 10 * time.Second, SilenceLocked: 60 * time.Second,
	}
	want.host, want.gcachePage = "h", defaultGcachePage
	want.StatusFiles = got.StatusFiles // of TestWhereTheStatusFileIs
	got.effective = nil                // they have a test of their own
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestChannelSettings(t *testing.T) {
	s := mustSettings(t, "[sst]\ntca=/tls/ca.pem\ntcert = /tls/node.pem\n loose_tkey=/tls/node.key\nsockopt=verify=1,cipher=HIGH\n[mysqld]\ntkey=/other\n", nil)
	if s.CA.Text != "/tls/ca.pem" || s.Cert.Text != "/tls/node.pem" || s.Key.Text != "/tls/node.key" || s.Sockopt.Text != "verify=1,cipher=HIGH" {
		t.Errorf("%+v", s)
	}
	if !strings.HasSuffix(s.Key.Where, "my.cnf:4") {
		t.Errorf("tkey is said to stand in %s", s.Key.Where)
	}
	c := s.TLS(tls.Donor)
	if c.Role != tls.Donor || c.CA != "/tls/ca.pem" || c.Cert != "/tls/node.pem" || c.Key != "/tls/node.key" || c.Sockopt != "verify=1,cipher=HIGH" || c.Host != "h" ||
		c.ConnectTimeout != s.ConnectTimeout || c.HandshakeTimeout != s.HandshakeTimeout {
		t.Errorf("%+v", c)
	}
}

func TestSettingsOfTheSST(t *testing.T) {
	for _, c := range []struct {
		name string
		cnf  string
		ok   func(*Settings) bool
		warn string
	}{
		{"threads from the server's group beat those of [sst]", "[sst]\nbackup-threads=3\n[mariadb]\nbackup_threads=5\n",
			func(s *Settings) bool { return s.BackupThreads == 5 }, ""},
		{"threads of [sst]", "[sst]\nbackup-threads=3\n", func(s *Settings) bool { return s.BackupThreads == 3 }, ""},
		{"threads that are none", "[sst]\nbackup-threads=many\n", func(s *Settings) bool { return s.BackupThreads == runtime.GOMAXPROCS(0) }, "my.cnf:2: backup-threads=many"},
		{"no threads at all", "[sst]\nbackup-threads=0\n", func(s *Settings) bool { return s.BackupThreads == runtime.GOMAXPROCS(0) }, "backup-threads=0"},
		{"too many", "[sst]\nbackup-threads=100000\n", func(s *Settings) bool { return s.BackupThreads == maxBackupThreads }, "100000"},
		{"all binlogs", "[sst]\nsst-max-binlogs=-1\n", func(s *Settings) bool { return s.MaxBinlogs == -1 }, ""},
		{"no binlogs", "[mysqld]\nsst_max_binlogs=0\nlog-bin=b\n", func(s *Settings) bool { return s.MaxBinlogs == 0 && s.Binlog.On() && !s.Places.Binlogs }, ""},
		{"times in seconds, fractions too", "[sst]\nsst-initial-timeout=7\nsst-timeout=2.5\nsst-connect-timeout=1\nsst-handshake-timeout=2\nsst-previous-timeout=0.05\n",
			func(s *Settings) bool {
				return s.InitialTimeout == 7*time.Second && s.Silence == 2500*time.Millisecond && s.ConnectTimeout == time.Second &&
					s.HandshakeTimeout == 2*time.Second && s.PreviousTimeout == 50*time.Millisecond
			}, ""},
		{"a time that is none", "[sst]\nsst-timeout=5m\n", func(s *Settings) bool { return s.Silence == defaultSilence }, "sst-timeout=5m"},
		{"no limit where there must be one", "[sst]\nsst-connect-timeout=0\n", func(s *Settings) bool { return s.ConnectTimeout == defaultConnectTimeout }, "sst-connect-timeout=0"},
		{"times that only a computer writes", "[sst]\nsst-timeout=1e3\n", func(s *Settings) bool { return s.Silence == defaultSilence }, "1e3"},
		{"not a number", "[sst]\nsst-timeout=NaN\n", func(s *Settings) bool { return s.Silence == defaultSilence }, "NaN"},
		{"longer than a server lives", "[sst]\nsst-timeout=99999999999\n", func(s *Settings) bool { return s.Silence == defaultSilence }, "99999999999"},
		{"times of the server's groups are not ours", "[mysqld]\nsst-timeout=5\n", func(s *Settings) bool { return s.Silence == defaultSilence }, ""},
		{"a page size", "[mysqld]\ninnodb_page_size=64k\n", func(s *Settings) bool { return s.PageSize == 65536 }, ""},
		{"a page size in bytes", "[mysqld]\ninnodb_page_size=4096\n", func(s *Settings) bool { return s.PageSize == 4096 }, ""},
		{"a page size that is none", "[mysqld]\ninnodb_page_size=big\n", func(s *Settings) bool { return s.PageSize == 16384 }, ""},
		{"encryption as mariabackup has it", "[sst]\nencrypt=1\n", func(s *Settings) bool { return true }, "encrypt=1 has no meaning"},
		{"encryption of another group", "[mariabackup]\nencrypt=1\n", func(s *Settings) bool { return true }, "my.cnf:2: encrypt=1"},
		{"the server's encrypt beats that of [sst]", "[sst]\nencrypt=1\n[mysqld]\nencrypt=4\n", func(s *Settings) bool { return true }, ""},
		{"a rate", "[sst]\nrlimit=10m\n", func(s *Settings) bool { return s.RateLimit == 10<<20 }, ""},
		{"no rate", "[sst]\nrlimit=0\n", func(s *Settings) bool { return s.RateLimit == 0 }, ""},
		{"a rate that is none", "[sst]\nloose_rlimit=fast\n", func(s *Settings) bool { return s.RateLimit == 0 }, "my.cnf:2: rlimit=fast is not a rate"},
		{"a rate whose suffix was forgotten", "[sst]\nrlimit=40\n", func(s *Settings) bool { return s.RateLimit == 0 }, "is a k, m or g missing?"},
		{"the server's groups have no rate", "[mysqld]\nrlimit=10m\n", func(s *Settings) bool { return s.RateLimit == 0 }, ""},
		{"no progress is no rate either", "[sst]\nprogress=none\nrlimit=10m\n", func(s *Settings) bool { return s.RateLimit == 0 && s.Progress == "none" }, "rlimit=10m is not in force"},
		{"lines of progress in the log", "[sst]\nprogress-interval=2.5\n", func(s *Settings) bool { return s.ProgressInterval == 2500*time.Millisecond }, ""},
		{"too many of them", "[sst]\nprogress-interval=0.5\n", func(s *Settings) bool { return s.ProgressInterval == 0 }, "progress-interval=0.5 is not a number of seconds of at least 1, the default is used"},
		{"progress in the log", "[sst]\nprogress=1\n", func(s *Settings) bool { return s.Progress == "1" }, ""},
		{"progress in a file", "[sst]\nprogress=run/p\n", func(s *Settings) bool {
			return s.Progress == "/var/lib/mysql/run/p" && slices.Contains(s.Places.NotData, plan.NotData{Key: "progress", Path: s.Progress})
		}, ""},
		{"stages are timed", "[sst]\ntime=1\n", func(s *Settings) bool { return s.Times }, ""},
		{"stages are not timed", "[sst]\ntime=0\n", func(s *Settings) bool { return !s.Times }, ""},
		{"a switch that is none", "[sst]\ntime=yes\n", func(s *Settings) bool { return !s.Times }, "time=yes is neither 0 nor 1"},
		{"what other methods read", "[sst]\nstreamfmt=xbstream\ntmpdir=/x\nwsrep_sst_auth=a:b\nsst-syslog=-1\nsst-log-archive=1\ninno-backup-opts=--x\n",
			func(s *Settings) bool { return true }, ""},
		{"encryption that operators leave there", "[sst]\nencrypt=3\nunknown-key=1\n", func(s *Settings) bool { return true }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := mustSettings(t, c.cnf, nil)
			if !c.ok(s) {
				t.Errorf("%+v", s)
			}
			if all := strings.Join(s.Warnings, "\n"); (c.warn == "") != (all == "") || !strings.Contains(all, c.warn) {
				t.Errorf("warnings %q, want %q", all, c.warn)
			}
		})
	}
}

func TestWherePlacesComeFrom(t *testing.T) {
	cnf := "[mysqld]\ninnodb_data_home_dir=/cnf/home\ninnodb-log-group-home-dir=redo\ninnodb_undo_directory=./undo/\naria-log-dir-path=/cnf/aria\n"
	env := map[string]string{"INNODB_DATA_HOME_DIR": "./", "INNODB_LOG_GROUP_HOME": " ", "WSREP_LOG_DIR": "/env/logs", "INNODB_UNDO_DIR": ""}
	mysqld := []string{"--mysqld-args", "--innodb_undo_directory=/args/undo", "--loose-innodb-log-group-home-dir=/args/logs"}
	for _, c := range []struct {
		name                   string
		cnf                    string
		env                    map[string]string
		more                   []string
		home, logs, undo, aria string
	}{
		{"option files, relative ones from the data directory", cnf, nil, nil, "/cnf/home", "/var/lib/mysql/redo", "/var/lib/mysql/undo", "/cnf/aria"},
		{"the server's command line before them", cnf, nil, mysqld, "/cnf/home", "/args/logs", "/args/undo", "/cnf/aria"},
		{"the environment before that", cnf, env, mysqld, "/var/lib/mysql", "/env/logs", "/args/undo", "/cnf/aria"},
		{"our own command line before all", cnf, env, append([]string{"--innodb-data-home-dir", "/a/", "--innodb-log-group-home-dir", "b",
			"--innodb-undo-directory", "/c", "--aria-log-dir-path", "/d"}, mysqld...), "/a", "/var/lib/mysql/b", "/c", "/d"},
		{"a server without option files", cnf, nil, []string{"--mysqld-args", "--no-defaults", "--aria-log-dir-path=x"},
			"/var/lib/mysql", "/var/lib/mysql", "/var/lib/mysql", "/var/lib/mysql/x"},
		{"an empty value is the default", "[mysqld]\ninnodb_data_home_dir=\n", nil, nil, "/var/lib/mysql", "/var/lib/mysql", "/var/lib/mysql", "/var/lib/mysql"},
		{"not from [sst]", "[sst]\ninnodb_data_home_dir=/x\n", nil, nil, "/var/lib/mysql", "/var/lib/mysql", "/var/lib/mysql", "/var/lib/mysql"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := mustSettings(t, c.cnf, c.env, c.more...).Places
			if p.InnoDBHome != c.home || p.RedoDir != c.logs || p.UndoDir != c.undo || p.AriaDir != c.aria {
				t.Errorf("%+v", p)
			}
		})
	}
}

func TestGroupsOfOneVersion(t *testing.T) {
	const cnf = "[mariadb]\ninnodb_log_group_home_dir=/a\n[mariadb-10.11]\ninnodb_log_group_home_dir=/b\n"
	dir := t.TempDir() // of a server that nothing is known of
	for _, unknown := range []string{"", "[sst]\nserver-version=new\n"} {
		s, err := settingsOf(t, cnf+unknown, nil, "--datadir", dir)
		if err == nil || statusOf(err) != exitInvalid || report.Hint(err) == "" || !strings.Contains(err.Error(), "my.cnf:4") || s == nil {
			t.Errorf("a place that depends on a version we do not know: %v", err)
		}
	}
	for version, want := range map[string]string{"10.11": "/b", "10.11.19-MariaDB": "/b", "11.8": "/a"} {
		if got := mustSettings(t, cnf+"[sst]\nserver-version="+version+"\n", nil, "--datadir", dir).Places.RedoDir; got != want {
			t.Errorf("version %s: %s", version, got)
		}
	}
	for name, cnf := range map[string]string{
		"the same value twice":      "[mysqld]\naria_log_dir_path=/a\n[mysqld-10.6]\naria_log_dir_path=/a\n",
		"keys that are not a place": "[mysqld-10.6]\nbackup-threads=3\nlog_error=x\n",
	} {
		if _, err := settingsOf(t, cnf, nil, "--datadir", dir); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := settingsOf(t, cnf, nil, "--datadir", dir, "--innodb-log-group-home-dir", "/c"); err != nil {
		t.Errorf("our own argument decides: %v", err)
	}
	for info, want := range map[string]string{"10.11.19-MariaDB": "/b", "11.8.3-MariaDB": "/a"} {
		if err := os.WriteFile(filepath.Join(dir, "mysql_upgrade_info"), []byte(info), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := mustSettings(t, cnf, nil, "--datadir", dir).Places.RedoDir; got != want {
			t.Errorf("data of %s: %s", info, got)
		}
	}
}

func TestBrokenOptionFilesEndTheSST(t *testing.T) {
	s, err := settingsOf(t, "tkey=/x\n", nil)
	if err == nil || statusOf(err) != exitInvalid || s == nil {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestSystemTableSpaces(t *testing.T) {
	for cnf, want := range map[string][]string{
		"":                                  nil,
		"innodb_data_file_path=ibdata1:12M": {"/var/lib/mysql/ibdata1"},
		"innodb_data_home_dir=h\ninnodb_data_file_path=ibdata1:10M; sys/b:1G:autoextend:max:2G": {"/var/lib/mysql/h/ibdata1", "/var/lib/mysql/h/sys/b"},
		"innodb_data_home_dir=\ninnodb_data_file_path=/disk/a:1M;/dev/sdb:3Gnewraw":             {"/disk/a", "/dev/sdb"},
	} {
		if got := mustSettings(t, "[mysqld]\n"+cnf+"\n", nil).Places.SystemFiles; !slices.Equal(got, want) {
			t.Errorf("%q: %q", cnf, got)
		}
	}
}

func TestBinlogNames(t *testing.T) {
	for _, c := range []struct {
		name string
		cnf  string
		more []string
		want Binlog
	}{
		{"none", "", nil, Binlog{}},
		{"what the server passes", "[mysqld]\nlog-bin=other\n", []string{"--binlog", "mysqld-bin", "--binlog-index", "mysqld-bin.index"},
			Binlog{"mysqld-bin", "/var/lib/mysql/mysqld-bin", "/var/lib/mysql/mysqld-bin.index"}},
		{"an absolute one, the index beside the data", "", []string{"--binlog", "/var/log/mysql/server1_binlog", "--binlog-index", "mysqld-bin"},
			Binlog{"/var/log/mysql/server1_binlog", "/var/log/mysql/server1_binlog", "/var/lib/mysql/mysqld-bin.index"}},
		{"an index alone is no binlog", "", []string{"--binlog-index", "mysqld-bin.index"}, Binlog{}},
		{"without an index name the binlog's own", "", []string{"--binlog", "logs/bin"}, Binlog{"logs/bin", "/var/lib/mysql/logs/bin", "/var/lib/mysql/logs/bin.index"}},
		{"the server takes extensions off", "", []string{"--binlog", "a.b.c", "--binlog-index", "x.y/z.idx"}, Binlog{"a", "/var/lib/mysql/a", "/var/lib/mysql/x.y/z.index"}},
		{"by the server's command line", "", []string{"--mysqld-args", "--log_bin=b", "--log-bin-index=i"}, Binlog{"b", "/var/lib/mysql/b", "/var/lib/mysql/i.index"}},
		{"by option files", "[mariadb]\nlog_bin=/l/b\n", nil, Binlog{"/l/b", "/l/b", "/l/b.index"}},
		{"on, without a name", "[mysqld]\nlog_bin\n", nil, Binlog{"mysql-bin", "/var/lib/mysql/mysql-bin", "/var/lib/mysql/mysql-bin.index"}},
		{"on, named after the server", "[mysqld]\nlog_bin\nlog_basename=node1\n", nil, Binlog{"node1-bin", "/var/lib/mysql/node1-bin", "/var/lib/mysql/node1-bin.index"}},
		{"the server's name in the index only", "", []string{"--binlog", "b", "--log-basename", "node1"}, Binlog{"b", "/var/lib/mysql/b", "/var/lib/mysql/node1-bin.index"}},
		{"switched off again", "[mysqld]\nlog_bin=b\nskip-log-bin\n", nil, Binlog{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := mustSettings(t, c.cnf, nil, c.more...)
			if s.Binlog != c.want || s.Places.Binlogs != c.want.On() {
				t.Errorf("got %+v, in the plan: %v", s.Binlog, s.Places.Binlogs)
			}
			if dirs := s.Places.BinlogDirs; c.want.On() && !slices.Equal(dirs, []string{filepath.Dir(c.want.Path), filepath.Dir(c.want.Index)}) {
				t.Errorf("directories %q", dirs)
			}
		})
	}
}

func TestPathsThatAreNotDataAreCollected(t *testing.T) {
	s := mustSettings(t, `
[mysqld]
ssl_key=ssl/server.key
tmpdir=/tmp:tmp2
file_key_management_filename=keys/keyfile.enc
file_key_management_filekey=FILE:keys/key
log_error
general_log_file=logs/general.log
relay_log=relay/bin.x
innodb_temp_data_file_path=../temp/ibtmp1:12M:autoextend;t2:1M
wsrep_provider_options="gcache.size=1G; gcache.dir = galera ;socket.ssl_key=/etc/galera.key;pc.wait_prim=no"
log_tc=my_tc
log_ddl_recovery=my_ddl
innodb_buffer_pool_filename=pools/my_pool
[mysqld-9.9]
ssl_cert=ssl/old.pem
[mysqld_safe]
pid-file=run/pid
[sst]
tca=/etc/ca.pem
tkey=ssl/node.key
[client]
ssl-ca=ssl/client.pem
`, nil, "--socket", "/run/s.sock", "--binlog", "binlogs/b", "--mysqld-args", "--plugin_dir=/plugins", "--secure-file-priv=", "--file-key-management-filekey=secret")
	var got []string
	for _, n := range s.Places.NotData {
		text := n.Key + " " + strings.Replace(n.Path, "/var/lib/mysql/", "~/", 1)
		if n.Stem {
			text += "*"
		}
		got = append(got, text)
	}
	want := []string{
		"tca /etc/ca.pem", "socket.ssl_key /etc/galera.key", "plugin_dir /plugins", "socket /run/s.sock", "tmpdir /tmp",
		"innodb_temp_data_file_path /var/lib/temp/ibtmp1", "log_bin ~/binlogs/b*", "log_bin_index ~/binlogs/b.index",
		"gcache.dir ~/galera", "file_key_management_filekey ~/keys/key", "file_key_management_filename ~/keys/keyfile.enc",
		"general_log_file ~/logs/general.log", "log_ddl_recovery ~/my_ddl", "log_tc ~/my_tc", "innodb_buffer_pool_filename ~/pools/my_pool",
		"relay_log ~/relay/bin*", "pid_file ~/run/pid", "tkey ~/ssl/node.key", "ssl_cert ~/ssl/old.pem", "ssl_key ~/ssl/server.key",
		"innodb_temp_data_file_path ~/t2", "tmpdir ~/tmp2",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if stale := []string{"my_ddl-backup.log", "my_ddl.log", "my_tc"}; !slices.Equal(s.Places.StaleFiles, stale) {
		t.Errorf("stale %q, want %q", s.Places.StaleFiles, stale)
	}
}

func TestABufferPoolFileByArgument(t *testing.T) {
	s := mustSettings(t, "", nil, "--innodb-buffer-pool-filename", "pool")
	if !slices.Equal(s.Places.StaleFiles, []string{"pool"}) {
		t.Errorf("%q", s.Places.StaleFiles)
	}
}

func TestTheSystemsEnvironmentIsTheDefault(t *testing.T) {
	t.Setenv("INNODB_UNDO_DIR", "/env/undo")
	a, err := ParseArgs(argv("--defaults-file", os.DevNull))
	if err != nil {
		t.Fatal(err)
	}
	s, err := LoadSettings(a, mycnf.LoadOptions{})
	if err != nil || s.Places.UndoDir != "/env/undo" {
		t.Errorf("%q, %v", s.Places.UndoDir, err)
	}
}
