package sst

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/sst/report"
	"wsrep_sst_rsync_tunnel/tls"
)

// stockSettings loads an option file under the stock method's name.
func stockSettings(t *testing.T, cnf, role string) (*Settings, error) {
	t.Helper()
	return settingsAs(t, "rsync", cnf, nil, "--role", role)
}

// channelText is what the settings come to: mode, and the files by the keys that named
// them.
func channelText(s *Settings, role tls.Role) string {
	c := s.TLS(role)
	mode := c.Mode.String()
	if s.Clear {
		mode = "clear"
	}
	text := []string{mode}
	for _, f := range [][2]string{{c.Keys.CA, c.CA}, {c.Keys.CAPath, c.CAPath}, {c.Keys.Cert, c.Cert}, {c.Keys.Key, c.Key}} {
		if f[1] != "" {
			text = append(text, f[0]+"="+f[1])
		}
	}
	if c.Sockopt != "" {
		text = append(text, "sockopt="+c.Sockopt)
	}
	return strings.Join(text, " ")
}

func TestStockKeysAndModes(t *testing.T) {
	const ignored = "are ignored by SST"
	dir := t.TempDir()
	for _, c := range []struct {
		name, cnf, role string // of both roles if empty
		want            string
		note            string
	}{
		{name: "nothing is set", want: "clear"},
		{name: "a CA alone", cnf: "[sst]\ntca=/a\n", want: "VERIFY_CA tca=/a"},
		{name: "a directory of CAs alone", cnf: "[sst]\ntcapath=/d\n", want: "VERIFY_CA tcapath=/d"},
		{name: "certificate and key", cnf: "[sst]\ntcert=/c\ntkey=/k\n", want: "REQUIRED tcert=/c tkey=/k"},
		{name: "a certificate alone: the stock script does not encrypt then", cnf: "[sst]\ntcert=/c\n", want: "clear tcert=/c"},
		{name: "a key alone", cnf: "[sst]\ntkey=/k\n", want: "clear tkey=/k"},
		{name: "a certificate with its key in the file, when it is asked for", cnf: "[sst]\ntcert=/c\nssl-mode=REQUIRED\n", want: "REQUIRED tcert=/c"},
		{name: "a CA and a certificate with its key in the file", cnf: "[sst]\ntca=/a\ntcert=/c\n", want: "VERIFY_CA tca=/a tcert=/c"},
		{name: "everything, and DISABLED", cnf: "[sst]\ntca=/a\ntcert=/c\ntkey=/k\nssl-mode=Disabled\n", want: "clear tca=/a tcert=/c tkey=/k"},
		{name: "DISABLED of the server beats the mode of [sst]", cnf: "[sst]\nssl-mode=VERIFY_CA\ntca=/a\n[mysqld]\nssl_mode=DISABLED\n", want: "clear tca=/a"},
		{name: "REQUIRED though there is a CA", cnf: "[sst]\ntca=/a\nssl-mode=required\n", want: "REQUIRED tca=/a"},
		{name: "VERIFY_IDENTITY", cnf: "[sst]\ntca=/a\nssl-mode=verify_identity\n", want: "VERIFY_IDENTITY tca=/a"},
		{name: "the files of the server", cnf: "[mysqld]\nssl-ca=/a\nssl_cert=/c\nssl-key=/k\n", want: "VERIFY_CA ssl-ca=/a ssl-cert=/c ssl-key=/k"},
		{name: "the files of the server, in [sst]", cnf: "[sst]\nssl-ca=/a\nssl-capath=/d\n", want: "VERIFY_CA ssl-ca=/a ssl-capath=/d"},
		{name: "those of [sst] all or nothing", cnf: "[sst]\ntcert=/c\ntkey=/k\n[mysqld]\nssl-ca=/a\nssl-cert=/x\n", want: "REQUIRED tcert=/c tkey=/k", note: ignored},
		{name: "those of [sst] and the same of the server", cnf: "[sst]\ntca=/a\ntcert=/c\ntkey=/k\n[mysqld]\nssl-ca=/a\nssl-cert=/c\nssl-key=/k\n", want: "VERIFY_CA tca=/a tcert=/c tkey=/k"},
		{name: "tca of the server's groups is nobody's", cnf: "[mysqld]\ntca=/a\ntcert=/c\n", want: "clear"},
		{name: "empty values are not set", cnf: "[sst]\ntca=\ntcert=\nssl-ca=/a\n", want: "VERIFY_CA ssl-ca=/a"},
		{name: "sockopt is not read", cnf: "[sst]\ntca=/a\nsockopt=,verify=0,nonsense\n", want: "VERIFY_CA tca=/a", note: "sockopt is read by the method rsync_tunnel only"},
		{name: "a CA that ends in a slash", cnf: "[sst]\ntca=/nowhere/\n", want: "VERIFY_CA tca=/nowhere/"},
		{name: "a CA that is a directory, in the place of another", cnf: "[sst]\ntcapath=/d\ntca=" + dir + "\n", want: "VERIFY_CA tca=" + dir},
		{name: "a joiner's own", role: "joiner", cnf: "[sst]\ntca=/a\ntcert=/c\ntkey=/k\nssl-server-cert=/sc\nssl-client-ca=/ca\n[mysqld]\nssl-server-key=/sk\n",
			want: "VERIFY_CA tca=/a ssl-server-cert=/sc ssl-server-key=/sk"},
		{name: "a donor's own", role: "donor", cnf: "[sst]\ntca=/a\ntcert=/c\ntkey=/k\nssl-server-cert=/sc\nssl-client-ca=/ca\nssl-client-capath=/cd\n",
			want: "VERIFY_CA ssl-client-ca=/ca ssl-client-capath=/cd tcert=/c tkey=/k"},
		{name: "a donor's own beside the server's", role: "donor", cnf: "[mysqld]\nssl-cert=/c\nssl-key=/k\nssl-client-cert=/cc\n",
			want: "REQUIRED ssl-client-cert=/cc ssl-key=/k"},
	} {
		t.Run(c.name, func(t *testing.T) {
			roles := map[string]tls.Role{"joiner": tls.Joiner, "donor": tls.Donor}
			if c.role != "" {
				roles = map[string]tls.Role{c.role: roles[c.role]}
			}
			for name, role := range roles {
				s, err := stockSettings(t, c.cnf, name)
				if err != nil {
					t.Fatal(err)
				}
				if got := channelText(s, role); got != c.want {
					t.Errorf("%s: %s, want %s", name, got, c.want)
				}
				if got := strings.Join(s.Notes, "\n"); (got == "") != (c.note == "") || !strings.Contains(got, c.note) {
					t.Errorf("%s: notes %q, want %q", name, got, c.note)
				}
			}
		})
	}
}

