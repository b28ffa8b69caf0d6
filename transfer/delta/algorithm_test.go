package delta

import (
	"encoding/hex"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func lookup(t testing.TB, name string, seed int32, seedFirst bool) *Algorithm {
	t.Helper()
	a, err := Lookup(name, seed, seedFirst)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// The vectors of rsync-wire.md, Appendix C, were recorded from rsync 3.5.0.
func TestBlockDigestsAreThoseOfRsync(t *testing.T) {
	block := gen("t1.ibd", 700)
	for _, c := range []struct {
		name      string
		seedFirst bool
		seeds     map[int32]string
	}{
		{"xxh128", true, map[int32]string{0: "4903d5921ac3e514c9fced76fcdcf348", 1796638526: "0868f8b671e159f9edefb5b8f6caeb6f", -7: "7c06f978cc4077e75b4de2aea741e57e"}},
		{"xxh3", true, map[int32]string{0: "4903d5921ac3e514", 1796638526: "0868f8b671e159f9", -7: "7c06f978cc4077e7"}},
		{"xxh64", true, map[int32]string{0: "7aa8d5ddaaac9ba0", 1796638526: "5d0cde0da9045a2f", -7: "97256e4e8f6d27d3"}},
		{"md5", true, map[int32]string{0: "ee44af83212ce9bbb5f1be9be2dae47f", 1796638526: "531b3d6528b939175b0ebde64872dec6", -7: "1b138f8e6c7ee9923bb7f65be186e1ab"}},
		{"md5", false, map[int32]string{0: "ee44af83212ce9bbb5f1be9be2dae47f", 1796638526: "b047e2f67e4137e57e0c8c74a4c06694", -7: "de61d16441f4866c92df85498cec7ef1"}},
		{"sha1", true, map[int32]string{0: "162e6ebb2c10927f3e068c353e11f5224ca055f8", 1796638526: "bc4dd7fb12b004675f09e4531fc595fc7c7ffb22", -7: "6c339272d519c5a7a77be313cc67a220206cce16"}},
		{"sha1", false, map[int32]string{-7: "6c339272d519c5a7a77be313cc67a220206cce16"}}, // compat 0x020 is about MD5 only
	} {
		for seed, want := range c.seeds {
			a := lookup(t, c.name, seed, c.seedFirst)
			if got := hex.EncodeToString(a.Block(block, nil)); got != want {
				t.Errorf("%s, seed %d, seed first %v: got %s, want %s", c.name, seed, c.seedFirst, got, want)
			}
		}
	}
}

func TestFileDigestsAreThoseOfRsync(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"xxh128", "", "7f498d4624c30160d8984701d306aa99"},
		{"xxh3", "", "c294d3380580062d"},
		{"xxh64", "", "99e9d85137db46ef"},
		{"md5", "", "d41d8cd98f00b204e9800998ecf8427e"},
		{"sha1", "", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
		{"none", "", "00"},
		{"none", "abc", "00"},
		{"xxh128", string(gen("odd", 10)), "0aacde32866cbbd78ee79df1cb318bc4"}, // capture x-c-delta-noinc-p30
		{"md5", string(gen("odd", 10)), "39e699d5153930fbab76d4e82e71ef60"},    // capture x-c-delta-md5
	} {
		a := lookup(t, c.name, 12345, true) // a seed has no influence
		h := a.NewFile()
		h.Write([]byte("the file before"))
		h.Reset()
		h.Write([]byte(c.in))
		if got := hex.EncodeToString(h.Sum(nil)); got != c.want || len(got) != 2*a.Size() {
			t.Errorf("%s of %q: got %s, want %s", c.name, c.in, got, c.want)
		}
	}
}

func TestAFileDigestDoesNotDependOnHowTheDataArrives(t *testing.T) {
	data := gen("pieces", 300_000)
	for _, name := range append(Canonical(), "none") {
		// Without a seed, a block digest is the digest of a file with the same contents.
		want := lookup(t, name, 0, true).Block(data, nil)
		h := lookup(t, name, 0, true).NewFile()
		rapid.Check(t, func(t *rapid.T) {
			h.Reset()
			for p := data; len(p) > 0; {
				n := min(len(p), rapid.IntRange(1, 70_000).Draw(t, "piece"))
				h.Write(p[:n])
				p = p[n:]
			}
			if got := h.Sum(nil); string(got) != string(want) {
				t.Fatalf("%s: got %x, want %x", name, got, want)
			}
		})
	}
}

func TestLookupKnowsTheNamesOfANegotiation(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"xxh128", "xxh128"}, {"XXH3", "xxh3"}, {"xxhash", "xxh64"}, {"Md5", "md5"}, {"sha1", "sha1"}, {"none", "none"},
	} {
		if a := lookup(t, c.in, 0, true); a.Name() != c.want || a.WholeOnly() != (c.want == "none") {
			t.Errorf("%s: got %s, whole only %v", c.in, a.Name(), a.WholeOnly())
		}
	}
	for _, name := range []string{"md4", "", "sha256", "xxh128 "} {
		if _, err := Lookup(name, 0, true); err == nil || !strings.Contains(err.Error(), "xxh128") {
			t.Errorf("%q: got error %v, want one that names what is known", name, err)
		}
	}
}

func TestAnAlgorithmMayBeUsedByManyGoroutines(t *testing.T) {
	block := gen("t1.ibd", 700)
	for _, name := range Canonical() {
		a := lookup(t, name, -7, true)
		want := string(a.Block(block, nil))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 200 {
					if string(a.Block(block, nil)) != want {
						t.Errorf("%s: wrong digest", name)
						return
					}
				}
			})
		}
		wg.Wait()
	}
}

func TestBlockDigestsAllocateNothing(t *testing.T) {
	block := gen("t1.ibd", 16384)
	for _, name := range append(Canonical(), "none") {
		a := lookup(t, name, -7, true)
		dst := make([]byte, 0, MaxDigest)
		if n := testing.AllocsPerRun(100, func() { a.Block(block, dst) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkBlock(b *testing.B) {
	for _, name := range Canonical() {
		a := lookup(b, name, -7, true)
		for _, n := range []int{700, 16384, 131072} {
			p := gen("bench", n)
			dst := make([]byte, 0, MaxDigest)
			b.Run(name+"/"+sizeName(n), func(b *testing.B) {
				b.SetBytes(int64(n))
				b.ReportAllocs()
				for b.Loop() {
					a.Block(p, dst)
				}
			})
		}
	}
}
