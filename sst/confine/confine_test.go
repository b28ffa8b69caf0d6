package confine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// This binary, started with a directory, restricts itself there and says what it can still do.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv("CONFINE_IN") != "":
		inside(os.Getenv("CONFINE_IN"))
		os.Exit(0)
	case os.Getenv("CONFINE_CORES") != "":
		fmt.Println(asOrdinaryUserWithoutCores())
		return
	case os.Getenv("CONFINE_CRASH") == "without a core":
		if err := NoCoreDumps(); err != nil {
			fmt.Println(err)
			return
		}
		fallthrough
	case os.Getenv("CONFINE_CRASH") != "":
		panic("as the test wants it")
	}
	os.Exit(m.Run())
}

// inside tries everything from many threads at once: those that were there before, and those that come.
func inside(top string) {
	before := make(chan struct{})
	var old sync.WaitGroup
	results := make(chan string, 100)
	for range 4 {
		old.Go(func() {
			runtime.LockOSThread()
			<-before
			_, err := os.ReadFile(top + "/secret/key")
			results <- "old thread: " + verdict(err)
		})
	}
	version, err := Linux().Restrict([]Rule{
		{top + "/rw", All}, {top + "/ro", Read}, {top + "/spool", Read | Remove}, {top + "/file", Read}, {top + "/absent", All},
	})
	if err != nil {
		fmt.Println("unavailable:", err)
		return
	}
	fmt.Println("version", version)
	close(before)
	old.Wait()
	for range 4 {
		results <- ""
	}
	close(results)
	for r := range results {
		if r != "" {
			fmt.Println(r)
		}
	}
	for _, try := range []struct {
		what string
		do   func() error
	}{
		{"read rw", func() error { _, err := os.ReadFile(top + "/rw/a"); return err }},
		{"write rw", func() error { return os.WriteFile(top+"/rw/a", nil, 0o600) }},
		{"make rw", func() error { return os.WriteFile(top+"/rw/new", nil, 0o600) }},
		{"mkdir rw", func() error { return os.Mkdir(top+"/rw/dir", 0o700) }},
		{"fifo rw", func() error { return unix.Mkfifo(top+"/rw/fifo", 0o600) }},
		{"rename rw", func() error { return os.Rename(top+"/rw/new", top+"/rw/newer") }},
		{"remove rw", func() error { return os.Remove(top + "/rw/newer") }},
		{"device rw", func() error { return unix.Mknod(top+"/rw/dev", unix.S_IFBLK|0o600, 0x700) }},
		{"link out of rw", func() error { _, err := os.ReadFile(top + "/rw/out"); return err }},
		{"read ro", func() error { _, err := os.ReadFile(top + "/ro/a"); return err }},
		{"list ro", func() error { _, err := os.ReadDir(top + "/ro"); return err }},
		{"write ro", func() error { return os.WriteFile(top+"/ro/a", nil, 0o600) }},
		{"remove ro", func() error { return os.Remove(top + "/ro/a") }},
		{"remove spool", func() error { return os.Remove(top + "/spool/a") }},
		{"make spool", func() error { return os.WriteFile(top+"/spool/b", nil, 0o600) }},
		{"read file", func() error { _, err := os.ReadFile(top + "/file"); return err }},
		{"read secret", func() error { _, err := os.ReadFile(top + "/secret/key"); return err }},
		{"list top", func() error { _, err := os.ReadDir(top); return err }},
		{"exec", func() error { return exec.Command("/bin/true").Run() }},
	} {
		fmt.Println(try.what + ": " + verdict(try.do()))
	}
	nnp, _ := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	fmt.Println("no_new_privs:", nnp)
}

func verdict(err error) string {
	switch {
	case err == nil:
		return "yes"
	case errors.Is(err, fs.ErrPermission):
		return "no"
	}
	return err.Error()
}

func TestRestrictHoldsForAllThreads(t *testing.T) {
	top := t.TempDir()
	for _, name := range []string{"rw/a", "ro/a", "spool/a", "file", "secret/key"} {
		os.MkdirAll(filepath.Dir(filepath.Join(top, name)), 0o700)
		if err := os.WriteFile(filepath.Join(top, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../secret/key", filepath.Join(top, "rw/out")); err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSpace(run(t, "CONFINE_IN="+top)), "\n")
	if strings.HasPrefix(got[0], "unavailable") {
		t.Skip("SKIPPED, NOT TESTED: this kernel, or a build with cgo, has no landlock for us: " + got[0])
	}
	want := []string{
		"old thread: no", "old thread: no", "old thread: no", "old thread: no",
		"read rw: yes", "write rw: yes", "make rw: yes", "mkdir rw: yes", "fifo rw: yes", "rename rw: yes", "remove rw: yes", "device rw: no", "link out of rw: no",
		"read ro: yes", "list ro: yes", "write ro: no", "remove ro: no", "remove spool: yes", "make spool: no", "read file: yes",
		"read secret: no", "list top: no", "exec: no", "no_new_privs: 1",
	}
	if !slices.Equal(got[1:], want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func run(t *testing.T, env string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), env)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestACrashLeavesNoCore(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = limit.Max
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		t.Fatal(err)
	}
	if !crash(t, "with one") {
		t.Skip("SKIPPED, NOT TESTED: this machine makes no core dumps anyhow")
	}
	if crash(t, "without a core") {
		t.Error("there is a core")
	}
}

func asOrdinaryUserWithoutCores() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return err
	}
	if err := unix.Setuid(65534); err != nil { // nobody
		return err
	}
	return NoCoreDumps()
}

// Many containers have a limit of no core at all. That is no trouble, unless a program would take the core all the same.
func TestALimitThatIsNoneAlreadyIsEnough(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED, NOT TESTED: only root can become another user")
	}
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil {
		t.Skip("SKIPPED, NOT TESTED: ", err)
	}
	want := "<nil>\n"
	if strings.HasPrefix(string(pattern), "|") {
		want = "setrlimit RLIMIT_CORE: operation not permitted\n"
	}
	if got := run(t, "CONFINE_CORES=none"); got != want {
		t.Errorf("with the core_pattern %q: %q, want %q", pattern, got, want)
	}
}

