package mycnf

import (
	"fmt"
	"slices"
	"strings"
)

// Exit statuses of MariaDB's programs for a command line that is not understood.
const (
	statusUnknownOption   = 2
	statusAmbiguous       = 3
	statusValueNotAllowed = 4
	statusPrefixNotUnique = 6
	statusUnknownVariable = 7
	statusDisabled        = 12
	statusInvalid         = 13 // used for our own --server-version only
)

// printArgs is a command line of my_print_defaults, as release 10.11 understands
// it (§2). That program reads on after a mistake: what comes later may still end
// it in peace, and the last mistake gives the exit status.
type printArgs struct {
	defaults Args
	summary  bool // --print-defaults: all in one line, with a heading
	server   bool // --mysqld, --mariadbd
	groups   []string
	version  string // --server-version, which is our own

	abouts int // how often the version of the program was asked for
	quiet  bool
	help   bool
	status int
	said   []string
}

// printOption is an option that may stand anywhere.
type printOption struct {
	name   string
	letter byte // 0: has none
	kind   printKind
}

type printKind int

const (
	disabled printKind = iota // known, and refused
	server                    // takes a boolean value
	quiet
	help
	verbose
	about
)

// printOptions has the order in which the real program goes through them.
var printOptions = []printOption{
	{"debug", '#', disabled}, {"mysqld", 0, server}, {"mariadbd", 0, server}, {"no-defaults", 'n', quiet},
	{"help", '?', help}, {"verbose", 'v', verbose}, {"version", 'V', about},
}

func parsePrintArgs(args []string) *printArgs {
	p := &printArgs{}
	for args = p.leading(args); len(args) > 0 && !p.quiet && !p.help; args = args[1:] {
		switch arg := args[0]; {
		case arg == "--":
			p.groups = append(p.groups, args[1:]...)
			return p
		case strings.HasPrefix(arg, "--"):
			p.long(arg[2:])
		case strings.HasPrefix(arg, "-") && arg != "-":
			p.short(arg[1:])
		default:
			p.groups = append(p.groups, arg)
		}
	}
	return p
}

// leading takes the arguments that have to stand in front, and gives the rest.
func (p *printArgs) leading(args []string) []string {
	take := func(name string, value *string, has *bool) bool {
		if *has || len(args) == 0 || !strings.HasPrefix(args[0], name+"=") {
			return false
		}
		*value, *has, args = args[0][len(name)+1:], true, args[1:]
		return true
	}
	a := &p.defaults
	if len(args) > 0 && args[0] == "--no-defaults" {
		a.NoDefaults, args = true, args[1:]
	}
	for !a.NoDefaults && (take("--defaults-file", &a.File, &a.HasFile) ||
		take("--defaults-extra-file", &a.ExtraFile, &a.HasExtra) ||
		take("--defaults-group-suffix", &a.Suffix, &a.HasSuffix)) {
	}
	if len(args) > 0 && args[0] == "--print-defaults" {
		p.summary, args = true, args[1:]
	}
	return args
}

func (p *printArgs) say(format string, a ...any) {
	p.said = append(p.said, fmt.Sprintf(format, a...))
}

func (p *printArgs) fail(status int, format string, a ...any) {
	p.status = status
	p.say(format, a...)
}

// short takes the letters of one argument.
func (p *printArgs) short(letters string) {
	for i := 0; i < len(letters) && !p.quiet && !p.help; i++ {
		c := letters[i]
		at := slices.IndexFunc(printOptions, func(o printOption) bool { return o.letter == c })
		switch {
		case at < 0:
			p.fail(statusUnknownOption, "unknown option -%s%s", shown(string(c)), moved("-"+string(c)))
		case printOptions[at].kind == disabled:
			p.fail(statusDisabled, "option -%c is not to be had here", c)
		default:
			p.take(printOptions[at].kind, true)
		}
	}
}

// long takes an option with its value, if it has one.
func (p *printArgs) long(arg string) {
	name, value, has := strings.Cut(behindDot(arg), "=")
	if sameName(name, "server-version") {
		p.serverVersion(value)
		return
	}
	o, found := findOption(name)
	loose, variable := false, false
	for found == 0 {
		variable = has // that it may be one counts only behind a prefix
		prefix, rest := cutOptionPrefix(name)
		if prefix == "" {
			p.unknown(arg, has, loose)
			return
		}
		loose = loose || prefix == "loose"
		name = rest
		if o, found = findOption(name); found == 1 {
			value, has = prefixedValue(prefix, value, has)
		}
	}
	switch {
	case found > 1 && variable:
		p.fail(statusPrefixNotUnique, "option --%s may be one of several", shown(arg))
	case found > 1:
		p.fail(statusAmbiguous, "option --%s may be one of several", shown(arg))
	case o.kind == disabled && loose:
		p.say("option --%s is not to be had here and ignored", o.name)
	case o.kind == disabled:
		p.fail(statusDisabled, "option --%s is not to be had here", o.name)
	case o.kind == server && has:
		p.serverValue(o, value)
	case has:
		p.fail(statusValueNotAllowed, "option --%s takes no value", o.name)
	default:
		p.take(o.kind, true)
	}
	if found == 1 && len(name) < len(o.name) {
		p.say("option --%s is taken for --%s", shown(arg), o.name)
	}
}

