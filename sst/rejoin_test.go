package sst

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A former member receives what differs, in the first round too. Its files are read again: nothing that an earlier run
// knew of them is trusted.
func TestAFormerMemberReceivesWhatDiffers(t *testing.T) {
	donor, joiner := newCluster(t).pair()
	if out, err := exec.Command("cp", "-a", donor.dir+"/.", joiner.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	write(t, joiner.dir, grastateFile, grastateText(zeroUUID))
	for _, name := range []string{"db1/t.ibd", "ibdata1", "mysql/user.frm"} {
		f, err := os.OpenFile(filepath.Join(donor.dir, name), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("changed since"), 100); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	whole(donor, joiner)
	if diff := cmp.Diff(state(t, donor.dir), state(t, joiner.dir)); diff != "" {
		t.Error(diff)
	}
	sent := regexp.MustCompile(`sent ([0-9.]+ (?:bytes|KiB)) in 1 round`).FindStringSubmatch(donor.said())
	if sent == nil {
		t.Errorf("more than a few blocks were sent:\n%s", donor.said())
	} else {
		t.Logf("sent %s of 13.6 MiB", sent[1])
	}
}

// Where nothing is to be gained by copying before the lock, nothing is, and that is said.
func TestNoRoundsWhereTheyGainNothing(t *testing.T) {
	for name, c := range map[string]struct{ cnf, said string }{
		"asked for":                           {"[sst]\nprecopy=off\n", "nothing is copied before the lock: precopy=off"},
		"a donor that rejects queries anyway": {"[mysqld]\nwsrep_sst_donor_rejects_queries=ON\n", "wsrep_sst_donor_rejects_queries is on"},
	} {
		t.Run(name, func(t *testing.T) {
			donor, joiner := newCluster(t).pair()
			b, err := os.ReadFile(donor.cnf)
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Dir(donor.cnf), "my.cnf", string(b)+c.cnf)
			whole(donor, joiner)
			if diff := cmp.Diff(state(t, donor.dir), state(t, joiner.dir)); diff != "" {
				t.Error(diff)
			}
			donor.says(c.said)
			if strings.Contains(donor.said(), "round 1") {
				t.Errorf("a round was run:\n%s", donor.said())
			}
		})
	}
}
