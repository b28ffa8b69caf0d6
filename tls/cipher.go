package tls

import (
	stdtls "crypto/tls"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// suite is a cipher suite of TLS 1.2 that crypto/tls has, with the words of an
// OpenSSL cipher list that select it (openssl-ciphers(1); sockopt.md section 5).
// 3DES and RC4 are left out: whatever a list says, they are not offered.
type suite struct {
	id    uint16
	name  string // OpenSSL's
	words string // besides the name and those every suite here has
}

const (
	kECDHE = " kECDHE kEECDH ECDHE EECDH ECDH "
	kRSA   = " kRSA RSA "
	gcm    = " AES AESGCM FIPS TLSv1.2 "
	cbc256 = " AES CBC SHA256 FIPS TLSv1.2 "
	cbcEC  = " AES CBC SHA SHA1 FIPS TLSv1 TLSv1.0 "
	cbcRSA = " AES CBC SHA SHA1 FIPS SSLv3 "
)

var suites = []suite{
	{stdtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384", kECDHE + "aECDSA ECDSA AES256" + gcm},
	{stdtls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384", kECDHE + "aRSA AES256" + gcm},
	{stdtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256", kECDHE + "aECDSA ECDSA AES128" + gcm},
	{stdtls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256", kECDHE + "aRSA AES128" + gcm},
	{stdtls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305", kECDHE + "aECDSA ECDSA CHACHA20 TLSv1.2"},
	{stdtls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305", kECDHE + "aRSA CHACHA20 TLSv1.2"},
	{stdtls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, "ECDHE-ECDSA-AES128-SHA256", kECDHE + "aECDSA ECDSA AES128" + cbc256},
	{stdtls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256, "ECDHE-RSA-AES128-SHA256", kECDHE + "aRSA AES128" + cbc256},
	{stdtls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, "ECDHE-ECDSA-AES256-SHA", kECDHE + "aECDSA ECDSA AES256" + cbcEC},
	{stdtls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, "ECDHE-RSA-AES256-SHA", kECDHE + "aRSA AES256" + cbcEC},
	{stdtls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, "ECDHE-ECDSA-AES128-SHA", kECDHE + "aECDSA ECDSA AES128" + cbcEC},
	{stdtls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "ECDHE-RSA-AES128-SHA", kECDHE + "aRSA AES128" + cbcEC},
	{stdtls.TLS_RSA_WITH_AES_256_GCM_SHA384, "AES256-GCM-SHA384", kRSA + "aRSA AES256" + gcm},
	{stdtls.TLS_RSA_WITH_AES_128_GCM_SHA256, "AES128-GCM-SHA256", kRSA + "aRSA AES128" + gcm},
	{stdtls.TLS_RSA_WITH_AES_128_CBC_SHA256, "AES128-SHA256", kRSA + "aRSA AES128" + cbc256},
	{stdtls.TLS_RSA_WITH_AES_256_CBC_SHA, "AES256-SHA", kRSA + "aRSA AES256" + cbcRSA},
	{stdtls.TLS_RSA_WITH_AES_128_CBC_SHA, "AES128-SHA", kRSA + "aRSA AES128" + cbcRSA},
}

// foreignWords select suites in OpenSSL 3.0 that crypto/tls does not have. A list
// of such words is valid, it only leaves nothing for TLS 1.2 here.
const foreignWords = " eNULL NULL COMPLEMENTOFALL COMPLEMENTOFDEFAULT aNULL ADH AECDH kDHE kEDH DHE EDH DH aDSS DSS" +
	" PSK kPSK aPSK kRSAPSK kDHEPSK kECDHEPSK SRP kSRP aSRP AESCCM AESCCM8 CAMELLIA CAMELLIA128 CAMELLIA256" +
	" ARIA ARIA128 ARIA256 ARIAGCM SHA384 MD5 "

// foreignParts are what the names of all OpenSSL suites are made of.
const foreignParts = " ECDHE ECDSA RSA DHE DSS ADH AECDH PSK SRP NULL AES AES128 AES256 128 256 CBC GCM CCM CCM8" +
	" CHACHA20 POLY1305 CAMELLIA128 CAMELLIA256 ARIA128 ARIA256 SHA SHA256 SHA384 MD5 "

func hasWord(list, word string) bool { return strings.Contains(list, " "+word+" ") }

// selects tells whether a word, or a conjunction A+B, of a cipher list means this suite.
func (s suite) selects(conjunction string) bool {
	for word := range strings.SplitSeq(conjunction, "+") {
		if word != s.name && word != "ALL" && word != "HIGH" && !hasWord(" "+s.words+" ", word) {
			return false
		}
	}
	return true
}

// unknown tells whether OpenSSL would find no suite for the word.
func unknown(word string) bool {
	if hasWord(foreignWords, word) || slices.ContainsFunc(suites, func(s suite) bool { return s.selects(word) }) {
		return false
	}
	parts := strings.Split(word, "-")
	return len(parts) == 1 || slices.ContainsFunc(parts, func(p string) bool { return !hasWord(foreignParts, p) })
}

// cipherList evaluates an OpenSSL cipher list onto the suites of crypto/tls. It
// governs TLS 1.2 only, as in OpenSSL. An empty result without an error means that
// OpenSSL has suites for the list and crypto/tls has none.
//
// Words nobody knows are ignored, as long as one is known; order has no effect.
func cipherList(list string) ([]uint16, error) {
	var on [64]bool // by index in suites
	var killed [64]bool
	known := false
	items, err := cipherItems(list)
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		op, word := byte(0), item
		if strings.IndexByte("!-+", item[0]) >= 0 {
			op, word = item[0], item[1:]
		}
		if op == 0 && !slices.ContainsFunc(strings.Split(word, "+"), unknown) {
			known = true
		}
		for i, s := range suites {
			if !s.selects(word) {
				continue
			}
			switch op {
			case 0:
				on[i] = !killed[i]
			case '-':
				on[i] = false
			case '!':
				on[i], killed[i] = false, true
			}
		}
	}
	if !known {
		return nil, fmt.Errorf("no word of %q selects a cipher of TLS 1.2", list)
	}
	ids := []uint16{}
	for i, s := range suites {
		if on[i] {
			ids = append(ids, s.id)
		}
	}
	return ids, nil
}

// cipherItems splits a list. What OpenSSL takes only at its beginning (DEFAULT,
// the Suite B names) is replaced by what it stands for.
func cipherItems(list string) ([]string, error) {
	for _, b := range []struct{ name, means string }{
		{"SUITEB128ONLY", "ECDHE-ECDSA-AES128-GCM-SHA256"},
		{"SUITEB128C2", "ECDHE-ECDSA-AES128-GCM-SHA256"},
		{"SUITEB128", "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"},
		{"SUITEB192", "ECDHE-ECDSA-AES256-GCM-SHA384"},
	} {
		if strings.HasPrefix(list, b.name) {
			list = b.means
		}
	}
	if rest, ok := strings.CutPrefix(list, "DEFAULT"); ok {
		list = "ALL:" + rest
	}
	var items []string
	for pos := 0; pos < len(list); {
		end := pos
		if strings.IndexByte("!-+@", list[pos]) >= 0 {
			end++
		}
		for end < len(list) && isCipherChar(list[end]) {
			end++
		}
		item := list[pos:end]
		switch {
		case end < len(list) && strings.IndexByte(": ;,", list[end]) >= 0:
			pos = end + 1
		case end == pos || end < len(list) && strings.IndexByte("!-+@", list[end]) < 0:
			return nil, fmt.Errorf("character %q has no place in a cipher list", list[end])
		default: // "HIGH!aNULL": a prefix ends the word before it
			pos = end
		}
		word := strings.TrimLeft(item, "!-+@")
		switch {
		case item == "":
		case slices.Contains(strings.Split(word, "+"), ""):
			return nil, fmt.Errorf("a word is missing in %q in the cipher list", item)
		case item[0] == '@':
			if err := cipherCommand(word); err != nil {
				return nil, err
			}
		default:
			items = append(items, item)
		}
	}
	return items, nil
}

func isCipherChar(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._=+", c) >= 0
}

// cipherCommand takes @STRENGTH and @SECLEVEL=n. Neither has a meaning here: order
// is crypto/tls's, and so is what it holds for secure enough.
func cipherCommand(word string) error {
	if word == "STRENGTH" {
		return nil
	}
	if level, ok := strings.CutPrefix(word, "SECLEVEL="); ok && len(level) == 1 && level[0] >= '0' && level[0] <= '5' {
		return nil
	}
	return fmt.Errorf("%s is no command of a cipher list", strconv.Quote("@"+word))
}
