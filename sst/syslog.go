package sst

import (
	"strconv"
	"strings"

	"wsrep_sst_rsync_tunnel/sst/report"
)

// syslog reads whether lines go to syslog, and as whose, as mariabackup's script does.
func (l *settingsLoader) syslog() {
	const key, group = "sst-syslog", "mysqld_safe"
	on := 0
	if o, ok := l.get(key); ok && o.Value != "" {
		n, err := strconv.Atoi(strings.TrimSpace(o.Value))
		if err != nil || n < -1 || n > 1 {
			l.warn("%s: %s=%s is none of 1, 0 and -1, and counts as 0", where(o), key, o.Value)
			n = 0
		}
		on = n
	}
	if on == 0 && l.files.Has([]string{group}, "syslog") {
		on = 1
	}
	if on != 1 {
		return
	}
	tag := "wsrep-sst-" + l.args.Role.String()
	own, _ := l.files.Get([]string{group}, "syslog-tag")
	before := own.Value
	if l.env != nil && before == "" {
		before, _ = l.env("SST_SYSLOG_TAG")
	}
	if before != "" {
		tag = report.Clean(before) + "-" + tag
	}
	l.s.SyslogTag = tag
}

// toSyslog sends the lines there from now on. Where there is no syslog, as in most
// containers, they stay where they are.
func (r *run) toSyslog(path string) {
	if r.settings.SyslogTag == "" {
		return
	}
	s, err := report.OpenSyslog(path, r.settings.SyslogTag)
	if err != nil {
		return
	}
	r.infof("lines that are no errors go to syslog from here on, as from %s", r.settings.SyslogTag)
	r.log.To(s)
}
