package sst

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"wsrep_sst_rsync_tunnel/mycnf"
	"wsrep_sst_rsync_tunnel/sst/status"
	"wsrep_sst_rsync_tunnel/transfer"
)

// Both nodes write their metrics, from within landlock.
func TestMetricsOfAnSST(t *testing.T) {
	c := newCluster(t)
	dir := t.TempDir()
	donor := c.node(c.certificate("localhost", true), "status-file=off", "metrics-file="+filepath.Join(dir, "donor.prom"))
	joiner := c.node(c.certificate("localhost", true), "metrics-file="+filepath.Join(dir, "joiner.prom"))
	database(t, donor.dir)
	port := joiner.ready()
	donor.donate(port, "")
	donor.expect("flush tables")
	donor.flushed(7)
	donor.expect("continue")
	donor.expect("done " + testUUID + ":7 0")
	donor.exit(0)
	joiner.expect(testUUID + ":7 0")
	joiner.exit(0)
	for _, role := range []string{"donor", "joiner"} {
		text, err := os.ReadFile(filepath.Join(dir, role+".prom"))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{`wsrep_sst_running{role="` + role + `"} 0`, `wsrep_sst_state{role="` + role + `",state="complete"} 1`,
			`wsrep_sst_successes_total{role="` + role + `"} 1`} {
			if !strings.Contains(string(text), want+"\n") {
				t.Errorf("%s: no %s in\n%s", role, want, text)
			}
		}
		for _, never := range []string{`wsrep_sst_bytes{role="` + role + `"} 0`, `wsrep_sst_planned_bytes{role="` + role + `"} 0`, `wsrep_sst_lock_seconds{role="donor"} 0`} {
			if strings.Contains(string(text), never+"\n") {
				t.Errorf("%s: %s", role, never)
			}
		}
	}
	if strings.Contains(donor.said()+joiner.said(), "goes on without it") {
		t.Errorf("%s\n%s", donor.said(), joiner.said())
	}
}

func TestReasonsThatAreCounted(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want status.Reason
	}{
		{"no certificate", failf(exitInvalid, "x"), status.Configuration},
		{"no data directory", failf(exitMissing, "x"), status.Configuration},
		{"a full disk, in whatever it is wrapped", fail(exitPipe, fmt.Errorf("write: %w", syscall.ENOSPC)), status.DiskFull},
		{"a quota", fmt.Errorf("write: %w", syscall.EDQUOT), status.DiskFull},
		{"a silent donor", fail(exitPipe, &transfer.ExitError{Code: transfer.ExitTimeout, Err: context.Canceled}), status.Timeout},
		{"a deadline", fmt.Errorf("read: %w", os.ErrDeadlineExceeded), status.Timeout},
		{"no donor in time", fail(exitPipe, overdue{errors.New("no donor")}), status.Timeout},
		{"mariadbd is gone", fail(exitPipe, errServerGone), status.Connection},
		{"a signal", failf(exitSignal, "x"), status.Signal},
		{"the port", failf(exitBusy, "x"), status.PortTaken},
		{"nonsense from the other side", failf(exitProtocol, "x"), status.Protocol},
		{"two at a time", failf(exitRunning, "x"), status.Already},
		{"anything else", os.ErrInvalid, status.Other},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := reasonOf(c.err); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestWhereTheMetricsGo(t *testing.T) {
	for _, c := range []struct{ cnf, want, warns string }{
		{"", "", ""},
		{"metrics-file=/run/sst.prom", "/run/sst.prom", ""},
		{"metrics_file=/run//x/../sst.prom", "/run/sst.prom", ""},
		{"metrics-file=sst.prom", "", "no absolute path"},
		{"metrics-file=/data/sst.prom", "", "in the data directory"},
	} {
		t.Run(c.cnf, func(t *testing.T) {
			cnf := filepath.Join(t.TempDir(), "my.cnf")
			if err := os.WriteFile(cnf, []byte("[sst]\n"+c.cnf+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := LoadSettings(Args{Datadir: "/data", Defaults: mycnf.Args{File: cnf, HasFile: true}}, mycnf.LoadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if all := strings.Join(s.Warnings, "\n"); s.MetricsFile != c.want || !strings.Contains(all, c.warns) || c.warns == "" && all != "" {
				t.Errorf("%q, warnings: %s", s.MetricsFile, all)
			}
		})
	}
}
