package status

import (
	"os"
	"strings"

	"wsrep_sst_rsync_tunnel/sst/proc"
)

// identity tells a process from a later one with the same number, also after the
// machine was started anew.
type identity struct {
	pid  int
	tick uint64
	boot string
}

func self() identity {
	pid := os.Getpid()
	tick, _ := startOf(pid) // 0 where /proc is hidden: then only the number counts
	return identity{pid, tick, bootID()}
}

// lives says whether the process of a run that has not ended is still there.
func lives(r Run) bool {
	if r.Boot != "" && bootID() != "" && r.Boot != bootID() {
		return false
	}
	tick, there := startOf(r.PID)
	return there && (r.Tick == 0 || tick == 0 || tick == r.Tick)
}

func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// startOf gives the start of a process in clock ticks since boot; there is false if
// it does not exist or is a zombie.
func startOf(pid int) (tick uint64, there bool) {
	s, err := proc.Read(pid)
	return s.Start, err == nil && !s.Dead
}
