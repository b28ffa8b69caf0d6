package sst

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/mycnf"
	"wsrep_sst_rsync_tunnel/sst/confine"
	"wsrep_sst_rsync_tunnel/sst/plan"
	"wsrep_sst_rsync_tunnel/sst/report"
)

// Roles that a person starts, outside a cluster or beside it: the same engine and the same
// channel, and nobody who locks tables. What mariadbd does otherwise is the person's part:
// the server that sends is stopped or locked, the one that receives does not run.

// ByHand is what a person says of a role.
type ByHand struct {
	// Address is where to listen, "" for this host's name and the usual port; or, for
	// sending, what the receiver has printed.
	Address  string
	Datadir  string // "" = that of the option files
	Defaults mycnf.Args

	Replace  bool   // receive: there is old data, and it may go
	Locked   bool   // send: the server runs, and its tables are locked
	Position string // send: UUID:SEQNO in the cluster's history, if the server is of a cluster
}

// Receive fills a data directory from whoever sends: [Send], or the donor that garbd asks
// for. What a person needs goes to stdout. It returns the exit status.
func Receive(h ByHand, environ []string, stdout io.Writer, stderr io.Writer) int {
	return h.run(Joiner, environ, stdout, stderr)
}

// Send sends a data directory to [Receive].
func Send(h ByHand, environ []string, stdout io.Writer, stderr io.Writer) int {
	return h.run(Donor, environ, stdout, stderr)
}

func (h ByHand) run(role Role, environ []string, stdout, stderr io.Writer) int {
	log, live, flush := newLog(stderr)
	defer flush()
	hand := &handRun{ByHand: h, out: stdout}
	args, err := hand.args(role)
	if err != nil {
		log.Error(err)
		return statusOf(err)
	}
	r := &run{
		args: args, environ: environ, log: log, hand: hand, live: live,
		out: report.NewDialogue(hand, report.JoinerLine), watch: newServerWatch(), kernel: confine.Linux(), seams: realSeams(),
	}
	status := r.exitStatus()
	if status == 0 {
		hand.tell()
	}
	return status
}

// A handRun is a run by hand. It is what the dialogue goes to in place of mariadbd.
type handRun struct {
	ByHand
	out io.Writer

	mu      sync.Mutex
	cluster position         // "" uuid: none
	replica *ReplicaPosition // nil: not known, or none
}

// args are what mariadbd would have said.
func (h *handRun) args(role Role) (Args, error) {
	address := h.Address
	if address == "" && role == Joiner {
		name, err := os.Hostname()
		if err != nil {
			return Args{}, advise(failf(exitInvalid, "find this host's name: %w", err), "give it with --address")
		}
		address = name
	}
	datadir := h.Datadir
	if datadir == "" {
		_, found, err := StatusQuery{Defaults: h.Defaults}.places()
		if err != nil {
			return Args{}, fail(exitInvalid, err)
		}
		datadir = found
	}
	args, err := ParseArgs([]string{"wsrep_sst_rsync_tunnel", "--role", role.String(), "--address", address, "--datadir", datadir})
	args.Defaults = h.Defaults
	return args, err
}

// Write takes the dialogue's lines. Those of a donor are for a mariadbd that is not there.
func (h *handRun) Write(line []byte) (int, error) {
	if address, ok := strings.CutPrefix(string(line), "ready "); ok {
		fmt.Fprintf(h.out, "ready; on the other host: wsrep_sst_rsync_tunnel send %s", address)
	}
	return len(line), nil
}

// note keeps what is told at the end.
func (h *handRun) note(p position, r *ReplicaPosition) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.uuid != noCluster {
		h.cluster = p
	}
	if r != nil {
		h.replica = r
	}
}

// tell says where the copy stands.
func (h *handRun) tell() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cluster.uuid != "" {
		fmt.Fprintf(h.out, "cluster position: %s\n", h.cluster)
	}
	if h.replica == nil {
		fmt.Fprintln(h.out, "binlog: not known (the sender keeps none, or its option files do not say so)")
		return
	}
	fmt.Fprintf(h.out, "gtid: %s\nbinlog: %s %d\n", h.replica.GTID, h.replica.File, h.replica.Pos)
}

// noCluster stands in the magic file for the position of a server that is in no cluster.
// Only a receiver by hand gets it.
const noCluster = "ffffffff-ffff-ffff-ffff-ffffffffffff"

