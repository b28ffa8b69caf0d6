// Package throughput measures what the streams of our own two ends (transfer/ext over tls) make of
// this machine: donor and joiner in processes of their own, beside a bare program that does
// only what cannot be left out (read, hash, encrypt, decrypt, hash, write) and beside rsync in the
// clear, all on the same data in one run:
//
//	E2E_THROUGHPUT=1 go test -count=1 -v -run Throughput ./e2e/throughput
//
// E2E_ROUNDS (3), E2E_MB (2048) and E2E_CONNECTIONS (2) change the amount; E2E_PROFILE=DIR writes a
// CPU profile of each of our ends there.
package throughput
