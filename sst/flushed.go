package sst

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// The files by which mariadbd answers "flush tables".
const (
	flushedFile = "tables_flushed"
	failedFile  = "sst_error"
)

// A flushWait waits for mariadbd to take the global read lock. There is no limit
// of its own: mariadbd cannot be hurried, and going away earlier frees nothing.
// The end of mariadbd and signals end it through the context.
type flushWait struct {
	interval time.Duration // between two looks
	remind   time.Duration // between two lines that say we still wait
	say      func(string)
}

func newFlushWait(say func(string)) flushWait {
	return flushWait{interval: 5 * time.Millisecond, remind: 10 * time.Second, say: say}
}

// forget removes both answers: those of an earlier SST before the question, ours
// at the end. mariadbd writes tables_flushed twice, so once is not enough.
func (flushWait) forget(root *os.Root) error {
	return errors.Join(removeControl(root, flushedFile), removeControl(root, failedFile))
}

// wait returns the position at which the tables are locked, and when mariadbd said so,
// on the clock that stamps files.
func (w flushWait) wait(ctx context.Context, root *os.Root) (position, time.Time, error) {
	tick := time.NewTicker(w.interval)
	defer tick.Stop()
	remind := time.NewTicker(w.remind)
	defer remind.Stop()
	began := time.Now()
	for {
		if _, err := root.Lstat(failedFile); err == nil {
			return position{}, time.Time{}, advise(failf(exitOther, "mariadbd could not flush and lock its tables (it made %s)", failedFile),
				"its error log says why")
		}
		text, err := readControl(root, flushedFile, 4*maxPosition)
		switch {
		case err == nil:
			// Until there is a colon it is not written yet; some servers write an
			// empty line first.
			line := firstLine(text)
			if !strings.Contains(line, ":") {
				break
			}
			p, err := parsePosition(line)
			if err == nil {
				at, err := stampOf(root, flushedFile)
				return p, at, err
			}
			if strings.HasSuffix(text, "\n") {
				return position{}, time.Time{}, advise(failf(exitOther, "%s: %w", flushedFile, err),
					"mariadbd answers so when it is shut down meanwhile: see its error log")
			}
		case !errors.Is(err, fs.ErrNotExist):
			return position{}, time.Time{}, failf(exitOther, "read %s: %w", flushedFile, err)
		}
		select {
		case <-ctx.Done():
			return position{}, time.Time{}, context.Cause(ctx)
		case <-remind.C:
			w.say(fmt.Sprintf("waiting for mariadbd to flush and lock its tables, %d s so far (a long write statement delays it)",
				int(time.Since(began).Seconds())))
		case <-tick.C:
		}
	}
}

// stampOf is when a file was last written. One that is gone by now was: mariadbd
// writes it twice.
func stampOf(root *os.Root, name string) (time.Time, error) {
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Now(), nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read %s: %w", name, err)
	}
	return info.ModTime(), nil
}

// firstLine is the first line of text that is not empty.
func firstLine(text string) string {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return ""
}
