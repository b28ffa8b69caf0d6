package confine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Renewed gives the rules for reading a file that may be replaced while we wait: its folder, and the folder of what each
// link on the way leads to, so that a link that is turned to a new file beside the old one can be followed. That is how
// Kubernetes (node.pem -> ..data/node.pem, ..data -> ..2026_01) and certbot (node.pem -> ../../archive/x/node1.pem) renew
// certificates. A folder that would be all of the file system is never allowed: then the file alone is.
func Renewed(file string) []Rule {
	if file == "" {
		return nil
	}
	var rules []Rule
	allow := func(dir string) {
		if dir != "/" {
			rules = add(rules, Rule{dir, Read})
		}
	}
	at := filepath.Clean(file)
	for range maxLinks {
		allow(filepath.Dir(at))
		link, rest := firstLink(at)
		if link == "" {
			break
		}
		target, err := os.Readlink(link)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(link), target)
		}
		// A link on the way counts if it leads to its own neighbour: others, such as /var/run, are of the system's making.
		if rest == "" || filepath.Dir(target) == filepath.Dir(link) {
			allow(filepath.Dir(target))
		}
		at = filepath.Join(target, rest)
	}
	return add(rules, Rule{at, Read})
}

// maxLinks is what the kernel follows.
const maxLinks = 40

// firstLink finds the first component of a path that is a link, and what comes behind it.
func firstLink(path string) (link, rest string) {
	parts := strings.Split(path, "/")
	for i := 2; i <= len(parts); i++ {
		p := strings.Join(parts[:i], "/")
		if info, err := os.Lstat(p); err == nil && info.Mode()&os.ModeSymlink != 0 {
			return p, strings.Join(parts[i:], "/")
		}
	}
	return "", ""
}

// RenewedDir is Renewed for a directory of certificates, which may hold links to files elsewhere.
func RenewedDir(dir string) []Rule {
	if dir == "" {
		return nil
	}
	rules := []Rule{{dir, Read}}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > maxCertificates {
		return rules
	}
	for _, e := range entries {
		if e.Type()&os.ModeSymlink != 0 {
			for _, r := range Renewed(filepath.Join(dir, e.Name())) {
				rules = add(rules, r)
			}
		}
	}
	return rules
}

// maxCertificates bounds the links of a directory that are followed.
const maxCertificates = 5000

func add(rules []Rule, r Rule) []Rule {
	if slices.Contains(rules, r) {
		return rules
	}
	return append(rules, r)
}

// System is what Go's library reads by itself: the resolver's files, the users' names, the time zone, and the certificates
// that the system trusts; and /proc, where the end of mariadbd shows.
func System() []Rule {
	rules := []Rule{{"/proc", Read}, {"/usr/share/zoneinfo", Read}, {"/usr/lib/zoneinfo", Read}}
	for _, file := range []string{
		"/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/mdns.allow", "/etc/services", "/etc/protocols",
		"/etc/passwd", "/etc/group", "/etc/localtime",
	} {
		rules = append(rules, Rule{file, Read})
	}
	for _, dir := range []string{
		"/etc/ssl/certs", "/etc/pki/tls", "/etc/pki/ca-trust", "/etc/ca-certificates", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
		"/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem",
	} {
		rules = append(rules, Rule{dir, Read})
	}
	return rules
}
