package sst

import (
	"slices"
	"strings"
)

// maxMisspelt is how many such keys are named.
const maxMisspelt = 20

// misspelt warns of keys in [sst] that look like known ones and are none. Unknown keys
// are never an error, other programs have theirs there; but a node whose "tcerts" is
// passed over runs without the certificate that its operator believes in. Of keys that
// another method reads it is only noted that this one does not.
func (l *settingsLoader) misspelt() {
	said := 0
	for _, o := range l.files.Keys(sstGroup) {
		k, known := lookupKey(o.Name())
		switch {
		case known && k.groups.withSST() && !k.methods.has(l.args.Method):
			l.note(where(o) + ": " + o.Name() + " is read by the method " + k.methods.String() + " only")
		case known || slices.Contains(pathKeys, o.Name()):
		default:
			if meant := resembling(o.Name()); meant != "" && said < maxMisspelt {
				said++
				l.warn("%s: %s in [%s] is not known; is %s meant?", where(o), o.Key, o.Group, meant)
			}
		}
	}
}

// resembling is the known key of [sst] that a name is most like, "" if there is none.
func resembling(name string) string {
	name = strings.ToLower(name)
	best, distance := "", maxDistance+1
	for _, k := range knownKeys {
		if !k.groups.withSST() {
			continue
		}
		d := differs(name, k.name)
		// Short names are too much like anything.
		if d < distance && (d <= 1 || len(k.name) >= 6) {
			best, distance = k.name, d
		}
	}
	return best
}

// maxDistance is how many letters may be wrong.
const maxDistance = 2

// differs counts the letters that are wrong, missing, too many or exchanged with their
// neighbour; what says "file" or "path" where we do not, or the other way round, counts
// as one, and so do dashes.
func differs(a, b string) int {
	if a == b {
		return 0
	}
	if squeezed(a) == squeezed(b) {
		return 1
	}
	return editDistance(a, b, maxDistance+1)
}

func squeezed(name string) string {
	name = strings.ReplaceAll(name, "-", "")
	for _, end := range []string{"s", "file", "path", "name"} {
		name = strings.TrimSuffix(name, end)
	}
	return name
}

// editDistance is the number of insertions, removals, replacements and exchanges of
// neighbours that make b of a, or limit if it is not less. Names come from a file and
// may be long: only those of similar length are looked at.
func editDistance(a, b string, limit int) int {
	if len(a) >= len(b)+limit || len(b) >= len(a)+limit {
		return limit
	}
	before, last, now := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) { // bytes
		now[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			now[j+1] = min(last[j]+cost, last[j+1]+1, now[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				now[j+1] = min(now[j+1], before[j-1]+1)
			}
		}
		before, last, now = last, now, before
	}
	return min(last[len(b)], limit)
}
