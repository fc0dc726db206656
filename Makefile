# Postroom. "make run" and "make test" are all that a newcomer needs; both install what is missing first
# (scripts/setup.sh) and say so.

# One set of build flags everywhere: with others, OpenGL is compiled anew, which takes minutes. Only packaging has its own.
TAGS :=
GO   := go
BIN  := bin/postroom

# Tools at exact versions, built from source by the go command and kept in its cache.
GOLANGCI    := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

.PHONY: run test build lint fmt cross soak bench designs vuln package print-tags setup setup-test clean

# Opens the window; where there is no display, rehearses the built-in sample mailing instead.
run: build
	@if [ "$$(uname -s)" != Linux ] || [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ]; then exec $(BIN); \
	else echo "No display here: rehearsing the sample mailing instead of opening the window."; \
	exec $(BIN) --data build/sample sample; fi

build: setup
	$(GO) build -o $(BIN) .

setup:
	@scripts/setup.sh build

setup-test:
	@scripts/setup.sh test

# What must never break: the race detector, all tests, and that nothing is left running (internal/testrun).
test: setup-test
	$(GO) build -o $(BIN) .
	$(GO) run ./internal/testrun -timeout 30m ./...

lint: setup
	$(GO) vet ./...
	$(GO) run $(GOLANGCI) run ./...

# Puts the sources into the one form that lint asks for.
fmt: setup
	$(GO) run $(GOLANGCI) fmt

# Every package compiles for the other systems, with the toolkit's stand-in for their windows: no C compiler of theirs is
# needed.
cross:
	CGO_ENABLED=0 GOOS=windows GOARCH=amd64 $(GO) build -tags ci ./...
	CGO_ENABLED=0 GOOS=darwin GOARCH=amd64 $(GO) build -tags ci ./...
	CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 $(GO) build -tags ci ./...

# The long tests, which make test leaves out.
soak: setup-test
	POSTROOM_SOAK=1 $(GO) test -count=1 -v -timeout 150m -run Soak ./...
	$(GO) test -run '^$$' -fuzz '^FuzzReadReply$$' -fuzztime 3m ./accounts
	$(GO) test -run '^$$' -fuzz '^FuzzJudge$$' -fuzztime 3m ./mailer
	$(GO) test -run '^$$' -fuzz '^FuzzServerBytes$$' -fuzztime 5m -parallel 2 ./mailer

# Looks at the starter designs: SpamAssassin's scores, and pictures in a real browser at 320, 600 and 1200 pixels, which
# docs/images/designs keeps.
designs: setup
	POSTROOM_DESIGNS=$$(scripts/designs.sh) $(GO) test -count=1 -v -run Look ./assets/designs

# Every sender in turn, in tables for docs/measurements.md, and then the benchmarks beside the tests.
bench: setup
	$(GO) run ./bench
	$(GO) test -run '^$$' -bench . -benchmem ./...

# Known weaknesses in what we use; only where their database can be reached.
vuln:
	@scripts/vuln.sh $(GOVULNCHECK)

# A Debian package and an archive for other Linux systems, in build/package.
package: setup
	@scripts/package.sh

# The build tags in use (none).
print-tags:
	@echo "$(TAGS)"

clean:
	rm -rf bin build
