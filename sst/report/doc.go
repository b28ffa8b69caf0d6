// Package report is how an SST speaks: log lines for people on stderr, protocol
// lines for mariadbd on stdout.
//
// It promises:
//   - a log line is one write, in the form of the stock scripts, and no text can
//     break out of it: newlines make more lines, control characters are escaped.
//   - a protocol line is one write, ended by a newline, and short enough for the
//     buffer of the server that reads it. Nothing else is ever written to stdout.
//   - both may be used by any number of goroutines.
//
// It leaves to others: what is worth saying, in which order the protocol lines
// have to come, and SIGPIPE: unless the program asks for that signal, a write to a
// broken stdout ends it before an error can be returned.
package report
