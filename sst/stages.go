package sst

import "time"

// stage times a stage of the SST, if the option time asks for it, in the words of
// mariabackup's script. The function it returns ends it.
func (r *run) stage(name string) (end func()) {
	if !r.settings.Times {
		return func() {}
	}
	began := time.Now()
	return func() { r.infof("NOTE: %s took %.3f seconds", name, time.Since(began).Seconds()) }
}

// wholeTime is that of the role.
func (r *run) wholeTime() (end func()) {
	if !r.settings.Times {
		return func() {}
	}
	began := time.Now()
	return func() { r.infof("Total time on %s: %.3f seconds", r.args.Role, time.Since(began).Seconds()) }
}
