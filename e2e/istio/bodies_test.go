// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package istio

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
)

// Bound bodies need a field of Envoy's that a WasmPlugin has not: with one they run into
// bodyTimeout, and with the EnvoyFilter that is shipped for this they are bound.
func TestBoundBodies(t *testing.T) {
	key := mint.New("edge-1", jose.ES256)
	l := newLab(t, "EDGE_STAMP_KEY="+key.PrivateJWK())
	stamp := push(t, l.registry, "edge-stamp")
	upload := func() answer {
		r, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/uploads/7", l.port), "text/plain",
			strings.NewReader("what is uploaded"))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer{r.StatusCode, r.Header, string(body)}
	}

	l.Apply("plugin", plugin("stamp", "edge", "gateway", stamp.Pinned(), `{"role": "sign", "issuer": "https://edge.example.com", "audience": "mesh.internal", "bodyTimeout": "1s",
      "keys": [{"kid": "edge-1", "alg": "ES256", "env": "EDGE_STAMP_KEY"}], "bind": ["method", "authority", "path", "query", "body"], "rules": [{"name": "all", "sign": true}]}`,
		"phase: AUTHN", "vmConfig: {env: [{name: EDGE_STAMP_KEY, valueFrom: HOST}]}"))
	stamped := func() bool {
		l.up.Take()
		l.ask("GET", "/orders/7")
		passed := l.up.Take()
		return len(passed) == 1 && passed[0].Header("x-edge-stamp") != ""
	}
	l.until("the plugin signs", func(answer) bool { return stamped() }, "GET", "/orders/7")
	if a := upload(); !a.is(408) || !strings.Contains(a.body, "body_timeout") {
		t.Errorf("with a WasmPlugin, a request with a bound body is answered %d %s", a.status, a.body)
	}
	l.Delete("plugin")
	l.until("there is no plugin", func(answer) bool { return !stamped() }, "GET", "/orders/7")

	root, err := envoybin.Root()
	if err != nil {
		t.Fatal(err)
	}
	shipped := string(read(t, filepath.Join(root, "WasmPlugin", "istio", "bound-bodies", "envoyfilter.yaml")))
	l.Apply("filter", strings.NewReplacer("namespace: istio-ingress", "namespace: edge", "{istio: ingressgateway}",
		"{app: gateway}", "oci://ghcr.io/tollgate-wasm/edge-stamp:0.1.0", stamp.URL, strings.Repeat("0", 64),
		stamp.Digest).Replace(shipped))
	l.until("the filter signs", func(answer) bool { return stamped() }, "GET", "/orders/7")
	l.up.Take()
	if a := upload(); !a.is(200) {
		t.Errorf("with the EnvoyFilter it is answered %d %s", a.status, a.body)
	}
	if passed := l.up.Take(); len(passed) != 1 ||
		!strings.Contains(claimsOf(t, passed[0].Header("x-edge-stamp")), `"bdh"`) {
		t.Errorf("the upstream has got %+v, want one request with a stamp that binds the body", passed)
	}
}

// claimsOf are the claims of a compact JWS, not verified.
func claimsOf(t *testing.T, token string) string {
	t.Helper()
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	return string(jws.UnsafePayloadWithoutVerification())
}
