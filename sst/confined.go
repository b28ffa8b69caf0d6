package sst

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"wsrep_sst_rsync_tunnel/sst/confine"
	"wsrep_sst_rsync_tunnel/sst/plan"
)

// What a role needs of the file system, and nothing else: see docs/security.md.

// lessen takes what can be taken before anything is known.
func (r *run) lessen() {
	if err := confine.NoCoreDumps(); err != nil {
		r.infof("core dumps cannot be switched off: %v", err)
	}
	if err := r.kernel.NoNewPrivs(); err != nil {
		r.infof("no_new_privs cannot be set: %v", err)
	}
}

// confine restricts this process to the rules, if it can be. A system that cannot is
// no reason to be without a node.
func (r *run) confine(rules []confine.Rule) {
	if r.settings.NoLandlock {
		r.infof("landlock=off: this process is not restricted to the folders it needs")
		return
	}
	version, err := r.kernel.Restrict(append(rules, r.commonNeeds()...))
	if err != nil {
		r.infof("landlock is not available here (%v): this process is not restricted to the folders it needs", err)
		return
	}
	r.confined = true
	r.infof("restricted to the folders that this SST needs (landlock, version %d)", version)
}

// commonNeeds are the rules of both roles: certificates, the folders of the files
// about the SST, and what the system has for everybody.
func (r *run) commonNeeds() []confine.Rule {
	rules := confine.System()
	s := r.settings
	for _, file := range []string{s.CA.Text, s.Cert.Text, s.Key.Text} {
		rules = append(rules, confine.Renewed(file)...)
	}
	rules = append(rules, confine.RenewedDir(s.CAPath.Text)...)
	if filepath.IsAbs(s.Progress) {
		rules = append(rules, confine.Rule{Path: filepath.Dir(s.Progress), Access: confine.Write | confine.Make})
	}
	if name := r.statusFile(); name != "" {
		rules = append(rules, confine.Rule{Path: filepath.Dir(name), Access: confine.All}) // it is replaced each time
	}
	if name := r.settings.MetricsFile; name != "" {
		rules = append(rules, confine.Rule{Path: filepath.Dir(name), Access: confine.All}) // likewise
	}
	for _, name := range []string{"SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if v, ok := r.lookupEnv(name); ok {
			for _, p := range filepath.SplitList(v) {
				rules = append(rules, confine.Rule{Path: p, Access: confine.Read})
			}
		}
	}
	return rules
}

// needs are the places that a joiner fills, and the position that it waits for to go.
func (j *joiner) needs() []confine.Rule {
	rules := []confine.Rule{{Path: filepath.Dir(j.grastate.file), Access: confine.Read}}
	for _, at := range j.dir.places {
		rules = append(rules, confine.Rule{Path: at.dir, Access: confine.All})
	}
	for _, root := range j.links {
		rules = append(rules, confine.Rule{Path: root.Name(), Access: confine.All})
	}
	for _, dir := range j.settings.Places.BinlogDirs {
		rules = append(rules, confine.Rule{Path: dir, Access: confine.All})
	}
	return rules
}

// needs are what a donor reads. In the data directory it also removes: the answers of
// mariadbd, and wsrep_sst.pid.
func (d *donor) needs() []confine.Rule {
	p := d.settings.Places
	rules := []confine.Rule{{Path: p.Datadir, Access: confine.Read | confine.Remove}}
	for _, root := range plan.Roots[1:] {
		rules = append(rules, confine.Rule{Path: p.Dir(root), Access: confine.Read})
	}
	// Databases that are links, and links to what is none: the plan is made again under
	// the lock, and looks at all of them.
	entries, err := os.ReadDir(p.Datadir)
	if err == nil {
		for _, e := range entries {
			if e.Type()&fs.ModeSymlink == 0 {
				continue
			}
			target, err := filepath.EvalSymlinks(filepath.Join(p.Datadir, e.Name()))
			if info, e := os.Stat(target); err == nil && e == nil && info.IsDir() && target != "/" {
				rules = append(rules, confine.Rule{Path: target, Access: confine.Read})
			}
		}
	}
	for _, dir := range p.BinlogDirs {
		rules = append(rules, confine.Rule{Path: dir, Access: confine.Read})
	}
	if b := d.settings.Binlog; b.On() {
		files, _ := readIndex(b.Index, d.args.Datadir) // an index that cannot be read is told where it is needed
		for _, file := range files {
			rules = append(rules, confine.Rule{Path: file, Access: confine.Read}, confine.Rule{Path: filepath.Dir(file), Access: confine.Read})
		}
	}
	return rules
}

// blame adds to a refused access that it may be our own doing.
func (r *run) blame(err error) error {
	if !r.confined || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return advise(err, fmt.Sprintf("if the permissions are right, landlock=off in [%s] tells whether this program's own restriction is in the way; report it then", sstGroup))
}
