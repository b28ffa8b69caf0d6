package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"wsrep_sst_rsync_tunnel/e2e/internal/peers"
)

// The alert rules of docs/metrics.md, by Prometheus' own tool: it takes them, and they fire when they should.
func TestPrometheusTakesTheAlertRules(t *testing.T) {
	t.Parallel()
	promtool := peers.Need(t, "promtool")
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	rules := regexp.MustCompile("(?s)```yaml\n(groups:.*?)```").FindSubmatch(page)
	if rules == nil {
		t.Fatal("docs/metrics.md has no rules")
	}
	stories, err := os.ReadFile("testdata/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{"rules.yml": rules[1], "alerts.yml": stories} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range regexp.MustCompile(`alert: (\w+)`).FindAllSubmatch(rules[1], -1) {
		if !bytes.Contains(stories, append([]byte("alertname: "), name[1]...)) {
			t.Errorf("no story has the alert %s", name[1])
		}
	}
	for _, args := range [][]string{{"check", "rules", "rules.yml"}, {"test", "rules", "alerts.yml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// The files of metrics that an SST of two nodes leaves are such that Prometheus' own tool finds nothing to say.
func TestPrometheusTakesTheMetrics(t *testing.T) {
	t.Parallel()
	promtool := peers.Need(t, "promtool")
	c := newCluster(t, "rsync_tunnel")
	c.selfSignedBoth(t)
	nodes := []*node{c.donor, c.joiner}
	for _, n := range nodes {
		n.conf.sst = append(n.conf.sst, "metrics-file="+n.path("tmp/sst.prom"))
	}
	c.bootstrap(t)
	c.donor.exec(t, small...)
	c.join(t)
	for _, n := range nodes {
		n.withoutProgram(t)
		file, err := os.Open(n.path("tmp/sst.prom"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
		cmd.Stdin = file
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", n.name, err, out)
		}
	}
}
