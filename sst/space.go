package sst

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// freeSpace is what an ordinary user may still write to the file system of root.
func freeSpace(root *os.Root) (int64, error) {
	d, err := root.Open(".")
	if err != nil {
		return 0, err
	}
	defer d.Close()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(d.Fd()), &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", root.Name(), os.NewSyscallError("fstatfs", err))
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// A shortage is a file system that cannot take what would come.
type shortage struct {
	dir               string
	need, free, reuse int64
	reserve           int64 // counted in need
}

func (s shortage) Error() string {
	text := fmt.Sprintf("not enough space for %s: %s would come, %s are free and %s would be written over",
		s.dir, bytesText(s.need-s.reserve), bytesText(s.free), bytesText(s.reuse))
	if s.reserve > 0 && s.need-s.reserve <= s.free+s.reuse {
		text += fmt.Sprintf("; %s must stay free for the transactions that come meanwhile (gcache.page_size, at most a tenth of the data)", bytesText(s.reserve))
	}
	return text
}

func (s shortage) Hint() string { return "make room on this file system; nothing was changed" }

// countLimit bounds the counting of what would be written over: the donor waits for
// the answer, and there may be millions of files on a slow disk.
const countLimit = 8 * time.Second

var errCount = fmt.Errorf("not counted within %v", countLimit)

// fits checks need, the bytes that would come for each module (by the suffix of its
// name), against the file
// systems of the places. What is there and would be written over or removed counts
// as room, but only if it must: finding it out takes a walk. A walk that takes too
// long decides nothing: the disk may turn out to be full, but most likely this is a
// member that is filled again. page is what the provider may need beside it, in the
// data directory.
func (d *datadir) fits(ctx context.Context, need map[string]int64, page int64, warn func(string)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, countLimit, errCount)
	defer cancel()
	byDev := map[uint64]int64{}
	for _, p := range d.places {
		byDev[p.dev] += need[p.kind.Suffix()]
	}
	for _, p := range d.distinct() {
		want := byDev[p.dev]
		if want == 0 {
			continue
		}
		delete(byDev, p.dev) // once per file system
		reserve := int64(0)
		if p.dev == d.places[0].dev {
			reserve = leave(page, want)
		}
		want += reserve
		free, err := d.disk.space(p.root)
		if err != nil {
			return err
		}
		if want <= free {
			continue
		}
		reuse, err := d.reusable(ctx, p.dev)
		if errors.Is(err, errCount) {
			warn(fmt.Sprintf("%s: %s would come, %s are free, and how much would be written over was %v; going on", p.dir, bytesText(want), bytesText(free), err))
			continue
		}
		if err != nil {
			return err
		}
		if want > free+reuse {
			return shortage{dir: p.dir, need: want, free: free, reuse: reuse, reserve: reserve}
		}
	}
	return nil
}

// free is what is free on the file systems of all places, for the donor's log.
func (d *datadir) free() (sum int64, err error) {
	seen := map[uint64]bool{}
	for _, p := range d.distinct() {
		if seen[p.dev] {
			continue
		}
		seen[p.dev] = true
		free, err := d.disk.space(p.root)
		if err != nil {
			return 0, err
		}
		sum += free
	}
	return sum, nil
}

// reusable counts the blocks on one file system that an SST writes over or gives
// back: databases, and what an earlier attempt of ours received. The old InnoDB
// files do not count: they are set aside until the end.
func (d *datadir) reusable(ctx context.Context, dev uint64) (int64, error) {
	var sum int64
	for _, p := range d.distinct() {
		if p.dev != dev {
			continue
		}
		err := fs.WalkDir(p.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
					return nil
				}
				return err
			}
			if e.IsDir() || !strings.Contains(name, "/") && !d.isForeign(p.dir, name) {
				return nil
			}
			info, err := e.Info()
			if err != nil {
				return nil // gone since
			}
			if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Dev == dev {
				sum += st.Blocks * 512
			}
			return nil
		})
		if err != nil {
			return 0, fmt.Errorf("count what is in %s: %w", p.root.Name(), err)
		}
	}
	return sum, nil
}

// bytesText writes a size for people.
func bytesText(n int64) string {
	const units = "KMGTPE"
	if n < 1<<10 {
		return fmt.Sprintf("%d bytes", n)
	}
	f, i := float64(n)/(1<<10), 0
	for f >= 1024 && i < len(units)-1 {
		f /= 1024
		i++
	}
	return fmt.Sprintf("%.1f %ciB", f, units[i])
}
