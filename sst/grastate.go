package sst

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// grastateFile is where the provider keeps the position of the node. We read it
// and never write it: the provider holds it open.
const grastateFile = "grastate.dat"

// A grastate says whether the provider has given up the old position of the node.
// It does so a few seconds after "ready"; until then a node killed in the middle
// of our work would come back with a position that its data does not have.
type grastate struct {
	file     string
	limit    time.Duration
	interval time.Duration
}

// newGrastate looks at the provider's own file if it left us its descriptor
// (wsrep_data_home_dir may have moved it), else at the one in the data directory.
func newGrastate(datadir string) grastate {
	g := grastate{file: filepath.Join(datadir, grastateFile), limit: 20 * time.Second, interval: 100 * time.Millisecond}
	if f := inherited(grastateFile, "/proc/self/fd"); f != "" {
		g.file = f
	}
	return g
}

// inherited finds the path of an open file by its base name; "" if there is none.
func inherited(base, fds string) string {
	entries, err := os.ReadDir(fds)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err != nil || n <= 2 {
			continue
		}
		to, err := os.Readlink(filepath.Join(fds, e.Name()))
		if err == nil && filepath.IsAbs(to) && filepath.Base(to) == base {
			return to
		}
	}
	return ""
}

// wait returns when the file shows no position.
func (g grastate) wait(ctx context.Context, say func(string)) error {
	limit := time.NewTimer(g.limit)
	defer limit.Stop()
	tick := time.NewTicker(g.interval)
	defer tick.Stop()
	for said := false; ; said = true {
		uuid, err := g.read()
		if err != nil {
			return err
		}
		if uuid == "" {
			return nil
		}
		if !said {
			say(fmt.Sprintf("waiting for the provider to give up the old position of this node (%s shows %s)", g.file, plain(uuid)))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-limit.C:
			return advise(fmt.Errorf("%s still shows the position of %s after %v", g.file, plain(uuid), g.limit),
				"a node with a position must not be written over; if this file is a leftover (wsrep_data_home_dir is elsewhere), remove it")
		case <-tick.C:
		}
	}
}

// read gives the uuid, "" when the file is absent, empty or shows none.
func (g grastate) read() (string, error) {
	b, err := os.ReadFile(g.file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the position of this node: %w", err)
	}
	return grastateUUID(string(b)), nil
}

// grastatePosition is that of a node that was stopped in good order; without a uuid of
// one that runs, or has none.
func grastatePosition(text string) position {
	seqno := ""
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "seqno:"); ok {
			seqno = strings.TrimSpace(v)
		}
	}
	p, err := parsePosition(grastateUUID(text) + ":" + seqno)
	if err != nil {
		return position{}
	}
	return p
}

// grastateUUID finds "uuid: X" in a grastate.dat. Text without such a line, unless
// it is blank, counts as a position of unknown name: better one SST refused than
// one node ruined.
func grastateUUID(text string) string {
	if strings.TrimSpace(strings.Trim(text, "\x00")) == "" {
		return ""
	}
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "uuid:"); ok {
			if v = strings.TrimSpace(v); v != zeroUUID {
				return v
			}
			return ""
		}
	}
	return "an unknown cluster"
}
