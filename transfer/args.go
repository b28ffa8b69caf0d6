package transfer

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// serverArgs are what a client asks of a daemon (§3): the options of the
// invocations we know, no more.
type serverArgs struct {
	recursive, dirs, delete, wholeFile, inPlace, ignoreTimes, checksum bool
	owner, group, perms, times, links, specials, devices, numericIDs   bool
	ignoreErrors, force, sizeOnly, quiet                               bool

	limited bool  // --max-size was given
	maxSize int64 // its value: longer files stay as they are

	secluded   bool
	capability string // the letters after -e.
	timeout    time.Duration
	checksums  string // --checksum-choice
	seed       int32
	seeded     bool
	paths      []string

	slash   bool  // the path ended in a slash
	refused error // why the arguments cannot be served
}

// clientArgs are the arguments of a push, as real clients send them (§3.7).
func clientArgs(o *PushOptions) []string {
	var c strings.Builder
	c.WriteString("-q")
	for _, f := range []struct {
		on     bool
		letter byte
	}{
		{o.Links, 'l'}, {o.Dirs && !o.Recursive, 'd'}, {o.WholeFile, 'W'},
		{o.Owner, 'o'}, {o.Group, 'g'}, {o.Devices, 'D'}, {o.Times, 't'}, {o.Perms, 'p'},
		{o.Recursive, 'r'}, {o.Checksum, 'c'}, {o.IgnoreTimes, 'I'},
	} {
		if f.on {
			c.WriteByte(f.letter)
		}
	}
	c.WriteString("e.LsfxCIvu") // without i: one list, no incremental recursion
	args := []string{"--server", c.String()}
	add := func(on bool, arg string) {
		if on {
			args = append(args, arg)
		}
	}
	add(o.Dirs && !o.Recursive && o.Delete, "--no-r")
	add(o.Specials && !o.Devices, "--specials")
	add(!o.Specials && o.Devices, "--no-specials")
	add(o.Timeout > 0, fmt.Sprintf("--timeout=%d", max(1, int(o.Timeout/time.Second))))
	add(o.Delete, "--delete")
	add(o.ListOnly, "--max-size=0")
	add(o.Inplace, "--inplace")
	return append(args, ".", escapeWild(o.Module+"/"+o.Path))
}

