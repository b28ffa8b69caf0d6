package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"wsrep_sst_rsync_tunnel/bench/picture"
	"wsrep_sst_rsync_tunnel/sst"
)

// followed is how often a file is looked at for the line of a terminal.
const followed = 200 * time.Millisecond

// follow shows the donor's progress on the terminal, if there is one, until the function
// that it returns is called. file is what progress= names.
func (o Options) follow(ctx context.Context, file string) (stop func()) {
	if o.Live == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	following.Go(func() {
		t := time.NewTicker(followed)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				o.Live("")
				return
			case <-t.C:
				if line := lastLine(file); line != "" {
					o.Live(line)
				}
			}
		}
	})
	return func() {
		cancel()
		following.Wait()
	}
}

// lastLine is the donor's last line in the file, without time and figures.
func lastLine(file string) (text string) {
	content, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSuffix(line, "\n")
		if l, ok := sst.ParseProgress(line); ok && l.Role == "donor" {
			_, text, _ = strings.Cut(line, "donor: ")
			text, _, _ = strings.Cut(text, " [")
		}
	}
	return text
}

// draw makes the picture, if one is wanted, of what the donor has noted in file.
func (o Options) draw(file, head string) error {
	if o.SVG == "" {
		return nil
	}
	lines := picture.ReadLines(file, "donor")
	if len(lines) < 2 {
		return fmt.Errorf("--svg: the donor has noted %d lines about its progress, which is no picture", len(lines))
	}
	f, err := os.Create(o.SVG)
	if err != nil {
		return fmt.Errorf("--svg: %w", err)
	}
	return errors.Join(picture.Write(f, head, nil, lines), f.Close())
}
