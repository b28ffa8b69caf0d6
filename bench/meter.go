package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Use is what one end took of the machine.
type Use struct {
	CPU  time.Duration // user and system, of all its processes
	Peak int64         // bytes of memory: the most that its processes had together
}

// A meter measures the processes of one end: CPU from the kernel when each was waited
// for (with those that it waited for itself), memory as the sum of each one's VmHWM.
//
// The kernel's ru_maxrss will not do: it counts what the process had before its exec,
// which is our own memory.
type meter struct {
	stop chan struct{}
	done sync.WaitGroup

	mu   sync.Mutex
	live map[int]bool
	use  Use
}

// sampling is how often memory is looked at. A high-water mark only grows, so what is
// missed is what a process takes in its last moments.
const sampling = 20 * time.Millisecond

func newMeter() *meter {
	m := &meter{stop: make(chan struct{}), live: map[int]bool{}}
	m.done.Go(func() {
		t := time.NewTicker(sampling)
		defer t.Stop()
		for {
			m.sample()
			select {
			case <-t.C:
			case <-m.stop:
				return
			}
		}
	})
	return m
}

// Begin and End are mariadbd.Meter.
func (m *meter) Begin(pid int) {
	m.mu.Lock()
	m.live[pid] = true
	m.mu.Unlock()
}

func (m *meter) End(s *os.ProcessState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.live, s.Pid())
	m.use.CPU += s.UserTime() + s.SystemTime()
}

// close gives the result.
func (m *meter) close() Use {
	close(m.stop)
	m.done.Wait()
	return m.use
}

func (m *meter) sample() {
	m.mu.Lock()
	defer m.mu.Unlock()
	var sum int64
	for pid := range m.live {
		sum += highWater(pid, 0)
	}
	m.use.Peak = max(m.use.Peak, sum)
}

// highWater is the VmHWM of a process and of those that it has started. What is gone
// counts nothing.
func highWater(pid, depth int) int64 {
	const deepest = 5
	if depth > deepest {
		return 0
	}
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	sum := vmHWM(status)
	for _, child := range children(pid) {
		sum += highWater(child, depth+1)
	}
	return sum
}

// children are the processes that one has started and that have not been waited for.
func children(pid int) (pids []int) {
	lists, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

// vmHWM reads it from the text of /proc/PID/status, in bytes; 0 if it is not there.
func vmHWM(status []byte) (n int64) {
	if _, rest, ok := bytes.Cut(status, []byte("\nVmHWM:")); ok {
		if _, err := fmt.Sscan(string(rest), &n); err != nil {
			return 0
		}
	}
	return n << 10
}
