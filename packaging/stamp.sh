#!/bin/sh
# What a build is stamped with, for make and packaging/packages.sh: the commit, or the time in seconds since 1970 that
# everything in the packages bears.
#
#   sh packaging/stamp.sh commit     $COMMIT, else "HASH of TIME" of the checkout, ", with changes" if it has some
#   sh packaging/stamp.sh time       $SOURCE_DATE_EPOCH, else the commit's time, else 0
#
# An empty commit means that nothing is known: no git, no checkout, or one of another user's, which git does not read.
set -eu
cd "$(dirname "$0")/.."

here() { [ -e .git ] && command -v git >/dev/null && git rev-parse HEAD >/dev/null 2>&1; }

case "${1:-}" in
commit)
	if [ -n "${COMMIT:-}" ]; then
		case $COMMIT in
		*[!a-zA-Z0-9\ :.,+-]*) echo "stamp.sh: COMMIT is letters, digits, blanks and any of :.,+-" >&2; exit 2 ;;
		esac
		echo "$COMMIT"
	elif here; then
		changes=
		if [ -n "$(git status --porcelain 2>/dev/null)" ]; then changes=", with changes"; fi
		echo "$(TZ=UTC0 git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format='%H of %cd')$changes"
	fi
	;;
time)
	if [ -n "${SOURCE_DATE_EPOCH:-}" ]; then
		echo "$SOURCE_DATE_EPOCH"
	elif here; then
		git log -1 --format=%ct
	else
		echo 0
	fi
	;;
*)
	echo "stamp.sh: commit or time" >&2
	exit 2
	;;
esac
