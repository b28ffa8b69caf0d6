package report

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestALineIsWrittenWhenItsWriteReturns(t *testing.T) {
	var out bytes.Buffer
	p := NewPatient(&out, LostLine)
	for range 100 {
		io.WriteString(p, "line\n")
	}
	if got := strings.Count(out.String(), "line\n"); got != 100 {
		t.Errorf("%d lines of 100", got)
	}
}

// What nobody reads costs one patience in all, and comes when somebody reads again.
func TestALogThatNobodyReadsHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		p := NewPatient(w, func(n int) string { return "lost\n" })
		began := time.Now()
		line := []byte(strings.Repeat("x", 999) + "\n")
		for range 1000 {
			p.Write(line)
		}
		if took := time.Since(began); took != patience {
			t.Errorf("1000 lines took %v", took)
		}
		p.Flush(time.Minute)
		if took := time.Since(began); took != patience+time.Minute {
			t.Errorf("the flush ended after %v", took)
		}
		var got bytes.Buffer
		go func() {
			for b := make([]byte, 1<<10); ; {
				n, err := r.Read(b)
				if err != nil {
					return
				}
				got.Write(b[:n])
			}
		}()
		p.Flush(time.Hour)
		synctest.Wait()
		if n := strings.Count(got.String(), "x\n"); n < maxPending/1000-1 || n > maxPending/1000+1 {
			t.Errorf("%d lines came through", n)
		}
		if !strings.HasSuffix(got.String(), "lost\n") {
			t.Error("what was lost is not said")
		}
		got.Reset()
		p.Write([]byte("again\n"))
		synctest.Wait()
		if got.String() != "again\n" {
			t.Errorf("afterwards: %q", got.String())
		}
		w.Close()
	})
}

func TestALogThatIsGoneIsNoError(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	p := NewPatient(w, LostLine)
	if n, err := p.Write([]byte("line\n")); n != 5 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
