package tls

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/tls/dtls"
)

// meetOverDTLS lets a donor dial a joiner: what each of them sees.
func meetOverDTLS(t *testing.T, donor, joiner *Channel) (d, j *Conn, donorErr, joinerErr error) {
	t.Helper()
	l, err := joiner.Listen(t.Context(), "127.0.0.1", 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	done := make(chan struct{})
	go func() {
		defer close(done)
		raw, err := l.Accept()
		if err == nil {
			j, err = joiner.Server(t.Context(), raw)
		}
		joinerErr = err
	}()
	d, donorErr = donor.Dial(t.Context(), "127.0.0.1", l.Addr().(*net.UDPAddr).Port)
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("the joiner has seen nobody")
	}
	return d, j, donorErr, joinerErr
}

func TestDTLSKeepsToThePolicyOfTLS(t *testing.T) {
	ca, other := newCA(t, "authority"), newCA(t, "another authority")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := func() *ident { return issue(t, spec{cn: "node", by: ca, ips: []string{"127.0.0.1"}}) }
	for _, tt := range []struct {
		name                  string
		donor, joiner         *ident
		donorOpt, joinerOpt   string
		donorSays, joinerSays []string
	}{
		{name: "EC certificates of one authority", donor: good(), joiner: good()},
		{name: "RSA certificates", donor: issue(t, spec{cn: "donor", by: ca, key: rsaKey}), joiner: issue(t, spec{cn: "j", by: ca, key: rsaKey, ips: []string{"127.0.0.1"}})},
		{name: "a CN that is the address", donor: good(), joiner: issue(t, spec{cn: "127.0.0.1", by: ca})},
		{name: "a cipher list", donor: good(), joiner: good(), donorOpt: "cipher=ECDHE+AES256"},
		{name: "a joiner of another name", donor: good(), joiner: issue(t, spec{cn: "elsewhere", by: ca}),
			donorSays: []string{"joiner 127.0.0.1:", "bears CN=elsewhere and not the wanted name 127.0.0.1"}, joinerSays: []string{"refused our certificate"}},
		{name: "a joiner of another authority", donor: good(), joiner: issue(t, spec{cn: "127.0.0.1", by: other}),
			donorSays: []string{"was issued by CN=another authority"}, joinerSays: []string{"refused our certificate"}},
		{name: "a donor of another authority", donor: issue(t, spec{cn: "donor", by: other}), joiner: good(),
			donorSays: []string{"refused our certificate"}, joinerSays: []string{"donor 127.0.0.1:", "was issued by CN=another authority"}},
		{name: "a donor that has expired", donor: issue(t, spec{cn: "donor", by: ca, until: time.Now().Add(-time.Minute)}), joiner: good(),
			donorSays: []string{"refused our certificate"}, joinerSays: []string{"expired on"}},
		{name: "a joiner's certificate for clients", donor: good(), joiner: issue(t, spec{cn: "127.0.0.1", by: ca, usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}),
			donorSays: []string{"extended key usage"}, joinerSays: []string{"refused our certificate"}},
		{name: "a commonname that the joiner wants", donor: good(), joiner: good(), joinerOpt: ",commonname=donor",
			donorSays: []string{"refused our certificate"}, joinerSays: []string{"not the wanted name donor"}},
		{name: "nobody verifies", donor: issue(t, spec{cn: "x", by: other}), joiner: issue(t, spec{cn: "y", by: other}), donorOpt: "verify=0", joinerOpt: ",verify=0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			donor := load(t, Config{Role: Donor, Transport: DTLS, CA: bundle(t, ca), Cert: tt.donor.pem(t), Host: "127.0.0.1", Sockopt: tt.donorOpt})
			joiner := load(t, Config{Role: Joiner, CA: bundle(t, ca), Cert: tt.joiner.pem(t), Sockopt: "method=DTLS1.2" + tt.joinerOpt})
			d, j, donorErr, joinerErr := meetOverDTLS(t, donor, joiner)
			for who, c := range map[string]struct {
				err  error
				want []string
			}{"donor": {donorErr, tt.donorSays}, "joiner": {joinerErr, tt.joinerSays}} {
				if (c.err == nil) != (c.want == nil) {
					t.Fatalf("the %s: %v", who, c.err)
				}
				for _, text := range c.want {
					if !strings.Contains(c.err.Error()+"\n"+Hint(c.err), text) {
						t.Errorf("the %s: %v does not say %q", who, c.err, text)
					}
				}
			}
			if d == nil || j == nil {
				return
			}
			defer j.Close()
			defer d.Close()
			if !d.Own() || !j.Own() || !d.Peer().Leaf.Equal(tt.joiner.cert) || d.Peer().Version != "DTLS 1.2" || !strings.HasPrefix(d.Peer().Cipher, "TLS_ECDHE_") {
				t.Errorf("the donor sees %+v", d.Peer())
			}
			if verified := !strings.Contains(tt.joinerOpt, "verify=0"); verified != (j.Peer().Leaf != nil) || verified && !j.Peer().Leaf.Equal(tt.donor.cert) {
				t.Errorf("the joiner sees %+v", j.Peer())
			}
			if tt.donorOpt == "cipher=ECDHE+AES256" && !strings.Contains(d.Peer().Cipher, "AES_256") {
				t.Errorf("the cipher is %s", d.Peer().Cipher)
			}
			second, err := donor.Dial(t.Context(), "127.0.0.1", d.RemoteAddr().(*net.UDPAddr).Port)
			if err != nil || second.LocalAddr().String() != d.LocalAddr().String() {
				t.Errorf("a second connection: %v, or of another association", err)
			}
			defer second.Close()
			if second.Peer().Fingerprint != d.Peer().Fingerprint {
				t.Error("a second connection has another peer")
			}
			d.Write([]byte("x"))
			if _, err := io.ReadFull(j, make([]byte, 1)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestADonorWithoutACertificateIsRefusedOverDTLS(t *testing.T) {
	ca := newCA(t, "authority")
	joiner := load(t, Config{Role: Joiner, Transport: DTLS, CA: bundle(t, ca), Cert: issue(t, spec{cn: "j", by: ca}).pem(t)})
	l, err := joiner.Listen(t.Context(), "127.0.0.1", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	seen := make(chan error, 1)
	go func() {
		raw, err := l.Accept()
		if err == nil {
			_, err = joiner.Server(t.Context(), raw)
		}
		seen <- err
	}()
	_, err = dtls.NewDialer().Dial(t.Context(), dtls.Route{
		Addr: l.Addr().String(), KnockLimit: 5 * time.Second, HandshakeLimit: 20 * time.Second,
		Connect: func(context.Context) ([]*net.UDPConn, error) {
			s, err := net.DialUDP("udp", nil, l.Addr().(*net.UDPAddr))
			return []*net.UDPConn{s}, err
		},
		Config: func() dtls.Config { return dtls.Config{MTU: dtls.DefaultMTU, Protocol: ALPN} },
	})
	if err == nil {
		t.Error("a donor without a certificate got in")
	}
	if err := <-seen; !errors.Is(err, errNoPeerCertificate) || Hint(err) == "" {
		t.Errorf("the joiner says %v", err)
	}
}

func TestTransportsThatContradictEachOther(t *testing.T) {
	for sockopt, c := range map[string]struct {
		transport Transport
		want      string
	}{
		"method=DTLS1.2":                          {TCP, "contradicts transport=tls"},
		"method=TLS1.2":                           {DTLS, "contradicts transport=dtls"},
		"min-version=TLS1.3":                      {DTLS, "in version 1.2 only"},
		"cipher=AES128-SHA":                       {DTLS, "none of these ciphers"},
		"method=DTLS,cipher=ECDHE-RSA-AES128-SHA": {"", "none of these ciphers"},
	} {
		node := issue(t, spec{cn: "n"})
		_, err := Load(Config{Role: Donor, Transport: c.transport, CA: bundle(t, node), Cert: node.pem(t), Sockopt: sockopt})
		if err == nil || !strings.Contains(err.Error(), c.want) || Hint(err) == "" {
			t.Errorf("transport=%s, sockopt=%s: %v", c.transport, sockopt, err)
		}
	}
}
