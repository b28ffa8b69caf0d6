package proc

import (
	"strconv"
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	f.Add([]byte("42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 1 2"))
	f.Add([]byte("1 (systemd) Z 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9 1 2"))
	f.Add([]byte("(("))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parse(b)
		if err == nil && !strings.Contains(string(b), "("+p.Name+")") {
			t.Errorf("name %q of %q", p.Name, b)
		}
	})
}

func TestAnyNameIsTaken(t *testing.T) {
	for _, name := range []string{"sh", "a) S 1 (b", "", "my sql"} {
		line := "42 (" + name + ") S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 1 2"
		p, err := parse([]byte(line))
		want := Stat{PID: 42, Parent: 7, Name: name, Start: 12345}
		if err != nil || p != want {
			t.Errorf("%s: %+v, %v", strconv.Quote(name), p, err)
		}
	}
}
