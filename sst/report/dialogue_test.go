package report

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDialogueLines(t *testing.T) {
	position := "3098c6fd-e766-11f1-a4b4-477c3b5b7c8d:2 0"
	for _, c := range []struct {
		say  func(*Dialogue) error
		want string
	}{
		{func(d *Dialogue) error { return d.Ready("[::1]:4444/rsync_tunnel_sst") }, "ready [::1]:4444/rsync_tunnel_sst\n"},
		{func(d *Dialogue) error { return d.Position(position) }, position + "\n"},
		{(*Dialogue).FlushTables, "flush tables\n"},
		{(*Dialogue).Continue, "continue\n"},
		{func(d *Dialogue) error { return d.Done(position) }, "done " + position + "\n"},
	} {
		var w writes
		if err := c.say(NewDialogue(&w, DonorLine)); err != nil {
			t.Fatal(err)
		}
		if len(w) != 1 || w[0] != c.want {
			t.Errorf("wrote %q, want %q in one piece", w, c.want)
		}
	}
}

func TestDialogueFitsTheServersBuffer(t *testing.T) {
	for limit, most := range map[int]int{DonorLine: 127, JoinerLine: 511} {
		var w writes
		d := NewDialogue(&w, limit)
		if err := d.Position(strings.Repeat("x", most)); err != nil {
			t.Errorf("limit %d: %v", limit, err)
		}
		if err := d.Position(strings.Repeat("x", most+1)); err == nil || len(w) != 1 {
			t.Errorf("limit %d: a line that the server would cut went out (%v)", limit, err)
		}
	}
}

func TestDialogueRefusesWhatIsNotOneLine(t *testing.T) {
	for _, text := range []string{"a\ndone b", "a\x00", "a\r", ""} {
		var w writes
		if err := NewDialogue(&w, JoinerLine).Ready(text); err == nil || len(w) > 0 {
			t.Errorf("%q: wrote %q, error %v", text, w, err)
		}
	}
	var w writes
	if err := NewDialogue(&w, JoinerLine).Position(""); err == nil || len(w) > 0 {
		t.Errorf("an empty position: wrote %q, error %v", w, err)
	}
}

func TestDialogueReportsAServerThatIsGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	if err := NewDialogue(w, DonorLine).Continue(); !errors.Is(err, unix.EPIPE) {
		t.Errorf("got %v, want EPIPE", err)
	}
}
