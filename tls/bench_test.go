package tls

import (
	stdtls "crypto/tls"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// BenchmarkThroughput sends over loopback, both ends in this process:
// go test -run - -bench Throughput ./tls/
func BenchmarkThroughput(b *testing.B) {
	for _, size := range []int{16 << 10, 32 << 10, 256 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("batched/%dKiB", size>>10), func(b *testing.B) {
			o := ownPair(b)
			pump(b, o.donor, o.joiner, size)
		})
		b.Run(fmt.Sprintf("crypto-tls-alone/%dKiB", size>>10), func(b *testing.B) {
			client, server := plainPair(b)
			pump(b, client, server, size)
		})
	}
}

func ownPair(t testing.TB) outcome {
	t.Helper()
	node := issue(t, spec{cn: "localhost"})
	tca, cert := bundle(t, node), node.pem(t)
	o := meet(t, load(t, Config{Role: Joiner, CA: tca, Cert: cert}), load(t, Config{Role: Donor, CA: tca, Cert: cert, Host: "localhost"}))
	if o.donorErr != nil || o.joinerErr != nil {
		t.Fatal(o.donorErr, o.joinerErr)
	}
	return o
}

// plainPair is crypto/tls directly on TCP, with the same settings.
func plainPair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	node := issue(t, spec{cn: "localhost"})
	ch := load(t, Config{Role: Joiner, Sockopt: "verify=0", Cert: node.pem(t)})
	ln := loopback(t)
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			panic(err)
		}
		accepted <- conn
	}()
	raw, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	rawServer := <-accepted
	t.Cleanup(func() { rawServer.Close() })
	cfg := ch.now.config.Clone()
	cfg.InsecureSkipVerify = true
	return stdtls.Client(raw, cfg), stdtls.Server(rawServer, cfg)
}

func pump(b *testing.B, from, to net.Conn, size int) {
	p := make([]byte, size)
	done := make(chan error)
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{to}, make([]byte, 256<<10))
		done <- err
	}()
	if _, err := from.Write(p); err != nil { // the handshake is not measured
		b.Fatal(err)
	}
	b.SetBytes(int64(size))
	b.ResetTimer()
	before := cpuTime(b)
	for range b.N {
		if _, err := from.Write(p); err != nil {
			b.Fatal(err)
		}
	}
	from.Close()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	// What the host's other work does to the wall time it does not do to this.
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N)/float64(size)*(1<<20)/1e3, "cpu-µs/MiB")
}

// cpuTime is what this process has used, user and system.
func cpuTime(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
