package ext

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/transfer"
)

// go test -run - -bench . ./transfer/ext: the layers one by one, then streams over plain TCP with both ends in this
// process, in memory where there is room. The bench command has the ends in processes of their own, over TLS.

func BenchmarkDigests(b *testing.B) {
	p, h := content(1, maxData), newHasher(1)
	var d [maxBlocks]digest
	b.SetBytes(maxData)
	for range b.N {
		h.blocks(p, &d)
	}
}

func BenchmarkMemory(b *testing.B) {
	m := NewMemory(b.TempDir())
	defer m.Close()
	f, err := m.file(0, []byte("t"))
	if err != nil {
		b.Fatal(err)
	}
	var d [maxBlocks]digest
	b.SetBytes(maxData)
	b.ReportAllocs()
	for i := range b.N {
		first := int64(i%1000) * maxBlocks
		m.get(f, first, d[:])
		m.set(f, first, d[:])
	}
}

func BenchmarkZstd(b *testing.B) {
	half := content(1, maxData)
	for i := 0; i < maxData; i += blockSize {
		clear(half[i : i+blockSize/2])
	}
	for name, p := range map[string][]byte{"random": content(2, maxData), "half zeros": half} {
		b.Run(name, func(b *testing.B) {
			z := zipper{how: Zstd}
			b.SetBytes(maxData)
			b.ReportAllocs()
			for range b.N {
				z.compress(p)
			}
		})
	}
}

// inMemory makes the directories of an SST lie in memory.
func inMemory(b *testing.B) {
	var st unix.Statfs_t
	if unix.Statfs("/dev/shm", &st) == nil && st.Bavail*uint64(st.Bsize) > 4<<30 && unix.Access("/dev/shm", unix.W_OK) == nil {
		b.Setenv("TMPDIR", "/dev/shm")
	}
}

func BenchmarkSend(b *testing.B) {
	const size = 256 << 20
	for _, connections := range []int{1, 2} {
		for _, what := range []string{"new", "unchanged", "old data"} {
			b.Run(fmt.Sprintf("%s/%d", what, connections), func(b *testing.B) {
				inMemory(b)
				s := newSST(b, Options{Connections: connections, Sums: what == "old data"}, transfer.StoreOptions{}, nil)
				s.sender.tune = usual
				s.write("t", content(1, size))
				s.send()
				b.SetBytes(size)
				b.ReportAllocs()
				for b.Loop() {
					if what != "unchanged" {
						s.sender.o.Memory.Forget(0, "t")
					}
					_, sent := sum(s.send())
					if what == "new" != (sent == size) {
						b.Fatalf("%d bytes sent", sent)
					}
				}
			})
		}
	}
}

// What cannot be compressed costs at most 5 % more with compress=auto or zstd than without: compare the
// processor time of both ends, which other work on the machine does not change as much as the rate.
func BenchmarkIncompressible(b *testing.B) {
	const size = 256 << 20
	for _, how := range []Compression{Off, Auto, Zstd} {
		b.Run(how.String(), func(b *testing.B) {
			inMemory(b)
			s := newSST(b, Options{Connections: 2, Compress: how}, transfer.StoreOptions{}, nil)
			s.sender.tune = usual
			s.write("t", content(1, size))
			s.send()
			b.SetBytes(size)
			before := processorTime(b)
			for b.Loop() {
				s.sender.o.Memory.Forget(0, "t")
				s.send()
			}
			b.ReportMetric((processorTime(b)-before).Seconds()/float64(b.N)/size*(1<<30), "CPU-s/GiB")
		})
	}
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func BenchmarkSmallFiles(b *testing.B) {
	const n = 10_000
	for _, what := range []string{"new", "unchanged"} {
		b.Run(what, func(b *testing.B) {
			inMemory(b)
			s := newSST(b, Options{Connections: 2}, transfer.StoreOptions{}, nil)
			for i := range n {
				s.write(fmt.Sprintf("db%d/t%d", i/500, i), content(uint64(i), 4096))
			}
			s.send()
			files := s.files()
			b.ReportAllocs()
			for b.Loop() {
				if what == "new" {
					b.StopTimer()
					for _, f := range files {
						os.Remove(filepath.Join(s.dst, f.Name))
						s.sender.o.Memory.Forget(0, f.Name)
					}
					b.StartTimer()
				}
				if _, err := s.sender.Send(b.Context(), files); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/n, "µs/file")
		})
	}
}
