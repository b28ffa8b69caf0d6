package sst

import (
	"path/filepath"
	"slices"
	"strings"

	"wsrep_sst_rsync_tunnel/mycnf"
	"wsrep_sst_rsync_tunnel/sst/plan"
	"wsrep_sst_rsync_tunnel/tls"
)

// Configured paths that are not data, by what their value is. An SST keeps away
// from them wherever they lie below a data directory.
var (
	pathKeys = []string{
		// TLS of the SST, of clients, of replication
		"tca", "tcapath", "tcert", "tkey", "ssl-dhparams",
		"ssl-ca", "ssl-capath", "ssl-cert", "ssl-key", "ssl-crl", "ssl-crlpath",
		"ssl-server-ca", "ssl-server-capath", "ssl-server-cert", "ssl-server-key",
		"ssl-client-ca", "ssl-client-capath", "ssl-client-cert", "ssl-client-key",
		"master-ssl-ca", "master-ssl-cert", "master-ssl-key",
		// keys of encrypted tables, and of mariabackup
		"file-key-management-filename", "file-key-management-filekey", "hashicorp-key-management-vault-ca", "encrypt-key-file",
		// logs
		"log-error", "general-log-file", "slow-query-log-file", "log-slow-query-file", "log-isam",
		"server-audit-file-path", "sql-error-log-filename", "query-response-time-file",
		"log-bin-index", "relay-log-index", "relay-log-info-file", "master-info-file",
		// processes, and what the server loads or writes elsewhere
		"pid-file", "socket", "innodb-tmpdir", "slave-load-tmpdir", "plugin-dir", "secure-file-priv", "character-sets-dir",
		"lc-messages-dir", "init-file", "wsrep-data-home-dir", "log-tc", "log-ddl-recovery", "innodb-buffer-pool-filename",
		"sst-log-archive-dir", "metrics-file",
	}
	listKeys = []string{"tmpdir"}               // separated by colons
	stemKeys = []string{"log-bin", "relay-log"} // beginnings of names
	// providerKeys are in the value of wsrep_provider_options.
	providerKeys = []string{
		"base_dir", "gcache.dir", "gcache.name", "socket.ssl_ca", "socket.ssl_cert", "socket.ssl_key", "socket.ssl_password_file",
	}
)

// notData collects such paths. Here too much is better than too little: all
// instances in all groups that a server of any version reads count.
func (l *settingsLoader) notData() {
	groups := append(mycnf.ServerGroups(l.version), versionedGroups()...)
	groups = append(groups, "mysqld_safe", "mariadb_safe", "mariadbd-safe", sstGroup)
	for _, o := range l.files.Options(groups...) {
		l.notDataOption(o.Name(), o.Value)
	}
	for key, v := range l.args.Mysqld.values {
		l.notDataOption(key, v.value)
	}
	l.addNotData("socket", l.args.Socket)
	for _, file := range tls.SockoptFiles(l.s.Sockopt.Text) {
		l.addNotData("sockopt", file)
	}
	if b := l.s.Binlog; b.Path != "" {
		l.s.Places.NotData = append(l.s.Places.NotData,
			plan.NotData{Key: "log_bin", Path: b.Path, Stem: true}, plan.NotData{Key: "log_bin_index", Path: b.Index})
	}
	if l.args.BufferPoolFile != "" {
		l.notDataOption("innodb-buffer-pool-filename", l.args.BufferPoolFile)
	}
	l.sortNotData()
}

func (l *settingsLoader) notDataOption(key, value string) {
	value = strings.TrimSpace(value)
	switch {
	case value == "":
	case key == "file-key-management-filekey":
		// FILE:/path names a file, anything else is the key itself.
		if file, ok := strings.CutPrefix(value, "FILE:"); ok {
			l.addNotData(key, file)
		}
	case slices.Contains(pathKeys, key):
		l.addNotData(key, value)
		l.addStale(key, value)
	case slices.Contains(listKeys, key):
		for dir := range strings.SplitSeq(value, ":") {
			l.addNotData(key, dir)
		}
	case slices.Contains(stemKeys, key):
		l.s.Places.NotData = append(l.s.Places.NotData, plan.NotData{Key: underscores(key), Path: l.abs(stripExt(value)), Stem: true})
	case key == "progress":
		if value != noProgress && value != logProgress {
			l.addNotData(key, value)
		}
	case key == "wsrep-provider-options":
		for option := range strings.SplitSeq(value, ";") {
			name, file, _ := strings.Cut(option, "=")
			if name = strings.TrimSpace(name); slices.Contains(providerKeys, name) {
				l.addNotData(name, strings.TrimSpace(file))
			}
		}
	case key == "innodb-temp-data-file-path":
		for _, name := range dataFileNames(value) {
			l.addNotData(key, l.inHome(name))
		}
	}
}

func (l *settingsLoader) addNotData(key, file string) {
	if file = strings.TrimSpace(file); file != "" {
		l.s.Places.NotData = append(l.s.Places.NotData, plan.NotData{Key: underscores(key), Path: l.abs(file)})
	}
}

// addStale keeps the names of files that must not meet new data, if they lie where
// the joiner looks for such.
func (l *settingsLoader) addStale(key, file string) {
	file = l.abs(file)
	if filepath.Dir(file) != l.s.Places.Datadir {
		return
	}
	name := filepath.Base(file)
	switch key {
	case "log-tc", "innodb-buffer-pool-filename":
		l.s.Places.StaleFiles = append(l.s.Places.StaleFiles, name)
	case "log-ddl-recovery": // ".log" is put in the place of an extension
		name = stripExt(name)
		l.s.Places.StaleFiles = append(l.s.Places.StaleFiles, name+".log", name+"-backup.log")
	}
}

// sortNotData makes the order independent of where a path was found, each once.
func (l *settingsLoader) sortNotData() {
	p := &l.s.Places
	slices.SortFunc(p.NotData, func(a, b plan.NotData) int {
		return strings.Compare(a.Path+"\x00"+a.Key, b.Path+"\x00"+b.Key)
	})
	p.NotData = slices.CompactFunc(p.NotData, func(a, b plan.NotData) bool { return a.Path == b.Path && a.Stem == b.Stem })
	slices.Sort(p.StaleFiles)
	p.StaleFiles = slices.Compact(p.StaleFiles)
}

func underscores(key string) string { return strings.ReplaceAll(key, "-", "_") }
