package tls

import (
	"bytes"
	"context"
	"os/exec"
	"testing"
	"time"
)

// tool is the path of a program of the outside world; without it the test is skipped.
func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIPPED, NOT TESTED AGAINST THE REAL THING: %s is not installed", name)
	}
	return path
}

// output runs a program that ends by itself.
func output(t testing.TB, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}
