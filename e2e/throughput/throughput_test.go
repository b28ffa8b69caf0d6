package throughput

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/big"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/e2e/internal/peers"
	"wsrep_sst_rsync_tunnel/e2e/internal/ports"
)

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// TestThroughput reports; it fails only where something is plainly wrong, since this machine may
// have other work.
func TestThroughput(t *testing.T) {
	if os.Getenv("E2E_THROUGHPUT") == "" {
		t.Skip("takes minutes and all processors: only with E2E_THROUGHPUT=1")
	}
	mb := number("E2E_MB", 2048)
	sets := []struct {
		name string
		fill func(t *testing.T, dir string) int64
	}{
		{"mixed", func(t *testing.T, dir string) int64 { return mixed(t, dir, mb) }},
		{"one file", func(t *testing.T, dir string) int64 {
			return fill(t, filepath.Join(dir, "db", "t.ibd"), int64(mb)<<20)
		}},
		{"small files", func(t *testing.T, dir string) (total int64) {
			for i := range 50 * mb {
				total += fill(t, filepath.Join(dir, fmt.Sprint("db", i/1000), fmt.Sprint("t", i, ".frm")), 4096)
			}
			return total
		}},
	}
	for _, set := range sets {
		t.Run(set.name, func(t *testing.T) {
			work := folder(t)
			src := filepath.Join(work, "src")
			total := set.fill(t, src)
			compare(t, work, src, total)
		})
	}
}

type figures struct{ wall, donor, joiner, peakDonor, peakJoiner []float64 }

func compare(t *testing.T, work, src string, total int64) {
	cert := certificate(t, work)
	daemon := rsyncDaemon(t, work)
	conns := number("E2E_CONNECTIONS", 2)
	all := map[string]*figures{}
	for _, kind := range []string{"own", "own zstd", "own auto", "own 1 connection", "bare", "rsync"} {
		all[kind] = &figures{}
	}
	for range number("E2E_ROUNDS", 3) {
		for kind, f := range all {
			if only := os.Getenv("E2E_KINDS"); only != "" && !slices.Contains(strings.Split(only, ","), kind) {
				continue
			}
			dst := filepath.Join(work, "dst")
			makeDirs(t, src, dst)
			if kind == "rsync" {
				begin := time.Now()
				out, err := exec.Command("rsync", "-rtpW", "--inplace", src+"/", daemon).CombinedOutput()
				if err != nil {
					t.Fatal(err, string(out))
				}
				f.wall = append(f.wall, time.Since(begin).Seconds())
			} else {
				n, base, how := conns, "own", "off"
				switch kind {
				case "own 1 connection":
					n = 1
				case "own zstd":
					how = "zstd"
				case "own auto":
					how = "auto"
				case "bare":
					base = kind
				}
				d, j := pair(t, base, src, dst, cert, n, "THROUGHPUT_COMPRESS="+how)
				f.wall = append(f.wall, d.Wall)
				f.donor, f.joiner = append(f.donor, d.CPU), append(f.joiner, j.CPU)
				f.peakDonor, f.peakJoiner = append(f.peakDonor, float64(d.Peak)), append(f.peakJoiner, float64(j.Peak))
			}
			if err := exec.Command("diff", "-rq", src, dst).Run(); err != nil {
				t.Fatal(kind, "differs: ", err)
			}
			if err := os.RemoveAll(dst); err != nil {
				t.Fatal(err)
			}
		}
	}
	gib := float64(total) / (1 << 30)
	for _, kind := range []string{"bare", "own", "own 1 connection", "own zstd", "own auto", "rsync"} {
		f := all[kind]
		if len(f.wall) == 0 {
			continue
		}
		wall := median(f.wall)
		t.Logf("%-16s %6.0f MB/s  × bare %.2f  × rsync %.2f  CPU s/GiB: donor %.2f joiner %.2f  peak MiB: %.0f %.0f", kind, float64(total)/1e6/wall,
			median(all["bare"].wall)/wall, median(all["rsync"].wall)/wall, median(f.donor)/gib, median(f.joiner)/gib, median(f.peakDonor)/(1<<20), median(f.peakJoiner)/(1<<20))
	}
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// folder is in memory where there is room.
func folder(t *testing.T) string {
	t.Helper()
	base := os.TempDir()
	var st unix.Statfs_t
	if unix.Statfs("/dev/shm", &st) == nil && st.Bavail*uint64(st.Bsize) > 6<<30 && unix.Access("/dev/shm", unix.W_OK) == nil {
		base = "/dev/shm"
	}
	dir, err := os.MkdirTemp(base, "throughput")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// fill makes a file of n random bytes; every third page has a half of zeros, as pages of InnoDB do.
func fill(t *testing.T, path string, n int64) int64 {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var key [32]byte
	copy(key[:], path[len(path)-min(len(path), 32):])
	rng, buf := mrand.NewChaCha8(key), make([]byte, 1<<20)
	for left := n; left > 0; {
		p := buf[:min(left, int64(len(buf)))]
		rng.Read(p)
		for i := 0; i+16384 <= len(p); i += 3 * 16384 {
			clear(p[i+8192 : i+16384])
		}
		if _, err := f.Write(p); err != nil {
			t.Fatal(err)
		}
		left -= int64(len(p))
	}
	return n
}

// mixed is like a data directory: half of it one table space, the rest in ever smaller files.
func mixed(t *testing.T, dir string, mb int) (total int64) {
	left := int64(mb) << 20
	for i, size := 0, left/2; left > 0; i++ {
		if i%8 == 0 && i > 0 {
			size = max(size/2, 112<<10)
		}
		if i == 1 {
			size = left / 8
		}
		n := min(size, left)
		total += fill(t, filepath.Join(dir, fmt.Sprint("db", i%20), fmt.Sprint("t", i, ".ibd")), n)
		left -= n
	}
	return total
}

func makeDirs(t *testing.T, src, dst string) {
	t.Helper()
	err := filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.MkdirAll(dst+path[len(src):], 0o755)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func rsyncDaemon(t *testing.T, work string) (url string) {
	t.Helper()
	rsync := peers.Need(t, "rsync")
	conf := filepath.Join(work, "rsyncd.conf")
	text := fmt.Sprintf("use chroot = no\nreverse lookup = no\nuid = %d\ngid = %d\n[m]\npath = %s/dst\nread only = no\n", os.Getuid(), os.Getgid(), work)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	port := ports.Free(t)
	cmd := exec.Command(rsync, "--daemon", "--no-detach", "--address=127.0.0.1", fmt.Sprint("--port=", port), "--config="+conf)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	url = fmt.Sprintf("rsync://127.0.0.1:%d/", port)
	for range 1000 { // each try is an event of the daemon's start
		if exec.Command(rsync, url).Run() == nil {
			return url + "m/"
		}
	}
	t.Fatal("the rsync daemon does not answer")
	return ""
}

func certificate(t *testing.T, dir string) (path string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	path = filepath.Join(dir, "node.pem")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
