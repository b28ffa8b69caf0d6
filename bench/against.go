package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"wsrep_sst_rsync_tunnel/bench/mariadbd"
)

// absent says which programs are not installed, "" if all are.
func absent(needs []string) string {
	var out []string
	for _, name := range needs {
		if _, err := exec.LookPath(name); err != nil {
			out = append(out, name)
		}
	}
	if out == nil {
		return ""
	}
	return strings.Join(out, ", ") + " not installed"
}

// alternatives are the programs whose place ours takes, as the scripts call them, and
// cp for comparison. Each gets one session for everything: the scripts make one for each
// schema, which costs them more.
func (b *local) alternatives() []contender {
	return []contender{
		{name: "rsync in the clear", kind: kindOther, needs: []string{"rsync"}, run: b.rsync, copies: true},
		{name: replaced, kind: kindOther, needs: []string{"rsync", "socat"}, run: b.rsyncSocat, copies: true},
		{name: "rsync + stunnel", kind: kindOther, needs: []string{"rsync", "stunnel"}, run: b.rsyncStunnel, copies: true},
		{name: "cp -r", kind: kindOther, needs: []string{"cp"}, run: b.cp, copies: true},
	}
}

// rsyncModule is the module of the daemons.
const rsyncModule = "sst"

// rsyncArgs are the options of the scripts.
func (b *local) rsyncArgs(more ...string) []string {
	args := []string{"rsync", "--recursive", "--owner", "--group", "--perms", "--links", "--specials", "--ignore-times", "--inplace", "--delete", "--quiet",
		"--whole-file", "--copy-dirlinks", "--exclude=/" + mariadbd.PositionFile}
	return append(args, more...)
}

// daemonConfig writes that of an rsync daemon and gives its name.
func (b *local) daemonConfig(to string) (string, error) {
	name := b.folder.Path("rsyncd.conf")
	text := fmt.Sprintf("use chroot = no\nread only = no\nreverse lookup = no\ntimeout = 300\nuid = %d\ngid = %d\n[%s]\npath = %s\n", os.Getuid(), os.Getgid(), rsyncModule, to)
	return name, mariadbd.WriteFile(name, []byte(text), 0o644)
}

// serving starts a program that listens on a port of its own and waits until it does.
func (b *local) serving(ctx context.Context, m *meter, argv func(port int) []string) (*process, int, error) {
	port, err := mariadbd.FreePort()
	if err != nil {
		return nil, 0, err
	}
	p, err := start(m, b.folder.Dir, nil, argv(port)...)
	if err != nil {
		return nil, 0, err
	}
	if err := p.listens(ctx, port); err != nil {
		p.stop()
		return nil, 0, err
	}
	return p, port, nil
}

func (b *local) daemon(ctx context.Context, m *meter, to string) (*process, int, error) {
	config, err := b.daemonConfig(to)
	if err != nil {
		return nil, 0, err
	}
	return b.serving(ctx, m, func(port int) []string {
		return []string{"rsync", "--daemon", "--no-detach", "--address=" + mariadbd.Host, fmt.Sprintf("--port=%d", port), "--config=" + config}
	})
}

// rsync sends to an rsync daemon without encryption.
func (b *local) rsync(ctx context.Context, to string) (s sample, err error) {
	donor, joiner := newMeter(), newMeter()
	defer func() { s.donor, s.joiner = donor.close(), joiner.close() }()
	d, port, err := b.daemon(ctx, joiner, to)
	if err != nil {
		return s, err
	}
	defer d.stop()
	s.seconds, err = b.alone(ctx, donor, b.rsyncArgs(b.set.dir+"/", rsyncURL(port)))
	d.settle()
	return s, saying(err, d)
}

// saying adds to an error what servers said.
func saying(err error, servers ...*process) error {
	if err == nil {
		return nil
	}
	for _, p := range servers {
		if said := p.said.String(); said != "" {
			err = fmt.Errorf("%w; %s: %s", err, p.name, said)
		}
	}
	return err
}

func rsyncURL(port int) string {
	return fmt.Sprintf("rsync://%s:%d/%s", mariadbd.Host, port, rsyncModule)
}

// oneCertificate is what both ends of the alternatives show and trust: of two that bear
// the same name, as on one host, OpenSSL finds only one.
func (b *local) oneCertificate() string { return b.certs.Bundles["joiner"] }

