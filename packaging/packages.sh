#!/bin/sh
# Makes of the two binaries in dist/ the rest of a release: bills of materials, deb and rpm packages, checksums. Called by
# `make dist`; the same binaries and the same SOURCE_DATE_EPOCH give the same bytes, wherever and whenever.
#
# The network is asked for nothing but the modules of nfpm, which packaging/nfpm/go.sum vouches for.
set -eu
umask 022
LC_ALL=C TZ=UTC0
export LC_ALL TZ
unset GOOS GOARCH GOAMD64 GOARM64 # the tools are for this machine
cd "$(dirname "$0")/.."

go=${GO:-go}
name=wsrep_sst_rsync_tunnel
SOURCE_DATE_EPOCH=$(sh packaging/stamp.sh time)
export SOURCE_DATE_EPOCH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

# The program of this machine's kind tells its version and writes its own pages.
own=dist/$name-linux-$("$go" env GOHOSTARCH)
if [ "$("$go" env GOHOSTOS)" != linux ] || [ ! -x "$own" ]; then
	own=$work/$name
	CGO_ENABLED=0 "$go" build -trimpath -buildvcs=false -o "$own" .
fi
VERSION=$("$own" --version | cut -d' ' -f2)
export VERSION

CGO_ENABLED=0 "$go" build -buildvcs=false -o "$work/contents" ./packaging/contents
CGO_ENABLED=0 GOWORK=off "$go" -C packaging/nfpm build -buildvcs=false -o "$work/nfpm" github.com/goreleaser/nfpm/v2/cmd/nfpm

for arch in amd64 arm64; do
	binary=dist/$name-linux-$arch
	stage=$work/stage # by the same name each time: nfpm.yaml says it
	rm -rf "$stage"
	mkdir -p "$stage/doc"
	"$work/contents" sbom "$binary" "$VERSION" >"$binary.cdx.json"
	cp "$binary" "$stage/$name"
	cp "$binary.cdx.json" "$stage/doc/sbom.cdx.json"
	GOOS=linux GOARCH=$arch CGO_ENABLED=0 "$work/contents" licenses "$binary" >"$stage/doc/copyright"
	cp README.md docs/*.md "$stage/doc/"
	"$own" man | gzip -9n >"$stage/$name.8.gz"
	for shell in bash zsh fish; do "$own" completion $shell >"$stage/$name.$shell"; done
	cp packaging/deb.* packaging/rpm.* "$stage/"
	chmod -R u=rwX,go=rX "$stage" # a checkout has the modes of its owner's umask
	find "$stage" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
	for format in deb rpm; do
		(cd "$stage" && GOARCH=$arch "$work/nfpm" package --config "$OLDPWD/packaging/nfpm.yaml" --packager $format --target "$work" >/dev/null)
	done
done
for package in "$work"/*.deb "$work"/*.rpm; do
	mv "$package" dist/
done
# Checked with `sha256sum -c SHA256SUMS`.
(cd dist && sha256sum ./*) >"$work/sums"
sed 's|  \./|  |' "$work/sums" >dist/SHA256SUMS
chmod 644 dist/*
chmod 755 dist/$name-linux-amd64 dist/$name-linux-arm64
touch -d "@$SOURCE_DATE_EPOCH" dist/*
ls -l dist
