package mariadbd

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"wsrep_sst_rsync_tunnel/bench/lookalike"
)

// Position is the donor's: where the locked tables stand in the cluster's history.
const Position = "0a1c9e52-91e6-11f0-a36f-5b0c7d2e4f81:8191"

// Length of mariadbd's buffers for one line of stdout (sst-contract.md, section 4).
const (
	joinerLine = 512
	donorLine  = 128
)

// A Side is one of the two nodes, as its mariadbd knows it.
type Side struct {
	Name    string // joiner or donor
	Datadir string
	Log     string // name of its file
	Meter   Meter  // is told of the program; nil: nobody

	config  string // option file
	log     *os.File
	bin     string // what PATH begins with
	program string
	grace   time.Duration
}

// SideOptions are what a node has.
type SideOptions struct {
	Name         string // joiner or donor
	Datadir      string
	Certificates *Certificates
	Bin          string // directory of the program
	// Grace is the time between the signal that ends the program and the one that
	// kills it.
	Grace time.Duration
	// SST are further lines, KEY=VALUE, of the group [sst].
	SST []string
}

// NewSide writes the option file of a node. It is to be closed.
func NewSide(f *Folder, o SideOptions) (*Side, error) {
	s := &Side{Name: o.Name, Datadir: o.Datadir, bin: o.Bin, program: filepath.Join(o.Bin, programName), grace: o.Grace}
	s.config = f.Path(s.Name + ".cnf")
	option := func(key, value string) string {
		return key + `="` + strings.ReplaceAll(value, `\`, `\\`) + "\"\n"
	}
	text := "[mysqld]\n" + option("datadir", s.Datadir) + option("ssl_key", lookalike.ServerKeys+"/server.key") +
		option("wsrep_sst_method", "rsync_tunnel") +
		"\n[sst]\n" + option("tca", o.Certificates.All) + option("tcert", o.Certificates.Bundles[s.Name]) +
		option("status-file", f.Path(s.Name+".status.json"))
	for _, line := range o.SST {
		text += line + "\n"
	}
	if err := WriteFile(s.config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	s.Log = f.Path(s.Name + ".log")
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o640)
	s.log = log
	return s, err
}

// Close closes its log.
func (s *Side) Close() error { return s.log.Close() }

// PositionFile is the provider's.
const PositionFile = "grastate.dat"

// grastate opens the position file, as the provider does for as long as it lives.
func (s *Side) grastate() (*os.File, error) {
	return os.OpenFile(filepath.Join(s.Datadir, PositionFile), os.O_RDWR, 0)
}

// script is the run of the SST program that this node's mariadbd would start. The
// arguments before and after what both roles have in common are given.
func (s *Side) script(before, after []word, leaked *os.File, limit int, environ []string, logged func(string)) *script {
	words := []word{plain(programName), plain("--role"), quoted(s.Name)}
	words = append(words, before...)
	words = append(words, plain("--datadir"), quoted(s.Datadir+"/"), plain("--defaults-file"), quoted(s.config))
	words = append(words, after...)
	// mariadbd's own arguments, two of them hard to quote.
	words = append(words, plain("--mysqld-args"), hinted("--defaults-file="+s.config), hinted("--wsrep-on=ON"),
		hinted(`--init-connect=SET @x='a b'; SET @y="c$HOME\d"`), hinted("--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:4567;pc.weight=1"))
	return &script{
		side: s.Name, meter: s.Meter, words: words, dir: s.Datadir, program: s.program,
		env: s.environ(environ), leaked: []*os.File{leaked}, log: s.log, logged: logged, limit: limit, grace: s.grace,
	}
}

// environ is ours with PATH as mariadbd has it, and with what it adds.
func (s *Side) environ(more []string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PATH=") })
	return append(append(env, "PATH="+s.bin+":"+os.Getenv("PATH"), "WSREP_SST_OPT_AUTH="), more...)
}

// joins plays the joiner's mariadbd. offer is told what to send to the cluster when
// the program is ready, and how to give up the position.
func (s *Side) joins(ctx context.Context, port int, mark func(Moment, string), offer func(address string, giveUp func() error) error) error {
	grastate, err := s.grastate()
	if err != nil {
		return err
	}
	defer grastate.Close()
	before := []word{plain("--address"), quoted(net.JoinHostPort(Host, strconv.Itoa(port)))}
	after := []word{plain("--parent"), plain(strconv.Itoa(os.Getpid())), plain("--progress"), plain("0")}
	run := s.script(before, after, grastate, joinerLine, nil, func(string) {})
	mark(Started, "joiner: "+brief(run.words))

	got := []string{}
	err = run.run(ctx, func(line string) error {
		if isProgress(line) {
			return nil
		}
		got = append(got, line)
		switch len(got) {
		case 1:
			const word = "ready "
			if len(line) <= len(word) || !strings.EqualFold(line[:len(word)], word) {
				return fmt.Errorf("the first line is %q, should be ready ADDRESS", line)
			}
			return offer(line[len(word):], func() error { return lookalike.GiveUpPosition(grastate) })
		case 2:
			if line != Position+" 0" {
				return fmt.Errorf("the second line is %q, should be the donor's position %s 0", line, Position)
			}
			return nil
		}
		return fmt.Errorf("the line %q is one too many", line)
	})
	if err == nil && len(got) < 2 {
		err = fmt.Errorf("joiner ended well without giving a position; it said %q", got)
	}
	return err
}

// gives plays the donor's mariadbd. lock is called to flush and lock the tables.
func (s *Side) gives(ctx context.Context, address string, mark func(Moment, string), lock func() error) error {
	grastate, err := s.grastate()
	if err != nil {
		return err
	}
	defer grastate.Close()
	if i := strings.LastIndexByte(address, '@'); i >= 0 {
		address = address[i+1:]
	}
	before := []word{plain("--address"), quoted(address), plain("--local-port"), plain("3306"),
		plain("--socket"), quoted(filepath.Join(s.Datadir, "mysqld.sock")), plain("--progress"), plain("0")}
	after := []word{plain("--gtid"), quoted(Position), plain("--gtid-domain-id"), plain("0")}
	run := s.script(before, after, grastate, donorLine, []string{"INNODB_DATA_HOME_DIR=./"}, func(line string) { noted(mark, line) })
	mark(Asked, "donor: "+brief(run.words))

	want := []string{"flush tables", "continue", "done " + Position + " 0"}
	err = run.run(ctx, func(line string) error {
		if isProgress(line) {
			return nil
		}
		if len(want) == 0 || line != want[0] {
			return fmt.Errorf("the line is %q, should be one of %q", line, want)
		}
		want = want[1:]
		switch line {
		case "flush tables":
			return lock()
		case "continue":
			mark(Copied, "")
			mark(Unlocked, "donor")
		}
		return nil
	})
	if err == nil && len(want) > 0 {
		err = fmt.Errorf("donor ended well without saying %q", want)
	}
	return err
}

// noted takes from the donor's log what stdout does not tell.
func noted(mark func(Moment, string), line string) {
	switch {
	case strings.Contains(line, " connected"):
		mark(Connected, "")
	case strings.Contains(line, "Sending continue to donor"):
		mark(Copied, "")
	}
}

// flushed makes tables_flushed as mariadbd does: under another name first, and all
// of it twice.
func (s *Side) flushed() error {
	name := filepath.Join(s.Datadir, "tables_flushed")
	for range 2 {
		if err := os.WriteFile(name+".tmp", []byte(Position+" 0\n"), 0o660); err != nil {
			return err
		}
		if err := os.Rename(name+".tmp", name); err != nil {
			return err
		}
	}
	return nil
}

// isProgress: mariadbd takes such lines from both roles at any time.
func isProgress(line string) bool {
	return strings.HasPrefix(line, "total ") || strings.HasPrefix(line, "complete ")
}

// brief is a command line as far as it fits.
func brief(words []word) string {
	const most = 60
	if line := shellLine(words); len(line) > most {
		return line[:most] + " ..."
	}
	return shellLine(words)
}

// Tail is the end of the node's log.
func (s *Side) Tail(out io.Writer) {
	const lines = 15
	content, err := os.ReadFile(s.Log)
	if err != nil {
		return
	}
	all := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	fmt.Fprintf(out, "\nthe end of the %s's log:\n", s.Name)
	for _, line := range all[max(0, len(all)-lines):] {
		fmt.Fprintln(out, "   ", line)
	}
}
