# make build | demo | test | test-long | test-versions | test-arm64 | lint | race | fuzz | dist | clean
#
# The shipped binary is the one of `make build`: static, without paths of this machine, the same bytes everywhere (for the same
# Go and the same commit). `make dist` makes what a release consists of: docs/packages.md.

GO       ?= go
FUZZTIME ?= 3s
BINARY   := wsrep_sst_rsync_tunnel
OUT       = $(BINARY)
# Stamped here and not by go build, which does it only where git may read the checkout.
STAMP     = $(shell sh packaging/stamp.sh commit)
GOBUILD   = CGO_ENABLED=0 GOAMD64=v1 GOARM64=v8.0 $(GO) build -trimpath -buildvcs=false -ldflags "-s -w -X '$(BINARY)/cli.stamp=$(STAMP)'"

.PHONY: build demo test test-long test-versions test-arm64 peers versions chroot lint race fuzz dist clean

build:
	$(GOBUILD) -o '$(OUT)' .

demo:
	CGO_ENABLED=0 $(GO) run . demo $(ARGS)

peers:
	@sh e2e/peers.sh

# rsync and MariaDB of other releases of Debian. What cannot be had is said, and the tests that need it are skipped.
versions:
	@sh e2e/versions.sh || test "$$E2E_REQUIRE_PEERS" != 1

# A bare Debian, for tests that change a whole machine.
chroot:
	@sh e2e/chroot.sh || test "$$E2E_REQUIRE_PEERS" != 1

# The tests run as the binary does, without cgo.
test: peers
	CGO_ENABLED=0 $(GO) test -p 3 -parallel 3 -timeout 25m ./...

test-long: peers versions chroot
	E2E_LONG=1 CGO_ENABLED=0 $(GO) test -count=1 -timeout 6h ./...

# The part of test-long that docs/compatibility.md reports.
test-versions: peers versions
	E2E_LONG=1 CGO_ENABLED=0 $(GO) test -count=1 -timeout 2h -v -run 'OtherMariaDBs|NodeJoinsWithSelfSigned|MatrixOfRsyncs|ChecksumThatWeDoNotHave|TunnelScript' ./e2e/...

# The packages that are about bytes, on a processor that most of us do not have. What starts other programs, or needs a
# kernel's own view of a process, is left to machines of that kind.
test-arm64:
	@GO='$(GO)' sh packaging/test-arm64.sh

lint:
	@out=$$(gofmt -l .); if [ -n "$$out" ]; then echo "gofmt: not formatted:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

# The race detector needs cgo. It cannot see into other processes, so of e2e only the engine's own part runs. With -short
# one row of each table that starts processes runs: the rows share their code, and a process starts slowly under it.
race:
	CGO_ENABLED=1 $(GO) test -race -short -p 3 -parallel 3 -timeout 25m $$($(GO) list ./... | grep -v /e2e)
	CGO_ENABLED=1 $(GO) test -race -timeout 10m -run EveryRunOfTheScripts ./e2e/sessions

fuzz:
	@GO='$(GO)' FUZZTIME='$(FUZZTIME)' sh .ci/fuzz

dist:
	rm -rf dist && mkdir dist
	GOOS=linux GOARCH=amd64 $(GOBUILD) -o dist/$(BINARY)-linux-amd64 .
	GOOS=linux GOARCH=arm64 $(GOBUILD) -o dist/$(BINARY)-linux-arm64 .
	GO='$(GO)' sh packaging/packages.sh

clean:
	rm -rf dist $(BINARY)
	$(GO) clean -testcache
