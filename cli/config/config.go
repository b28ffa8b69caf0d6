// Package config shows what the option files of a node mean for an SST, in both roles,
// and where each value came from.
//
// It promises to read them as an SST does, with the same code, and to show no secret.
// Certificates are loaded, since settings that name a wrong one are of no use. It leaves
// to the command check whether the node can have an SST.
package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"wsrep_sst_rsync_tunnel/mycnf"
	"wsrep_sst_rsync_tunnel/sst"
	"wsrep_sst_rsync_tunnel/sst/report"
	"wsrep_sst_rsync_tunnel/tls"
)

// Options are what mariadbd would pass; "" and nil stand for what was not given.
type Options struct {
	Method   string // "" is wsrep_sst_method of the option files
	Datadir  string // "" is that of mariadbd's arguments, or of the option files
	Address  string // of the joiner, HOST[:PORT]; "" leaves open whom a donor calls
	Defaults mycnf.Args
	Mysqld   []string // mariadbd's own arguments

	LookupEnv func(string) (string, bool) // nil is os.LookupEnv
	Dirs      []string                    // as in mycnf.LoadOptions
}

// A Value is text and where it came from, as in [sst.Setting].
type Value struct {
	Text string `json:"value"`
	From string `json:"from"`
}

// A Role is what one role would run with. With an Error its settings are those that were
// found until then.
type Role struct {
	Settings []sst.Setting `json:"settings"`
	Channel  string        `json:"channel,omitempty"` // the secure channel in one line
	Warnings []string      `json:"warnings,omitempty"`
	Notes    []string      `json:"notes,omitempty"`
	Error    string        `json:"error,omitempty"`
	Hint     string        `json:"hint,omitempty"`

	err error
}

// A Report is what the command prints.
type Report struct {
	Method  Value `json:"method"`
	Datadir Value `json:"datadir"`
	Joiner  Role  `json:"joiner"`
	Donor   Role  `json:"donor"`
}

// defaultDatadir is the one of Linux packages. mariadbd passes its own to an SST.
const defaultDatadir = "/var/lib/mysql"

const byDefault = "default"

// methods are the names that this program has.
var methods = []string{sst.Tunnel.String(), sst.Rsync.String(), sst.RsyncWan.String()}

// Read finds everything out. Its error is about the options; what is wrong with the
// settings is in the report.
func Read(o Options) (*Report, error) {
	// Only the arguments' parser knows what of mariadbd's counts.
	args, err := o.args(sst.Joiner, cmp.Or(o.Method, sst.Tunnel.String()), cmp.Or(o.Datadir, defaultDatadir))
	if err != nil {
		return nil, err
	}
	o.Defaults = args.Defaults
	// An error of the option files comes again with the settings.
	files, _ := mycnf.Load(o.Defaults, o.load())
	r := &Report{}
	warning := r.method(o, args, files)
	r.datadir(o, args, files)
	for role, to := range map[sst.Role]*Role{sst.Joiner: &r.Joiner, sst.Donor: &r.Donor} {
		if *to, err = o.role(role, r); err != nil {
			return nil, err
		}
		if warning != "" {
			to.Warnings = slices.Insert(to.Warnings, 0, warning)
		}
	}
	return r, nil
}

func (o Options) load() mycnf.LoadOptions {
	return mycnf.LoadOptions{LookupEnv: o.LookupEnv, Dirs: o.Dirs}
}

// args are those of an SST. What mariadbd was started with it also passes directly.
func (o Options) args(role sst.Role, method, datadir string) (sst.Args, error) {
	words := []string{"wsrep_sst_" + method, "--role", role.String(), "--address", cmp.Or(o.Address, "joiner"), "--datadir", datadir}
	words = append(append(words, "--mysqld-args"), o.Mysqld...)
	a, err := sst.ParseArgs(words)
	if err != nil {
		return a, err
	}
	if o.Address == "" {
		a.Address = sst.Address{}
	}
	a.Defaults = o.Defaults
	for _, d := range []struct {
		name  string
		value *string
		has   *bool
	}{
		{"defaults-file", &a.Defaults.File, &a.Defaults.HasFile},
		{"defaults-extra-file", &a.Defaults.ExtraFile, &a.Defaults.HasExtra},
		{"defaults-group-suffix", &a.Defaults.Suffix, &a.Defaults.HasSuffix},
	} {
		if !*d.has && a.Mysqld.Has(d.name) {
			*d.value, *d.has = a.Mysqld.Value(d.name), true
		}
	}
	return a, nil
}

