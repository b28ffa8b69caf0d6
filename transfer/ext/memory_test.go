package ext

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestMemoryIsAMapOfDigests does the same at random to a Memory that may hold next to nothing in memory, and to maps.
func TestMemoryIsAMapOfDigests(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		dir := t.TempDir()
		m := NewMemory(dir)
		m.limit = int64(rng.IntN(4)) * slotSize
		model := map[string]map[int64]digest{}
		for range 600 {
			name := fmt.Sprint("t", rng.IntN(4))
			f, err := m.file(1, []byte(name))
			if err != nil {
				t.Fatal(err)
			}
			if model[name] == nil {
				model[name] = map[int64]digest{}
			}
			has := model[name]
			first, n := rng.Int64N(1500), 1+rng.IntN(300)
			switch rng.IntN(8) {
			case 0:
				m.Forget(1, name)
				clear(has)
			case 1:
				m.forget(f, first, n)
				for i := range n {
					delete(has, first+int64(i))
				}
			case 2:
				m.cut(f, first)
				for at := range has {
					if at >= first {
						delete(has, at)
					}
				}
			case 3:
				m.setZero(f, first, n)
				for i := range n {
					has[first+int64(i)] = m.hasher.zero
				}
			case 4:
				m.Keep(func(root uint8, other string) bool { return root == 1 && other != name })
				delete(model, name)
			default:
				in := make([]digest, n)
				for i := range in {
					in[i][0], in[i][1], in[i][2] = byte(rng.Uint32()), byte(rng.Uint32()), 1
					has[first+int64(i)] = in[i]
				}
				m.set(f, first, in)
			}
		}
		for name, has := range model {
			f, _ := m.file(1, []byte(name))
			out := make([]digest, 2000)
			m.get(f, 0, out)
			run := int64(0)
			for i, d := range out {
				if d != has[int64(i)] {
					t.Fatalf("seed %d: block %d of %s is %x, want %x", seed, i, name, d, has[int64(i)])
				}
				if run == int64(i) && d != (digest{}) {
					run++
				}
			}
			if got, ok := m.whole(f, run); !ok || got != m.hasher.sum(bytesOf(out[:run])) {
				t.Errorf("seed %d: the digest of %d blocks", seed, run)
			}
			if _, ok := m.whole(f, run+1); ok {
				t.Errorf("seed %d: a digest of blocks that are not known", seed)
			}
		}
		if m.used > m.limit+slotSize+300*16 {
			t.Errorf("seed %d: %d bytes in memory, the limit is %d", seed, m.used, m.limit)
		}
		m.Keep(func(uint8, string) bool { return false })
		if m.used != 0 || m.count != 0 || m.names != 0 {
			t.Errorf("seed %d: %d bytes, %d files, %d of names left", seed, m.used, m.count, m.names)
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Errorf("%v, %v", left, err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A temporary file that cannot be written costs knowledge on the donor, and is said on the joiner.
func TestMemoryWithoutATemporaryFile(t *testing.T) {
	m := NewMemory(t.TempDir() + "/gone")
	m.limit = 0
	f, err := m.file(0, []byte("t"))
	if err != nil {
		t.Fatal(err)
	}
	m.setZero(f, 0, 5000)
	out := make([]digest, 1)
	if m.get(f, 0, out); out[0] != (digest{}) {
		t.Error("a digest that was lost is known")
	}
	if m.failure() == nil {
		t.Error("nothing is said")
	}
}

func TestAutoCompressionStaysWithTheFaster(t *testing.T) {
	for _, pays := range []bool{false, true} {
		var tr trial
		now := testTime
		used := 0
		for range 4000 {
			on := tr.on(maxData, now)
			if on {
				used++
			}
			step := testStep
			if on == pays {
				step /= 2
			}
			now = now.Add(step)
		}
		if pays != (used > 3000) || !pays && used > 400 {
			t.Errorf("pays: %v, %d of 4000 compressed", pays, used)
		}
	}
}

var testTime = time.Unix(1, 0)

const testStep = time.Millisecond

func TestMemoryTellsWhetherABlockIsTheSame(t *testing.T) {
	m := NewMemory(t.TempDir())
	defer m.Close()
	f, err := m.file(1, []byte("db/t.ibd"))
	if err != nil {
		t.Fatal(err)
	}
	block := bytes.Repeat([]byte("page"), blockSize/4)
	h := m.hash()
	m.set(f, 0, []digest{h.zero, h.sum(block), h.sum(block[:100])})
	for _, c := range []struct {
		name  string
		root  uint8
		off   int64
		block []byte
		want  bool
	}{
		{"db/t.ibd", 1, 0, zeroBlock[:], true},
		{"db/t.ibd", 1, blockSize, block, true},
		{"db/t.ibd", 1, 2 * blockSize, block[:100], true},
		{"db/t.ibd", 1, 2 * blockSize, block[:101], false},
		{"db/t.ibd", 1, 0, block, false},
		{"db/t.ibd", 1, blockSize, zeroBlock[:], false},
		{"db/t.ibd", 1, 3 * blockSize, block, false},
		{"db/t.ibd", 1, 1 << 40, block, false},
		{"db/t.ibd", 0, 0, zeroBlock[:], false},
		{"db/u.ibd", 1, 0, zeroBlock[:], false},
	} {
		if got := m.Same(c.root, c.name, c.off, c.block); got != c.want {
			t.Errorf("%s of root %d at %d: %v", c.name, c.root, c.off, got)
		}
	}
}
