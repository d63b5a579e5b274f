# auditadmin. `make demo` shows it, `make test` proves it.

# Text search is SQLite's FTS5, which a build tag compiles in; the driver is C.
# A build that forgets either fails at once and says so.
export CGO_ENABLED := 1
override GOFLAGS := $(strip $(GOFLAGS) -tags=sqlite_fts5)
export GOFLAGS

STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := go run golang.org/x/vuln/cmd/govulncheck@v1.9.0
COMMIT      := $(shell git describe --always --dirty 2>/dev/null)
EVENTS      ?= 20000

.PHONY: build run demo example test torture check vet generated race vulncheck sbom fuzz-list bench bench-10m bench-docs chromium postgres clean

build: ## compiles bin/auditadmin
	go build -trimpath -ldflags '-X main.commit=$(COMMIT)' -o bin/auditadmin ./cmd/auditadmin

run: build ## serves ./audit.db
	bin/auditadmin serve --db audit.db

demo: build ## fills a throw-away database with believable events and serves it
	bin/auditadmin demo --events $(EVENTS)

example: build ## runs a small shop that audits itself, and auditadmin beside it
	go build -trimpath -o bin/shop ./examples/shop
	examples/shop/run.sh

test: chromium postgres ## everything: unit, store, pages, commands, browser
	go test -timeout 20m ./...

check: vet generated race ## what a change has to pass

vet:
	go vet ./...
	$(STATICCHECK) ./...

# What templ generates is committed, so that nobody needs templ to build.
generated:
	@test -z "$$(gofmt -l audit cmd examples internal web *.go)" || { gofmt -l audit cmd examples internal web *.go; echo "run gofmt -w on these files" >&2; exit 1; }
	@before=$$(find web -name '*_templ.go' -exec sha256sum {} + | sort); \
	go tool templ generate -path web/templates >/dev/null 2>&1 || { echo "templ generate failed: run it by hand" >&2; exit 1; }; \
	after=$$(find web -name '*_templ.go' -exec sha256sum {} + | sort); \
	test "$$before" = "$$after" || { echo "the generated *_templ.go were out of date: commit them as they are now" >&2; exit 1; }

vulncheck: ## asks the Go vulnerability database what the program can reach; needs the network
	$(GOVULNCHECK) -tags sqlite_fts5 ./...

sbom: build ## prints every module that the binary is made of, with its checksum
	go version -m bin/auditadmin

fuzz-list: ## prints every fuzz target with its package
	@for package in $$(grep -rlE --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
	  go test -list '^Fuzz' $$package | grep '^Fuzz' | sed "s|^|$$package |"; done

torture: ## breaks the program in every way the plan of faults names, for an hour or more, and prints what that cost
	internal/torture/run

race:
	go test -race -timeout 30m ./...

bench: ## measures pages, appends and memory at 100k and 1M audit logs; see docs/performance.md
	go run ./internal/bench -sizes 100000,1000000
	go test -run '^$$' -bench . -benchmem ./internal/db ./internal/demo ./audit ./audit/gormaudit

bench-10m: ## the same at ten million; makes a database of about 12 GB in BENCH_DIR and uses it again
	go run ./internal/bench -sizes 10000000 $(if $(BENCH_DIR),-dir $(BENCH_DIR))

bench-docs: ## writes the tables and the plot of docs/performance.md from the last figures
	go run ./internal/bench -docs docs

# What the tests need besides Go: Chromium for those of the pages, PostgreSQL's server
# for those of the database. Each is installed where that needs no question, and
# otherwise the tests skip and say so.
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
	$(call install,chromium) || \
	echo "The browser tests will be skipped: install Chromium, for example with: sudo apt-get install chromium" >&2

postgres:
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || \
	$(call install,postgresql) || \
	echo "The tests on PostgreSQL will be skipped: install its server, for example with: sudo apt-get install postgresql" >&2

install = { command -v apt-get >/dev/null && { \
	    { [ "$$(id -u)" = 0 ] && sudo= ; } || { sudo -n true 2>/dev/null && sudo="sudo -n"; }; } && \
	  echo "installing $(1) for the tests" && \
	  $$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends $(1) >/dev/null; }

clean:
	rm -rf bin
