# Postroom. `make run` and `make test` are all that a newcomer needs; both
# install what is missing first (scripts/setup.sh) and say so.

# One set of build flags everywhere: other flags would compile OpenGL anew.
TAGS :=
GO   := go
BIN  := bin/postroom
# Packages that the race detector runs on: those that do not pull in a display.
RACE := ./accounts/... ./assets/... ./compose/... ./contacts/... ./mailer/... ./post/... ./practice/... ./storage/... ./internal/testkit/smtpscript/...
GOLANGCI := v2.12.2
GOFUMPT  := v0.9.2

.PHONY: run test build lint fmt cross soak bench vuln setup setup-test print-tags clean

run: build
	@if [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ]; then exec $(BIN); else exec $(BIN) --data build/sample sample; fi

build: setup
	$(GO) build -o $(BIN) .

setup:
	@scripts/setup.sh build

setup-test:
	@scripts/setup.sh test

# What must never break. The race detector first, so that the plain run's
# summary lines come last.
test: setup-test
	$(GO) build -o $(BIN) .
	$(GO) vet ./...
	$(GO) test -race -timeout 10m $(RACE)
	$(GO) test -timeout 15m ./...

lint:
	@scripts/lint.sh $(GOLANGCI) $(GOFUMPT)

# Every package compiles for the other systems, without cgo and without a window's driver.
cross:
	CGO_ENABLED=0 GOOS=windows GOARCH=amd64 $(GO) build -tags ci ./...
	CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 $(GO) build -tags ci ./...

soak: setup-test
	POSTROOM_SOAK=1 $(GO) test -timeout 120m -run Soak ./...

bench: setup-test
	$(GO) test -run '^$$' -bench . -benchmem ./...

print-tags:
	@echo "$(TAGS)"

clean:
	rm -rf bin build
