package wire

import "io"

// Line reads a line of the text handshake without its newline (rsync-wire.md §2). Carriage returns are dropped; a NUL and a
// line of more than max bytes are refused.
func (r *Reader) Line(max int) (string, error) {
	var line []byte
	for started := false; ; started = true {
		b, err := r.Byte()
		switch {
		case err == io.EOF && started:
			return "", r.fail(io.ErrUnexpectedEOF)
		case err != nil:
			return "", err
		case b == '\n':
			return string(line), nil
		case b == '\r':
			continue
		case b == 0:
			return "", r.fail(Errorf("2", "handshake line %q goes on with a NUL", line))
		case len(line) == max:
			return "", r.fail(Errorf("2", "handshake line of more than %d bytes: %.80q", max, line))
		}
		line = append(line, b)
	}
}

// Args reads an argument list: NUL-terminated arguments up to the empty one (rsync-wire.md §3.1).
func (r *Reader) Args() ([]string, error) {
	var args []string
	for total := 0; ; {
		arg, err := r.arg(MaxArg)
		if err != nil {
			if len(args) > 0 {
				err = r.fail(inside(err))
			}
			return nil, err
		}
		if arg == "" {
			return args, nil
		}
		if total += len(arg); total > MaxArgBytes {
			return nil, r.fail(Errorf("3.1", "argument list of more than %d bytes", MaxArgBytes))
		}
		if len(args) == MaxArgs {
			return nil, r.fail(Errorf("3.1", "more than %d arguments", MaxArgs))
		}
		args = append(args, arg)
	}
}

func (r *Reader) arg(max int) (string, error) {
	var arg []byte
	for {
		b, err := r.Byte()
		switch {
		case err == io.EOF && len(arg) > 0:
			return "", r.fail(io.ErrUnexpectedEOF)
		case err != nil:
			return "", err
		case b == 0:
			return string(arg), nil
		case len(arg) == max:
			return "", r.fail(Errorf("3.1", "argument of more than %d bytes: %.80q", max, arg))
		}
		arg = append(arg, b)
	}
}
