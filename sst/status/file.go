package status

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Format is the version of the file's form. Later ones add fields only.
const Format = 1

// Kept is how many SSTs that have ended the file tells of.
const Kept = 10

// maxFile bounds what is read of a file: eleven runs with the longest texts stay
// far below.
const maxFile = 256 << 10

// A Phase is what an SST is doing, as far as a supervisor has to know.
type Phase string

// The phases. Waiting may last for hours and is no fault: a joiner waits for its turn
// at a busy donor, a donor for the server's lock.
const (
	Starting     Phase = "starting"
	Waiting      Phase = "waiting"
	Transferring Phase = "transferring"
	Finishing    Phase = "finishing"
	Complete     Phase = "complete"
	Failed       Phase = "failed"
)

// A Run is one SST as one node sees it. Times are in UTC.
type Run struct {
	Role   string `json:"role"` // joiner or donor
	Method string `json:"method"`
	Phase  Phase  `json:"phase"`
	Doing  string `json:"doing,omitempty"` // in words
	Peer   string `json:"peer,omitempty"`

	PID  int    `json:"pid"`
	Tick uint64 `json:"pid_start"` // start of the process in clock ticks since boot
	Boot string `json:"boot_id,omitempty"`

	Began   time.Time `json:"began"`
	Updated time.Time `json:"updated"`         // when the process last wrote this
	Moved   time.Time `json:"moved"`           // when Bytes last changed, or the phase
	Ended   time.Time `json:"ended,omitzero"`  // zero: not yet
	Locked  time.Time `json:"locked,omitzero"` // donor: since when its tables are locked
	Bytes   int64     `json:"bytes"`           // of files, so far
	Total   int64     `json:"total,omitempty"` // of files, as planned; 0: not known

	LockSeconds float64 `json:"locked_seconds,omitempty"` // donor: how long they were, without the present time

	Exit    int    `json:"exit_status"`
	Class   Reason `json:"reason_class,omitempty"` // why it failed, as metrics count it
	Reason  string `json:"reason,omitempty"`       // why it failed
	Datadir string `json:"datadir,omitempty"`      // joiner: the state of its data directory
	// Silence is after how many seconds without progress the run counts as stuck.
	Silence float64 `json:"stuck_after_seconds"`
}

// A File is all that the status file says.
type File struct {
	Format  int   `json:"format"`
	Current *Run  `json:"current,omitempty"`
	Last    []Run `json:"last"` // the newest first
}

// Read reads a status file; fs.ErrNotExist if there is none. It does not follow a
// link in the last component, and takes no file of somebody else than root, this
// process's user, or owner: in a folder that all may write to, anybody may have made
// it. owner is the user of the data directory, -1 if not known.
func Read(name string, owner int) (File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return File{}, fmt.Errorf("status file %s: %w", name, err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return File{}, fmt.Errorf("status file %s: not a regular file", name)
	case st.Uid != 0 && int(st.Uid) != os.Geteuid() && int(st.Uid) != owner:
		return File{}, fmt.Errorf("status file %s: it belongs to user %d, who is neither root nor the owner of the data directory", name, st.Uid)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return File{}, fmt.Errorf("status file %s: %w", name, err)
	}
	if len(b) > maxFile {
		return File{}, fmt.Errorf("status file %s: more than %d bytes", name, maxFile)
	}
	return parse(name, b)
}

func parse(name string, b []byte) (File, error) {
	var file File
	if err := json.Unmarshal(b, &file); err != nil {
		return File{}, fmt.Errorf("status file %s: %w", name, err)
	}
	if file.Format < 1 {
		return File{}, fmt.Errorf("status file %s: it is of another kind", name)
	}
	file.Last = file.Last[:min(len(file.Last), Kept)]
	return file, nil
}

// write replaces the status file.
func write(name string, file File) error {
	b, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return err
	}
	return replace(name, append(b, '\n'))
}

// replace replaces a file as a whole. Its mode lets everybody read: it has no secrets,
// and probes run as other users.
func replace(name string, b []byte) (err error) {
	dir, base := filepath.Split(name)
	temp := filepath.Join(dir, fmt.Sprintf(".%s.%d", base, os.Getpid()))
	// One of that name is of a process that was killed while writing.
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(temp)
		}
	}()
	err = f.Chmod(0o644) // whatever the umask
	if err == nil {
		_, err = f.Write(b)
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(temp, name)
	}
	return err
}
