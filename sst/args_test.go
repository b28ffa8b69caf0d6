package sst

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/mycnf"
)

// The command lines of sst-contract.md, section 2, as the program's argv has them.
var (
	joinerArgv = []string{"wsrep_sst_rsync_tunnel", "--role", "joiner", "--address", "10.0.0.2:4444",
		"--datadir", "/var/lib/mysql/", "--defaults-file", "/etc/mysql/my.cnf",
		"--defaults-group-suffix", ".2", "--parent", "5306", "--progress", "0",
		"--binlog", "mysqld-bin", "--binlog-index", "mysqld-bin.index",
		"--mysqld-args", "--defaults-group-suffix=.2", "--defaults-file=/etc/mysql/my.cnf", "--log-output=file"}
	donorArgv = []string{"wsrep_sst_rsync_tunnel", "--role", "donor", "--address", "10.0.0.2:4444/rsync_tunnel_sst",
		"--local-port", "3306", "--socket", "/run/mysqld/mysqld.sock", "--progress", "0",
		"--datadir", "/var/lib/mysql/", "--defaults-file", "/etc/mysql/my.cnf",
		"--defaults-group-suffix", ".1", "--gtid", "3098c6fd-e766-11f1-a4b4-477c3b5b7c8d:2",
		"--gtid-domain-id", "0", "--binlog", "mysqld-bin", "--binlog-index", "mysqld-bin.index",
		"--mysqld-args", "--defaults-group-suffix=.1"}
	bypassArgv = []string{"wsrep_sst_rsync_tunnel", "--role", "donor", "--address", "10.0.0.2:4444/rsync_tunnel_sst",
		"--local-port", "3306", "--socket", "/run/mysqld/mysqld.sock", "--progress", "1", "--datadir", "/var/lib/mysql/",
		"--gtid", "50ca5ddb-e766-11f1-a59b-025d89c68912:3", "--gtid-domain-id", "100",
		"--binlog-index", "mysqld-bin.index", "--bypass", "--mysqld-args", "--wsrep-sst-auth=root:secret"}
)

func TestWhatMariadbdSays(t *testing.T) {
	joiner := Args{
		Program: "wsrep_sst_rsync_tunnel", Role: Joiner, Address: Address{Host: "10.0.0.2", Port: 4444, Raw: "10.0.0.2:4444"},
		Datadir: "/var/lib/mysql", Parent: 5306, Binlog: "mysqld-bin", BinlogIndex: "mysqld-bin.index",
		Defaults: mycnf.Args{File: "/etc/mysql/my.cnf", HasFile: true, Suffix: ".2", HasSuffix: true},
	}
	donor := joiner
	donor.Role, donor.Parent, donor.Defaults.Suffix = Donor, 0, ".1"
	donor.Address.Module, donor.Address.Raw = "rsync_tunnel_sst", "10.0.0.2:4444/rsync_tunnel_sst"
	donor.LocalPort, donor.Socket = 3306, "/run/mysqld/mysqld.sock"
	donor.GTID, donor.GTIDDomain = "3098c6fd-e766-11f1-a4b4-477c3b5b7c8d:2", "0"
	bypass := donor
	bypass.Defaults, bypass.Bypass, bypass.Progress, bypass.Binlog = mycnf.Args{}, true, true, ""
	bypass.GTID, bypass.GTIDDomain = "50ca5ddb-e766-11f1-a59b-025d89c68912:3", "100"
	for _, c := range []struct {
		name string
		argv []string
		want Args
	}{
		{"to a joiner", joinerArgv, joiner},
		{"to a donor", donorArgv, donor},
		{"to a donor of an IST", bypassArgv, bypass},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseArgs(c.argv)
			got.Mysqld = MysqldArgs{}
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%v\ngot  %+v\nwant %+v", err, got, c.want)
			}
		})
	}
}

// argv makes a command line that is complete but for what the test adds.
func argv(more ...string) []string {
	return append([]string{"wsrep_sst_rsync_tunnel", "--role", "joiner", "--address", "h:4444", "--datadir", "/var/lib/mysql"}, more...)
}

