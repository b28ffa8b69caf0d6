#!/bin/sh
# The programs that the end-to-end tests need beside Go.
#
#   sh e2e/peers.sh          says what is missing; on Debian and Ubuntu, as root, installs it
#   sh e2e/peers.sh --ci     the same, and a C compiler and make (the race detector needs cgo)
#   sh e2e/peers.sh --measure  the same as without, and mariabackup, for docs/performance.md
#
# A test whose program is absent skips itself and says so; with E2E_REQUIRE_PEERS=1 it fails instead, and so does
# this script. No service is started: a policy-rc.d that forbids it stands there while packages are unpacked.
set -eu

PATH=$PATH:/usr/sbin:/sbin:/usr/local/sbin
export PATH

galera() {
	for f in /usr/lib/galera/libgalera_smm.so /usr/lib64/galera*/libgalera_smm.so /usr/lib/libgalera_smm.so; do
		if [ -e "$f" ]; then return 0; fi
	done
	return 1
}

# missing prints "what:package" for everything that is not there.
missing() {
	command -v mariadbd >/dev/null || echo mariadbd:mariadb-server
	galera || echo libgalera_smm.so:galera-4
	command -v garbd >/dev/null || echo garbd:galera-arbitrator-4
	command -v rsync >/dev/null || echo rsync:rsync
	command -v socat >/dev/null || echo socat:socat
	command -v stunnel >/dev/null || echo stunnel:stunnel4
	command -v openssl >/dev/null || echo openssl:openssl
	command -v strace >/dev/null || echo strace:strace
	command -v file >/dev/null || echo file:file
	command -v ldd >/dev/null || echo ldd:libc-bin
	command -v ss >/dev/null || echo ss:iproute2
	command -v ps >/dev/null || echo ps:procps
	command -v groff >/dev/null || echo groff:groff-base
	command -v mandoc >/dev/null || echo mandoc:mandoc
	command -v zsh >/dev/null || echo zsh:zsh
	command -v fish >/dev/null || echo fish:fish
	command -v promtool >/dev/null || echo promtool:prometheus
	if [ "${1:-}" = --measure ]; then
		command -v mariabackup >/dev/null || echo mariabackup:mariadb-backup
	fi
	if [ "${1:-}" = --ci ]; then
		command -v make >/dev/null || echo make:make
		command -v gcc >/dev/null || echo gcc:gcc
		[ -e /usr/include/stdlib.h ] || echo stdlib.h:libc6-dev
		command -v git >/dev/null || echo git:git
	fi
	return 0
}

lack=$(missing "${1:-}")
if [ -z "$lack" ]; then
	exit 0
fi
names=$(echo "$lack" | cut -d: -f1 | tr '\n' ' ')
packages=$(echo "$lack" | cut -d: -f2 | sort -u | tr '\n' ' ')

if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
	echo "peers: missing: $names(Debian packages: $packages)" >&2
	echo "peers: the tests that need them are skipped; hint: install them, or run this as root on Debian or Ubuntu" >&2
	if [ "${E2E_REQUIRE_PEERS:-}" = 1 ]; then exit 1; fi
	exit 0
fi

echo "peers: installing $packages" >&2
policy=/usr/sbin/policy-rc.d
made=
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	made=$policy
fi
trap 'if [ -n "$made" ]; then rm -f "$made"; fi' EXIT
trap 'exit 130' INT TERM HUP

install() {
	# shellcheck disable=SC2086
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		-o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold $packages </dev/null >&2
}
# The lists of a fresh machine are absent, and old ones give old versions, or files that the mirror has dropped. Without
# a network an update fails, and a cache may still hold what is needed.
apt-get update -qq </dev/null >&2 || echo "peers: the package lists could not be updated" >&2
install

lack=$(missing "${1:-}")
if [ -n "$lack" ]; then
	echo "peers: still missing after the installation:" $lack >&2
	exit 1
fi
