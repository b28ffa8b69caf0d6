package check

import (
	"crypto/x509"
	"time"

	"wsrep_sst_rsync_tunnel/sst/report"
	"wsrep_sst_rsync_tunnel/tls"
)

// A FileQuestion is a file of certificates that is not in the option files, yet.
type FileQuestion struct {
	File string // PEM; the leaf first
	Key  string // its key; "": in File, or not here
	CA   string // what the other nodes trust; "": the certificates of File
	Host string // the name or address that donors send to; "": any

	Now func() time.Time // nil: time.Now
}

// File says which checks of an SST a file of certificates would pass: with its key as
// tcert, and shown to other nodes in both roles.
func File(q FileQuestion) (*tls.File, *Report) {
	if q.Now == nil {
		q.Now = time.Now
	}
	r := &Report{}
	f, err := tls.ReadFile(q.File)
	if err == nil && len(f.Certificates) == 0 {
		r.fail("certificate", "", "%s: holds no certificate", q.File)
		return f, r
	}
	if err != nil {
		r.failed("certificate", err)
		return nil, r
	}
	trusted := f.Certificates
	if q.CA != "" {
		ca, err := tls.ReadFile(q.CA)
		if err != nil {
			r.failed("trust", err)
			return f, r
		}
		trusted = ca.Certificates
	}
	r.writable(q.File)
	q.key(r, f)
	q.shown(r, f.Certificates, trusted)
	for i, cert := range f.Certificates {
		r.ownDate(cert, i, q.Now())
	}
	return f, r
}

// key loads the file as tcert, if there is a key to it.
func (q FileQuestion) key(r *Report, f *tls.File) {
	if f.Keys == 0 && q.Key == "" {
		r.ok("key", "not in this file: it may go to every node, and into tca")
		return
	}
	file := q.File
	if q.Key != "" {
		file = q.Key
	}
	r.readable(file)
	// VERIFY_CA does without what socat's options may say; the files are read the same way.
	if _, err := tls.Load(tls.Config{Role: tls.Joiner, Mode: tls.VerifyCA, CA: q.File, Cert: q.File, Key: q.Key, Now: q.Now}); err != nil {
		r.failed("tcert", err)
		return
	}
	r.ok("tcert", "certificate and key belong together")
}

// shown asks what other nodes would make of it.
func (q FileQuestion) shown(r *Report, chain, trusted []*x509.Certificate) {
	object := q.File // what is in it is trusted
	if q.CA != "" {
		object = "tca " + q.CA
	}
	server := tls.Judge(q.File, object, tls.Donor, chain, trusted, q.Host, q.Now)
	client := tls.Judge(q.File, object, tls.Joiner, chain, trusted, "", q.Now)
	for _, c := range []struct {
		subject, others string
		err             error
	}{{"as joiner", "donors", server}, {"as donor", "joiners", client}} {
		if c.err != nil {
			r.add(Error, c.subject, report.Hint(c.err), c.err.Error())
			continue
		}
		r.ok(c.subject, "good for %s that trust what is in %s", c.others, object)
	}
	if server != nil {
		return
	}
	if q.Host != "" {
		r.ok("name", "it bears %s", q.Host)
	} else {
		r.ok("name", "not checked; --host NAME does, donors look for the joiner's")
	}
}