// escapeWild protects the characters that a daemon would expand in a path.
func escapeWild(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if strings.IndexByte(`*?[\`, path[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(path[i])
	}
	return b.String()
}

// errUnsupported is what we say of an option that we do not have: refused, never
// ignored, since some add bytes to the stream and others change what is deleted.
func errUnsupported(arg string) error {
	return exitf(ExitUnsupported, "on remote machine: %s: option is not supported by this server", printable(arg))
}

// parseServerArgs reads what the client sent, starting at "--server".
func parseServerArgs(args []string) (*serverArgs, error) {
	a := &serverArgs{}
	dot := slices.Index(args, ".")
	options := args
	if dot >= 0 {
		options, a.paths = args[:dot], args[dot+1:]
	}
	for i, arg := range options {
		var err error
		switch {
		case i == 0 && (arg == "--server" || arg == "rsync"): // the latter opens a secluded list
		case strings.HasPrefix(arg, "--"):
			err = a.long(arg)
		case strings.HasPrefix(arg, "-B"): // block sizes are the generator's free choice
		case strings.HasPrefix(arg, "-") && len(arg) > 1:
			err = a.cluster(arg[1:])
		default:
			err = errUnsupported(arg)
		}
		if err != nil {
			return a, err
		}
	}
	return a, nil
}

// cluster reads the letters of one argument (§3.2); "e" takes the rest.
func (a *serverArgs) cluster(letters string) error {
	for i := 0; i < len(letters); i++ {
		switch letters[i] {
		case 's':
			a.secluded = true
		case 'q':
			a.quiet = true
		case 'v', 'S': // messages are few anyway; holes stay holes anyway
		case 'l':
			a.links = true
		case 'd':
			a.dirs = true
		case 'W':
			a.wholeFile = true
		case 'o':
			a.owner = true
		case 'g':
			a.group = true
		case 'D':
			a.devices, a.specials = true, true
		case 't':
			a.times = true
		case 'p':
			a.perms = true
		case 'r':
			a.recursive = true
		case 'c':
			a.checksum = true
		case 'I':
			a.ignoreTimes = true
		case 'e':
			// A client of a pre-release puts its version before the dot.
			_, letters, _ := strings.Cut(letters[i+1:], ".")
			a.capability = letters
			return nil
		default:
			return errUnsupported("-" + letters[i:i+1])
		}
	}
	return nil
}

func (a *serverArgs) long(arg string) error {
	name, value, hasValue := strings.Cut(arg, "=")
	value = unescape(value)
	switch name {
	case "--no-r", "--no-msgs2stderr", "--msgs2stderr", "--stats", "--log-format", "--info", "--bwlimit", "--partial":
		// Nothing that changes the stream or the result: a limit is the sender's to keep.
	case "--specials":
		a.specials = true
	case "--no-specials":
		a.specials = false
	case "--delete", "--delete-before", "--delete-during", "--delete-delay", "--delete-after", "--delete-excluded":
		// The list is complete before anything is deleted, so the time makes no
		// difference; with -excluded the client sends no rules that would protect.
		a.delete = true
	case "--inplace":
		a.inPlace = true
	case "--numeric-ids":
		a.numericIDs = true
	case "--ignore-errors":
		a.ignoreErrors = true
	case "--force":
		a.force = true
	case "--size-only":
		a.sizeOnly = true
	case "--timeout":
		n, err := strconv.ParseUint(value, 10, 31)
		if err != nil {
			return exitf(ExitSyntax, "on remote machine: %s: not a number of seconds", printable(arg))
		}
		a.timeout = time.Duration(n) * time.Second
	case "--max-size":
		n, err := parseSize(value)
		if err != nil {
			return exitf(ExitSyntax, "on remote machine: %s: %w", printable(arg), err)
		}
		a.maxSize, a.limited = n, true
	case "--checksum-choice", "--cc":
		a.checksums = value
	case "--checksum-seed":
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil {
			return exitf(ExitSyntax, "on remote machine: %s: not a number", printable(arg))
		}
		a.seed, a.seeded = int32(n), true
	default:
		return errUnsupported(arg)
	}
	if !hasValue && (name == "--timeout" || name == "--checksum-choice" || name == "--max-size") {
		return exitf(ExitSyntax, "on remote machine: %s: needs a value", name)
	}
	return nil
}

// parseSize reads a size as rsync writes it: a number, and possibly a unit, of 1024
// (K, KiB) or of 1000 (KB). Fractions and the suffixes +1 and -1 are not understood.
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "BbKkMmGgTtPpi")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("not a size")
	}
	unit := strings.ToUpper(s[len(digits):])
	if unit == "" || unit == "B" {
		return n, nil
	}
	power := strings.IndexByte("KMGTP", unit[0]) + 1
	base := int64(1024)
	switch unit[1:] {
	case "", "IB":
	case "B":
		base = 1000
	default:
		power = 0
	}
	if power == 0 {
		return 0, fmt.Errorf("not a size")
	}
	for range power {
		if n > math.MaxInt64/base {
			return 0, fmt.Errorf("too large")
		}
		n *= base
	}
	return n, nil
}

// unescape takes away the backslashes that clients since 3.2.4 put before shell
// characters (§3.1).
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// destination turns the path argument into a path below the module, "." for its
// root, and says whether it ended in a slash (§3.5). What real daemons clamp at
// the root is refused here.
func (a *serverArgs) destination(module string) (dest string, slash bool, err error) {
	if len(a.paths) != 1 {
		return "", false, exitf(ExitSyntax, "one destination is needed, got %d", len(a.paths))
	}
	p := unescape(a.paths[0])
	if rest, ok := strings.CutPrefix(p, module); ok && (rest == "" || rest[0] == '/') {
		p = rest
	}
	slash = p == "" || strings.HasSuffix(p, "/")
	var parts []string
	for part := range strings.SplitSeq(p, "/") {
		switch part {
		case "", ".":
		case "..":
			return "", false, exitf(ExitSyntax, "destination %s leaves the module", printable(a.paths[0]))
		default:
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return ".", true, nil
	}
	return strings.Join(parts, "/"), slash, nil
}
