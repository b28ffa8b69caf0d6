package sst

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"wsrep_sst_rsync_tunnel/mycnf"
	"wsrep_sst_rsync_tunnel/sst/plan"
	"wsrep_sst_rsync_tunnel/tls"
	"wsrep_sst_rsync_tunnel/transfer/ext"
)

// A Value is a setting and where it stands, for messages.
type Value struct {
	Text  string
	Where string // "FILE:LINE"; "" if it was not set
}

// Settings is everything that option files, environment and arguments say about
// one SST, read once (sst-options.md, section 1).
//
// Server groups stand for what my_print_defaults calls --mysqld. Which of the
// groups [mysqld-X.Y], [mariadb-X.Y] and [mariadbd-X.Y] count depends on the
// server's version, and mariadbd does not tell it: the key server-version of [sst]
// does, else it is found out (version.go). Where it is not these groups are not read,
// and a place for data that one of them sets otherwise is an error rather than a guess.
type Settings struct {
	// The secure channel: tca, tcert, tkey, sockopt of [sst].
	CA, Cert, Key, Sockopt Value
	// transport and dtls-mtu of [sst], for rsync_tunnel only; "" and 0: not set.
	Transport tls.Transport
	MTU       int
	// Under the names of the stock methods (method_rsync.go) there is no sockopt, but
	// tcapath, and ssl-mode decides: Clear is DISABLED.
	CAPath   Value
	Mode     tls.Mode
	Clear    bool
	whyClear string
	keys     tls.Keys

	Places plan.Places
	Binlog Binlog

	PageSize int64 // innodb_page_size

	BackupThreads int // connections at a time: backup-threads, default: CPUs
	MaxBinlogs    int // sst-max-binlogs: the last n, 0 none, negative all

	RateLimit int64  // rlimit: bytes a second over all connections of a donor; 0: none
	Progress  string // progress: "", "none", "1" (the log), or a file's absolute path
	// ProgressInterval is progress-interval: between two lines in the log; 0: 10 s in the
	// first minute, then 60 s.
	ProgressInterval time.Duration

	Times bool // time: stages are timed

	InitialTimeout   time.Duration // sst-initial-timeout: joiner, until the donor comes; 0: none
	Silence          time.Duration // sst-timeout: connection without a sign of life; 0: none
	ConnectTimeout   time.Duration // sst-connect-timeout: one TCP connect
	HandshakeTimeout time.Duration // sst-handshake-timeout: one TLS handshake
	PreviousTimeout  time.Duration // sst-previous-timeout: for an SST before this one to end

	// Precopy says that a donor copies before it asks for the lock, in at most
	// PrecopyRounds rounds, of which none begins after PrecopyMaxTime (0: no limit) and
	// which read PrecopyRate bytes a second at most (0: no limit).
	Precopy        bool
	PrecopyRounds  int
	PrecopyMaxTime time.Duration
	PrecopyRate    int64
	// RejectsQueries: a donor serves nobody anyway (wsrep_sst_donor_rejects_queries).
	RejectsQueries bool

	// Reconnect is how long a broken connection between our own ends is tried to be
	// made again, ReconnectLocked while the donor's tables are locked; 0: not at all.
	// SilenceLocked is what Silence is then.
	Reconnect, ReconnectLocked, SilenceLocked time.Duration

	Compress   ext.Compression
	TmpDir     string // tmpdir; "" is the system's
	traits     traits
	gcachePage int64 // what the provider may need at a time beside the data; 0: elsewhere

	StatusFiles []string // status-file: the first that can be written is used; empty: none

	MetricsFile string // metrics-file: "" for none

	SyslogTag string // sst-syslog: what lines for syslog begin with; "" for none

	NoLandlock bool // landlock=off

	Warnings []string
	Notes    []string // worth a line that is no warning

	host      string // the joiner's, as the address has it
	effective []Setting
}

// TLS is what the secure channel of a role is made from.
func (s *Settings) TLS(role tls.Role) tls.Config {
	return tls.Config{
		Role: role, CA: s.CA.Text, Cert: s.Cert.Text, Key: s.Key.Text, Sockopt: s.Sockopt.Text, Host: s.host,
		Mode: s.Mode, CAPath: s.CAPath.Text, Keys: s.keys, Transport: s.Transport, MTU: s.MTU,
		ConnectTimeout: s.ConnectTimeout, HandshakeTimeout: s.HandshakeTimeout,
	}
}

// sstGroup holds what concerns SSTs only; serverGroup is the set that mariadbd
// reads itself and that beats [sst] in the keys they share.
const (
	sstGroup    = "sst"
	serverGroup = "--mysqld"
)

