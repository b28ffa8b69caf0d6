package plan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Session is one rsync run of the donor. In all of them the joiner removes what
// the rules select and the donor does not have.
type Session struct {
	Root   Root
	Module string   // full name
	Dir    string   // source directory; may be a symbolic link, which is followed
	Path   string   // below the module: "" or "./db1/"
	Rules  []string // as the rsync client takes them, for both sides
	// Databases are the directories of the data directory that the session fills: none
	// for the top level of a root, one if Path names it, several for a bundle, whose Dir
	// is the data directory.
	Databases []string
	// Recursive: all levels. Otherwise the top level, directories without content.
	Recursive bool
	// Follow are databases that are symbolic links, with the directories they lead to;
	// only in Plan.Lists.
	Follow map[string]string
	Total
	alone bool // never part of a bundle
}

// IsBundle says whether the session fills several databases by their directories in
// the data directory.
func (s *Session) IsBundle() bool { return len(s.Databases) > 1 }

// Total counts regular files.
type Total struct {
	Files     int64
	Size      int64 // sum of their lengths
	Allocated int64 // bytes they occupy: holes take no room
}

func (t *Total) add(o Total) {
	t.Files += o.Files
	t.Size += o.Size
	t.Allocated += o.Allocated
}

// Plan is what a donor does, and what it says about it.
type Plan struct {
	// Sessions: the top level, which also removes stale databases, must be complete
	// before the others begin; those may run side by side. Databases come last, the
	// largest first.
	Sessions []Session
	// Lists are what takes the place of Sessions where data does not go by rsync: the
	// same selection, one session for each root. nil if the joiner lacks a module.
	Lists    []Session
	Total    Total
	Warnings []string
	// NotSent names what stays at the donor though a person might miss it.
	NotSent []string
}

// Needs is how much room the files take, for each suffix of a module.
func (p *Plan) Needs() map[string]int64 {
	needs := map[string]int64{}
	for _, s := range p.Sessions {
		needs[s.Root.Suffix()] += s.Allocated
	}
	return needs
}

// A Refusal says why a data directory cannot be sent whole.
type Refusal struct {
	Reasons []string
	hint    string
}

// maxReasons is how many reasons an error names.
const maxReasons = 5

func (r *Refusal) Error() string {
	reasons := r.Reasons
	if len(reasons) > maxReasons {
		reasons = append(slices.Clone(reasons[:maxReasons]), fmt.Sprintf("and %d more", len(reasons)-maxReasons))
	}
	return strings.Join(reasons, "; ")
}

// Hint is the next step.
func (r *Refusal) Hint() string { return r.hint }

// Donor makes the plan for a joiner that has the given modules, all names beginning
// with base. nil means all five, as our own joiner and the stock one have them; the
// tunnel script has two. It walks everything that will be sent.
func Donor(ctx context.Context, p Places, base string, modules []string) (*Plan, error) {
	return newDonor(ctx, p, base, modules).make()
}

// Again makes the plan anew for a joiner that has all modules. It only looks for what there is and
// whether that can be sent: the files are not counted, and the totals are those of p. There may
// be very many, and tables are locked meanwhile.
func (p *Plan) Again(ctx context.Context, places Places, base string) (*Plan, error) {
	d := newDonor(ctx, places, base, nil)
	d.uncounted = true
	now, err := d.make()
	if err == nil {
		now.Total = p.Total
	}
	return now, err
}

func newDonor(ctx context.Context, p Places, base string, modules []string) *donor {
	return &donor{ctx: ctx, p: p, base: base, modules: modules, plan: &Plan{}, user: uint32(os.Geteuid())}
}

func (d *donor) make() (*Plan, error) {
	if err := d.readTop(); err != nil {
		return nil, err
	}
	if err := d.topSessions(); err != nil {
		return nil, err
	}
	if err := d.databases(); err != nil {
		return nil, err
	}
	if len(d.reasons) > 0 {
		return nil, &Refusal{Reasons: d.reasons,
			hint: "an SST sends what lies in the data directory and in the configured InnoDB and Aria directories; move these files there, or use another method"}
	}
	for _, s := range d.plan.Sessions {
		d.plan.Total.add(s.Total)
	}
	if d.modules == nil {
		d.plan.Lists = d.lists()
	}
	return d.plan, nil
}

