// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/e2e/checkout"
	"github.com/tollgate-wasm/tollgate/filters/edge-stamp/stamp"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/jose/proxycrypto"
)

// The sources are all that the modules are made of: what the Makefile names, and no test.
func TestSources(t *testing.T) {
	files, err := (&loop{root: checkout.Root(t)}).sources()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"filters/jwt-scope/main.go", "filters/jwt-scope/default.pgo", "shared/jose/hmac.go",
		"build/tools/pretty/pretty.go", "go.mod"} {
		if files[want] == (state{}) {
			t.Errorf("%s is not watched", want)
		}
	}
	for f := range files {
		if strings.HasSuffix(f, "_test.go") {
			t.Errorf("%s is watched", f)
		}
	}
}

// The stamps that try makes are such as the mesh takes.
func TestStampOf(t *testing.T) {
	key := mint.New("edge-dev", jose.ES256)
	now := time.Unix(1_800_000_000, 0)
	config := `{"role": "verify", "trust": [{"name": "edge", "issuer": "` + stampIssuer + `", "audiences": ["` + stampAudience + `"], "algorithms": ["ES256"], "jwks": {"inline": ` + string(mint.Set(key)) + `}}],
	 "require": {"replay": "off"}, "rules": [{"name": "everything"}]}`
	p, err := stamp.Parse(config, stamp.Surroundings{})
	if err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]bool{"": true, "?all=1": false} {
		d := &stamp.Decision{}
		headers := [][2]string{{":method", "GET"}, {":authority", "127.0.0.1:10443"}, {":path", "/orders/7" + query},
			{":scheme", "https"}, {"x-edge-stamp", stampOf(key, "GET", "127.0.0.1:10443", "/orders/7", "", now)}}
		p.Decide(d, &decide.Request{Headers: headers, Empty: true, Now: now})
		d.Run(&decide.World{Verify: proxycrypto.Verify})
		if got := d.Verdict().Admits(); got != want {
			t.Errorf("query %q: allowed %v, want %v", query, got, want)
		}
	}
}

// What does not compile is told, and watching goes on.
func TestCompileTellsMistakes(t *testing.T) {
	var log strings.Builder
	(&loop{root: checkout.Root(t)}).compile(t.Context(), &log, "none")
	if !strings.Contains(log.String(), "not compiled") || !strings.Contains(log.String(), "filters/none") {
		t.Errorf("it says\n%s", log.String())
	}
}
