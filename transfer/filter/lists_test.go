package filter

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A data directory with something of every kind; directories have a slash at the end.
var datadir = []string{
	".conf", ".pid", ".snapshot/", ".snapshot/x", ".zfs/", "aria_log.00000001", "aria_log_control", "db1/", "db1/ib_logfile7",
	"db1/ibdata1", "db1/lost+found/", "db1/sub/", "db1/sub/ib_logfile9", "db1/t1.ibd", "grastate.dat", "ib_buffer_pool",
	"ib_logfile0", "ib_logfile101", "ib_lru_dump", "ibdata1", "ibdata2", "lost+found/", "lost+found/#1", "mysql/",
	"mysql/user.frm", "undo001", "wsrep_sst_binlog.tar",
}

// The lists that the scripts run rsync with, script-sessions.md, each as a whole.
func TestListsOfTheScripts(t *testing.T) {
	tests := []struct {
		name  string
		rules string // between semicolons
		root  string // what of datadir is transferred
		want  string
	}{
		{"T1: top of the data directory", "- /lost+found;- /.fseventsd;- /.Trashes;+ /wsrep_sst_binlog.tar;+ /ib_lru_dump;+ /ibdata*;+ /*/;- /*", "",
			".snapshot/ .zfs/ db1/ ib_lru_dump ibdata1 ibdata2 mysql/ wsrep_sst_binlog.tar"},
		{"T2: redo logs", "+ /ib_logfile[0-9]*;- **", "", "ib_logfile0 ib_logfile101"},
		{"T3: one schema", "- */ib_logfile*", "db1/", "ib_logfile7 ibdata1 lost+found/ sub/ t1.ibd"},
		{"R1: top of the data directory", "- /lost+found;- /.zfs;- /.fseventsd;- /.Trashes;- /.pid;- /.conf;- /.snapshot/;+ /wsrep_sst_binlog.tar;" +
			"- /var/lib/mysql/ib_lru_dump;- /var/lib/mysql/ibdata*;- /var/lib/mysql/undo*;- /var/lib/mysql/ib_logfile[0-9]*;" +
			"- /var/lib/mysql/aria_log_control;- /var/lib/mysql/aria_log.*;+ /*/;- /*", "",
			"db1/ mysql/ wsrep_sst_binlog.tar"},
		{"R2: InnoDB home", "+ /ibdata*;+ /ib_lru_dump;- **", "", "ib_lru_dump ibdata1 ibdata2"},
		{"R3: redo log", "+ /ib_logfile0;- **", "", "ib_logfile0"},
		{"R4: undo", "+ /undo*;- **", "", "undo001"},
		{"R5: Aria", "+ /aria_log_control;+ /aria_log.*;- **", "", "aria_log.00000001 aria_log_control"},
		{"R6: one schema, with the dollar signs that match nothing", "- $ib_home_dir/ib_lru_dump;- $ib_home_dir/ibdata*;- $ib_undo_dir/undo*;" +
			"- $ib_log_dir/ib_logfile[0-9]*;- $ar_log_dir/aria_log_control;- $ar_log_dir/aria_log.*", "db1/",
			"ib_logfile7 ibdata1 lost+found/ sub/ sub/ib_logfile9 t1.ibd"},
		{"older R1", "- /lost+found;- /.zfs;+ /wsrep_sst_binlog.tar;+ /ib_lru_dump;+ /ibdata*;+ /undo*;+ /*/;- /*", "",
			".snapshot/ db1/ ib_lru_dump ibdata1 ibdata2 mysql/ undo001 wsrep_sst_binlog.tar"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := parse(t, strings.Split(tt.rules, ";")...)
			recursive := tt.root != ""
			var got []string
			for _, entry := range datadir {
				entry, below := strings.CutPrefix(entry, tt.root)
				name, dir := strings.CutSuffix(entry, "/")
				if !below || name == "" || !recursive && strings.Contains(name, "/") {
					continue
				}
				if !l.Excluded(Sender, name, dir) {
					got = append(got, entry)
				}
				if l.Excluded(Sender, name, dir) != l.Excluded(Receiver, name, dir) {
					t.Errorf("%s: the two sides differ although no rule names one", entry)
				}
			}
			if d := cmp.Diff(strings.Fields(tt.want), got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestSidesAndPerishableRules(t *testing.T) {
	tests := []struct {
		rule                     string
		sender, receiver, doomed bool // whether it excludes x
	}{
		{"- x", true, true, true},
		{"H x", true, false, false},
		{"-s x", true, false, false},
		{"P x", false, true, true},
		{"-r x", false, true, true},
		{"-sr x", true, true, true},
		{"-p x", true, true, false},
		{"Pp x", false, true, false},
		{"S x", false, false, false},
	}
	for _, tt := range tests {
		l := parse(t, tt.rule)
		if l.Excluded(Sender, "x", false) != tt.sender || l.Excluded(Receiver, "x", false) != tt.receiver ||
			l.ExcludedPerishable(Receiver, "x", false) != tt.doomed {
			t.Errorf("%q: sender %v, receiver %v, in a doomed directory %v", tt.rule, l.Excluded(Sender, "x", false),
				l.Excluded(Receiver, "x", false), l.ExcludedPerishable(Receiver, "x", false))
		}
	}
	for _, rule := range []string{"S x", "R x", "+r x", "+s x"} {
		l := parse(t, rule, "- x")
		sender := strings.ContainsAny(rule, "Ss")
		if l.Excluded(Sender, "x", false) == sender || l.Excluded(Receiver, "x", false) != sender {
			t.Errorf("%q before an exclusion: sender %v, receiver %v", rule, l.Excluded(Sender, "x", false), l.Excluded(Receiver, "x", false))
		}
	}
}

// The modifier "/" matches the path from the root of the module, or of the sender's file system.
func TestFullPathRules(t *testing.T) {
	tests := []struct {
		rule, base, name string
		want             bool
	}{
		{"-/ /db1/x", "db1", "x", true},
		{"-/ /db1/x", "/db1/", "x", true},
		{"-/ /db1/x", "", "x", false},
		{"-/ /db1/x", ".", "db1/x", true},
		{"-/ /x", "db1", "x", false},
		{"- /x", "db1", "x", true},
		{"-/ db1/x", "var/db1", "x", true},
		{"- db1/x", "var/db1", "x", false},
		{"-/ x", "db1", "sub/x", true},
		{"-/ /var/**", "var/db1", "x", true},
		{"-/ /db*/x", "db1", "x", true},
	}
	for _, tt := range tests {
		l := parse(t, tt.rule)
		l.SetBase(tt.base)
		if got := l.Excluded(Receiver, tt.name, false); got != tt.want {
			t.Errorf("%q in %q on %q: %v, want %v", tt.rule, tt.base, tt.name, got, tt.want)
		}
	}
}

func TestWhatIsNeverExcluded(t *testing.T) {
	everything := parse(t, "- **", "- *", "-! x")
	for _, root := range []string{".", ""} {
		if everything.Excluded(Receiver, root, true) {
			t.Errorf("%q, the root, is excluded", root)
		}
	}
	var none *List
	if none.Excluded(Sender, "x", false) || new(List).ExcludedPerishable(Receiver, "x", false) {
		t.Error("a list without rules excludes")
	}
	if got := send(t, none); got != nil {
		t.Errorf("a nil list sends %q", got)
	}
}
