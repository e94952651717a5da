# Tollgate: the targets that people and CI use. `make help` lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Versions of the tools that are not in go.mod.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# go.mod asks for Go 1.25: a Go 1.24 then fetches that toolchain by itself, wherever its packager has turned this off.
export GOTOOLCHAIN ?= auto

# tollgate carries all filters, and is none.
FILTERS := $(filter-out tollgate,$(patsubst filters/%/main.go,%,$(wildcard filters/*/main.go)))
# Lean modules are without the callback for the bodies of answers, which costs each response and which few configurations need.
LEAN := rate-limit tollgate
MODULES := $(FILTERS:%=build/out/%.wasm) build/out/tollgate.wasm $(LEAN:%=build/out/%-lean.wasm)
SOURCES := go.mod go.sum $(wildcard filters/*/default.pgo) $(shell find filters shared build/tools/pretty -name '*.go' -not -name '*_test.go' 2>/dev/null)

# What makes the bytes of a module: no paths, no VCS stamp, no symbol table, no build id, and nothing of the settings of whoever compiles it, in the environment or by go env -w, but for where modules come from.
GO_SETTINGS = $(foreach name,GOPROXY GOSUMDB GOPRIVATE GONOPROXY GONOSUMDB GOINSECURE GOMODCACHE GOCACHE,$(name)="$$(go env $(name))")
WASM_ENV = $(GO_SETTINGS) GOENV=off CGO_ENABLED=0 GOOS=wasip1 GOARCH=wasm GOWASM= GOEXPERIMENT= GOFIPS140=off GO111MODULE=on GOWORK=off GOFLAGS=
WASM_BUILD = $(WASM_ENV) go build -buildmode=c-shared -trimpath -buildvcs=false -ldflags='-s -w -buildid='

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: tools-go
tools-go:
	@command -v go >/dev/null || { echo "Tollgate needs Go 1.24 or newer: https://go.dev/doc/install"; exit 1; }

.PHONY: build
build: tools-go $(MODULES) ## Compile the filters to build/out/*.wasm, each alone and all in tollgate.wasm

build/out/%.wasm: $(SOURCES) Makefile
	@mkdir -p build/out
	@echo "compiling $@ (the first time takes a minute) …"
	@$(WASM_BUILD) -o $@ ./filters/$*
	@ls -l $@ | awk '{ printf "%s: %d bytes\n", $$NF, $$5 }'

$(LEAN:%=build/out/%-lean.wasm): build/out/%-lean.wasm: $(SOURCES) Makefile
	@mkdir -p build/out
	@echo "compiling $@ …"
	@$(WASM_BUILD) -tags lean -o $@ ./filters/$*
	@ls -l $@ | awk '{ printf "%s: %d bytes\n", $$NF, $$5 }'

.PHONY: wasm-env
wasm-env: # What Go compiles the modules with, for a test
	@$(WASM_ENV) go env GOOS GOARCH GOWASM GOEXPERIMENT GOFIPS140 GOFLAGS GOWORK CGO_ENABLED GO111MODULE GOPROXY

# The compiler inlines what these profiles of allowed requests show to be hot; tollgate.wasm has both. edge-stamp has none: it gains
# nothing by it. To be made anew when those paths have changed much.
profiled = go test -trimpath -run '^$$' -bench '$(3)' -benchtime 5s -cpuprofile build/out/cpu.pprof -o build/out/profiled.test ./filters/$(1)/$(2) && \
	go tool pprof -proto -focus '$(2)|match|gcra|jwt|strictjson' -output filters/$(1)/default.pgo build/out/cpu.pprof
.PHONY: profile
profile: tools-go ## Profile the filters' hot paths for the compiler (filters/*/default.pgo)
	@mkdir -p build/out
	$(call profiled,jwt-scope,scope,Known)
	$(call profiled,rate-limit,limit,Decide/(one_limit|four))
	go tool pprof -proto -output filters/tollgate/default.pgo filters/jwt-scope/default.pgo filters/rate-limit/default.pgo

.PHONY: bin
bin: tools-go ## Compile the command to build/out/tollgate
	@mkdir -p build/out
	@CGO_ENABLED=0 go build -trimpath -o build/out/tollgate ./build/tollgate && echo build/out/tollgate

VERSION ?=
REGISTRY ?=
.PHONY: release
release: tools-go ## Make all that a release has, twice, and compare the bytes (VERSION=v0.1.0, REGISTRY=…), in build/release/VERSION
	@go run ./build/tools/release -version '$(VERSION)' -registry '$(REGISTRY)'

.PHONY: schemas
schemas: tools-go ## Write the JSON Schemas of the configurations (filters/*/schema.json)
	@for f in $(FILTERS) tollgate; do go run ./build/tollgate schema $$f > filters/$$f/schema.json.new && mv filters/$$f/schema.json.new filters/$$f/schema.json; done

.PHONY: demo
demo: build ## Run jwt-scope in a real Envoy and print requests to try (CHECK=1 tries them itself)
	@go run ./build/tools/demo $(if $(CHECK),-check)

# The local loop: envoy/README.md. Variables that are given to make (EDGE_PORT=8000) reach docker-compose.yaml.
export COMPOSE_PROFILES ?= $(PROFILES)

.PHONY: up
up: tools-go build/out/tollgate.wasm ## Start the local loop in Docker: edge, mesh, service, rate-limit service, Prometheus (PROFILES=idp,mcp,dashboards,traces,registry)
	@go run ./build/loop up

.PHONY: down
down: tools-go ## Stop the local loop
	@go run ./build/loop down

.PHONY: logs
logs: tools-go ## Print the local loop's logs: one line for each request and proxy
	@go run ./build/loop logs

.PHONY: try
try: tools-go ## Send requests to the local loop: what, expected, got (PROFILES=idp: one with Keycloak's token, too)
	@go run ./build/loop try

.PHONY: report
report: tools-go ## Measure the running local loop, and write a page of it to build/out/report.html (ARGS="-o FILE -png FOLDER")
	@go run ./build/loop report $(ARGS)

.PHONY: pictures
pictures: tools-go ## Draw the report of the running local loop into envoy/pictures, for the READMEs
	@go run ./build/loop report -png envoy/pictures

.PHONY: watch
watch: tools-go build/out/tollgate.wasm ## Bring changed rules and filters to the running local loop
	@go run ./build/loop watch

SCOPE ?= orders:read orders:write
.PHONY: token
token: tools-go ## Print a token that the local loop takes (SCOPE="orders:read")
	@go run ./build/loop token -scope '$(SCOPE)'

.PHONY: test-compose
test-compose: build ## Run the local loop, try it, change it while it runs: in Docker, or on Debian as root in an engine of its own
	@go run ./build/loop test

GO_TEST = go test -count=1 -timeout 30m $(TESTFLAGS)
PACKAGES ?= ./...
.PHONY: test
test: build ## Test everything that needs no container: natively, compiled in wazero, in real Envoy 1.40.0 and 1.36.4 (PACKAGES="./e2e/chain")
	$(GO_TEST) $(PACKAGES)

STEPS := ./filters/*/filter ./e2e/jwt-scope ./e2e/edge-stamp ./e2e/edge-stamp-global ./e2e/rate-limit ./e2e/rate-limit-global ./e2e/tokens
.PHONY: test-steps
test-steps: build ## Run the filters' tests with each filter as a step of a chain in tollgate.wasm, between two others
	TOLLGATE_AS=step TOLLGATE_ENVOY=$(or $(TOLLGATE_ENVOY),newest) $(GO_TEST) $(STEPS)

.PHONY: test-matrix
test-matrix: build ## Run the real-Envoy tests in every claimed version of Envoy
	TOLLGATE_ENVOY=all go test -count=1 -timeout 60m ./e2e/...

.PHONY: test-keycloak
test-keycloak: build ## Run jwt-scope in real Envoy against a real Keycloak, and with MCP clients (Java 17, Python 3.10, Node.js 20)
	go test -count=1 -timeout 20m -p 1 -tags keycloak -v $(TESTFLAGS) ./e2e/keycloak ./e2e/mcp

.PHONY: test-libraries
test-libraries: build ## Run edge-stamp in real Envoy with libraries of others that sign and verify, bots among them (Python 3.10, Node.js 20)
	go test -count=1 -timeout 10m -tags python -run Library -v $(TESTFLAGS) ./e2e/edge-stamp

.PHONY: test-tokens
test-tokens: build ## Run rate-limit in real Envoy before a service that tells tokens, with the OpenAI library (Python 3.10)
	go test -count=1 -timeout 10m -tags python -run Library -v $(TESTFLAGS) ./e2e/tokens

# Istio's own programs, in e2e/istio's versions. All are compiled with one set of flags: with another, Go compiles 2,000 packages once more.
ISTIO := $(or $(TOLLGATE_CACHE),$(CURDIR)/build/.cache)/istio
ISTIO_FLAGS := -trimpath -tags vtprotobuf,disable_pgv
ISTIO_PINS := e2e/istio/go.mod e2e/istio/go.sum
packages = 2>&1 | awk '!/^[a-z0-9.]+(\/|$$)/ || /: / { print; next } ++n % 200 == 0 { print "  " n " packages"; fflush() }'
compile-istio = @mkdir -p $(ISTIO) && echo "compiling Istio's $(@F) (the first time takes some minutes) …" && cd e2e/istio && \
	go build $(ISTIO_FLAGS) -v -ldflags='-s -w' -o $@ $(1) $(packages)

$(ISTIO)/istiod: $(ISTIO_PINS) $(wildcard e2e/istio/istiod/*.go)
	$(call compile-istio,./istiod)

$(ISTIO)/pilot-discovery: $(ISTIO_PINS) $(wildcard e2e/istio/pilot-discovery/*.go)
	$(call compile-istio,./pilot-discovery)

$(ISTIO)/pilot-agent: $(ISTIO_PINS)
	$(call compile-istio,istio.io/istio/pilot/cmd/pilot-agent)

$(ISTIO)/istioctl: $(ISTIO_PINS)
	$(call compile-istio,istio.io/istio/istioctl/cmd/istioctl)

.PHONY: istio
istio: tools-go $(ISTIO)/istiod $(ISTIO)/pilot-agent $(ISTIO)/istioctl ## Compile Istio for the tests in it (10 minutes the first time)

.PHONY: test-istio
test-istio: build istio ## Run the filters in a real Istio: images, WasmPlugins, two meshes (Linux, root or user namespaces)
	cd e2e/istio && go vet $(ISTIO_FLAGS) ./... && go test $(ISTIO_FLAGS) -count=1 -timeout 30m -v $(TESTFLAGS) ./...

# Kubernetes' own programs, etcd and Helm, in e2e/kubernetes' versions. Without the version in it, a program is v0.0.0-master.
KUBERNETES := $(or $(TOLLGATE_CACHE),$(CURDIR)/build/.cache)/kubernetes
KUBERNETES_VERSION = $(shell sed -nE 's/^\s+k8s.io\/kubernetes (v[0-9.]+).*/\1/p' e2e/kubernetes/go.mod)
KUBERNETES_FLAGS = -s -w -X k8s.io/component-base/version.gitVersion=$(KUBERNETES_VERSION)
$(KUBERNETES)/.compiled: e2e/kubernetes/go.mod e2e/kubernetes/go.sum
	@mkdir -p $(KUBERNETES) && echo "compiling Kubernetes, etcd and Helm (the first time takes ten minutes) …"
	@cd e2e/kubernetes && go build -trimpath -v -ldflags='$(KUBERNETES_FLAGS)' -o $(KUBERNETES)/ tool $(packages)
	@mv $(KUBERNETES)/server $(KUBERNETES)/etcd && touch $@

# Envoy Gateway, whose versions of Kubernetes' packages are others: as it is released, with its charts in its sources.
ENVOY_GATEWAY_VERSION := $(shell sed -nE 's/^const envoyGatewayVersion = "(.*)"/\1/p' e2e/kubernetes/envoygateway_test.go)
ENVOY_GATEWAY := $(or $(TOLLGATE_CACHE),$(CURDIR)/build/.cache)/envoy-gateway/$(ENVOY_GATEWAY_VERSION)/envoy-gateway
$(ENVOY_GATEWAY):
	$(call install-go,github.com/envoyproxy/gateway/cmd/envoy-gateway)

.PHONY: kubernetes
kubernetes: tools-go $(KUBERNETES)/.compiled $(ISTIO)/pilot-discovery $(ISTIO)/pilot-agent $(ENVOY_GATEWAY) ## Compile Kubernetes, Istio and Envoy Gateway for the tests on them (15 minutes the first time)
	@go mod download github.com/envoyproxy/gateway@$(ENVOY_GATEWAY_VERSION)

.PHONY: test-kubernetes
test-kubernetes: build kubernetes build/out/release/images.txt ## Run the READMEs' ways to a cluster on a real API server with Istio, and with Envoy Gateway (Linux, root)
	cd e2e/kubernetes && go test -trimpath -count=1 -timeout 30m -v $(TESTFLAGS) ./...

# What releases are held against: cosign, and e2e/kubernetes' Helm.
COSIGN := $(or $(TOLLGATE_CACHE),$(CURDIR)/build/.cache)/cosign/v3.1.3/cosign
install-go = @mkdir -p $(@D) && echo "compiling $(@F) $(notdir $(@D)) (the first time takes some minutes) …" && cd $(@D) && \
	GOBIN=$(@D) GOFLAGS= GOWORK=off CGO_ENABLED=0 go install -trimpath -ldflags='-s -w' $(1)@$(notdir $(@D))

$(COSIGN):
	$(call install-go,github.com/sigstore/cosign/v3/cmd/cosign)

.PHONY: cosign
cosign: tools-go $(COSIGN) # compiled for the tests and the workflow that signs
	@echo $(COSIGN)

# Its images and manifests are what test-kubernetes applies.
build/out/release/images.txt: $(SOURCES) $(shell find WasmPlugin -type f) CHANGELOG.md
	$(MAKE) test-release

.PHONY: test-release
test-release: tools-go $(COSIGN) $(KUBERNETES)/.compiled ## Make a whole release, have Helm read its chart, push its images, sign and verify them with cosign
	@rm -rf build/out/release
	RELEASE_OUTPUT=$(CURDIR)/build/out/release COSIGN=$(COSIGN) HELM=$(KUBERNETES)/helm go test -count=1 -timeout 40m -tags release -run Whole -v $(TESTFLAGS) ./build/tools/release

build/out/hostsign.wasm: $(SOURCES) $(wildcard build/tools/bench/hostsign/*.go) Makefile
	@mkdir -p build/out
	@$(WASM_BUILD) -o $@ ./build/tools/bench/hostsign

build/out/empty.wasm: $(wildcard build/tools/bench/empty/*.go) Makefile
	@mkdir -p build/out
	@$(WASM_BUILD) -o $@ ./build/tools/bench/empty

.PHONY: bench
bench: build build/out/hostsign.wasm build/out/empty.wasm ## Measure CPU per request beside Envoy's native filters (ARGS="-rounds 3")
	@go run ./build/tools/bench $(ARGS)

.PHONY: bench-chain
bench-chain: build build/out/hostsign.wasm build/out/empty.wasm ## Measure two proxies that verify each by itself beside one that stamps what the next trusts, with a plot
	@go run ./build/tools/bench -chain $(ARGS)

DURATION ?= 10m
STAMPS ?= 1000000
KEYS ?= 1000000
.PHONY: soak
soak: build ## Load the filters, jwt-scope for DURATION (default 10m), edge-stamp with STAMPS and rate-limit with KEYS (default 1000000), and watch their memory
	TOLLGATE_SOAK=$(DURATION) TOLLGATE_STAMPS=$(STAMPS) TOLLGATE_KEYS=$(KEYS) go test -count=1 -v -timeout 24h ./e2e/soak

FUZZTIME ?= 30s
.PHONY: fuzz
fuzz: tools-go ## Fuzz every parser for FUZZTIME each (default 30s)
	@go run ./build/tools/fuzz -time $(FUZZTIME)

# A module of its own, for the local loop and e2e/mcp.
MCPSERVER := build/loop/mcpserver

.PHONY: check
check: tools-go ## Check form: gofmt, vet, staticcheck, go.mod, licence headers, schemas as they are made
	@out=$$(gofmt -l .); [ -z "$$out" ] || { echo "not gofmt'ed (run gofmt -w):"; echo "$$out"; exit 1; }
	go vet -tags keycloak,python,release ./...
	cd $(MCPSERVER) && go vet ./... && go mod tidy -diff && go run $(STATICCHECK) ./...
	GOOS=wasip1 GOARCH=wasm go vet $(FILTERS:%=./filters/%) ./filters/tollgate ./shared/guest/... ./shared/host/...
	GOOS=wasip1 GOARCH=wasm go vet -tags lean $(LEAN:%=./filters/%)
	go run $(STATICCHECK) -tags keycloak,python,release ./...
	go mod tidy -diff
	go test -count=1 -run 'TestCommitted$$' ./build/tollgate/schema
	@out=$$(git ls-files '*.go' | xargs grep -L '^// SPDX-License-Identifier: Apache-2.0$$' || true); [ -z "$$out" ] || { echo "without licence header:"; echo "$$out"; exit 1; }

.PHONY: clean
clean: ## Remove what was built and fetched
	rm -rf build/out build/.cache
