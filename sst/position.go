package sst

import (
	"fmt"
	"strconv"
	"strings"
)

// A position is where in the history of the cluster a state stands: what
// tables_flushed tells the donor, what the magic file tells the joiner, and what
// both tell their mariadbd in the end.
type position struct {
	uuid   string
	seqno  int64
	domain string // of wsrep_gtid_domain_id; "" if an old server did not say
}

// maxPosition is longer than any line that parsePosition takes: 36 characters of
// uuid, a colon, 20 digits, a blank, 10 digits.
const maxPosition = 127

const zeroUUID = "00000000-0000-0000-0000-000000000000"

// String is the form of the last line on stdout.
func (p position) String() string {
	s := p.uuid + ":" + strconv.FormatInt(p.seqno, 10)
	if p.domain != "" {
		s += " " + p.domain
	}
	return s
}

// parsePosition reads "UUID:SEQNO" or "UUID:SEQNO DOMAIN". A position that is not
// one (zero uuid, seqno -1) is refused: mariadbd would take "done" with it for
// success, and the joiner would start from nowhere.
func parsePosition(line string) (position, error) {
	line = strings.TrimSpace(line)
	if len(line) > maxPosition {
		return position{}, fmt.Errorf("position of %d characters, at most %d are possible", len(line), maxPosition)
	}
	gtid, domain, _ := strings.Cut(line, " ")
	domain = strings.TrimSpace(domain)
	uuid, number, _ := strings.Cut(gtid, ":")
	if !isUUID(uuid) {
		return position{}, fmt.Errorf("%q does not begin with a uuid", line)
	}
	seqno, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return position{}, fmt.Errorf("%q has no number after the uuid", line)
	}
	if domain != "" {
		if _, err := strconv.ParseUint(domain, 10, 32); err != nil {
			return position{}, fmt.Errorf("%q does not end with a domain number", line)
		}
	}
	if uuid == zeroUUID || seqno < 0 {
		return position{}, fmt.Errorf("%q is not a position in the history of a cluster", line)
	}
	return position{uuid: uuid, seqno: seqno, domain: domain}, nil
}

func isUUID(s string) bool {
	if len(s) != len(zeroUUID) {
		return false
	}
	for i, c := range []byte(s) {
		switch {
		case zeroUUID[i] == '-':
			if c != '-' {
				return false
			}
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
		default:
			return false
		}
	}
	return true
}