// crash runs a program that is to die by a signal, and says whether it left a core.
func crash(t *testing.T, how string) bool {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CONFINE_CRASH="+how, "GOTRACEBACK=crash")
	cmd.Dir = t.TempDir()
	out, err := cmd.Output()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || len(out) > 0 {
		t.Fatalf("%q, %v", out, err)
	}
	status := exit.Sys().(syscall.WaitStatus)
	if !status.Signaled() {
		t.Fatalf("it ended with %d and by no signal", status.ExitStatus())
	}
	return status.CoreDump()
}

// A kernel without landlock, with an old one, or in a container whose profile forbids it.
func TestWhatTheKernelRefusesIsAnError(t *testing.T) {
	ok := func() Kernel {
		return Kernel{
			Version: func() (int, error) { return 3, nil }, Create: func(uint64) (int, error) { return unix.Open("/", unix.O_PATH, 0) },
			Add: func(int, uint64, int) error { return nil }, NoNewPrivs: func() error { return nil }, Enforce: func(int) error { return nil },
		}
	}
	if v, err := ok().Restrict([]Rule{{t.TempDir(), All}}); v != 3 || err != nil {
		t.Error(v, err)
	}
	for name, c := range map[string]struct {
		errno  error
		refuse func(*Kernel, error)
	}{
		"not in the kernel":          {unix.ENOSYS, func(k *Kernel, e error) { k.Version = func() (int, error) { return 0, e } }},
		"not switched on":            {unix.EOPNOTSUPP, func(k *Kernel, e error) { k.Version = func() (int, error) { return 0, e } }},
		"forbidden from the start":   {unix.EPERM, func(k *Kernel, e error) { k.Version = func() (int, error) { return 0, e } }},
		"no set of rules":            {unix.EPERM, func(k *Kernel, e error) { k.Create = func(uint64) (int, error) { return -1, e } }},
		"no rule":                    {unix.EPERM, func(k *Kernel, e error) { k.Add = func(int, uint64, int) error { return e } }},
		"no_new_privs forbidden":     {unix.EPERM, func(k *Kernel, e error) { k.NoNewPrivs = func() error { return e } }},
		"refused at the last moment": {unix.EPERM, func(k *Kernel, e error) { k.Enforce = func(int) error { return e } }},
	} {
		t.Run(name, func(t *testing.T) {
			k := ok()
			c.refuse(&k, c.errno)
			if _, err := k.Restrict([]Rule{{t.TempDir(), All}}); !errors.Is(err, c.errno) {
				t.Error(err)
			}
		})
	}
}

func TestOldVersionsAreNotAskedForWhatTheyDoNotHave(t *testing.T) {
	for version, without := range map[int]uint64{1: refer | truncate, 2: truncate} {
		if handled(version)&without != 0 || handled(7)&without == 0 {
			t.Errorf("version %d", version)
		}
	}
}

func TestRulesFollowRenewedCertificates(t *testing.T) {
	top := t.TempDir()
	for _, err := range []error{
		os.MkdirAll(top+"/k8s/..2026_01", 0o700), os.WriteFile(top+"/k8s/..2026_01/node.pem", nil, 0o600),
		os.Symlink("..2026_01", top+"/k8s/..data"), os.Symlink("..data/node.pem", top+"/k8s/node.pem"),
		os.MkdirAll(top+"/live/x", 0o700), os.MkdirAll(top+"/archive/x", 0o700), os.WriteFile(top+"/archive/x/node1.pem", nil, 0o600),
		os.Symlink("../../archive/x/node1.pem", top+"/live/x/node.pem"),
		os.Symlink(top+"/live/x", top+"/elsewhere"), os.Symlink("loop", top+"/loop"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string][]string{
		"k8s/node.pem":           {"k8s", "k8s/..data", "k8s/..2026_01", "k8s/..2026_01/node.pem"},
		"live/x/node.pem":        {"live/x", "archive/x", "archive/x/node1.pem"},
		"elsewhere/node.pem":     {"elsewhere", "live/x", "archive/x"},
		"k8s/..2026_01/node.pem": {"k8s/..2026_01"},
		"k8s/absent.pem":         {"k8s"},
		"loop":                   {"."},
	} {
		rules := Renewed(filepath.Join(top, file))
		for _, w := range want {
			if !slices.Contains(rules, Rule{filepath.Join(top, w), Read}) {
				t.Errorf("%s: %v lacks %s", file, rules, w)
			}
		}
		for _, r := range rules {
			if r.Access != Read || r.Path == "/" {
				t.Errorf("%s: %v", file, r)
			}
		}
	}
	if rules := Renewed("/node.pem"); len(rules) != 1 || rules[0].Path != "/node.pem" {
		t.Errorf("a file at the root: %v", rules)
	}
	if Renewed("") != nil || RenewedDir("") != nil {
		t.Error("nothing configured")
	}
	dir := RenewedDir(top + "/live/x")
	if !slices.Contains(dir, Rule{top + "/archive/x", Read}) {
		t.Errorf("a directory with links: %v", dir)
	}
}
