package sst

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wsrep_sst_rsync_tunnel/sst/report"
)

func grastateText(uuid string) string {
	return "# GALERA saved state\nversion: 2.1\nuuid:    " + uuid + "\nseqno:   -1\nsafe_to_bootstrap: 0\n"
}

func TestGrastateUUID(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"of a node that was never in a cluster", "", ""},
		{"full of zero bytes", "\x00\x00\x00\n", ""},
		{"reset by the provider", grastateText(zeroUUID), ""},
		{"of a member", grastateText(testUUID), testUUID},
		{"of a member, without a newline", "uuid: " + testUUID, testUUID},
		{"that nobody understands", "what\n", "an unknown cluster"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := grastateUUID(c.text); got != c.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestGrastateIsWaitedFor(t *testing.T) {
	t.Run("absent", func(t *testing.T) {
		g := newGrastate(t.TempDir())
		if err := g.wait(t.Context(), func(s string) { t.Error(s) }); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("until the provider resets it", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, grastateFile, grastateText(testUUID))
		synctest.Test(t, func(t *testing.T) {
			time.AfterFunc(3*time.Second, func() { write(t, dir, grastateFile, grastateText(zeroUUID)) })
			said := ""
			began := time.Now()
			if err := newGrastate(dir).wait(t.Context(), func(s string) { said = s }); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took < 3*time.Second || took > 4*time.Second {
				t.Errorf("took %v", took)
			}
			if !strings.Contains(said, testUUID) {
				t.Errorf("said %q", said)
			}
		})
	})
	t.Run("not for ever", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, grastateFile, grastateText(testUUID))
		synctest.Test(t, func(t *testing.T) {
			err := newGrastate(dir).wait(t.Context(), func(string) {})
			if err == nil || report.Hint(err) == "" {
				t.Fatalf("%v, hint %q", err, report.Hint(err))
			}
		})
		if b, err := os.ReadFile(filepath.Join(dir, grastateFile)); err != nil || string(b) != grastateText(testUUID) {
			t.Errorf("it became %q, %v", b, err)
		}
	})
	t.Run("not longer than the SST", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, grastateFile, grastateText(testUUID))
		ctx, cancel := context.WithCancelCause(t.Context())
		if err := newGrastate(dir).wait(ctx, func(string) { cancel(errServerGone) }); !errors.Is(err, errServerGone) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestGrastateOfTheProviderIsFoundByItsDescriptor(t *testing.T) {
	elsewhere := t.TempDir()
	write(t, elsewhere, grastateFile, "")
	f, err := os.Open(filepath.Join(elsewhere, grastateFile))
	if err != nil {
		t.Fatal(err)
	}
	if g := newGrastate(t.TempDir()); g.file != f.Name() {
		t.Errorf("found %s", g.file)
	}
	f.Close()
	datadir := t.TempDir()
	if g := newGrastate(datadir); g.file != filepath.Join(datadir, grastateFile) {
		t.Errorf("without a descriptor: %s", g.file)
	}
}