// secured is what both socats have of TLS.
func (b *local) secured() string {
	return ",cert=" + b.oneCertificate() + ",cafile=" + b.oneCertificate()
}

// socatServer decrypts what comes for the rsync daemon at port inner.
func (b *local) socatServer(ctx context.Context, m *meter, inner int) (*process, int, error) {
	return b.serving(ctx, m, func(port int) []string {
		return []string{"socat", fmt.Sprintf("openssl-listen:%d,bind=%s,reuseaddr,fork", port, mariadbd.Host) + b.secured(),
			fmt.Sprintf("tcp:%s:%d", mariadbd.Host, inner)}
	})
}

// socatClient encrypts what goes to the port outer.
func (b *local) socatClient(ctx context.Context, m *meter, outer int) (*process, int, error) {
	return b.serving(ctx, m, func(port int) []string {
		return []string{"socat", fmt.Sprintf("tcp-listen:%d,bind=%s,reuseaddr,fork", port, mariadbd.Host),
			fmt.Sprintf("openssl:%s:%d", mariadbd.Host, outer) + b.secured()}
	})
}

// rsyncSocat is what the tunnel script does: a socat with TLS on each side.
func (b *local) rsyncSocat(ctx context.Context, to string) (s sample, err error) {
	donor, joiner := newMeter(), newMeter()
	defer func() { s.donor, s.joiner = donor.close(), joiner.close() }()
	d, inner, err := b.daemon(ctx, joiner, to)
	if err != nil {
		return s, err
	}
	defer d.stop()
	server, outer, err := b.socatServer(ctx, joiner, inner)
	if err != nil {
		return s, err
	}
	defer server.stop()
	client, port, err := b.socatClient(ctx, donor, outer)
	if err != nil {
		return s, err
	}
	defer client.stop()
	s.seconds, err = b.alone(ctx, donor, b.rsyncArgs(b.set.dir+"/", rsyncURL(port)))
	client.settle()
	server.settle()
	d.settle()
	return s, saying(err, client, server, d)
}

// rsyncStunnel is what MariaDB's own script does: rsync speaks through a stunnel of its
// own to one that starts an rsync daemon.
func (b *local) rsyncStunnel(ctx context.Context, to string) (s sample, err error) {
	donor, joiner := newMeter(), newMeter()
	defer func() { s.donor, s.joiner = donor.close(), joiner.close() }()
	daemon, err := b.daemonConfig(to)
	if err != nil {
		return s, err
	}
	rsync, err := exec.LookPath("rsync")
	if err != nil {
		return s, err
	}
	config := func(side, more string) (string, error) {
		name := b.folder.Path(side + ".stunnel.conf")
		text := fmt.Sprintf("key = %[1]s\ncert = %[1]s\nCAfile = %[1]s\nforeground = yes\ndebug = warning\nverifyChain = yes\n", b.oneCertificate())
		return name, mariadbd.WriteFile(name, []byte(text+more), 0o644)
	}
	var problem error
	server, port, err := b.serving(ctx, joiner, func(port int) []string {
		var name string
		name, problem = config("joiner", fmt.Sprintf("pid = %s\nclient = no\n[rsync]\naccept = %s:%d\nexec = %s\nexecargs = rsync --server --daemon --config=%s .\n",
			b.folder.Path("stunnel.pid"), mariadbd.Host, port, rsync, daemon))
		return []string{"stunnel", name}
	})
	if problem != nil {
		return s, problem
	}
	if err != nil {
		return s, err
	}
	defer server.stop()
	name, err := config("donor", fmt.Sprintf("pid =\nclient = yes\nconnect = %s:%d\nTIMEOUTclose = 0\n", mariadbd.Host, port))
	if err != nil {
		return s, err
	}
	s.seconds, err = b.alone(ctx, donor, b.rsyncArgs("--rsh=stunnel "+name, b.set.dir+"/", mariadbd.Host+"::"+rsyncModule))
	server.settle()
	return s, saying(err, server)
}

// cp is the copy without a network.
func (b *local) cp(ctx context.Context, to string) (s sample, err error) {
	m := newMeter()
	defer func() { s.donor = m.close() }()
	s.seconds, err = b.alone(ctx, m, []string{"cp", "-rL", b.set.dir + "/.", to})
	return s, err
}
