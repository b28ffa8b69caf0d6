package report

// Clean makes text fit for a line on a terminal or in a log: what is not printable is
// shown as an escape. It may be of any length.
func Clean(text string) string { return clean(text) }
