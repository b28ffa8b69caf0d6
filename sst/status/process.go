package status

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
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
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	// Fields are counted behind the name, which may hold anything (proc(5)).
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return 0, false
	}
	tick, err = strconv.ParseUint(fields[19], 10, 64)
	return tick, err == nil
}