type donor struct {
	ctx     context.Context
	p       Places
	base    string
	modules []string
	plan    *Plan
	reasons []string
	user    uint32 // whose files may be read if their owner may

	uncounted bool // nobody asks for lengths

	names    []string // databases
	branches []branch
	cuts     []cut
}

func (d *donor) refuse(format string, a ...any) {
	d.reasons = append(d.reasons, fmt.Sprintf(format, a...))
}

func (d *donor) has(r Root) bool {
	return d.modules == nil || slices.Contains(d.modules, d.base+r.Suffix())
}

// readTop lists the data directory: what is a database, what is cut out.
func (d *donor) readTop() error {
	entries, err := os.ReadDir(d.p.Datadir)
	if err != nil {
		return fmt.Errorf("list the data directory: %w", err)
	}
	d.branches = []branch{{dir: d.p.Datadir}}
	var dirs []string
	for _, e := range entries {
		name := e.Name()
		switch {
		case slices.Contains(housekeeping, name):
		case e.IsDir():
			dirs = append(dirs, name)
		case e.Type()&fs.ModeSymlink != 0:
			if d.link(name) {
				dirs = append(dirs, name)
				d.branches = append(d.branches, branch{dir: resolve(filepath.Join(d.p.Datadir, name)), rel: name})
			}
		}
	}
	cuts, warnings := d.p.cuts(d.branches)
	d.cuts = cuts
	d.plan.Warnings = append(d.plan.Warnings, warnings...)
	for _, name := range dirs {
		switch {
		case cutsOut(d.cuts, name, true):
			d.plan.NotSent = append(d.plan.NotSent, name+"/")
		case isHidden(name) && !holdsTables(filepath.Join(d.p.Datadir, name)):
			d.plan.NotSent = append(d.plan.NotSent, name+"/")
		default:
			d.names = append(d.names, name)
		}
	}
	d.notSent(entries)
	return nil
}

// isHidden: a database of that name is stored with an @002e in front, so this is
// somebody's .ssh or .cache, which must not travel.
func isHidden(name string) bool { return strings.HasPrefix(name, ".") }

// link says whether a symbolic link at the top is a database.
func (d *donor) link(name string) bool {
	file := filepath.Join(d.p.Datadir, name)
	info, err := os.Stat(file)
	if err != nil {
		// A link to a socket dangles often; but a dot is in no database's name.
		if errors.Is(err, fs.ErrNotExist) && strings.Contains(name, ".") {
			return false
		}
		target, _ := os.Readlink(file)
		d.refuse("%s is a symbolic link to %s, which cannot be followed (%v)", file, target, errors.Unwrap(err))
		return false
	}
	if !info.IsDir() {
		return false
	}
	if rel, err := filepath.Rel(resolve(file), resolve(d.p.Datadir)); err == nil && (rel == "." || !strings.HasPrefix(rel, "..")) {
		d.refuse("%s is a symbolic link that leads back to the data directory", file)
		return false
	}
	if !isDatabase(file) {
		d.plan.NotSent = append(d.plan.NotSent, name+"/")
		d.plan.Warnings = append(d.plan.Warnings, fmt.Sprintf("%s is a symbolic link to a directory without tables: it is not followed", file))
		return false
	}
	return true
}

// notSent collects the files at the top that stay, and what their presence tells.
func (d *donor) notSent(entries []os.DirEntry) {
	foreign := map[string]string{".mrn": "Mroonga", ".tokudb": "TokuDB"}
	for _, e := range entries {
		name := e.Name()
		if !e.Type().IsRegular() || d.p.KindOf(name) != Other {
			continue
		}
		d.plan.NotSent = append(d.plan.NotSent, name)
		if engine, ok := foreign[filepath.Ext(name)]; ok {
			delete(foreign, filepath.Ext(name))
			d.plan.Warnings = append(d.plan.Warnings, fmt.Sprintf(
				"%s is a file of the storage engine %s: such files at the top of the data directory are not sent, its tables will be broken on the joiner", name, engine))
		}
	}
}
