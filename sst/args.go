package sst

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"wsrep_sst_rsync_tunnel/mycnf"
)

// A Method is the name after wsrep_sst_ under which mariadbd calls us.
type Method int

// The methods. What is not the name of a stock method is our own.
const (
	Tunnel   Method = iota // wsrep_sst_rsync_tunnel
	Rsync                  // wsrep_sst_rsync
	RsyncWan               // wsrep_sst_rsync_wan
)

func (m Method) String() string { return [...]string{"rsync_tunnel", "rsync", "rsync_wan"}[m] }

// MethodOf tells the method from a program's name.
func MethodOf(program string) Method {
	switch filepath.Base(program) {
	case "wsrep_sst_rsync":
		return Rsync
	case "wsrep_sst_rsync_wan":
		return RsyncWan
	}
	return Tunnel
}

// A Role is the side of the SST.
type Role int

// The roles.
const (
	Donor Role = iota
	Joiner
)

func (r Role) String() string { return [...]string{"donor", "joiner"}[r] }

// Args is the command line that mariadbd starts an SST with (sst-contract.md,
// section 2; sst-options.md, section 2). "" and 0 stand for what was not given.
type Args struct {
	Program  string // argv[0]
	Method   Method
	Role     Role
	Address  Address
	Datadir  string // absolute, cleaned
	Parent   int    // mariadbd's PID (joiner)
	Bypass   bool   // IST: only the position is sent
	Progress bool   // wsrep_debug is on

	GTID       string // UUID:SEQNO (donor); of use with Bypass only
	GTIDDomain string

	Defaults mycnf.Args // --defaults-file, --defaults-extra-file, --defaults-group-suffix

	Binlog, BinlogIndex string // base name with path; index
	LogBasename         string
	InnoDBHome          string // --innodb-data-home-dir
	InnoDBLogDir        string // --innodb-log-group-home-dir
	InnoDBUndoDir       string // --innodb-undo-directory
	AriaLogDir          string // --aria-log-dir-path
	BufferPoolFile      string // --innodb-buffer-pool-filename

	LocalPort int
	Socket    string

	Mysqld MysqldArgs // what follows --mysqld-args

	// Unknown are the arguments that were skipped, for one warning.
	Unknown []string
}

// moduleBase is the name of the main module; those for other places begin with it.
func (a Args) moduleBase() string {
	if a.Method == Tunnel {
		return "rsync_tunnel_sst"
	}
	return stockModule(a.Address)
}

// magicFile is the file that the donor sends last, with the position.
func (a Args) magicFile() string {
	if a.Method == Tunnel {
		return "rsync_tunnel_sst_complete"
	}
	return "rsync_sst_complete"
}

// maxUnknown bounds what is kept of arguments we do not know.
const maxUnknown = 20

// ParseArgs reads argv, argv[0] included. mariadbd writes "--name value"; for
// people "--name=value" does too. What is not known is skipped word by word, since
// newer servers may say more.
func ParseArgs(argv []string) (Args, error) {
	a := Args{}
	if len(argv) > 0 {
		a.Program, argv = argv[0], argv[1:]
	}
	a.Method = MethodOf(a.Program)
	p := argParser{args: &a, port: -1}
	if err := p.parse(argv); err != nil {
		return Args{}, fail(exitInvalid, err)
	}
	if err := p.check(); err != nil {
		return Args{}, err
	}
	return a, nil
}

type argParser struct {
	args    *Args
	address string
	port    int // --port, -1 if not given
}

func (p *argParser) parse(argv []string) error {
	for i := 0; i < len(argv); i++ {
		word := argv[i]
		switch word {
		case "--mysqld-args":
			p.args.Mysqld = parseMysqldArgs(argv[i+1:])
			return nil
		case "--bypass":
			p.args.Bypass = true
			continue
		}
		name, value, inline := strings.Cut(word, "=")
		set, known := p.setter(name)
		if !known {
			p.unknown(name)
			continue
		}
		if !inline {
			if i+1 == len(argv) {
				return fmt.Errorf("argument %s has no value", name)
			}
			i++
			value = argv[i]
		}
		if err := set(strings.Trim(value, " \t\n")); err != nil {
			return fmt.Errorf("argument %s: %w", name, err)
		}
	}
	return nil
}