func TestArguments(t *testing.T) {
	for _, c := range []struct {
		name string
		argv []string
		ok   func(Args) bool
	}{
		{"may have their value after an equals sign",
			[]string{"p", "--role=joiner", "--address=h:1", "--datadir=/d/", "--binlog=a=b"},
			func(a Args) bool {
				return a.Role == Joiner && a.Address.Port == 1 && a.Datadir == "/d" && a.Binlog == "a=b"
			}},
		{"are a donor's without a role",
			[]string{"p", "--address", "h", "--datadir", "/d"}, func(a Args) bool { return a.Role == Donor }},
		{"that are not known are skipped word by word, and named without their values",
			argv("--new-in-12", "secret", "--fresh=secret", "stray", "--parent", "7", "--new-in-12", "x"),
			func(a Args) bool { return a.Parent == 7 && slices.Equal(a.Unknown, []string{"--new-in-12", "--fresh"}) }},
		{"for other methods are known and of no use",
			argv("--user", "u", "--password", "p", "--host", "x", "--innodb-buffer-pool-size", "1G"),
			func(a Args) bool { return len(a.Unknown) == 0 }},
		{"lose outer blanks, and directories their final slashes",
			argv("--innodb-data-home-dir", " /x// ", "--socket", "\t/s "),
			func(a Args) bool { return a.InnoDBHome == "/x" && a.Socket == "/s" }},
		{"may hold anything else, dashes at the beginning and quotes too",
			argv("--binlog", "--role", "--socket", "it's"), func(a Args) bool { return a.Binlog == "--role" && a.Socket == "it's" }},
		{"may be empty",
			argv("--defaults-group-suffix", "", "--binlog", ""),
			func(a Args) bool { return a.Defaults.HasSuffix && a.Defaults.Suffix == "" && a.Binlog == "" }},
		{"go by their older names",
			argv("--log-bin", "b", "--log-bin-index", "i"), func(a Args) bool { return a.Binlog == "b" && a.BinlogIndex == "i" }},
		{"name every place",
			argv("--log-basename", "n", "--aria-log-dir-path", "/a", "--innodb-log-group-home-dir", "/l",
				"--innodb-undo-directory", "/u", "--innodb-buffer-pool-filename", "bp", "--defaults-extra-file", "/e"),
			func(a Args) bool {
				return a.LogBasename == "n" && a.AriaLogDir == "/a" && a.InnoDBLogDir == "/l" && a.InnoDBUndoDir == "/u" &&
					a.BufferPoolFile == "bp" && a.Defaults.HasExtra && a.Defaults.ExtraFile == "/e"
			}},
		{"with a port that is the address's are fine", argv("--port", "4444"), func(a Args) bool { return a.Address.Port == 4444 }},
		{"of the server's own are not mistaken for ours",
			argv("--mysqld-args", "--role=donor", "--bypass", "--parent=9"),
			func(a Args) bool {
				return a.Role == Joiner && !a.Bypass && a.Parent == 0 && a.Mysqld.Value("parent") == "9"
			}},
		{"give the data directory in the server's words if need be",
			[]string{"p", "--address", "h", "--mysqld-args", "-h", "/d"}, func(a Args) bool { return a.Datadir == "/d" }},
		{"keep the root directory a directory",
			[]string{"p", "--address", "h", "--datadir", "/"}, func(a Args) bool { return a.Datadir == "/" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := ParseArgs(c.argv)
			if err != nil || !c.ok(a) {
				t.Errorf("%v\n%+v", err, a)
			}
		})
	}
}

func TestARelativeDatadirIsWhereWeAre(t *testing.T) {
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	a, err := ParseArgs([]string{"p", "--address", "h", "--datadir", "./x/"})
	if err != nil || a.Datadir != filepath.Join(wd, "x") {
		t.Errorf("%q, %v", a.Datadir, err)
	}
}

func TestArgumentsThatEndTheSST(t *testing.T) {
	for _, c := range []struct {
		name   string
		argv   []string
		status int
		says   string
	}{
		{"no data directory", []string{"p", "--address", "h"}, exitMissing, "--datadir"},
		{"no address", []string{"p", "--datadir", "/d"}, exitInvalid, "--address"},
		{"no arguments at all", nil, exitMissing, "--datadir"},
		{"an unknown role", argv("--role", "observer"), exitInvalid, `"observer"`},
		{"a parent that is no number", argv("--parent", "x"), exitInvalid, "--parent"},
		{"a negative parent", argv("--parent", "-4"), exitInvalid, "--parent"},
		{"a value that is missing", argv("--parent"), exitInvalid, "--parent has no value"},
		{"an address that is none", argv("--address", "a b"), exitInvalid, `"a b"`},
		{"ports that differ", argv("--port", "5555"), exitMissing, "5555"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseArgs(c.argv)
			if err == nil || statusOf(err) != c.status || !strings.Contains(err.Error(), c.says) {
				t.Errorf("status %d, %v", statusOf(err), err)
			}
		})
	}
}