// server is an option of mariadbd and where it is set; "" if it is not.
func server(key string, a sst.Args, files *mycnf.Files) Value {
	if v := a.Mysqld.Value(key); v != "" {
		return Value{v, "mariadbd's argument --" + key}
	}
	if o, ok := files.Get([]string{"--mysqld"}, key); ok && !a.Mysqld.NoDefaults {
		return Value{o.Value, fmt.Sprintf("%s:%d", o.File, o.Line)}
	}
	return Value{}
}

// method finds out which one mariadbd would call. The warning says if that is none of
// ours.
func (r *Report) method(o Options, a sst.Args, files *mycnf.Files) (warning string) {
	configured := server("wsrep-sst-method", a, files)
	switch {
	case o.Method != "":
		r.Method = Value{o.Method, "argument --method"}
	case configured.Text == "":
		r.Method = Value{sst.Rsync.String(), byDefault}
		return "wsrep_sst_method is not set, and mariadbd uses rsync then; --method=rsync_tunnel shows the other"
	case slices.Contains(methods, configured.Text):
		r.Method = configured
	default:
		r.Method = Value{sst.Tunnel.String(), byDefault}
		return fmt.Sprintf("%s: wsrep_sst_method=%s is not this program; this is about rsync_tunnel", configured.From, configured.Text)
	}
	return ""
}

func (r *Report) datadir(o Options, a sst.Args, files *mycnf.Files) {
	switch configured := server("datadir", a, files); {
	case o.Datadir != "":
		r.Datadir = Value{o.Datadir, "argument --datadir"}
	case configured.Text != "":
		r.Datadir = configured
	default:
		r.Datadir = Value{defaultDatadir, byDefault}
	}
}

// role loads the settings as an SST of that role does.
func (o Options) role(role sst.Role, r *Report) (Role, error) {
	args, err := o.args(role, r.Method.Text, r.Datadir.Text)
	if err != nil {
		return Role{}, err
	}
	s, err := sst.LoadSettings(args, o.load())
	out := Role{Settings: s.Effective(), Warnings: s.Warnings, Notes: s.Notes}
	switch {
	case err != nil:
	case s.Clear:
		out.Channel = "no TLS: nothing is encrypted, and nobody's identity is checked"
	default:
		err = out.load(s.TLS(map[sst.Role]tls.Role{sst.Joiner: tls.Joiner, sst.Donor: tls.Donor}[role]))
	}
	if err != nil {
		out.err, out.Error, out.Hint = err, err.Error(), report.Hint(err)
	}
	return out, nil
}

// load reads the certificates.
func (r *Role) load(c tls.Config) error {
	channel, err := tls.Load(c)
	if err != nil {
		return err
	}
	r.Channel = channel.Describe()
	r.Warnings = append(r.Warnings, channel.Warnings()...)
	return nil
}

// Err says what makes the settings unusable; nil if nothing does.
func (r *Report) Err() error {
	switch j, d := r.Joiner, r.Donor; {
	case j.err == nil && d.err == nil:
		return nil
	case j.Error == d.Error:
		return unusable{"these settings cannot be used: " + j.Error, j.Hint}
	default:
		var text []string
		for role, err := range map[string]error{"as a donor: ": d.err, "as a joiner: ": j.err} {
			if err != nil {
				text = append(text, role+err.Error())
			}
		}
		slices.Sort(text)
		return unusable{"these settings cannot be used " + strings.Join(text, "; "), cmp.Or(j.Hint, d.Hint)}
	}
}

// unusable is an error with the next step.
type unusable struct{ text, hint string }

func (u unusable) Error() string { return u.text }
func (u unusable) Hint() string  { return u.hint }
