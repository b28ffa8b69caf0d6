# make build | demo | test | test-long | test-versions | lint | race | fuzz | dist | clean
#
# The shipped binary is the one of `make build`: static, without paths of this machine, the same bytes everywhere.

GO       ?= go
FUZZTIME ?= 5s
BINARY   := wsrep_sst_rsync_tunnel
GOBUILD  := CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w'

.PHONY: build demo test test-long test-versions peers versions lint race fuzz dist clean

build:
	$(GOBUILD) -o $(BINARY) .

demo:
	CGO_ENABLED=0 $(GO) run . demo $(ARGS)

peers:
	@sh e2e/peers.sh

# rsync and MariaDB of other releases of Debian. What cannot be had is said, and the tests that need it are skipped.
versions:
	@sh e2e/versions.sh || test "$$E2E_REQUIRE_PEERS" != 1

# The tests run as the binary does, without cgo.
test: peers
	CGO_ENABLED=0 $(GO) test -parallel 3 -timeout 25m ./...

test-long: peers versions
	E2E_LONG=1 CGO_ENABLED=0 $(GO) test -count=1 -timeout 6h ./...

# The part of test-long that docs/compatibility.md reports.
test-versions: peers versions
	E2E_LONG=1 CGO_ENABLED=0 $(GO) test -count=1 -timeout 2h -v -run 'OtherMariaDBs|NodeJoinsWithSelfSigned|MatrixOfRsyncs|ChecksumThatWeDoNotHave|TunnelScript' ./e2e/...

lint:
	@out=$$(gofmt -l .); if [ -n "$$out" ]; then echo "gofmt: not formatted:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

# The race detector needs cgo. It cannot see into other processes, so of e2e only the engine's own part runs. With -short
# one row of each table that starts processes runs: the rows share their code, and a process starts slowly under it.
race:
	CGO_ENABLED=1 $(GO) test -race -short -p 3 -timeout 25m $$($(GO) list ./... | grep -v /e2e)
	CGO_ENABLED=1 $(GO) test -race -timeout 10m -run EveryRunOfTheScripts ./e2e/sessions

fuzz:
	@GO='$(GO)' FUZZTIME='$(FUZZTIME)' sh .ci/fuzz

dist:
	rm -rf dist && mkdir dist
	GOOS=linux GOARCH=amd64 $(GOBUILD) -o dist/$(BINARY)-linux-amd64 .
	GOOS=linux GOARCH=arm64 $(GOBUILD) -o dist/$(BINARY)-linux-arm64 .
	cd dist && sha256sum $(BINARY)-* >SHA256SUMS

clean:
	rm -rf dist $(BINARY)
	$(GO) clean -testcache
