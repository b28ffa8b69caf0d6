package mycnf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// How many files are generated and compared: in every run of the tests, and with
// E2E_LONG=1. MYCNF_SEED=N repeats a run, MY_PRINT_DEFAULTS=FILE compares with another
// program than that of the PATH.
const (
	fewFiles  = 2_000
	manyFiles = 100_000
)

// The corpus holds what somebody thought of. Here the real program, where it is
// installed, is asked about files and command lines nobody thought of, and what
// both print has to be the same byte for byte, and the exit status too.
func TestSameAsTheRealProgram(t *testing.T) {
	program := os.Getenv("MY_PRINT_DEFAULTS")
	if program == "" {
		program = "my_print_defaults"
	}
	program, err := exec.LookPath(program)
	if err != nil {
		t.Skip("NOT COMPARED: my_print_defaults is not installed (it comes with the MariaDB client programs)")
	}
	want := int64(fewFiles)
	if os.Getenv("E2E_LONG") != "" {
		want = manyFiles
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("MYCNF_SEED"); s != "" {
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	var compared, runs atomic.Int64
	var workers sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for n := range runtime.GOMAXPROCS(0) {
		p := newPair(t, program)
		if n == 0 { // one of them does without LoadOptions.Dir, as the command does
			t.Chdir(p.dir)
			p.base = ""
		}
		rng := rand.New(rand.NewPCG(seed, uint64(n)))
		workers.Go(func() {
			for compared.Load() < want && ctx.Err() == nil {
				r := anyRound(rng, p.version)
				files, diff := p.compare(ctx, r)
				if diff != "" && ctx.Err() == nil {
					cancel()
					r = p.shrink(t.Context(), r)
					_, diff = p.compare(t.Context(), r)
					t.Errorf("MYCNF_SEED=%d\n%s%s", seed, r, diff)
					return
				}
				compared.Add(int64(files))
				runs.Add(1)
			}
		})
	}
	workers.Wait()
	t.Logf("%d files and %d command lines compared in %.1f s, MYCNF_SEED=%d", compared.Load(), runs.Load(), time.Since(began).Seconds(), seed)
}

// A round is one call of the program.
type round struct {
	files map[string]string
	env   map[string]string
	args  []string
	count int // files that are compared when nothing ends the reading early
}

func (r round) String() string {
	s := fmt.Sprintf("args %q\nenv %q\n", r.args, r.env)
	for _, name := range slices.Sorted(maps.Keys(r.files)) {
		if r.files[name] != "" {
			s += fmt.Sprintf("%s: %q\n", name, r.files[name])
		}
	}
	return s
}

// pair is the real program and ours in one directory.
type pair struct {
	program string
	dir     string
	base    string // LoadOptions.Dir: the same
	about   string // what the real one says to --version
	version string // of the server that it belongs to
	written map[string]string
}

// Directories and links of a round; its files may lie in them.
var roundDirs = []string{"d", "d/x.cnf", "sub", "real/sub", "home", "home/h"}

func newPair(t *testing.T, program string) *pair {
	t.Helper()
	dir := t.TempDir()
	p := &pair{program: program, dir: dir, base: dir, written: map[string]string{}}
	for _, d := range roundDirs {
		if err := os.MkdirAll(filepath.Join(p.dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"link": "real/sub", "dangling.cnf": "none", "d/l.cnf": "../inner.cnf"} {
		if err := os.Symlink(to, filepath.Join(p.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"ww.cnf", "d/ww.cnf"} {
		write(t, filepath.Join(p.dir, name), "[g]\nww=1\n")
		if err := os.Chmod(filepath.Join(p.dir, name), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	about, _, _ := p.real(t.Context(), round{args: []string{"--no-defaults", "-V", "-n"}})
	p.about = strings.TrimSuffix(about, "\n")
	var all strings.Builder
	for major := 10; major < 20; major++ {
		for minor := range 20 {
			fmt.Fprintf(&all, "[mysqld-%d.%d]\n%d.%d\n", major, minor, major, minor)
		}
	}
	write(t, filepath.Join(p.dir, "versions.cnf"), all.String())
	out, _, _ := p.real(t.Context(), round{args: []string{"--defaults-file=versions.cnf", "--mysqld"}})
	if p.version = strings.Trim(out, "-\n"); Series(p.version) == "" {
		t.Fatalf("of which server is %s? it printed %q", program, out)
	}
	return p
}

// real calls the real program.
func (p *pair) real(ctx context.Context, r round) (stdout string, status int, err error) {
	var out, complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, p.program, r.args...)
	cmd.Args[0] = realProgram // --print-defaults prints it
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = p.dir, &out, &complaints, []string{}
	for k, v := range r.env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		return "", 0, err
	}
	if status = cmd.ProcessState.ExitCode(); status < 0 {
		err = fmt.Errorf("%v, %.500q", cmd.ProcessState, complaints.String())
	}
	return out.String(), status, err
}

const helpMark = "<help>"

// compare says how many files were compared, and in what both differ.
func (p *pair) compare(ctx context.Context, r round) (files int, diff string) {
	for name, content := range r.files {
		if old, ok := p.written[name]; ok && old == content {
			continue
		}
		p.written[name] = content
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(content), 0o600); err != nil {
			return 0, err.Error()
		}
	}
	var out strings.Builder
	var said []string
	status := PrintDefaults(r.args, Printing{
		LoadOptions: LoadOptions{Dir: p.base, LookupEnv: func(n string) (string, bool) { v, ok := r.env[n]; return v, ok }},
		Version:     func(*Files) string { return p.version },
		Out:         &out, Say: func(s string) { said = append(said, s) }, About: p.about, Help: helpMark,
	})
	if status != 0 && strings.Contains(said[len(said)-1], ": too m") { // many, much
		return 0, "" // includes without end, which the real program would follow
	}
	got := out.String()
	want, wantStatus, err := p.real(ctx, r)
	if err != nil {
		return 0, err.Error()
	}
	if rest, ok := strings.CutSuffix(got, helpMark); ok && strings.HasPrefix(want, rest+p.about+"\n") {
		want = got // the help has words of its own
	}
	if got != want || status != wantStatus {
		return 0, fmt.Sprintf("got  %.3000q, status %d, %.1000q\nwant %.3000q, status %d", got, status, said, want, wantStatus)
	}
	if status != 0 || got == "" {
		return 1, ""
	}
	return r.count, ""
}

// shrink takes away from a round what its difference does not need.
func (p *pair) shrink(ctx context.Context, r round) round {
	differs := func() bool { _, diff := p.compare(ctx, r); return diff != "" }
	for _, name := range slices.Sorted(maps.Keys(r.files)) {
		lines := strings.SplitAfter(r.files[name], "\n")
		for size := len(lines); size > 0; size /= 2 {
			for i := 0; i+size <= len(lines); {
				less := slices.Delete(slices.Clone(lines), i, i+size)
				old := r.files[name]
				if r.files[name] = strings.Join(less, ""); differs() {
					lines = less
				} else {
					r.files[name] = old
					i += size
				}
			}
		}
	}
	for i := 0; i < len(r.args); {
		old := r.args
		if r.args = slices.Delete(slices.Clone(old), i, i+1); !differs() {
			r.args = old
			i++
		}
	}
	return r
}
