#!/bin/sh
# A bare Debian with mariadb-server, which tests use as the lower layer of machines of their own. It is made once, by apt
# with the machine's own sources; nothing is installed into the machine but
# mmdebstrap, which does that, and rpm.
#
#   sh e2e/chroot.sh     makes chroot/ in the folder that versions.sh --where tells; remove that for newer packages
#
# chroot/root     the tree
# chroot/made     there when it is complete
#
# Exit code 1: it could not be made, and why was said.
set -eu

folder=$(sh "$(dirname "$0")/versions.sh" --where)/chroot
suite=bookworm
if [ -e "$folder/made" ]; then exit 0; fi

say() { echo "chroot: $*" >&2; }

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	say "needs root and apt: the tests in a bare Debian are skipped"
	exit 1
fi
lack=
for program in mmdebstrap rpm; do # the second for tests of the rpm, in the same tree
	command -v "$program" >/dev/null || lack="$lack $program"
done
# shellcheck disable=SC2086
if [ -n "$lack" ] && ! DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	-o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 $lack </dev/null >&2; then
	say "could not be installed:$lack"
	exit 1
fi
archives=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' | sort -u)
main=$(echo "$archives" | awk '$1 ~ /\/debian\/?$/ && $2 !~ /-/ { print $1; exit }')
if [ -z "$main" ]; then
	say "the apt sources of this machine name no archive of Debian"
	exit 1
fi
rm -rf "$folder"
mkdir -p "$folder"
chmod 755 "$folder"
# The server's package stays there as a file, for tests that install it again without a network.
mmdebstrap --quiet --mode=root --variant=essential --include=mariadb-server,galera-4,sudo \
	--customize-hook='cd "$1/srv" && APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get download -qq mariadb-server' \
	"$suite" "$folder/root" "deb $main $suite main" </dev/null >&2 || { say "could not be made"; exit 1; }
ls "$folder"/root/srv/mariadb-server_*.deb >/dev/null || { say "the package of the server is not there"; exit 1; }
: >"$folder/made"