// behindDot drops what stands before a dot in a name: MariaDB's key caches have
// variables of the form CACHE.VARIABLE, and its programs allow that everywhere.
func behindDot(arg string) string {
	name, _, _ := strings.Cut(arg, "=")
	if len(name) < 2 {
		return arg
	}
	if dot := strings.IndexByte(name[1:], '.') + 1; dot > 0 && dot < len(name)-1 {
		return arg[dot+1:]
	}
	return arg
}

// findOption counts the options that a name may be the beginning of, and gives the
// last of them.
func findOption(name string) (o printOption, found int) {
	for _, p := range printOptions {
		if len(name) <= len(p.name) && sameName(name, p.name[:len(name)]) {
			o = p
			found++
		}
	}
	return o, found
}

// sameName compares as the programs do: without case, and "_" is "-".
func sameName(a, b string) bool {
	return strings.EqualFold(strings.ReplaceAll(a, "_", "-"), b)
}

// cutOptionPrefix takes a word off that may stand before any option.
func cutOptionPrefix(name string) (prefix, rest string) {
	for _, prefix := range []string{"skip", "disable", "enable", "maximum", "loose", "autoset"} {
		if n := len(prefix); len(name) > n && (name[n] == '-' || name[n] == '_') && sameName(name[:n], prefix) {
			return prefix, name[n+1:]
		}
	}
	return "", ""
}

// prefixedValue is the value that an option behind such a word has.
func prefixedValue(prefix, value string, has bool) (string, bool) {
	not := has && value == "0"
	switch {
	case prefix == "enable" && !not, (prefix == "skip" || prefix == "disable") && not:
		return "1", true
	case prefix == "enable" || prefix == "skip" || prefix == "disable":
		return "0", true
	}
	return value, has
}

func (p *printArgs) serverValue(o printOption, value string) {
	switch {
	case strings.HasPrefix(value, "1"), strings.EqualFold(value, "true"), strings.EqualFold(value, "on"):
		p.take(o.kind, true)
	case strings.HasPrefix(value, "0"), strings.EqualFold(value, "false"), strings.EqualFold(value, "off"):
		p.take(o.kind, false)
	default:
		p.say("option --%s=%s is ignored: it can be 1 or 0", o.name, shown(value))
	}
}

func (p *printArgs) take(k printKind, on bool) {
	switch k {
	case server:
		p.server = on
	case quiet:
		p.quiet = true
	case help:
		p.help = true
	case about:
		p.abouts++
	}
}

func (p *printArgs) serverVersion(value string) {
	if Series(value) == "" {
		p.fail(statusInvalid, "option --server-version=%s: it has to be a version such as 10.11", shown(value))
		return
	}
	p.version = value
}

func (p *printArgs) unknown(arg string, variable, loose bool) {
	name, _, _ := strings.Cut(arg, "=")
	switch {
	case loose:
		p.say("unknown option --%s is ignored", shown(arg))
	case variable:
		p.fail(statusUnknownVariable, "unknown option --%s%s", shown(arg), moved("--"+name))
	default:
		p.fail(statusUnknownOption, "unknown option --%s%s", shown(arg), moved("--"+name))
	}
}

// moved says more about an option that is known elsewhere.
func moved(name string) string {
	switch name {
	case "--defaults-file", "--defaults-extra-file", "--defaults-group-suffix":
		return " at this place\nhint: put " + name + "=VALUE before all other arguments, once"
	case "--print-defaults":
		return " at this place\nhint: put it before all arguments but --no-defaults and --defaults-…"
	case "-c", "--config-file":
		return "\nhint: instead of that of old releases put --defaults-file=FILE before all other arguments"
	case "-e", "--extra-file":
		return "\nhint: instead of that of old releases put --defaults-extra-file=FILE before all other arguments"
	case "-g":
		return "\nhint: instead of that of old releases put --defaults-group-suffix=SUFFIX before all other arguments"
	}
	return ""
}
