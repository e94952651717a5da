module github.com/tollgate-wasm/tollgate

// The current wazero asks for Go 1.25; a Go 1.24 fetches that toolchain by itself (the Makefile sets GOTOOLCHAIN=auto).
go 1.25.0

// In the guest: what ships inside Envoy.
require (
	// The arithmetic of RSA's private keys, in constant time, by the standard library's author: crypto/rsa would bring its self-tests and a random generator into the module.
	filippo.io/bigmod v0.1.0
	// The arithmetic of Ed25519, by the standard library's author: crypto/ed25519 would bring AES, SHA-3 and a random generator into the module.
	filippo.io/edwards25519 v1.2.0
	// The Proxy-Wasm SDK the filters are written against; shared/guest carries it to the official Go toolchain.
	github.com/tetratelabs/proxy-wasm-go-sdk v0.24.0
	// Reads JSON without reflection: the configuration, JWK sets and tokens.
	github.com/tidwall/gjson v1.20.0
)

// For tests, benchmarks, the demo and the command only.
require (
	// A WebSocket's client and server that are not ours, without dependencies.
	github.com/coder/websocket v1.8.15
	// Mints the tokens of the end-to-end tests and of the demo: an implementation that is not ours.
	github.com/go-jose/go-jose/v4 v4.1.8
	// Gives a second opinion on every mutated token of the differential test: the most used verifier in Go, without dependencies, and not the one that mints.
	github.com/golang-jwt/jwt/v5 v5.3.1
	// Packs the filters as OCI images and pushes them: the library of crane and ko.
	github.com/google/go-containerregistry v0.22.1
	// Grafana's own types of dashboards and panels, without dependencies: a key or value that Grafana would not take is found without a Grafana.
	github.com/grafana/grafana-foundation-sdk/go v0.0.12
	// Holds configurations against the JSON Schemas that build/tollgate/schema makes: a validator that is not ours.
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3
	// Reads the private keys that cosign encrypts: the library that cosign writes them with.
	github.com/secure-systems-lab/go-securesystemslib v0.11.1
	// The command line of build/tollgate: help, completion, flags.
	github.com/spf13/cobra v1.10.2
	// Runs the compiled modules, byte for byte what ships, under `go test`.
	github.com/tetratelabs/wazero v1.12.0
	// Reads YAML with the lines that things stand on, for what build/tollgate/check finds. sigs.k8s.io/yaml reads as Kubernetes does, without them.
	go.yaml.in/yaml/v3 v3.0.4
	// Speaks raw HTTP/2 frames: requests that no well-behaved client would send.
	golang.org/x/net v0.58.0
	// Reads what shared/ratelimit writes, and writes what it reads: the protobuf library of Google. It stays out of the guest, where it would be a megabyte of reflection.
	google.golang.org/protobuf v1.36.12
	// Reads the YAML snippets of the documents, as people paste them.
	sigs.k8s.io/yaml v1.6.0
)

require (
	github.com/docker/cli v29.7.2+incompatible // indirect
	github.com/docker/docker-credential-helpers v0.9.3 // indirect
	github.com/google/go-cmp v0.7.0 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/klauspost/compress v1.19.2 // indirect
	github.com/opencontainers/go-digest v1.0.0 // indirect
	github.com/opencontainers/image-spec v1.1.1 // indirect
	github.com/sirupsen/logrus v1.9.4 // indirect
	github.com/spf13/pflag v1.0.10 // indirect
	github.com/tidwall/match v1.1.1 // indirect
	github.com/tidwall/pretty v1.2.0 // indirect
	go.yaml.in/yaml/v2 v2.4.2 // indirect
	golang.org/x/crypto v0.55.0 // indirect
	golang.org/x/sync v0.22.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.41.0 // indirect
	gotest.tools/v3 v3.5.2 // indirect
)

// Kept out of the guest: see the package comment in build/tools/pretty.
replace github.com/tidwall/pretty => ./build/tools/pretty
