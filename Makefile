# The index of what can be done here. `make up` and `make test` need Go and, where Docker is missing, Linux and root.
export CGO_ENABLED = 0
# one set of flags for the build, vet, the tests and testbed/images: Go's build cache then has each package once
export GOFLAGS := $(shell go env GOFLAGS) -trimpath -gcflags=all=-dwarf=false
version = $(shell git describe --tags --always --dirty 2>/dev/null)
# what hellolab kubectl says it is: v0.37.2 of k8s.io/kubectl is v1.37.2
kubectl = $(shell go list -m -f '{{.Version}}' k8s.io/kubectl | sed 's/^v0/v1/')
prepared = config=$$(testbed/prepare) && HELLOLAB_CONFIG=$$config
e2e = go test -tags e2e -count 1 -v $(if $(TEST),-run '$(TEST)') ./e2e
# says once more, at the end, how long each test and each of its parts took
times = awk '{ print; fflush() } /^(    )?--- / { line[++n] = $$0 } END { for (i = 1; i <= n; i++) print line[i] }'

SHELL = bash

.PHONY: up test lint test-unit test-e2e test-long cover cross bench build clean

up: build ## bring up the lab: a cluster, a registry and an ingress controller
	$(prepared) bin/hellolab up

test: lint test-unit test-e2e ## everything that CI checks

build: ## bin/hellolab
	GOGC=400 go build -ldflags '-s -w -X main.version=$(version) -X k8s.io/component-base/version.gitVersion=$(kubectl)' -o bin/ .

lint: ## formatting and go vet
	test -z "$$(gofmt -l .)" || { gofmt -d .; exit 1; }
	go vet ./... && go vet -tags e2e ./e2e

test-unit: ## seconds, no Docker
	go test ./...

cover: ## how much of the code unit tests run
	go test -cover . ./bootstrap ./labs/...

test-e2e: build ## real clusters; TEST=name runs one test
	set -o pipefail; $(prepared) $(e2e) -timeout 40m | $(times)

test-long: cross build ## every step, chapter after every other, kills; other systems
	set -o pipefail; $(prepared) LONG=1 $(e2e) -timeout 3h | $(times)

cross: ## go vet for the other systems, which compiles everything once more for each
	GOOS=windows go vet ./... && GOOS=darwin go vet ./...

bench: build ## hellolab against kind, and against the same by hand
	$(prepared) PATH=$$PATH:$${TESTBED_CACHE:-$$HOME/.cache/hellolab-testbed}/bin/tools BENCH=1 $(e2e) -run Bench -timeout 1h

clean: ## what was built; the lab stays
	rm -rf bin