func TestMethods(t *testing.T) {
	for program, want := range map[string]string{
		"wsrep_sst_rsync_tunnel": "rsync_tunnel rsync_tunnel_sst rsync_tunnel_sst_complete", "/usr//bin/wsrep_sst_rsync_tunnel": "rsync_tunnel rsync_tunnel_sst rsync_tunnel_sst_complete",
		"/usr//bin/wsrep_sst_rsync": "rsync rsync_sst rsync_sst_complete", "wsrep_sst_rsync_wan": "rsync_wan rsync_sst rsync_sst_complete", "": "rsync_tunnel rsync_tunnel_sst rsync_tunnel_sst_complete",
	} {
		a := Args{Method: MethodOf(program)}
		if got := a.Method.String() + " " + a.moduleBase() + " " + a.magicFile(); got != want {
			t.Errorf("%q: %s", program, got)
		}
	}
}

func TestMysqldArguments(t *testing.T) {
	m := parseMysqldArgs([]string{
		"--Log_Bin=x", "--log_bin=y", "--log-bin", "--loose_innodb_undo_directory=/u ", "-h", "/first", "-h/second",
		"--ssl_key=/a=b", "positional", "-P3306", "--wsrep-provider-options=gmcast.listen_addr=tcp://h;socket.ssl=yes",
		"--no-defaults", "--", "--ssl-key=/late",
	})
	for name, want := range map[string]string{
		"Log-Bin": "x", "log-bin": "", "innodb-undo-directory": "/u", "datadir": "/second", "ssl-key": "/a=b",
		"wsrep-provider-options": "gmcast.listen_addr=tcp://h;socket.ssl=yes", "absent": "",
	} {
		if got := m.Value(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if !m.Has("log-bin") || m.Has("absent") || !m.NoDefaults {
		t.Errorf("log-bin given: %v, absent: %v, no-defaults: %v", m.Has("log-bin"), m.Has("absent"), m.NoDefaults)
	}
	if (MysqldArgs{}).Has("x") || (MysqldArgs{}).Value("x") != "" {
		t.Error("no command line has options")
	}
}

func TestSomeUnknownArgumentsAreEnough(t *testing.T) {
	var many []string
	for i := range 1000 {
		many = append(many, "--x"+strings.Repeat("y", i))
	}
	a, err := ParseArgs(argv(many...))
	if err != nil || len(a.Unknown) != maxUnknown {
		t.Errorf("%d kept, %v", len(a.Unknown), err)
	}
}

func FuzzParseArgs(f *testing.F) {
	for _, a := range [][]string{joinerArgv, donorArgv, bypassArgv, argv("--x", "y"), {"p", "--mysqld-args", "-h"}} {
		f.Add(strings.Join(a, "\x00"))
	}
	f.Fuzz(func(t *testing.T, joined string) {
		argv := strings.Split(joined, "\x00")
		a, err := ParseArgs(argv)
		if err != nil {
			if code := statusOf(err); code != exitMissing && code != exitInvalid {
				t.Fatalf("status %d: %v", code, err)
			}
			return
		}
		if !filepath.IsAbs(a.Datadir) || a.Datadir != filepath.Clean(a.Datadir) || a.Address.Host == "" || a.Parent < 0 {
			t.Fatalf("%q became %+v", argv, a)
		}
		if len(a.Unknown) > maxUnknown {
			t.Fatalf("%d unknown arguments", len(a.Unknown))
		}
		// What stands after --mysqld-args changes nothing that is before it.
		if i := slices.Index(argv, "--mysqld-args"); i < 0 {
			b, err := ParseArgs(append(slices.Clone(argv), "--mysqld-args", "--role=donor", "--datadir=/other"))
			b.Mysqld = MysqldArgs{}
			if err != nil || !reflect.DeepEqual(a, b) {
				t.Fatalf("%v\n%+v\n%+v", err, a, b)
			}
		}
	})
}
