package sst

import "strings"

// An Option is a key of the option files in the words of docs/options.md, which has
// some Markdown in them: `code` and [text](file).
type Option struct {
	Name     string
	Groups   string // that are asked, in their order
	ReadBy   string // methods and roles; "all"
	Standard string // what holds if it is not set; "" is nothing
	Limits   string // range and unit
	Example  string // a value, "" for a key without one
	Meaning  string
}

// Options are the keys that have an effect, in the order in which people read them.
func Options() []Option {
	var all []Option
	for _, k := range knownKeys {
		if k.part != partOthers {
			all = append(all, Option{k.name, k.groups.String(), k.readBy(), k.standard, k.limits, k.example, k.meaning})
		}
	}
	return all
}

// readBy says whose key it is.
func (k knownKey) readBy() string {
	var who []string
	if k.methods != everyMethod {
		who = append(who, k.methods.String())
	}
	if k.roles != bothRoles {
		who = append(who, k.roles.String())
	}
	if who == nil {
		return "all"
	}
	return strings.Join(who, "; ")
}
