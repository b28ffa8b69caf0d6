#!/bin/sh
# Unit tests of the arm64 program on a machine of another kind, by qemu's user mode. Called by `make test-arm64`.
set -eu
cd "$(dirname "$0")/.."
go=${GO:-go}

if [ "$("$go" env GOHOSTARCH)" = arm64 ]; then
	echo "test-arm64: this machine is one; make test does it" >&2
	exit 0
fi
for qemu in qemu-aarch64-static qemu-aarch64 ''; do
	if [ -n "$qemu" ] && command -v "$qemu" >/dev/null; then break; fi
done
if [ -z "$qemu" ]; then
	echo "test-arm64: NOT TESTED: no qemu-aarch64 here; hint: on Debian, apt-get install qemu-user-static" >&2
	if [ "${E2E_REQUIRE_PEERS:-}" = 1 ]; then exit 1; fi
	exit 0
fi
# Not what qemu does not pass on (SO_BINDTODEVICE asked back, TCP_INFO of a listening socket), nor what starts other programs
# again and again: a fork of qemu's user mode with many threads may hang, as it does in transfer/hostile.
# sst/status is about /proc/PID/stat, of which qemu makes up its own.
skip='TestAnInterfaceIsTheOnlyOne|TestBacklog|TestStunnel|TestOpenSSL'
packages='./mycnf/... ./tls ./transfer ./transfer/captest ./transfer/delta ./transfer/ext ./transfer/filter ./transfer/flist ./transfer/wire
	./sst/plan ./sst/report ./cli/certs'
# shellcheck disable=SC2086
GOOS=linux GOARCH=arm64 CGO_ENABLED=0 exec "$go" test -timeout 60m -p "${ARM64_PARALLEL:-2}" -skip "$skip" -exec "$qemu" ${ARM64_PACKAGES:-$packages}