// checkByHand refuses what cannot work. It is called with the settings loaded.
func (r *run) checkByHand() error {
	server := runningServer(r.settings.Places.Dir(plan.HomeDir), r.args.Datadir)
	if r.args.Role == Joiner {
		if server != "" {
			return advise(failf(exitInvalid, "data directory %s: a server runs in it (%s is locked)", r.args.Datadir, server), "stop it")
		}
		return r.hand.checkEmpty(r.args.Datadir)
	}
	if server != "" && !r.hand.Locked {
		return advise(failf(exitInvalid, "data directory %s: a server runs in it (%s is locked), and whether its tables are locked is not known", r.args.Datadir, server),
			"stop it; or FLUSH TABLES WITH READ LOCK in a session that stays open until this is over, and --locked")
	}
	if _, err := os.Stat(filepath.Join(r.args.Datadir, "mysql")); err != nil {
		return advise(failf(exitMissing, "data directory %s: there is no database in it: %w", r.args.Datadir, err), "give the right one with --datadir")
	}
	r.settings.Precopy = false // nobody writes
	needed, err := r.hand.find(r.settings.Binlog, r.args.Datadir)
	if r.settings.MaxBinlogs >= 0 {
		r.settings.MaxBinlogs = max(r.settings.MaxBinlogs, needed)
	}
	return err
}

// checkEmpty makes sure that nobody loses data that he did not give up.
func (h *handRun) checkEmpty(datadir string) error {
	entries, err := os.ReadDir(datadir)
	if err != nil {
		return advise(fail(exitMissing, fmt.Errorf("data directory: %w", err)), "make it, with the owner that its server runs as")
	}
	for _, e := range entries {
		if e.Name() == "lost+found" {
			continue
		}
		if !h.Replace {
			return advise(failf(exitInvalid, "data directory %s is not empty: there is %s", datadir, plain(e.Name())), "empty it, or say --replace if its data may go")
		}
	}
	return nil
}

// runningServer names a file that the mariadbd of a data directory holds locked; "" if
// none does.
func runningServer(home, datadir string) string {
	for _, file := range []string{filepath.Join(home, "ibdata1"), filepath.Join(datadir, "aria_log_control")} {
		f, err := os.OpenFile(file, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if err != nil {
			continue
		}
		lock := unix.Flock_t{Type: unix.F_WRLCK}
		err = unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock)
		f.Close()
		if err == nil && lock.Type != unix.F_UNLCK {
			return file
		}
	}
	return ""
}

// find finds out where the data stands in the history of a cluster, and of its own server,
// and how many binlogs go with it.
func (h *handRun) find(b Binlog, datadir string) (binlogs int, err error) {
	h.cluster = position{}
	text, err := os.ReadFile(filepath.Join(datadir, grastateFile))
	switch {
	case h.Position != "":
		if h.cluster, err = parsePosition(h.Position); err != nil {
			return 0, failf(exitInvalid, "--position: %w", err)
		}
	case err == nil:
		h.cluster = grastatePosition(string(text))
	case !errors.Is(err, fs.ErrNotExist):
		return 0, fail(exitOther, err)
	}
	p, needed, err := lastPosition(b, datadir)
	if err == nil && needed > 0 {
		h.replica = &p
	}
	return needed, fail(exitOther, err)
}

// position is what the magic file says.
func (h *handRun) position() position {
	if h.cluster.uuid != "" {
		return h.cluster
	}
	return position{uuid: noCluster}
}

// admits says whether a joiner may have what a hand sends.
func (h *handRun) admits(byHand bool) error {
	if h == nil || byHand || h.cluster.uuid != "" {
		return nil
	}
	return advise(failf(exitInvalid, "the receiver is a node of a cluster, and where the data of this one stands in its history is not known"),
		"give it with --position UUID:SEQNO (wsrep_local_state_uuid and wsrep_last_committed of the locked server)")
}

// secured makes sure that both sides show certificates, whatever sockopt says: no
// cluster vouches for who comes.
func (h *handRun) secured(verifies bool) error {
	if h == nil || verifies {
		return nil
	}
	return advise(failf(exitInvalid, "sockopt verify=0: by hand both sides must show a certificate that the other trusts"), "take verify=0 away")
}
