package sst

import "strings"

// landlock reads whether the process may be restricted to the folders it needs: on,
// which is the default, or off.
func (l *settingsLoader) landlock() {
	o, ok := l.get("landlock")
	if !ok {
		return
	}
	switch strings.ToLower(o.Value) {
	case "off", "0", "no", "false":
		l.s.NoLandlock = true
	case "on", "1", "yes", "true":
	default:
		l.warn("%s: landlock=%s is neither on nor off, the default, on, is used", where(o), o.Value)
	}
}
