package wire

import "strconv"

// Tag says what a frame carries (rsync-wire.md §5.2).
type Tag uint8

// The tags that may be on the connection in a push. Others are internal to one host and refused.
const (
	TagData   Tag = 0   // bytes of the stream
	ErrorXfer Tag = 1   // text; the client's exit code becomes 23
	Info      Tag = 2   // text
	Error     Tag = 3   // text; does not change the exit code by itself
	Warning   Tag = 4   // text
	IOError   Tag = 22  // int32, bits to add to io_error
	IOTimeout Tag = 33  // int32, seconds; protocol 31 and later
	Noop      Tag = 42  // empty; keep-alive of protocol 30
	ErrorExit Tag = 86  // empty or int32, the exit code; protocol 31 and later
	Success   Tag = 100 // int32, index
	Deleted   Tag = 101 // path, of a directory with a NUL behind it
	NoSend    Tag = 102 // int32, index of a file that will not come
)

// A Message is what a frame other than a data frame carried.
type Message struct {
	Tag  Tag
	Data []byte // valid only during the call that gets it
}

// Int is the number in the payload of the tags that carry one, and 0 for an empty payload.
func (m Message) Int() int32 {
	if len(m.Data) < 4 {
		return 0
	}
	return int32(le32(m.Data))
}

// Text says whether the payload is text for people.
func (t Tag) Text() bool { return t >= ErrorXfer && t <= Warning }

func (t Tag) String() string {
	switch t {
	case TagData:
		return "DATA"
	case ErrorXfer:
		return "ERROR_XFER"
	case Info:
		return "INFO"
	case Error:
		return "ERROR"
	case Warning:
		return "WARNING"
	case IOError:
		return "IO_ERROR"
	case IOTimeout:
		return "IO_TIMEOUT"
	case Noop:
		return "NOOP"
	case ErrorExit:
		return "ERROR_EXIT"
	case Success:
		return "SUCCESS"
	case Deleted:
		return "DELETED"
	case NoSend:
		return "NO_SEND"
	}
	return "tag " + strconv.Itoa(int(t))
}

// checkPayload refuses tags that the protocol version does not have and lengths that the tag cannot have.
func checkPayload(proto int, t Tag, n int) error {
	ok := false
	switch t {
	case ErrorXfer, Info, Error, Warning:
		ok = n <= MaxMessage
	case IOError, Success, NoSend:
		ok = n == 4
	case IOTimeout:
		if proto < 31 {
			return Errorf("5.2", "message %v in protocol %d", t, proto)
		}
		ok = n == 4
	case ErrorExit:
		if proto < 31 {
			return Errorf("5.2", "message %v in protocol %d", t, proto)
		}
		ok = n == 0 || n == 4
	case Noop:
		ok = n == 0
	case Deleted:
		ok = n >= 1 && n <= MaxMessage
	default:
		return Errorf("5.2", "unknown message tag %d with %d bytes", uint8(t), n)
	}
	if !ok {
		return Errorf("5.2", "message %v with %d bytes", t, n)
	}
	return nil
}
