package sst

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"wsrep_sst_rsync_tunnel/sst/plan"
	"wsrep_sst_rsync_tunnel/tls"
)

// A Survey looks at a node as the two roles would at their start, and changes nothing:
// what the command check is made of.
type Survey struct {
	Args     Args // of either role; the address is the one this node would be reached at
	Settings *Settings
}

// ParseMysqldArgs reads mariadbd's own command line, as it follows --mysqld-args.
func ParseMysqldArgs(words []string) MysqldArgs { return parseMysqldArgs(words) }

// WhyClear says why nothing is encrypted; "" where it is.
func (s *Settings) WhyClear() string { return s.whyClear }

// TLS is the channel of a role as it would be in an SST, without what comes with the
// joiner's address: under VERIFY_IDENTITY the joiner sends the name it bears along, so
// that no certificate fails by its name.
func (s Survey) TLS(role tls.Role, joinersHost string) tls.Config {
	c := s.Settings.TLS(role)
	c.Host = joinersHost
	return c
}

// DonorPlan is what an SST from this node would send, or a [plan.Refusal]. It walks
// the whole database.
func (s Survey) DonorPlan(ctx context.Context) (*plan.Plan, error) {
	return plan.Donor(ctx, s.Settings.Places, s.Args.moduleBase(), nil)
}

// JoinerPlan is where an SST to this node would put the data.
func (s Survey) JoinerPlan() (*plan.Receive, error) {
	return plan.Joiner(s.Settings.Places, s.Args.moduleBase(), s.Args.magicFile())
}

// Room is the free space for an SST to this node that takes needs, the bytes for each
// suffix of a module. An error that says how much is missing has a hint; warn gets what
// could not be counted in time. All places must exist.
func (s Survey) Room(ctx context.Context, needs map[string]int64, warn func(string)) (free int64, err error) {
	d, err := openDatadir(s.Settings.Places)
	if err != nil {
		return 0, err
	}
	defer d.close()
	if free, err = d.free(); err != nil {
		return 0, err
	}
	return free, d.fits(ctx, needs, s.Settings.gcachePage, warn)
}

// IsShortage says that an error of [Survey.Room] is about space, and not about looking
// for it.
func IsShortage(err error) bool {
	_, ok := errors.AsType[shortage](err)
	return ok
}

// BytesText writes a size for people.
func BytesText(n int64) string { return bytesText(n) }

// Running finds the SST that works on the data directory at this moment: its process
// number and who it is for people; 0 if there is none.
func Running(datadir string) (pid int, who string) {
	l := newLocker(nil, nil)
	if who = l.script(datadir); who == "" {
		return 0, ""
	}
	return readPid(datadir), who
}

// Leftovers are what SSTs before this moment left in the places, by what it means. They
// are of no interest while one is running.
type Leftovers struct {
	Waiting []string // files of an SST that was not completed, which the next one uses
	Stale   []string // signs and parts of SSTs that are gone: the next one removes them
}

// Leftovers looks for them.
func (s Survey) Leftovers() (Leftovers, error) {
	var found Leftovers
	stale := append([]string{pidFile}, signs...)
	var seen []string
	for _, kind := range plan.Roots {
		dir := s.Settings.Places.Dir(kind)
		if slices.Contains(seen, dir) {
			continue
		}
		seen = append(seen, dir)
		entries, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return found, err
		}
		for _, e := range entries {
			name := e.Name()
			switch {
			case strings.HasPrefix(name, newPrefix) || strings.HasPrefix(name, oldPrefix):
				found.Waiting = append(found.Waiting, filepath.Join(dir, name))
			case kind == plan.DataDir && slices.Contains(stale, name):
				found.Stale = append(found.Stale, filepath.Join(dir, name))
			}
		}
	}
	return found, nil
}
