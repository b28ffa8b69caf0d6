package sst

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func TestServerIsFoundAboveTheShells(t *testing.T) {
	for _, c := range []struct {
		name           string
		members        []process
		parent, wanted int
		want           int // 0: gone
	}{
		{"the shell of mariadbd stays between us", []process{{pid: 20, parent: 10, name: "sh"}, {pid: 10, parent: 1, name: "mariadbd"}}, 20, 0, 10},
		{"the shell became our program", []process{{pid: 10, parent: 1, name: "mariadbd"}}, 10, 0, 10},
		{"mariadbd is process 1 of a container", []process{{pid: 20, parent: 1, name: "sh"}, {pid: 1, name: "mariadbd"}}, 20, 0, 1},
		{"two shells", []process{{pid: 30, parent: 20, name: "dash"}, {pid: 20, parent: 10, name: "bash"}, {pid: 10, parent: 1, name: "mysqld"}}, 30, 0, 10},
		{"the joiner was told the number", []process{{pid: 20, parent: 10, name: "sh"}, {pid: 10, parent: 1, name: "mariadbd"}, {pid: 7, name: "mariadbd"}}, 20, 7, 7},
		{"the number told is of nobody: climb", []process{{pid: 20, parent: 10, name: "sh"}, {pid: 10, parent: 1, name: "mariadbd"}}, 20, 7, 10},
		{"the number told is a zombie: climb", []process{{pid: 20, parent: 1, name: "sh"}, {pid: 1, name: "systemd"}, {pid: 7, dead: true, name: "mariadbd"}}, 20, 7, 0},
		{"mariadbd died and systemd has the shell", []process{{pid: 20, parent: 1, name: "sh"}, {pid: 1, name: "systemd"}}, 20, 0, 0},
		{"mariadbd died and a user's systemd has the shell", []process{{pid: 20, parent: 9, name: "sh"}, {pid: 9, parent: 1, name: "systemd"}}, 20, 0, 0},
		{"mariadbd died and a shell as process 1 has ours", []process{{pid: 20, parent: 1, name: "sh"}, {pid: 1, name: "bash"}}, 20, 0, 0},
		{"the shell itself is gone", []process{{pid: 1, name: "systemd"}}, 20, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &family{members: map[int]process{}}
			for _, p := range c.members {
				f.members[p.pid] = p
			}
			p, err := findServer(f, c.parent, c.wanted)
			if c.want == 0 {
				if !errors.Is(err, errServerGone) {
					t.Fatalf("found %+v, %v", p, err)
				}
				return
			}
			if err != nil || p.pid != c.want {
				t.Fatalf("found %+v, %v", p, err)
			}
		})
	}
}

func TestClimbEnds(t *testing.T) {
	f := &family{members: map[int]process{5: {pid: 5, parent: 5, name: "sh"}}}
	if _, err := findServer(f, 5, 0); err == nil || errors.Is(err, errServerGone) {
		t.Fatalf("a shell that is its own parent: %v", err)
	}
}

// startSleeper starts a process that lives until its stdin is closed.
func startSleeper(t *testing.T) (p process, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestSleeper$")
	cmd.Env = append(os.Environ(), "SST_TEST_SLEEPER=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	p, err = procTable{}.process(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return p, func() { cmd.Process.Kill() }
}

func TestSleeper(t *testing.T) {
	if os.Getenv("SST_TEST_SLEEPER") == "" {
		t.Skip("only a helper of other tests")
	}
	os.Stdin.Read(make([]byte, 1))
}

func TestWatchSeesTheEndOfMariadbd(t *testing.T) {
	refused := func(int) (*os.File, error) { return nil, unix.EPERM }
	for name, open := range map[string]func(int) (*os.File, error){
		"by a descriptor of the process":   openPidfd,
		"by polling where that is refused": refused,
	} {
		t.Run(name, func(t *testing.T) {
			p, kill := startSleeper(t)
			w := newServerWatch()
			w.openPidfd, w.interval = open, 5*time.Millisecond
			got := make(chan error)
			go func() { got <- w.wait(t.Context(), p) }()
			select {
			case err := <-got:
				t.Fatalf("ended while it lives: %v", err)
			default:
			}
			kill()
			if err := <-got; !errors.Is(err, errServerGone) {
				t.Fatalf("got %v", err)
			}
			// A zombie or nobody now: seen at once.
			if err := w.wait(t.Context(), p); !errors.Is(err, errServerGone) {
				t.Fatalf("the second time: %v", err)
			}
		})
		t.Run(name+", until the context ends", func(t *testing.T) {
			p, _ := startSleeper(t)
			w := newServerWatch()
			w.openPidfd, w.interval = open, 5*time.Millisecond
			ctx, cancel := context.WithCancel(t.Context())
			got := make(chan error)
			go func() { got <- w.wait(ctx, p) }()
			cancel()
			if err := <-got; err != nil {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestWatchIsNotFooledByANumberGivenAway(t *testing.T) {
	p, _ := startSleeper(t)
	p.start++ // as if the number had belonged to an earlier process
	w := newServerWatch()
	if err := w.wait(t.Context(), p); !errors.Is(err, errServerGone) {
		t.Fatalf("got %v", err)
	}
	w.openPidfd = func(int) (*os.File, error) { return nil, unix.ENOSYS }
	if err := w.wait(t.Context(), p); !errors.Is(err, errServerGone) {
		t.Fatalf("polling: got %v", err)
	}
}

type brokenTable struct{ family }

func (*brokenTable) process(int) (process, error) { return process{}, unix.EACCES }

func TestWatchGoesOnWhereProcessesCannotBeSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := serverWatch{table: &brokenTable{}, interval: time.Second,
			openPidfd: func(int) (*os.File, error) { return nil, unix.ENOSYS }}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := w.wait(ctx, process{pid: 10, start: 1}); err != nil {
			t.Fatalf("got %v", err)
		}
	})
}
