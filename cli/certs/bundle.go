package certs

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"wsrep_sst_rsync_tunnel/tls"
)

// A Bundle is a list of certificates to trust, to be made of those in files: what tca
// names.
type Bundle struct {
	Files   []string
	Out     string // "": to Make's writer
	Replace bool   // an Out that is there is replaced
}

// Make collects the certificates, each once, in the order of the files. If they go to
// a file, w is told what is in it. A file with a key, or without a certificate, is
// refused.
func (b Bundle) Make(w io.Writer) error {
	var text bytes.Buffer
	seen := map[string]string{} // certificate to the file it was first in
	var notes []string
	for _, name := range b.Files {
		f, err := tls.ReadFile(name)
		switch {
		case err != nil:
			return err
		case f.Keys > 0:
			return &refused{fmt.Errorf("%s: holds a private key, and a bundle goes to every node", name),
				"give the certificate alone: of certs self, the file that ends in .crt"}
		case len(f.Certificates) == 0:
			return fmt.Errorf("%s: holds no certificate", name)
		}
		for _, cert := range f.Certificates {
			if first, dup := seen[string(cert.Raw)]; dup {
				notes = append(notes, fmt.Sprintf("%s: %s is in %s, too, and counts once", name, tls.Title(cert), first))
				continue
			}
			seen[string(cert.Raw)] = name
			fmt.Fprintf(&text, "# %s, valid to %s\n", tls.Names(cert), cert.NotAfter.UTC().Format(time.DateOnly))
			if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}); err != nil {
				return err
			}
		}
	}
	if b.Out == "" {
		_, err := w.Write(text.Bytes())
		return err
	}
	if err := b.write(text.Bytes()); err != nil {
		return err
	}
	for _, note := range append(notes, fmt.Sprintf("%s: %d certificates, mode 0644, for tca of every node", b.Out, len(seen))) {
		if _, err := fmt.Fprintln(w, note); err != nil {
			return err
		}
	}
	return nil
}

// write puts the file there as a whole: a joiner that waits for its donor reads tca
// again at any moment.
func (b Bundle) write(content []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(b.Out), "."+filepath.Base(b.Out)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if e := os.Remove(f.Name()); err == nil && e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = e
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if b.Replace {
		return os.Rename(f.Name(), b.Out)
	}
	if err = os.Link(f.Name(), b.Out); errors.Is(err, fs.ErrExist) {
		return &refused{fmt.Errorf("%s is there already", b.Out), "--replace replaces it; it may be among the files to collect, too"}
	}
	return err
}