// LoadSettings reads the option files and puts all together. Of o, ServerVersion is
// not needed: [sst] may name it, and where it counts it is found out. The result is
// never nil: also with an error there may be warnings.
func LoadSettings(a Args, o mycnf.LoadOptions) (*Settings, error) {
	files, err := mycnf.Load(a.Defaults, o)
	if version, ok := files.Get([]string{sstGroup}, "server-version"); ok {
		o.ServerVersion = mycnf.Series(version.Value)
	} else if o.ServerVersion == "" && files.NeedVersion() {
		o.ServerVersion = a.serverVersion()
	}
	files = files.ForServer(o.ServerVersion)
	if err != nil {
		return &Settings{Warnings: files.Warnings()}, advise(fail(exitInvalid, err),
			"put the option file right; wsrep_sst_rsync_tunnel config shows whether it is")
	}
	l := &settingsLoader{args: a, files: files, version: o.ServerVersion, env: o.LookupEnv, found: map[string]Setting{}}
	l.s.host = a.Address.Host
	l.s.Warnings = append(l.s.Warnings, files.Warnings()...)
	l.statusFiles() // whatever else is wrong, that is to be told there
	l.metricsFile()
	err = l.load()
	l.s.effective = l.inOrder()
	return &l.s, fail(exitInvalid, err)
}

// load puts all together.
func (l *settingsLoader) load() error {
	if _, set := l.get("server-version"); !set && l.version != "" {
		l.record("server-version", l.version, "found out")
	}
	l.misspelt()
	if err := l.channel(); err != nil {
		return err
	}
	l.transfer()
	l.timeouts()
	l.precopy()
	l.landlock()
	if err := l.paths(); err != nil {
		return err
	}
	l.binlog()
	l.notData()
	l.s.TmpDir = firstDir(l.server("tmpdir").Value)
	l.compression()
	l.traits()
	l.reserve()
	l.syslog()
	return nil
}

type settingsLoader struct {
	args    Args
	files   *mycnf.Files
	version string
	env     func(string) (string, bool)
	found   map[string]Setting // by key: what config shows
	s       Settings

	mentioned map[string]bool // keys; made by mentions
}

func (l *settingsLoader) warn(format string, a ...any) {
	l.s.Warnings = append(l.s.Warnings, fmt.Sprintf(format, a...))
}

func where(o mycnf.Option) string { return o.File + ":" + strconv.Itoa(o.Line) }

func (l *settingsLoader) channel() error {
	if l.args.Method != Tunnel {
		if o, ok := l.get("transport"); ok && !strings.EqualFold(o.Value, string(tls.TCP)) {
			l.warn("%s: transport=%s has no effect on %s, which goes over TCP, as the script does: it is a key of rsync_tunnel", where(o), o.Value, l.args.Method)
		}
		err := l.stockChannel()
		l.encrypt()
		return err
	}
	for key, v := range map[string]*Value{"tca": &l.s.CA, "tcert": &l.s.Cert, "tkey": &l.s.Key, "sockopt": &l.s.Sockopt} {
		if o, ok := l.get(key); ok {
			*v = Value{o.Value, where(o)}
		}
	}
	l.encrypt()
	return l.transport()
}

// transport must be the same on both nodes. A word that nobody knows is an error, and
// not the default: an SST would find nobody at the other end.
func (l *settingsLoader) transport() error {
	if o, ok := l.get("transport"); ok {
		switch t := tls.Transport(strings.ToLower(o.Value)); t {
		case tls.TCP, tls.DTLS:
			l.s.Transport = t
		default:
			return advise(fmt.Errorf("%s: transport=%s: is neither tls nor dtls", where(o), o.Value), "use transport=tls, or remove the line")
		}
	}
	if n, ok := l.integer("dtls-mtu", tls.MinMTU, tls.MaxMTU); ok {
		l.s.MTU = n
	}
	return nil
}

// encrypt is mariabackup's. Operators leave it beside tcert and tkey, where it does no
// harm; but who relies on it for secrecy must be told.
func (l *settingsLoader) encrypt() {
	o, ok := l.get("encrypt")
	switch {
	case !ok:
	case l.s.Clear && o.Value != "0":
		l.warn("%s: encrypt=%s does not encrypt an SST by %s: ssl-mode does", where(o), o.Value, l.args.Method)
	case o.Value == "1":
		l.warn("%s: encrypt=1 has no meaning here; what is sent is encrypted by TLS with tcert and tkey", where(o))
	}
}
