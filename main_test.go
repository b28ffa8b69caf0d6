package main

import (
	"strings"
	"testing"
)

func TestWhatIsAnSST(t *testing.T) {
	for _, c := range []struct {
		name, argv string
		want       bool
	}{
		{"a joiner", "wsrep_sst_rsync_tunnel --role joiner --address 10.0.0.2:4444 --mysqld-args --role=x", true},
		{"a donor that a person starts", "/usr/bin/wsrep_sst_rsync_tunnel --datadir /x --role=donor", true},
		{"a command", "wsrep_sst_rsync_tunnel demo --mb 5", false},
		{"a command with an argument of that name", "wsrep_sst_rsync_tunnel check --role donor", false},
		{"the word among mariadbd's own arguments", "wsrep_sst_rsync_tunnel --datadir /x --mysqld-args --role joiner", false},
		{"the version", "wsrep_sst_rsync_tunnel --version", false},
		{"a stock name", "/usr/bin/wsrep_sst_rsync --role donor", true},
		{"a command under a stock name, which it is not", "wsrep_sst_rsync demo", true},
		{"the version of a stock name", "/usr/bin/wsrep_sst_rsync_wan --version", false},
		{"nothing", "wsrep_sst_rsync_tunnel", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := isSST(strings.Fields(c.argv)); got != c.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
