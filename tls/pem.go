package tls

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// maxFile bounds a PEM file: a hundred times the bundle of a distribution.
const maxFile = 16 << 20

const bom = "\xef\xbb\xbf"

// block is one PEM block and the line it begins on.
type block struct {
	*pem.Block
	line int
}

// readPEM reads all blocks of a file; object is "tcert /tls/node.crt".
func readPEM(object, path string) ([]block, error) {
	// O_NONBLOCK: a FIFO must not hold up an SST.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fileFault(object, err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, fileFault(object, err)
	case info.IsDir():
		return nil, fault(object, "name a PEM file", "is a directory")
	case !info.Mode().IsRegular():
		return nil, fault(object, "name a PEM file", "is not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, fileFault(object, err)
	case len(data) > maxFile:
		return nil, fault(object, "name a PEM file", "is larger than %d MiB", maxFile>>20)
	}
	blocks, hint, err := parsePEM(data)
	if err != nil {
		return nil, &Error{Object: object, Err: err, hint: strings.ReplaceAll(hint, "FILE", path)}
	}
	return blocks, nil
}

// fileFault says why a file cannot be read without naming it twice.
func fileFault(object string, err error) error {
	hint := "check the path in the [sst] group"
	if errors.Is(err, fs.ErrPermission) {
		hint = "the user mariadbd runs as must be able to read the file and to enter its directories"
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return &Error{Object: object, Err: err, hint: hint}
}

// parsePEM finds the blocks among any other text. What the PEM reader would pass
// over in silence, and with it a certificate the operator counts on, is an error.
// The hint may speak of FILE.
func parsePEM(data []byte) (blocks []block, hint string, err error) {
	begin := nextBlock(data, 0)
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return nil, "", errors.New("is empty")
	case bytes.Contains(data, []byte(bom+"-----BEGIN")):
		return nil, `remove it: sed -i 's/\xEF\xBB\xBF//' FILE`, errors.New("a byte order mark (BOM) hides the block behind it")
	case bytes.Contains(data, []byte("----------BEGIN ")):
		return nil, "put a line break between the two blocks", errors.New("two PEM blocks run together on one line")
	case begin < 0:
		hint, err = notPEM(data)
		return nil, hint, err
	}
	line, counted := 1, 0
	for begin >= 0 {
		line += bytes.Count(data[counted:begin], []byte("\n"))
		counted = begin
		end := nextBlock(data, begin+1)
		if end < 0 {
			end = len(data)
		}
		b := decodeBlock(data[begin:end])
		if b == nil {
			return nil, "copy the file again", fmt.Errorf("the PEM block on line %d is damaged", line)
		}
		blocks = append(blocks, block{b, line})
		begin = nextBlock(data, end)
	}
	return blocks, "", nil
}

// decodeBlock decodes the block at the beginning of data; nil if that one is
// damaged. pem.Decode alone would go on to the next good one.
func decodeBlock(data []byte) *pem.Block {
	b, _ := pem.Decode(data)
	if b == nil || !bytes.HasPrefix(data, []byte("-----BEGIN "+b.Type+"-----")) {
		return nil
	}
	return b
}

// nextBlock is where the next line that begins a block is, or -1.
func nextBlock(data []byte, from int) int {
	for from < len(data) {
		if bytes.HasPrefix(data[from:], []byte("-----BEGIN ")) && (from == 0 || data[from-1] == '\n') {
			return from
		}
		i := bytes.Index(data[from:], []byte("\n-----BEGIN "))
		if i < 0 {
			return -1
		}
		from += i + 1
	}
	return -1
}

// notPEM tells what a file without any PEM block is instead.
func notPEM(data []byte) (hint string, err error) {
	if data[0] == 0x30 {
		if _, err := x509.ParseCertificate(data); err == nil {
			return "convert it: openssl x509 -inform DER -in FILE -out FILE.pem", errors.New("is a certificate in DER form, and PEM is needed")
		}
		if _, err := parseKeyDER(data); err == nil {
			return "convert it: openssl pkey -inform DER -in FILE -out FILE.pem", errors.New("is a key in DER form, and PEM is needed")
		}
		return "for PKCS#12: openssl pkcs12 -in FILE -nodes -out FILE.pem", errors.New("is in a binary form (DER or PKCS#12), and PEM is needed")
	}
	if bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}) {
		return "convert it: iconv -f UTF-16 -t UTF-8 FILE", errors.New("is UTF-16 text, and plain text is needed")
	}
	return "a PEM file has lines like -----BEGIN CERTIFICATE-----", errors.New("holds no PEM block")
}

func (b block) isCertificate() bool {
	return b.Type == "CERTIFICATE" || b.Type == "X509 CERTIFICATE"
}

func (b block) isKey() bool { return strings.HasSuffix(b.Type, "PRIVATE KEY") }

// certificates parses all certificate blocks. Blocks that cannot be parsed are
// returned as errors beside the good ones.
func certificates(blocks []block) (certs []*x509.Certificate, bad []error) {
	for _, b := range blocks {
		if b.Type == "TRUSTED CERTIFICATE" {
			bad = append(bad, fmt.Errorf("the TRUSTED CERTIFICATE on line %d is not read: write it as a plain CERTIFICATE with openssl x509", b.line))
		}
		if !b.isCertificate() {
			continue
		}
		cert, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			bad = append(bad, fmt.Errorf("the certificate on line %d cannot be used: %w", b.line, err))
			continue
		}
		certs = append(certs, cert)
	}
	return certs, bad
}

// firstKey parses the first private key; nil when there is none.
func firstKey(object, path string, blocks []block) (crypto.Signer, error) {
	for _, b := range blocks {
		if !b.isKey() {
			continue
		}
		if b.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED") {
			return nil, fault(object, "take the passphrase off: openssl pkey -in "+path+" -out "+path+".plain; protect it by its file mode",
				"the key on line %d is encrypted, and nobody is there to type the passphrase", b.line)
		}
		key, err := parseKeyDER(b.Bytes)
		if err != nil {
			return nil, fault(object, "RSA, ECDSA (P-256, P-384, P-521) and Ed25519 keys can be used", "the key on line %d cannot be used: %w", b.line, err)
		}
		return key, nil
	}
	return nil, nil
}

// parseKeyDER tries the three forms whatever the block is called; programs differ in names.
func parseKeyDER(der []byte) (crypto.Signer, error) {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a %T cannot sign", key)
	}
	return signer, nil
}
