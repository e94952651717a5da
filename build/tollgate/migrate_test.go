// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
)

const policies = `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: shop, namespace: mesh}
spec:
  jwtRules:
  - {issuer: https://idp.example.com, jwksUri: https://idp.example.com/certs}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders, namespace: mesh}
spec:
  rules:
  - to:
    - operation: {paths: ["/orders/{**}"]}
    when:
    - {key: "request.auth.claims[scope]", values: [read]}
`

func TestMigrate(t *testing.T) {
	dir := t.TempDir()
	whole, part, broken := filepath.Join(dir, "whole.yaml"), filepath.Join(dir, "part.yaml"), filepath.Join(dir,
		"broken.yaml")
	for name, text := range map[string]string{whole: policies,
		part: policies + "  - from:\n    - source: {namespaces: [a]}\n", broken: "a: [", filepath.Join(dir,
			"none.yaml"): "kind: Service\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, progress := tollgate(t, 0, "migrate", whole)
	for _, want := range []string{"kind: WasmPlugin", "url: oci://ghcr.io/tollgate-wasm/jwt-scope:0.1.0",
		"# Made by tollgate migrate of RequestAuthentication mesh/shop, AuthorizationPolicy mesh/orders.\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if !strings.Contains(progress, "whole.yaml:6:5: note: ") ||
		!strings.Contains(progress, "everything was carried over") {
		t.Error(progress)
	}
	// What is printed is what check takes.
	made := filepath.Join(dir, "made.yaml")
	if err := os.WriteFile(made, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	tollgate(t, 0, "check", made)

	if out, _ := tollgate(t, 0, "migrate", "--extension", "--url", "oci://r.example/j@sha256:0",
		whole); !strings.Contains(out, "kind: TrafficExtension") ||
		!strings.Contains(out, "url: oci://r.example/j@sha256:0") {
		t.Error(out)
	}
	if out, _ := tollgate(t, 0, "migrate", "--bare", whole); !strings.Contains(out, "\nproviders:") ||
		strings.Contains(out, "kind:") {
		t.Error(out)
	}
	// For the module with all filters, the configuration says whose it is, wherever it stands.
	out, _ = tollgate(t, 0, "migrate", "--module", "tollgate", whole)
	if !strings.Contains(out, "url: oci://ghcr.io/tollgate-wasm/tollgate:0.1.0") ||
		!strings.Contains(out, "pluginConfig:\n    filter: jwt-scope\n    providers:") {
		t.Error(out)
	}
	if err := os.WriteFile(made, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	tollgate(t, 0, "check", made)
	if out, _ := tollgate(t, 0, "migrate", "--module", "tollgate", "--bare", whole); !strings.Contains(out,
		"\nfilter: jwt-scope\nproviders:") {
		t.Error(out)
	}
	if out, _ := tollgate(t, 0, "migrate", "--module", "tollgate", "--format", "json", "--url", "oci://r.example/t",
		whole); !strings.Contains(out, `"filter": "jwt-scope"`) || !strings.Contains(out, "oci://r.example/t") {
		t.Error(out)
	}

	if out, _ := tollgate(t, 0, "migrate", "--root-namespace", "mesh", "--bare", whole); !strings.Contains(out,
		"\nproviders:") {
		t.Error(out)
	}

	out, progress = tollgate(t, exitFound, "migrate", "--output", "json", part)
	var result struct {
		Configurations []struct{ From, Resource, Configuration json.RawMessage }
		Findings       []struct {
			Line           int
			Severity, Path string
		}
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil || len(result.Configurations) != 1 ||
		!strings.Contains(progress, "1 configurations; 1 places were not carried over") {
		t.Fatalf("%v: %s\n%s", err, out, progress)
	}
	if _, err := scope.Parse(string(result.Configurations[0].Configuration), scope.Surroundings{}); err != nil {
		t.Error(err)
	}
	found := false
	for _, f := range result.Findings {
		found = found || f.Severity == "error" && f.Line == 18 && f.Path == "spec.rules[1].from[0].source.namespaces"
	}
	if !found {
		t.Error(out)
	}

	if out, progress := tollgate(t, exitFound, "migrate", whole, broken); out != "" ||
		!strings.Contains(progress, "nobody knows what this file would refuse") {
		t.Errorf("%s%s", out, progress)
	}
	if _, progress := tollgate(t, exitFound, "migrate", filepath.Join(dir, "none.yaml")); !strings.Contains(progress,
		"nothing here is to be migrated") {
		t.Error(progress)
	}
	tollgate(t, exitFound, "migrate", filepath.Join(dir, "absent.yaml"))
	for _, line := range []string{"migrate", "migrate --output text x", "migrate --bare --extension x",
		"migrate --module rate-limit x"} {
		tollgate(t, exitUsage, strings.Fields(line)...)
	}
}
