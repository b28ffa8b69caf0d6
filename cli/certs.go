package cli

import (
	"wsrep_sst_rsync_tunnel/cli/certs"
	"wsrep_sst_rsync_tunnel/cli/check"
)

type certsCommand struct {
	Self   certsSelfCommand   `cmd:"" help:"Make a key and a certificate that signs itself."`
	Bundle certsBundleCommand `cmd:"" help:"Make the list of certificates that tca names."`
	Show   certsShowCommand   `cmd:"" help:"Say what a file is, and what an SST would make of it."`
}

type certsSelfCommand struct {
	CN    string   `name:"cn" required:"" placeholder:"NAME" help:"The name, or IP address, under which other nodes know this one: wsrep_node_address."`
	Out   string   `required:"" placeholder:"DIR" help:"Where NAME.key, NAME.crt and NAME.pem go."`
	SAN   []string `name:"san" placeholder:"NAME" help:"A further name; may be given again."`
	Days  int      `default:"3650" help:"How long it is valid."`
	RSA   bool     `name:"rsa" help:"An RSA key of 2048 bits, not ECDSA P-256."`
	Owner string   `placeholder:"USER[:GROUP]" help:"Of the files; as root mysql, if there is one."`
}

// Run makes them.
func (s certsSelfCommand) Run(c console) error {
	owner, err := certs.FindOwner(s.Owner)
	if err != nil {
		return err
	}
	return certs.Self{Name: s.CN, More: s.SAN, Dir: s.Out, Days: s.Days, RSA: s.RSA, Owner: owner}.Make(c.out)
}

type certsBundleCommand struct {
	Files   []string `arg:"" name:"file" help:"PEM files with certificates, and no keys."`
	Out     string   `placeholder:"FILE" help:"Write there, not to standard output."`
	Replace bool     `help:"The file of --out may be there already."`
}

// Run makes it.
func (b certsBundleCommand) Run(c console) error {
	return certs.Bundle{Files: b.Files, Out: b.Out, Replace: b.Replace}.Make(c.out)
}

type certsShowCommand struct {
	File string `arg:"" help:"A PEM file: tcert, or tca."`
	Key  string `placeholder:"FILE" help:"Its key, if that is in a file of its own (tkey)."`
	CA   string `name:"ca" placeholder:"FILE" help:"What the other nodes trust (tca); what is in the file itself if not given."`
	Host string `placeholder:"NAME" help:"The name or address that donors are sent to."`
}

// Run shows it.
func (s certsShowCommand) Run(c console) error {
	return certs.Show(c.out, check.FileQuestion{File: s.File, Key: s.Key, CA: s.CA, Host: s.Host})
}
