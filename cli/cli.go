// Package cli holds the commands for people.
//
// It promises that a command that ends with status 0 did what it is there for;
// what went wrong stands on stderr, with the next step, and the status is 1. A
// command line that is not understood has status 2.
//
// It leaves to others to find out that mariadbd calls and not a person (main): an
// SST's arguments never come here.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"wsrep_sst_rsync_tunnel/sst"
	"wsrep_sst_rsync_tunnel/sst/report"
)

// program is what we are called, under whatever name we were started.
const program = "wsrep_sst_rsync_tunnel"

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// commands is the grammar.
type commands struct {
	Check     checkCommand     `cmd:"" help:"Look at this node as an SST would, and say what is wrong."`
	Certs     certsCommand     `cmd:"" help:"Make, collect and show certificates."`
	Demo      demoCommand      `cmd:"" help:"Fill one data directory from another, and compare them."`
	Bench     benchCommand     `cmd:"" help:"Measure what this host can do, and what limits it."`
	BenchEnd  benchEndCommand  `cmd:"" name:"bench-end" hidden:"" help:"One end of a limit that bench measures."`
	Install   installCommand   `cmd:"" help:"Put the program and its method names where mariadbd looks."`
	Status    statusCommand    `cmd:"" help:"Tell what SST this node is at; for people and probes."`
	Uninstall uninstallCommand `cmd:"" help:"Take them away and restore what was there."`
	Config    configCommand    `cmd:"" help:"Print this node's settings, and where each came from."`
	Receive   receiveCommand   `cmd:"" help:"Fill a data directory from send, to clone a server or seed a replica."`
	Send      sendCommand      `cmd:"" help:"Send the data directory of a stopped or locked server to receive."`
	Version   versionCommand   `cmd:"" help:"Print the version, and what was built into it."`
	Man       manCommand       `cmd:"" help:"Print the man page, for man -l -."`

	Completion completionCommand `cmd:"" help:"Print the completion script for a shell."`

	PrintDefaults printDefaultsCommand `cmd:"" help:"Print what the option files say, as my_print_defaults does."`

	VersionFlag kong.VersionFlag `name:"version" help:"Print the version."`
}

const description = `mariadbd starts this program by itself where wsrep_sst_method=rsync_tunnel,
to copy a node's data, encrypted. The commands below are for people.`

// console is what a command talks to.
type console struct {
	context.Context
	in       io.Reader
	out, err io.Writer
}

// An exitStatus ends a command that has said everything.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// Main runs the command that args, without the program's name, stand for, and
// returns the exit status. Signals that end a program end the command in order.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == printDefaultsName {
		return printDefaults(args[1:], stdout, stderr)
	}
	status := -1
	parser, err := kong.New(&commands{}, kong.Name(program), kong.Description(description),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { status = code }),
		kong.Vars{"version": program + " " + sst.Version},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}), kong.Help(fittingHelp))
	if err != nil {
		return complain(stderr, err, exitFailed)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if status >= 0 { // help was asked for and printed
		return status
	}
	if err != nil {
		return complain(stderr, fmt.Errorf("%w\nhint: %s --help", err, parser.Model.Name), exitUsage)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err = command.Run(console{ctx, stdin, stdout, stderr})
	switch verdict, isVerdict := errors.AsType[exitStatus](err); {
	case err == nil:
		return exitOK
	case isVerdict:
		return int(verdict)
	case ctx.Err() != nil:
		err = fmt.Errorf("ended: %w", context.Cause(ctx))
	}
	return complain(stderr, err, exitFailed)
}

// fittingHelp leaves out the flags that all commands have, so that each command's help
// fits a screen: who reads it knows the one, and there is a command for the other.
func fittingHelp(o kong.HelpOptions, ctx *kong.Context) error {
	for _, f := range ctx.Model.Flags {
		f.Hidden = true
	}
	return kong.DefaultHelpPrinter(o, ctx)
}

// complain says what went wrong and gives the status back.
func complain(stderr io.Writer, err error, status int) int {
	fmt.Fprintln(stderr, program+":", err)
	if hint := report.Hint(err); hint != "" {
		fmt.Fprintln(stderr, "hint:", hint)
	}
	return status
}

// self is the path of this program.
func self() (string, error) {
	file, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the file of this program: %w", err)
	}
	return file, nil
}
