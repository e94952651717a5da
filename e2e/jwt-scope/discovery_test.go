// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwtscope

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// J39: keys are fetched from where the issuer's metadata says, if that may say so. e2e/keycloak has real metadata.
func TestDiscovery(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		var metadata atomic.Value
		metadata.Store(`{"issuer":"https://evil.example","jwks_uri":"https://keys.example/k"}`)
		asked := make(chan string, 100)
		idp := harness.Serve(t, func(w http.ResponseWriter, r *http.Request) {
			asked <- r.Host + r.URL.Path
			_, _ = io.WriteString(w, metadata.Load().(string))
		})
		keys := harness.Serve(t, func(w http.ResponseWriter, r *http.Request) {
			asked <- r.Host + r.URL.Path
			_, _ = w.Write(mint.Set(ecKey))
		})
		envoy := harness.Start(t, harness.Config{Version: version, Concurrency: 2,
			Filters: []bootstrap.M{harness.Filter(t, "jwt-scope", fmt.Sprintf(`{"providers":[{"name":"corp","issuer":%q,
				"audiences":["orders-api"],"jwks":{"remote":{"cluster":"idp","authority":"idp.example","discover":true,
				"refresh":"1s","discoverAuthorities":{"keys.example":"keys"}}}}],"rules":[{"name":"all"}]}`, issuer))},
			Clusters: []bootstrap.M{bootstrap.Cluster("idp", idp, false), bootstrap.Cluster("keys", keys, false)}})
		wait := func(what string, done func() bool) {
			t.Helper()
			for deadline := time.Now().Add(20 * time.Second); !done(); {
				if time.Now().After(deadline) {
					t.Fatalf("%s: not in time; the log is\n%s", what, envoy.Log())
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
		metadataOf := func(url string) string { return fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, issuer, url) }
		wait("the metadata of another issuer", func() bool {
			return strings.Contains(envoy.Log(), `the metadata is that of issuer \"https://evil.example\"`) ||
				strings.Contains(envoy.Log(), `the metadata is that of issuer "https://evil.example"`)
		})
		if code, body := status(t, envoy, ecKey); code != 503 {
			t.Errorf("without keys: %d %s", code, body)
		}
		metadata.Store(metadataOf("https://elsewhere.example/k"))
		wait("keys elsewhere", func() bool { return strings.Contains(envoy.Log(), "name it in discoverAuthorities") })
		if code, body := status(t, envoy, ecKey); code != 503 {
			t.Errorf("without keys: %d %s", code, body)
		}
		metadata.Store(metadataOf("https://keys.example/k"))
		wait("keys where they may be", func() bool { code, _ := status(t, envoy, ecKey); return code == 200 })
		metadata.Store(metadataOf("https://elsewhere.example/k"))
		for range 2 {
			<-asked
		}
		if code, body := status(t, envoy, ecKey); code != 200 {
			t.Errorf("by the keys in use: %d %s", code, body)
		}
		seen := map[string]bool{}
		for len(asked) > 0 {
			seen[<-asked] = true
		}
		if !seen["idp.example/.well-known/openid-configuration"] || !seen["keys.example/k"] || len(seen) != 2 {
			t.Errorf("asked for was %v", seen)
		}
	})
}

// J40: RFC 9728: the filter serves the metadata of the resources behind it, to those hosts that have it,
// and names it where it refuses.
func TestResources(t *testing.T) {
	const path = "/.well-known/oauth-protected-resource/mcp/a"
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		config := ruled(`"resources": [{"hosts": ["api.example"], "path": "`+path+`"}],
			"errors": {"resourceMetadata": "auto", "scopes": "always"},`, "", `"require": {"scopes": {"all": ["a:call"]}}`)
		envoy := harness.Start(t, harness.Config{Version: version, Upstream: up.Port(),
			Filters: []bootstrap.M{harness.Filter(t, "jwt-scope", config)}})
		check := func(what string, m *harness.Message, host string) {
			t.Helper()
			var doc struct {
				Resource string
				Servers  []string `json:"authorization_servers"`
				Scopes   []string `json:"scopes_supported"`
			}
			if err := json.Unmarshal([]byte(m.Body), &doc); err != nil || m.Status() != 200 || doc.Resource != host+"/mcp/a" ||
				len(doc.Servers) != 1 || doc.Servers[0] != issuer || len(doc.Scopes) != 1 || doc.Scopes[0] != "a:call" ||
				m.Header("content-type") != "application/json" || m.Header("access-control-allow-origin") != "*" {
				t.Errorf("%s: %+v", what, m)
			}
		}
		client := harness.NewClient1(t, envoy.Main())
		check("HTTP/1.1", client.Do(harness.Request("GET", path+"?x", [2]string{"Host", "api.example"})),
			"http://api.example")
		check("with a port", client.Do(harness.Request("GET", path, [2]string{"Host", "API.example:8080"})),
			"http://api.example:8080")
		check("HTTP/2", harness.HTTP2(t, envoy.Main(), [][2]string{{":method", "GET"}, {":scheme", "http"},
			{":authority", "api.example"}, {":path", path}}, ""), "http://api.example")
		head := harness.HTTP2(t, envoy.Main(), [][2]string{{":method", "HEAD"}, {":scheme", "http"},
			{":authority", "api.example"}, {":path", path}}, "")
		if head.Status() != 200 || head.Body != "" || head.Header("content-type") != "application/json" {
			t.Errorf("HEAD: %+v", head)
		}
		preflight := client.Do(harness.Request("OPTIONS", path, [2]string{"Host", "api.example"},
			[2]string{"Origin", "https://page.example"}, [2]string{"Access-Control-Request-Method", "GET"},
			[2]string{"Access-Control-Request-Headers", "mcp-protocol-version"}))
		if preflight.Status() != 204 || preflight.Header("access-control-allow-origin") != "*" ||
			preflight.Header("access-control-allow-headers") != "authorization, *" || preflight.Body != "" {
			t.Errorf("preflight: %+v", preflight)
		}
		for name, request := range map[string]string{
			"another host":                   harness.Request("GET", path, [2]string{"Host", "other.example"}),
			"a name that ends alike":         harness.Request("GET", path, [2]string{"Host", "xapi.example"}),
			"another method":                 harness.Request("POST", path, [2]string{"Host", "api.example"}),
			"OPTIONS that is no preflight":   harness.Request("OPTIONS", path, [2]string{"Host", "api.example"}),
			"a path below the document":      harness.Request("GET", path+"/x", [2]string{"Host", "api.example"}),
			"a path that the document is of": harness.Request("GET", "/mcp/a", [2]string{"Host", "api.example"}),
		} {
			m := client.Do(request)
			want := `Bearer realm="tollgate", scope="a:call"`
			if strings.Contains(request, "GET /mcp/a") {
				want += `, resource_metadata="http://api.example` + path + `"`
			}
			if m.Status() != 401 || m.Header("www-authenticate") != want {
				t.Errorf("%s: %+v", name, m)
			}
		}
		if reached := up.Take(); len(reached) != 0 {
			t.Errorf("reached the service: %+v", reached)
		}
	})
}
