package sst

import (
	"testing"

	"wsrep_sst_rsync_tunnel/sst/plan"
	"wsrep_sst_rsync_tunnel/sst/report"
)

// Room is the fit check of a joiner, for what somebody expects to come.
func TestRoomForAnSST(t *testing.T) {
	s := Survey{Settings: &Settings{Places: plan.Places{Datadir: t.TempDir()}}}
	free, err := s.Room(t.Context(), map[string]int64{"": 1}, func(w string) { t.Error(w) })
	if err != nil || free <= 0 {
		t.Errorf("%d are free, %v", free, err)
	}
	_, err = s.Room(t.Context(), map[string]int64{"": 1 << 60}, func(w string) { t.Error(w) })
	if !IsShortage(err) || report.Hint(err) == "" {
		t.Error(err)
	}
	s.Settings.Places.UndoDir = t.TempDir() + "/absent"
	if _, err = s.Room(t.Context(), nil, nil); err == nil || IsShortage(err) {
		t.Error(err)
	}
}
