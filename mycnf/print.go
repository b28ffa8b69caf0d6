package mycnf

import (
	"bufio"
	"fmt"
	"io"
)

// realProgram is how the summary calls the program that would have been started.
const realProgram = "my_print_defaults"

// Printing is what PrintDefaults is done with.
type Printing struct {
	LoadOptions
	// Version finds the version of the server, as LoadOptions.ServerVersion, and
	// may take its time: it is asked only where --mysqld is, where no argument
	// tells the version and the files have a group of some version. nil: unknown.
	Version func(*Files) string
	Out     io.Writer         // what my_print_defaults writes to stdout
	Say     func(text string) // takes what there is to say besides, one by one
	About   string            // a line for --version
	Help    string            // for --help, and where no group is asked for
}

// PrintDefaults does the work of the program my_print_defaults of MariaDB 10.11
// (§2): the same arguments, the same options printed in the same order, the same
// exit status. Help, version and messages have words of our own; an argument
// --server-version=X.Y is added, since X.Y is not compiled in here.
func PrintDefaults(args []string, p Printing) (status int) {
	a := parsePrintArgs(args)
	out := bufio.NewWriter(p.Out)
	defer func() {
		if err := out.Flush(); err != nil {
			p.Say(fmt.Sprintf("write the options: %v", err))
			status = max(status, 1)
		}
	}()
	for range a.abouts {
		fmt.Fprintln(out, p.About)
	}
	for _, s := range a.said {
		p.Say(s)
	}
	switch {
	case a.quiet:
		return 0
	case a.help:
		io.WriteString(out, p.Help)
		return 0
	case a.status != 0:
		return a.status
	case !a.server && len(a.groups) == 0:
		io.WriteString(out, p.Help)
		return 0
	}
	options, err := a.options(p)
	if err != nil {
		p.Say(err.Error())
		return 2
	}
	a.print(out, options)
	return 0
}

// options reads the files.
func (a *printArgs) options(p Printing) ([]Option, error) {
	if a.version != "" {
		p.ServerVersion = a.version
	}
	files, err := Load(a.defaults, p.LoadOptions)
	for _, w := range files.Warnings() {
		p.Say(w)
	}
	if err != nil {
		return nil, err
	}
	groups := a.groups
	if a.server {
		if p.ServerVersion == "" && p.Version != nil && files.NeedVersion() {
			p.ServerVersion = p.Version(files)
		}
		groups = append(ServerGroups(p.ServerVersion), groups...)
	}
	return files.named(groups), nil // "--mysqld" can be a name here, behind a "--"
}

func (a *printArgs) print(out io.Writer, options []Option) {
	end := "\n"
	if a.summary {
		fmt.Fprintf(out, "%s would have been started with the following arguments:\n", realProgram)
		end = " "
	}
	for _, o := range options {
		io.WriteString(out, o.argument()+end)
	}
	if a.summary {
		io.WriteString(out, "\n")
	}
}

// argument is the option as a program gets it on its command line.
func (o Option) argument() string {
	if o.HasValue {
		return "--" + o.Key + "=" + o.Value
	}
	return "--" + o.Key
}
