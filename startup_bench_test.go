package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkStartup is from exec to the end of a program that has read the option files
// of an ordinary node, beside the program whose place ours takes, and beside itself
// when it reads none. Ours is the binary of this test here, which has more to set up
// than the one that is shipped.
func BenchmarkStartup(b *testing.B) {
	dir := b.TempDir()
	file := filepath.Join(dir, "my.cnf")
	if err := os.Mkdir(filepath.Join(dir, "conf.d"), 0o700); err != nil {
		b.Fatal(err)
	}
	// Ten files of 40 lines.
	texts := map[string]string{file: "[client-server]\nsocket=/run/mysqld/mysqld.sock\n!includedir " + dir + "/conf.d\n"}
	for i := range 9 {
		texts[filepath.Join(dir, "conf.d", fmt.Sprint(i, ".cnf"))] = "[mysqld]\n" + strings.Repeat("# comment\nskip-name-resolve\ninnodb_buffer_pool_size = 64M # not much\n", 12) + "[sst]\ntca=/tls/ca.pem\n"
	}
	for name, text := range texts {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for _, line := range []string{
		"wsrep_sst_rsync_tunnel print-defaults --defaults-file=" + file + " --mysqld sst",
		"wsrep_sst_rsync_tunnel print-defaults --no-defaults --mysqld sst",
		"my_print_defaults --defaults-file=" + file + " --mysqld sst",
	} {
		b.Run(strings.ReplaceAll(strings.ReplaceAll(line, file, "my.cnf"), " ", "_"), func(b *testing.B) {
			words := strings.Fields(line)
			program, err := exec.LookPath(words[0])
			if err != nil {
				b.Skip(err)
			}
			for b.Loop() {
				if out, err := exec.CommandContext(b.Context(), program, words[1:]...).CombinedOutput(); err != nil {
					b.Fatalf("%v: %s", err, out)
				}
			}
		})
	}
}
