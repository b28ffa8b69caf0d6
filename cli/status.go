package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"wsrep_sst_rsync_tunnel/sst"
	"wsrep_sst_rsync_tunnel/sst/status"
)

// Exit statuses of status --probe. 1 and 2 are what they are for all commands.
const (
	exitRunning = 3
	exitStuck   = 4
	exitBroken  = 5
)

var probeStatus = map[status.Verdict]int{
	status.Idle: exitOK, status.Running: exitRunning, status.Stuck: exitStuck, status.Broken: exitBroken,
}

type statusCommand struct {
	serverFlags
	Datadir    string `placeholder:"DIR" help:"That of the option files if not given."`
	StatusFile string `placeholder:"FILE" help:"The status file itself, where the option files cannot be read."`

	JSON  bool `name:"json" help:"Print one JSON object."`
	Probe bool `help:"Exit status: 0 no SST, and none failed last; 3 running; 4 stuck; 5 the last one failed; 1 not known."`
	Live  bool `help:"For a liveness probe: exit status 4 if an SST is stuck, and 0 in all other cases."`

	MysqldArgs serverWords `name:"mysqld-args" placeholder:"ARG..." help:"All that follows is mariadbd's own command line."`
}

// Run tells the status. What cannot be found out is no reason to restart a node, so
// with --live it is said and that is all.
func (k statusCommand) Run(c console) error {
	if k.Probe && k.Live {
		return fmt.Errorf("status: --probe and --live give different exit statuses: choose one")
	}
	file, name, err := sst.FindStatus(sst.StatusQuery{
		File: k.StatusFile, Datadir: k.Datadir, Defaults: k.defaults(), Mysqld: k.MysqldArgs,
	})
	if err != nil && k.Live {
		complain(c.err, err, 0)
		return nil
	}
	if err != nil {
		return err
	}
	verdict, why := file.Judge(time.Now())
	switch {
	case k.JSON:
		err = tellStatusJSON(c.out, file, name, verdict, why)
	case k.Probe || k.Live:
		_, err = fmt.Fprintf(c.out, "%v: %s\n", verdict, why)
	default:
		err = tellStatus(c.out, file, name, verdict, why, time.Now())
	}
	code := probeStatus[verdict]
	switch {
	case err != nil && !k.Live:
		return err
	case k.Live && verdict != status.Stuck, !k.Live && !k.Probe, code == exitOK:
		return nil
	}
	return exitStatus(code)
}

func tellStatusJSON(w io.Writer, file status.File, name string, verdict status.Verdict, why string) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if file.Last == nil {
		file.Last = []status.Run{} // a list, not null, also when empty
	}
	return e.Encode(struct {
		Verdict string `json:"verdict"`
		Why     string `json:"why"`
		Name    string `json:"status_file"`
		status.File
	}{verdict.String(), why, name, file})
}

func tellStatus(w io.Writer, file status.File, name string, verdict status.Verdict, why string, now time.Time) error {
	text := fmt.Sprintf("%v: %s\n", verdict, why)
	if c := file.Current; c != nil {
		text += "\nunder way\n" + runText(*c, now)
	}
	if len(file.Last) > 0 {
		text += "\nended, the newest first\n"
	}
	for _, r := range file.Last {
		text += runText(r, now)
	}
	_, err := fmt.Fprintf(w, "%s\nstatus file %s\n", text, name)
	return err
}

// runText is one SST in a line or a few.
func runText(r status.Run, now time.Time) string {
	end := r.Ended
	if end.IsZero() {
		end = now
	}
	text := fmt.Sprintf("  %s  %-6s  %s %s after %s", r.Began.Local().Format("2006-01-02 15:04:05"), r.Role, r.Method, r.Phase, end.Sub(r.Began).Round(time.Second))
	if r.Bytes > 0 {
		text += ", " + sst.BytesText(r.Bytes)
	}
	if r.Peer != "" {
		text += ", with " + r.Peer
	}
	if r.Phase == status.Failed {
		text += fmt.Sprintf(", exit status %d", r.Exit)
	}
	text += "\n"
	for _, more := range []string{r.Doing, r.Reason, r.Datadir} {
		if more != "" && (r.Phase != status.Complete || more != r.Datadir) {
			text += "      " + more + "\n"
		}
	}
	if !r.Locked.IsZero() {
		text += fmt.Sprintf("      tables locked for %s\n", now.Sub(r.Locked).Round(time.Second))
	}
	return text
}
