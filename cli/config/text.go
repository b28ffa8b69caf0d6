package config

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"wsrep_sst_rsync_tunnel/sst"
)

// TellJSON prints one JSON object.
func (r *Report) TellJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Tell prints it for people: what both roles share, and then what each has of its own.
// Keys that are not set and have no default are left out.
func (r *Report) Tell(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "method %s (%s), data directory %s (%s)\n", shown(r.Method.Text), r.Method.From, shown(r.Datadir.Text), r.Datadir.From)
	both := shared(r.Joiner.Settings, r.Donor.Settings)
	section(&b, "both roles", both, "")
	section(&b, "joiner", without(r.Joiner.Settings, both), r.Joiner.Channel)
	section(&b, "donor", without(r.Donor.Settings, both), r.Donor.Channel)
	lines(&b, "note", r.Joiner.Notes, r.Donor.Notes)
	lines(&b, "warning", r.Joiner.Warnings, r.Donor.Warnings)
	_, err := io.WriteString(w, b.String())
	return err
}

// shared are the settings that are the same in both lists.
func shared(a, b []sst.Setting) []sst.Setting {
	return slices.DeleteFunc(slices.Clone(a), func(s sst.Setting) bool { return !slices.Contains(b, s) })
}

func without(a, these []sst.Setting) []sst.Setting {
	return slices.DeleteFunc(slices.Clone(a), func(s sst.Setting) bool { return slices.Contains(these, s) })
}

func section(b *strings.Builder, title string, settings []sst.Setting, channel string) {
	settings = slices.DeleteFunc(settings, func(s sst.Setting) bool { return s.Value == "" && s.From == byDefault })
	if len(settings) == 0 && channel == "" {
		return
	}
	fmt.Fprintf(b, "\n%s\n", title)
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, s := range settings {
		fmt.Fprintf(t, "  %s\t%s\t%s", s.Key, shown(s.Value), shown(s.From))
		if s.Note != "" {
			fmt.Fprintf(t, "\t%s", shown(s.Note))
		}
		fmt.Fprintln(t)
	}
	t.Flush() // to a builder, which takes everything
	if channel != "" {
		fmt.Fprintf(b, "  channel: %s\n", shown(channel))
	}
}

// lines tells what either role has to say, each once, with the role if only one does.
func lines(b *strings.Builder, kind string, joiner, donor []string) {
	tell := func(role string, texts []string) {
		for _, text := range texts {
			fmt.Fprintf(b, "\n%s%s: %s", kind, role, shown(text))
		}
	}
	has := func(list []string) func(string) bool {
		return func(text string) bool { return slices.Contains(list, text) }
	}
	not := func(list []string) func(string) bool {
		return func(text string) bool { return !slices.Contains(list, text) }
	}
	before := b.Len()
	tell("", slices.DeleteFunc(slices.Clone(joiner), not(donor)))
	tell(" (joiner)", slices.DeleteFunc(slices.Clone(joiner), has(donor)))
	tell(" (donor)", slices.DeleteFunc(slices.Clone(donor), has(joiner)))
	if b.Len() > before {
		b.WriteByte('\n')
	}
}

// shown is text from an option file, which must not forge lines or move a cursor.
func shown(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.Quote(s)
	}
	return s
}
