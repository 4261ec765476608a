# The index of what can be done here. `make up` and `make test` need Go and, where Docker is missing, Linux and root.
export CGO_ENABLED = 0
# one set of flags for the build, vet, the tests and testbed/images: Go's build cache then has each package once
export GOFLAGS := $(shell go env GOFLAGS) -trimpath -gcflags=all=-dwarf=false
version = $(shell git describe --tags --always --dirty 2>/dev/null)
# what hellolab kubectl says it is: v0.37.2 of k8s.io/kubectl is v1.37.2
kubectl = $(shell go list -m -f '{{.Version}}' k8s.io/kubectl | sed 's/^v0/v1/')
prepared = config=$$(testbed/prepare) && HELLOLAB_CONFIG=$$config
e2e = go test -tags e2e -count 1 -v $(if $(TEST),-run '$(TEST)') ./e2e

# where govulncheck finds what is known of vulnerabilities
vulnerabilities = $(or $(GOVULNDB),https://vuln.go.dev)
# the systems that hellolab runs on, beside Linux
systems = windows/amd64 windows/arm64 darwin/amd64 darwin/arm64
across = set -e; for system in $(systems); do echo "$$system"; GOOS=$${system%/*} GOARCH=$${system\#*/} go vet $(1); done
# what compiles in seconds: packages without Kubernetes among what they import
light = $$(go list -f '{{.ImportPath}} {{.Deps}}' ./... | grep -v -e k8s.io -e /e2e | cut -d ' ' -f 1)
# each fuzz test as FOLDER:NAME
fuzzed = grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9]*' . | sed 's|/[^/]*_test.go:func |:|' | sort

SHELL = bash

.PHONY: up test lint vulnerabilities test-unit test-e2e test-long fuzz cover cross bench build release-tools release-files release-snapshot release clean

up: build ## bring up the lab: a cluster, a registry and an ingress controller
	$(prepared) bin/hellolab up

test: lint test-unit test-e2e ## everything that CI checks

build: ## bin/hellolab
	GOGC=400 go build -ldflags '-s -w -X main.version=$(version) -X k8s.io/component-base/version.gitVersion=$(kubectl)' -o bin/ .

# go vet of everything compiles Kubernetes once more for each further system, which is too long for here: it is what compiles
# without (a minute each on two cores, the first time), and the terminal. make test-long has the rest (cross).
lint: vulnerabilities ## formatting, go vet, here and for the other systems, and known vulnerabilities
	test -z "$$(gofmt -l .)" || { gofmt -d .; exit 1; }
	go vet ./... && go vet -tags e2e ./e2e
	$(call across,$(light))
	GOOS=windows go vet terminal_windows.go && GOOS=darwin go vet terminal_other.go

vulnerabilities: ## known ones in what the program calls; says so where their list cannot be had
	@if curl --silent --fail --max-time 10 --output /dev/null $(vulnerabilities)/index/db.json; \
		then go tool govulncheck -db $(vulnerabilities) ./...; \
		else echo "lint: $(vulnerabilities) cannot be reached: known vulnerabilities were NOT looked for"; fi

test-unit: ## seconds, no Docker
	go test ./...

cover: ## how much of the code unit tests run
	go test -cover . ./bootstrap ./labs/...

test-e2e: build ## real clusters; TEST=name runs one test
	testbed/shells
	set -o pipefail; $(prepared) $(e2e) -timeout 40m | awk -f e2e/report.awk

test-long: cross fuzz build ## every step, chapter after every other, kills; other systems; fuzz tests
	testbed/shells
	set -o pipefail; $(prepared) LONG=1 $(e2e) -timeout 3h | awk -f e2e/report.awk

fuzz: ## every fuzz test for FUZZTIME (10m), one after another; inputs that fail are kept in testdata/fuzz
	@set -e; for each in $$($(fuzzed)); do echo "$$each"; \
		go test -run '^$$' -fuzz "^$${each#*:}\$$" -fuzztime $(or $(FUZZTIME),10m) -parallel 1 "$${each%:*}"; done

cross: ## go vet for the other systems, which compiles everything once more for each
	$(call across,./...)

bench: build ## hellolab against kind, and against the same by hand
	$(prepared) PATH=$$PATH:$${TESTBED_CACHE:-$$HOME/.cache/hellolab-testbed}/bin/tools BENCH=1 $(e2e) -run Bench -timeout 1h

# The programs that make a release are pinned in release/go.mod; .dist/tools has them.
release-tools: ## goreleaser and its like
	cd release && go build -o ../.dist/tools/ tool

# .dist/files is what goes into the archives beside the program: licences by system, as Windows links other modules than Linux does.
release-files: build release-tools ## the manual page, the completions and the licences of a release
	rm -rf .dist/files && mkdir -p .dist/files/man .dist/files/completions .dist/files/licences
	set -o pipefail; bin/hellolab --lang en man | gzip -n9 > .dist/files/man/hellolab.1.gz
	set -e; for shell in bash zsh fish powershell; do bin/hellolab completion $$shell > .dist/files/completions/hellolab.$$shell; done
	set -e; export GOROOT="$$(go env GOROOT)"; for system in linux darwin windows; do \
		GOOS=$$system .dist/tools/go-licenses save . --ignore $$(go list -m) --save_path .dist/files/licences/$$system 2> .dist/licences.log || { cat .dist/licences.log; exit 1; }; \
		mkdir -p .dist/files/licences/$$system/go.dev && cp "$$GOROOT/LICENSE" .dist/files/licences/$$system/go.dev/; done

goreleaser = PATH="$$PWD/.dist/tools:$$PATH" KUBECTL_VERSION=$(kubectl) .dist/tools/goreleaser release --clean

release-snapshot: release-files ## the archives, packages and checksums of a release, in .dist/release; nothing is published
	$(goreleaser) --snapshot --skip=publish

release: release-files ## the same for the tag that is checked out, published: .github/workflows/release.yaml
	$(goreleaser)

clean: ## what was built; the lab stays
	rm -rf bin .dist
