package sst

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Where the stock methods verify certificates, the joiner also makes a secret. It
// travels to the donor through the cluster, in front of the joiner's address, and
// comes back in the magic file: so the donor is one that the cluster has chosen.

// newSecret makes 16 random bytes, as 32 lower-case hexadecimal digits.
func newSecret() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// remoteAuth is what came in front of the joiner's address. It is never logged.
type remoteAuth struct {
	user   string // CN of the joiner's certificate
	secret string
}

// parseRemoteAuth splits at the first colon; "(null)" is how some servers say nothing.
func parseRemoteAuth(text string) remoteAuth {
	if text == "" || text == "(null)" {
		return remoteAuth{}
	}
	user, secret, _ := strings.Cut(text, ":")
	return remoteAuth{user, secret}
}

// maxSecret is generous: all scripts make 32 characters.
const maxSecret = 128

// check refuses a secret that would not come back as it went.
func (a remoteAuth) check() error {
	if len(a.secret) > maxSecret {
		return fmt.Errorf("the joiner's secret has %d characters, at most %d make sense", len(a.secret), maxSecret)
	}
	if strings.IndexFunc(a.secret, func(r rune) bool { return r <= ' ' || r >= 0x7f }) >= 0 {
		return errors.New("the joiner's secret has a character that is not printable")
	}
	return nil
}

// remoteAuth finds it in the environment (servers up to 11.5), on stdin (11.6 on), or
// in the address itself.
func (r *run) remoteAuth() (remoteAuth, error) {
	var stdin remoteAuth
	if r.args.Role == Donor {
		stdin = r.readStdin() // in any case: whoever writes there must get rid of it
	}
	if r.args.Method == Tunnel {
		return remoteAuth{}, nil
	}
	env, _ := r.lookupEnv("WSREP_SST_OPT_REMOTE_AUTH")
	for _, a := range []remoteAuth{parseRemoteAuth(env), stdin, {r.args.Address.User, r.args.Address.Secret}} {
		if a != (remoteAuth{}) {
			return a, fail(exitInvalid, a.check())
		}
	}
	return remoteAuth{}, nil
}

// A magicText is what the magic file says. The stock methods add to the position the
// secret, if the joiner gave one, and that it is an IST.
type magicText struct {
	position position
	secret   string
	bypass   bool
}

func (m magicText) String() string {
	text := m.position.String() + "\n"
	if m.secret != "" {
		text += "secret " + m.secret + "\n"
	}
	if m.bypass {
		text += "bypass\n"
	}
	return text
}

// maxMagic bounds what is read of a magic file.
const maxMagic = 4096

// parseMagic reads it: the first line is the position, of the others the first secret
// counts. What is not known is passed over.
func parseMagic(text string) (magicText, error) {
	var m magicText
	first, rest, _ := strings.Cut(text, "\n")
	var err error
	if m.position, err = parsePosition(first); err != nil {
		return magicText{}, err
	}
	known := false
	for line := range strings.SplitSeq(rest, "\n") {
		tag, value := line, ""
		if i := strings.IndexAny(line, " \t"); i >= 0 {
			tag, value = line[:i], strings.Trim(line[i:], " \t\r")
		}
		switch {
		case tag == "secret" && value != "" && !known:
			m.secret, known = value, true
		case strings.TrimRight(tag, "\r") == "bypass":
			m.bypass = true
		}
	}
	return m, nil
}

// checkSecret makes sure that the donor knows ours, if we made one. How long it takes
// does not tell how much of it was right.
func (m magicText) checkSecret(ours string) error {
	if ours == "" || subtle.ConstantTimeCompare([]byte(m.secret), []byte(ours)) == 1 {
		return nil
	}
	if m.secret == "" {
		return advise(errors.New("donor does not know my secret: it sent none"), "the donor's server may be too old to pass it on (it does since 2021), or this is not the donor that the cluster chose")
	}
	return advise(errors.New("donor does not know my secret: it sent another one"), "the data did not come from the donor that the cluster chose; see who else may reach this port")
}
