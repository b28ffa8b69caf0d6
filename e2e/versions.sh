#!/bin/sh
# rsync and MariaDB as the releases of Debian have them, each unpacked with all its libraries into a folder of its own
# and run by its own dynamic loader; nothing is installed.
#
#   sh e2e/versions.sh [folder]      what is there already is kept; remove the folder for newer packages
#   sh e2e/versions.sh --where       prints the folder that is used without the argument
#
# Without the argument the folder is $E2E_VERSIONS, else /var/cache/wsrep_sst_rsync_tunnel for root, else one in the
# user's cache. (root's own cache is closed to the user that mariadbd runs as.)
#
# folder/bullseye, bookworm-first, bookworm, trixie each hold:
#   root/    the packages as unpacked
#   base/    what MariaDB calls a basedir: bin/ and sbin/ with scripts that start the programs of root/, share/
#   galera   a link to the provider library, where there is a MariaDB
#   packages names and versions of what was asked for, one a line
#
# The mirror is that of the machine's own apt sources. Exit code 1: something could not be had, and was said.
set -eu

if [ -n "${E2E_VERSIONS:-}" ]; then
	folder=$E2E_VERSIONS
elif [ "$(id -u)" = 0 ]; then
	folder=/var/cache/wsrep_sst_rsync_tunnel
else
	folder=${XDG_CACHE_HOME:-$HOME/.cache}/wsrep_sst_rsync_tunnel
fi
case "${1:-}" in
--where) echo "$folder"; exit 0 ;;
'') ;;
*) folder=$1 ;;
esac

# What each release is asked for. bookworm-first is the rsync that the release came with, before security updates
# brought a newer series.
releases='bullseye:rsync mariadb-server-core-10.5 galera-4
bookworm-first:rsync
bookworm:rsync
trixie:rsync mariadb-server-core mariadb-client-core galera-4'

say() { echo "versions: $*" >&2; }

all_there() {
	for r in bullseye bookworm-first bookworm trixie; do
		[ -e "$folder/$r/packages" ] || return 1
	done
}
if all_there; then exit 0; fi

if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
	say "no apt here: the rsyncs and MariaDBs of Debian's releases cannot be fetched, tests with them are skipped"
	exit 1
fi
# The archives this machine uses: the main one has the release without a suffix, the security one has its own.
archives=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' | sort -u)
main=$(echo "$archives" | awk '$1 ~ /\/debian\/?$/ && $2 !~ /-/ { print $1; exit }')
security=$(echo "$archives" | awk '$2 ~ /-security$/ { print $1; exit }')
if [ -z "$main" ]; then
	say "the apt sources of this machine name no archive of Debian: its other releases cannot be fetched, tests with them are skipped"
	exit 1
fi

mkdir -p "$folder"
chmod 755 "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

# apt works on lists, caches and a status of its own: to it, nothing is installed yet, so it names every library.
apt() {
	apt-get -qq -y -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o Dir::State="$work/state" -o Dir::State::lists="$work/state/lists" -o Dir::State::status="$work/status" \
		-o Dir::Cache="$work/cache" -o Debug::NoLocking=1 -o APT::Sandbox::User=root \
		-o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o Acquire::Languages=none \
		-o APT::Install-Recommends=false -o APT::Get::Assume-Yes=true "$@" </dev/null >&2
}

# wrap makes base/$2/$3 start root/$1.
wrap() {
	[ -e "$place/root/$1" ] || return 0
	cat >"$place/base/$2/$3" <<END
#!/bin/sh
exec "$place/root/$loader" --library-path "$libraries" "$place/root/$1" "\$@"
END
	chmod 755 "$place/base/$2/$3"
}

fetch() { # release, packages
	place=$folder/$1.new
	final=$folder/$1
	rm -rf "$place" "$final" "$work/state" "$work/cache"
	mkdir -p "$place/root" "$place/base/bin" "$place/base/sbin" "$work/state/lists/partial" "$work/cache/archives/partial"
	: >"$work/status"
	codename=${1%-first}
	echo "deb $main $codename main" >"$work/sources.list"
	if [ "$codename" = "$1" ] && [ -n "$security" ]; then
		cp "$work/sources.list" "$work/main.list"
		echo "deb $security $codename-security main" >>"$work/sources.list"
		if ! apt -o APT::Update::Error-Mode=any update; then
			say "$1: without its security updates"
			cp "$work/main.list" "$work/sources.list"
			apt update || return 1
		fi
	else
		apt update || return 1
	fi
	# shellcheck disable=SC2086
	apt install --download-only $2 || return 1
	for deb in "$work"/cache/archives/*.deb; do
		dpkg-deb -x "$deb" "$place/root" || return 1
		name=$(dpkg-deb -f "$deb" Package)
		case " $2 " in
		*" $name "*) echo "$name $(dpkg-deb -f "$deb" Version)" >>"$place/names" ;;
		esac
	done
	mv "$place" "$final" # the scripts hold the final path
	place=$final

	libraries= loader=
	for d in "$place"/root/lib/*-linux-gnu* "$place"/root/usr/lib/*-linux-gnu*; do
		[ -d "$d" ] || continue
		libraries=${libraries:+$libraries:}$d
		# The name in /lib64 may be a link with an absolute target, which would be the machine's own.
		for l in "$d"/ld-[0-9]*.so "$d"/ld-linux*.so.*; do
			if [ -f "$l" ] && [ ! -L "$l" ]; then loader=${l#"$place/root/"}; fi
		done
	done
	[ -n "$loader" ] || { say "$1: no dynamic loader in its libc6"; return 1; }
	wrap usr/bin/rsync bin rsync
	wrap usr/sbin/mariadbd sbin mariadbd
	wrap usr/bin/my_print_defaults bin my_print_defaults
	wrap usr/bin/resolveip bin resolveip
	if [ -e "$place/root/usr/bin/mariadb-install-db" ]; then
		cp "$place/root/usr/bin/mariadb-install-db" "$place/base/bin/"
		ln -s mariadbd "$place/base/sbin/mysqld" # the name that mariadb-install-db of 10.5 looks for
		ln -s ../root/usr/share "$place/base/share"
		ln -s root/usr/lib/galera/libgalera_smm.so "$place/galera"
	fi
	chmod -R go+rX "$place"
	mv "$place/names" "$place/packages"
	say "$1: $(tr '\n' ' ' <"$place/packages")"
}

failed=0
while IFS=: read -r release packages; do
	if [ ! -e "$folder/$release/packages" ] && ! fetch "$release" "$packages"; then
		say "$release: could not be fetched; tests with its programs are skipped"
		failed=1
	fi
done <<END
$releases
END
exit $failed