func TestWhyNothingIsEncrypted(t *testing.T) {
	for cnf, says := range map[string]string{
		"":                           "ssl-mode is not set",
		"[sst]\nssl-mode=DISABLED\n": "ssl-mode=DISABLED",
		"[sst]\ntcert=/c\n":          "tcert alone does not turn encryption on",
		"[mysqld]\nssl-cert=/c\n":    "ssl-cert alone does not turn encryption on",
	} {
		s, err := stockSettings(t, cnf, "donor")
		if err != nil || !strings.Contains(clearWarning(s), says) {
			t.Errorf("%q: %v, %q", cnf, err, clearWarning(s))
		}
	}
}

func TestAnUnknownMode(t *testing.T) {
	for _, mode := range []string{"PREFERRED", "verify", "1", "VERIFY_CA,VERIFY_IDENTITY"} {
		_, err := stockSettings(t, "[sst]\nssl-mode="+mode+"\n", "joiner")
		if err == nil || statusOf(err) != exitInvalid || !strings.Contains(err.Error(), mode) || report.Hint(err) == "" {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// Under the tunnel's name none of this counts.
func TestTheTunnelHasNoSSLMode(t *testing.T) {
	s := mustSettings(t, "[sst]\ntcert=/c\nssl-mode=DISABLED\nssl-server-cert=/x\ntcapath=/d\n[mysqld]\nssl-ca=/a\n", nil)
	if s.Clear || s.Mode != tls.Socat {
		t.Errorf("%+v", s)
	}
	if got := channelText(s, tls.Joiner); got != " =/c" {
		t.Errorf("%q", got)
	}
}

func TestNamesThatAreAccepted(t *testing.T) {
	this, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name       string
		role       tls.Role
		user, host string
		want       tls.Identity
	}{
		{"a joiner that knows nobody", tls.Joiner, "", "10.0.0.2", tls.Identity{}},
		{"a joiner that was given a name", tls.Joiner, "node1", "10.0.0.2", tls.Identity{Hosts: []string{"node1"}}},
		{"a donor that was given a name", tls.Donor, "node2", "10.0.0.2", tls.Identity{Hosts: []string{"node2"}}},
		{"a donor with a name for an address", tls.Donor, "", "node2.example", tls.Identity{Hosts: []string{"node2.example"}}},
		{"a donor with an address", tls.Donor, "", "192.0.2.7", tls.Identity{IP: "192.0.2.7"}},
		{"a donor with an address of IPv6", tls.Donor, "", "2001:db8::7", tls.Identity{IP: "2001:db8::7"}},
		{"a donor on the same machine", tls.Donor, "", "127.0.0.9", tls.Identity{IP: "127.0.0.9", Hosts: []string{"localhost"}}},
		{"a donor on the same machine, by IPv6", tls.Donor, "", "::1", tls.Identity{IP: "::1", Hosts: []string{"localhost"}}},
		{"a donor on the same machine, by name", tls.Donor, "", "localhost", tls.Identity{Hosts: []string{"localhost"}}},
		{"a donor on the same machine, by its name", tls.Donor, "", this, tls.Identity{Hosts: []string{this, "localhost"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := identityOf(c.role, c.user, c.host); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

func TestStockArguments(t *testing.T) {
	args := func(address string, more ...string) []string {
		return append([]string{"/usr//bin/wsrep_sst_rsync_wan", "--role", "donor", "--address", address, "--datadir", "/d"}, more...)
	}
	for _, c := range []struct {
		argv                []string
		module, magic, addr string
	}{
		{args("10.0.0.2:4444/rsync_sst"), "rsync_sst", "rsync_sst_complete", "10.0.0.2:4444"},
		{args("10.0.0.2:4444"), "rsync_sst", "rsync_sst_complete", "10.0.0.2:4444"},
		{args("10.0.0.2:4444/other.sst-1/LSN/1"), "other.sst-1", "rsync_sst_complete", "10.0.0.2:4444"},
		{args("h/rsync_sst", "--port", "5555"), "rsync_sst", "rsync_sst_complete", "h:5555"},
		{args("[::1]", "--port", "5555"), "rsync_sst", "rsync_sst_complete", "[::1]:5555"},
		{args("cn:s3cret@h:5555/rsync_sst", "--port", "5555"), "rsync_sst", "rsync_sst_complete", "h:5555"},
	} {
		a, err := ParseArgs(c.argv)
		if err != nil {
			t.Errorf("%q: %v", c.argv, err)
			continue
		}
		if a.Method != RsyncWan || a.moduleBase() != c.module || a.magicFile() != c.magic || a.Address.HostPort() != c.addr {
			t.Errorf("%q: %v %s %s %s", c.argv, a.Method, a.moduleBase(), a.magicFile(), a.Address.HostPort())
		}
	}
	for argv, status := range map[*[]string]int{
		new(args("h:4444/rsync_sst", "--port", "5555")): exitMissing,
		new(args("h:4444", "--port", "0")):              exitMissing,
		new(args("h", "--port", "99999")):               exitMissing,
		new(args("h:4444/#list")):                       exitInvalid,
		new(args("h:4444/..")):                          exitInvalid,
		new(args("h:4444/a b")):                         exitInvalid,
		new(args("h:4444/" + strings.Repeat("m", 65))):  exitInvalid,
	} {
		if _, err := ParseArgs(*argv); err == nil || statusOf(err) != status {
			t.Errorf("%q: status %d, %v", *argv, statusOf(err), err)
		}
	}
}

func TestAStockJoinerWaitsAsLongAsItsServer(t *testing.T) {
	for cnf, want := range map[string]string{"": "0s", "[sst]\nsst-initial-timeout=7\n": "7s"} {
		s, err := stockSettings(t, cnf, "joiner")
		if err != nil || fmt.Sprint(s.InitialTimeout) != want {
			t.Errorf("%q: %v, %v", cnf, s.InitialTimeout, err)
		}
	}
}

// Who leaves mariabackup's encrypt in [sst] and believes that it encrypts is told.
func TestEncryptDoesNotEncryptUnderTheStockNames(t *testing.T) {
	for cnf, says := range map[string]string{
		"[sst]\nencrypt=3\n":                    "my.cnf:2: encrypt=3 does not encrypt an SST by rsync: ssl-mode does",
		"[sst]\nencrypt=1\n":                    "encrypt=1 does not encrypt an SST by rsync",
		"[sst]\nencrypt=0\n":                    "",
		"[sst]\nencrypt=3\ntca=/a\ntcert=/c\n":  "",
		"[sst]\nencrypt=1\nssl-mode=REQUIRED\n": "encrypt=1 has no meaning here",
	} {
		s, err := stockSettings(t, cnf, "donor")
		if got := strings.Join(s.Warnings, "\n"); err != nil || (got == "") != (says == "") || !strings.Contains(got, says) {
			t.Errorf("%q: %v, warnings %q", cnf, err, got)
		}
	}
}
