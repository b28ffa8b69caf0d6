package cli

import (
	"runtime/debug"
	"testing"
)

func TestWhereTheCommitIsKnownFrom(t *testing.T) {
	checkout := func(more ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Settings: append([]debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "2026-11-26T00:00:00Z"}}, more...)}
	}
	for _, c := range []struct {
		name, stamp string
		info        *debug.BuildInfo
		want        string
	}{
		{"make build", "def of 2026-11-25T00:00:00Z", checkout(), "def of 2026-11-25T00:00:00Z"},
		{"go build in a checkout", "", checkout(), "abc of 2026-11-26T00:00:00Z"},
		{"go build in a checkout that was changed", "", checkout(debug.BuildSetting{Key: "vcs.modified", Value: "true"}), "abc of 2026-11-26T00:00:00Z, with changes"},
		{"go build of an archive", "", &debug.BuildInfo{}, "not known: not built in a checkout"},
		{"a build that notes nothing", "", nil, "not known: not built in a checkout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := commitOf(c.stamp, c.info); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
