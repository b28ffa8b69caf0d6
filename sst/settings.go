package sst

import (
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
	"time"

	"wsrep_sst_rsync_tunnel/mycnf"
	"wsrep_sst_rsync_tunnel/sst/plan"
	"wsrep_sst_rsync_tunnel/tls"
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

	StatusFiles []string // status-file: the first that can be written is used; empty: none

	Warnings []string
	Notes    []string // worth a line that is no warning

	host string // the joiner's, as the address has it
}

// TLS is what the secure channel of a role is made from.
func (s *Settings) TLS(role tls.Role) tls.Config {
	return tls.Config{
		Role: role, CA: s.CA.Text, Cert: s.Cert.Text, Key: s.Key.Text, Sockopt: s.Sockopt.Text, Host: s.host,
		Mode: s.Mode, CAPath: s.CAPath.Text, Keys: s.keys,
		ConnectTimeout: s.ConnectTimeout, HandshakeTimeout: s.HandshakeTimeout,
	}
}

// Defaults of what can be set. 300 s is what the stock script's rsync waits for a
// sign of life. For the donor to come at all there is no limit: a joiner may queue
// for hours behind a busy donor, as long as its mariadbd lives.
const (
	defaultSilence          = 300 * time.Second
	defaultConnectTimeout   = 10 * time.Second
	defaultHandshakeTimeout = 30 * time.Second
	defaultPreviousTimeout  = 30 * time.Second
	defaultReconnect        = 60 * time.Second
	defaultReconnectLocked  = 10 * time.Second
	defaultSilenceLocked    = 60 * time.Second

	defaultMaxBinlogs = 1
	maxBackupThreads  = 256
	defaultPageSize   = 16 << 10
)

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
		return &Settings{Warnings: files.Warnings()}, fail(exitInvalid, err)
	}
	l := &settingsLoader{args: a, files: files, version: o.ServerVersion, env: o.LookupEnv}
	l.s.host = a.Address.Host
	l.s.Warnings = append(l.s.Warnings, files.Warnings()...)
	if err := l.channel(); err != nil {
		return &l.s, fail(exitInvalid, err)
	}
	l.numbers()
	l.timeouts()
	l.precopy()
	if err := l.paths(); err != nil {
		return &l.s, fail(exitInvalid, err)
	}
	l.binlog()
	l.notData()
	l.statusFiles()
	return &l.s, nil
}

type settingsLoader struct {
	args    Args
	files   *mycnf.Files
	version string
	env     func(string) (string, bool)
	s       Settings
}

func (l *settingsLoader) warn(format string, a ...any) {
	l.s.Warnings = append(l.s.Warnings, fmt.Sprintf(format, a...))
}

func where(o mycnf.Option) string { return o.File + ":" + strconv.Itoa(o.Line) }

func (l *settingsLoader) channel() error {
	groups := append(l.serverGroups(), sstGroup, "xtrabackup", "mariabackup")
	if o, ok := l.files.Get(groups, "encrypt"); ok && o.Value == "1" {
		l.warn("%s: encrypt=1 has no meaning here; what is sent is encrypted by TLS with tcert and tkey", where(o))
	}
	if l.args.Method != Tunnel {
		return l.stockChannel()
	}
	for key, v := range map[string]*Value{"tca": &l.s.CA, "tcert": &l.s.Cert, "tkey": &l.s.Key, "sockopt": &l.s.Sockopt} {
		if o, ok := l.files.Get([]string{sstGroup}, key); ok {
			*v = Value{o.Value, where(o)}
		}
	}
	return nil
}

// serverGroups are the server's groups, unless it was told to read no files.
func (l *settingsLoader) serverGroups() []string {
	if l.args.Mysqld.NoDefaults {
		return nil
	}
	return []string{serverGroup}
}

func (l *settingsLoader) numbers() {
	l.s.PageSize = pageSize(l.server("innodb-page-size").Value)
	l.s.BackupThreads = runtime.GOMAXPROCS(0)
	if n, ok := l.integer("backup-threads", 1, math.MaxInt32); ok {
		if n > maxBackupThreads {
			l.warn("backup-threads=%d is more than makes sense, %d are used", n, maxBackupThreads)
			n = maxBackupThreads
		}
		l.s.BackupThreads = n
	}
	l.s.MaxBinlogs = defaultMaxBinlogs
	if n, ok := l.integer("sst-max-binlogs", math.MinInt32, math.MaxInt32); ok {
		l.s.MaxBinlogs = n
	}
}

// integer is a number of the server groups or of [sst]. One that is none is as good
// as not set: no node shall stay down for it.
func (l *settingsLoader) integer(key string, low, high int) (int, bool) {
	o, ok := l.files.Get(append(l.serverGroups(), sstGroup), key)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(o.Value)
	if err != nil || n < low || n > high {
		l.warn("%s: %s=%s is not a number of at least %d, the default is used", where(o), key, o.Value, low)
		return 0, false
	}
	return n, true
}

// pageSize reads innodb_page_size, which may end in k; the default if it is none.
func pageSize(s string) int64 {
	number, unit := strings.TrimRight(s, "kK"), int64(1)
	if number != s {
		unit = 1 << 10
	}
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil || n <= 0 {
		return defaultPageSize
	}
	return n * unit
}

func (l *settingsLoader) timeouts() {
	for _, t := range []struct {
		key      string
		to       *time.Duration
		standard time.Duration
		zero     bool // 0 means no limit
	}{
		{"sst-initial-timeout", &l.s.InitialTimeout, 0, true},
		{"sst-timeout", &l.s.Silence, defaultSilence, true},
		{"sst-connect-timeout", &l.s.ConnectTimeout, defaultConnectTimeout, false},
		{"sst-handshake-timeout", &l.s.HandshakeTimeout, defaultHandshakeTimeout, false},
		{"sst-previous-timeout", &l.s.PreviousTimeout, defaultPreviousTimeout, false},
		{"sst-reconnect-timeout", &l.s.Reconnect, defaultReconnect, true},
		{"sst-reconnect-timeout-locked", &l.s.ReconnectLocked, defaultReconnectLocked, true},
		{"sst-timeout-locked", &l.s.SilenceLocked, defaultSilenceLocked, true},
		{"precopy-max-time", &l.s.PrecopyMaxTime, defaultPrecopyMaxTime, true},
	} {
		*t.to = t.standard
		o, ok := l.files.Get([]string{sstGroup}, t.key)
		if !ok {
			continue
		}
		d, err := parseSeconds(o.Value)
		if err != nil || d == 0 && !t.zero {
			l.warn("%s: %s=%s is not a number of seconds, the default of %g is used", where(o), t.key, o.Value, t.standard.Seconds())
			continue
		}
		*t.to = d
	}
}

// parseSeconds reads a number of seconds, fractions allowed, up to ten years.
func parseSeconds(s string) (time.Duration, error) {
	const limit = 10 * 365 * 24 * 3600
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || f < 0 || f > limit || strings.ContainsAny(s, "xXpPeE_") {
		return 0, fmt.Errorf("%q is not a number of seconds", s)
	}
	if d := time.Duration(f * float64(time.Second)); d > 0 || f == 0 {
		return d, nil
	}
	return 0, fmt.Errorf("%q is too short", s)
}