// unknown keeps the name of an argument for the warning, but not its value: it may
// be a password.
func (p *argParser) unknown(name string) {
	if !strings.HasPrefix(name, "-") {
		return // most likely the value of one before it
	}
	if len(p.args.Unknown) < maxUnknown && !slices.Contains(p.args.Unknown, name) {
		p.args.Unknown = append(p.args.Unknown, name)
	}
}

// setter finds what takes the value of an argument.
func (p *argParser) setter(name string) (func(string) error, bool) {
	a := p.args
	text := func(s *string) func(string) error {
		return func(v string) error { *s = v; return nil }
	}
	path := func(s *string) func(string) error {
		return func(v string) error { *s = trimSlash(v); return nil }
	}
	number := func(n *int) func(string) error {
		return func(v string) error {
			i, err := strconv.ParseUint(v, 10, 31)
			if err != nil {
				return fmt.Errorf("%q is not a number", v)
			}
			*n = int(i)
			return nil
		}
	}
	ignore := func(string) error { return nil }
	switch name {
	case "--role":
		return p.role, true
	case "--address":
		return text(&p.address), true
	case "--datadir":
		return path(&a.Datadir), true
	case "--parent":
		return number(&a.Parent), true
	case "--progress":
		return func(v string) error { a.Progress = v != "" && v != "0"; return nil }, true
	case "--gtid":
		return text(&a.GTID), true
	case "--gtid-domain-id":
		return text(&a.GTIDDomain), true
	case "--defaults-file":
		a.Defaults.HasFile = true
		return text(&a.Defaults.File), true
	case "--defaults-extra-file":
		a.Defaults.HasExtra = true
		return text(&a.Defaults.ExtraFile), true
	case "--defaults-group-suffix":
		a.Defaults.HasSuffix = true
		return text(&a.Defaults.Suffix), true
	case "--binlog", "--log-bin":
		return text(&a.Binlog), true
	case "--binlog-index", "--log-bin-index":
		return text(&a.BinlogIndex), true
	case "--log-basename":
		return text(&a.LogBasename), true
	case "--innodb-data-home-dir":
		return path(&a.InnoDBHome), true
	case "--innodb-log-group-home-dir":
		return path(&a.InnoDBLogDir), true
	case "--innodb-undo-directory":
		return path(&a.InnoDBUndoDir), true
	case "--aria-log-dir-path":
		return path(&a.AriaLogDir), true
	case "--innodb-buffer-pool-filename":
		return text(&a.BufferPoolFile), true
	case "--local-port":
		return number(&a.LocalPort), true
	case "--port":
		return number(&p.port), true
	case "--socket":
		return text(&a.Socket), true
	case "--host", "--user", "--password", "--innodb-buffer-pool-size":
		return ignore, true // for other methods
	}
	return nil, false
}

func (p *argParser) role(v string) error {
	switch v {
	case "donor":
		p.args.Role = Donor
	case "joiner":
		p.args.Role = Joiner
	default:
		return fmt.Errorf("%q is neither donor nor joiner", v)
	}
	return nil
}

// check looks at the whole, with the exit statuses of the stock scripts.
func (p *argParser) check() error {
	a := p.args
	if a.Datadir == "" {
		a.Datadir = trimSlash(a.Mysqld.Value("datadir"))
	}
	if a.Datadir == "" {
		return failf(exitMissing, "argument --datadir is missing")
	}
	abs, err := filepath.Abs(a.Datadir)
	if err != nil {
		return failf(exitMissing, "data directory %s: %w", a.Datadir, err)
	}
	a.Datadir = abs
	if p.address == "" {
		return failf(exitInvalid, "argument --address is missing")
	}
	if a.Address, err = ParseAddress(p.address); err != nil {
		return advise(fail(exitInvalid, err), "on the joiner set wsrep_sst_receive_address=HOST:PORT")
	}
	switch {
	case p.port < 0 || p.port == a.Address.Port:
	case !a.Address.hasPort() && p.port > 0 && p.port <= math.MaxUint16:
		a.Address.Port = p.port
	default:
		return failf(exitMissing, "argument --port %d differs from the port of --address %s", p.port, a.Address)
	}
	if a.Method != Tunnel {
		return fail(exitInvalid, checkModule(a.moduleBase()))
	}
	return nil
}

// trimSlash takes the final slashes off a directory, but leaves the root.
func trimSlash(dir string) string {
	if t := strings.TrimRight(dir, "/"); t != "" || dir == "" {
		return t
	}
	return "/"
}
