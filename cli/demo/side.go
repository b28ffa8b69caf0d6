package demo

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

	"wsrep_sst_rsync_tunnel/cli/demo/lookalike"
)

// position is the donor's: where the locked tables stand in the cluster's history.
const position = "0a1c9e52-91e6-11f0-a36f-5b0c7d2e4f81:8191"

// Length of mariadbd's buffers for one line of stdout (sst-contract.md, section 4).
const (
	joinerLine = 512
	donorLine  = 128
)

// A side is one of the two nodes, as its mariadbd knows it.
type side struct {
	name    string // joiner or donor
	datadir *lookalike.Datadir
	config  string // option file
	log     *os.File
	logName string
	bin     string // what PATH begins with
	program string
	grace   time.Duration
}

// newSide writes the option file of a node.
func newSide(f *folder, name string, d *lookalike.Datadir, c *certificates, bin string, grace time.Duration) (*side, error) {
	s := &side{name: name, datadir: d, bin: bin, program: filepath.Join(bin, programName), grace: grace}
	s.config = f.path(name + ".cnf")
	option := func(key, value string) string {
		return key + `="` + strings.ReplaceAll(value, `\`, `\\`) + "\"\n"
	}
	text := "[mysqld]\n" + option("datadir", d.Dir) + option("ssl_key", lookalike.ServerKeys+"/server.key") +
		option("wsrep_sst_method", "rsync_tunnel") +
		"\n[sst]\n" + option("tca", c.all) + option("tcert", c.bundles[name]) +
		option("status-file", f.path(name+".status.json"))
	if err := writeFile(s.config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	s.logName = f.path(name + ".log")
	log, err := os.OpenFile(s.logName, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o640)
	s.log = log
	return s, err
}

// positionFile is the provider's.
const positionFile = "grastate.dat"

// grastate opens the position file, as the provider does for as long as it lives.
func (s *side) grastate() (*os.File, error) {
	return os.OpenFile(filepath.Join(s.datadir.Dir, positionFile), os.O_RDWR, 0)
}

// script is the run of the SST program that this node's mariadbd would start. The
// arguments before and after what both roles have in common are given.
func (s *side) script(before, after []word, leaked *os.File, limit int, environ []string, logged func(string)) *script {
	words := []word{plain(programName), plain("--role"), quoted(s.name)}
	words = append(words, before...)
	words = append(words, plain("--datadir"), quoted(s.datadir.Dir+"/"), plain("--defaults-file"), quoted(s.config))
	words = append(words, after...)
	// mariadbd's own arguments, two of them hard to quote.
	words = append(words, plain("--mysqld-args"), hinted("--defaults-file="+s.config), hinted("--wsrep-on=ON"),
		hinted(`--init-connect=SET @x='a b'; SET @y="c$HOME\d"`), hinted("--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:4567;pc.weight=1"))
	return &script{
		side: s.name, words: words, dir: s.datadir.Dir, program: s.program,
		env: s.environ(environ), leaked: []*os.File{leaked}, log: s.log, logged: logged, limit: limit, grace: s.grace,
	}
}

// environ is ours with PATH as mariadbd has it, and with what it adds.
func (s *side) environ(more []string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PATH=") })
	return append(append(env, "PATH="+s.bin+":"+os.Getenv("PATH"), "WSREP_SST_OPT_AUTH="), more...)
}

// joins plays the joiner's mariadbd. offer is told what to send to the cluster when
// the program is ready.
func (s *side) joins(ctx context.Context, port int, t *timeline, offer func(address string) error) error {
	grastate, err := s.grastate()
	if err != nil {
		return err
	}
	defer grastate.Close()
	before := []word{plain("--address"), quoted(net.JoinHostPort(host, strconv.Itoa(port)))}
	after := []word{plain("--parent"), plain(strconv.Itoa(os.Getpid())), plain("--progress"), plain("0")}
	run := s.script(before, after, grastate, joinerLine, nil, func(string) {})
	t.mark(started, "joiner: "+brief(run.words))

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
			// The node asks the cluster for a state and so gives up its own.
			if err := lookalike.GiveUpPosition(grastate); err != nil {
				return err
			}
			return offer(line[len(word):])
		case 2:
			if line != position+" 0" {
				return fmt.Errorf("the second line is %q, should be the donor's position %s 0", line, position)
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
func (s *side) gives(ctx context.Context, address string, t *timeline, lock func() error) error {
	grastate, err := s.grastate()
	if err != nil {
		return err
	}
	defer grastate.Close()
	if i := strings.LastIndexByte(address, '@'); i >= 0 {
		address = address[i+1:]
	}
	before := []word{plain("--address"), quoted(address), plain("--local-port"), plain("3306"),
		plain("--socket"), quoted(filepath.Join(s.datadir.Dir, "mysqld.sock")), plain("--progress"), plain("0")}
	after := []word{plain("--gtid"), quoted(position), plain("--gtid-domain-id"), plain("0")}
	run := s.script(before, after, grastate, donorLine, []string{"INNODB_DATA_HOME_DIR=./"}, func(line string) { s.noted(t, line) })
	t.mark(asked, "donor: "+brief(run.words))

	want := []string{"flush tables", "continue", "done " + position + " 0"}
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
			t.mark(copied, "")
			t.mark(unlocked, "donor")
		}
		return nil
	})
	if err == nil && len(want) > 0 {
		err = fmt.Errorf("donor ended well without saying %q", want)
	}
	return err
}

// noted takes from the donor's log what stdout does not tell.
func (s *side) noted(t *timeline, line string) {
	switch {
	case strings.Contains(line, " connected"):
		t.mark(connected, "")
	case strings.Contains(line, "Sending continue to donor"):
		t.mark(copied, "")
	}
}

// flushed makes tables_flushed as mariadbd does: under another name first, and all
// of it twice.
func (s *side) flushed() error {
	name := filepath.Join(s.datadir.Dir, "tables_flushed")
	for range 2 {
		if err := os.WriteFile(name+".tmp", []byte(position+" 0\n"), 0o660); err != nil {
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

// tail is the end of the node's log.
func (s *side) tail(out io.Writer) {
	const lines = 15
	content, err := os.ReadFile(s.logName)
	if err != nil {
		return
	}
	all := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	fmt.Fprintf(out, "\nthe end of the %s's log:\n", s.name)
	for _, line := range all[max(0, len(all)-lines):] {
		fmt.Fprintln(out, "   ", line)
	}
}
