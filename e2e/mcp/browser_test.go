// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build keycloak

package mcp

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/loop/backends"
	"github.com/tollgate-wasm/tollgate/build/loop/browser"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
)

// pages is the other origin: where an MCP client that is a page comes from. It listens as long as the
// tests run, because the gateway's configuration names it.
var pages = sync.OnceValues(func() (*site, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &site{origin: "http://" + listener.Addr().String(), done: make(chan string, 1)}
	go func() { _ = http.Serve(listener, s) }() // until the tests end
	return s, nil
})

func pageOrigin(t *testing.T) string {
	t.Helper()
	s, err := pages()
	if err != nil {
		t.Fatal(err)
	}
	return s.origin
}

type site struct {
	origin string
	done   chan string // what the page has found
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/":
		http.ServeFile(w, r, "testdata/page.html")
	case "/done":
		text, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		select {
		case s.done <- string(text):
		default: // nobody waits
		}
	default:
		http.NotFound(w, r)
	}
}

// A page of another origin follows the 401, too: it reads WWW-Authenticate, which Envoy's CORS filter
// exposes, fetches the document, which the filter itself serves to every origin, and Keycloak's
// metadata. A page of an origin that the route does not name gets nothing but the document.
func TestBrowser(t *testing.T) {
	w := running(t)
	s, err := pages()
	if err != nil {
		t.Fatal(err)
	}
	w.gateway(t, envoybin.Default, w.startServer(t))
	program, err := backends.Chromium(os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	chromium, err := browser.Start(program)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := chromium.Stop(); err != nil {
			t.Error(err)
		}
	}()
	token, err := w.keycloak.Token("mcp-robot", "mcp:read")
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(s.origin, "127.0.0.1", "localhost", 1)
	issuer := w.keycloak.Issuer()
	document := "200 " + w.origin() + "/mcp/orders, of " + issuer + ", mcp:read mcp:delete"
	metadata := "200 " + issuer + "/protocol/openid-connect/auth"
	named := `resource_metadata="` + w.document() + `"`
	for _, c := range []struct {
		name, origin string
		want         map[string]string
	}{
		{"an origin that the route names", s.origin, map[string]string{
			"first": `401 Bearer realm="tollgate", scope="mcp:read", ` + named, "document": document, "preflight": "200",
			"metadata": metadata, "with token": "200",
			"step up": `403 Bearer realm="tollgate", error="insufficient_scope", scope="mcp:read mcp:delete", ` + named,
		}},
		{"another origin", other, map[string]string{"first": "nothing", "document": document, "preflight": "200",
			"metadata": metadata, "with token": "nothing", "step up": "nothing"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			// The token comes in the fragment, which is sent to nobody.
			if err := chromium.Open(c.origin + "/#" + w.origin() + "/mcp/orders," + token); err != nil {
				t.Fatal(err)
			}
			select {
			case text := <-s.done:
				var got map[string]string
				if err := json.Unmarshal([]byte(text), &got); err != nil {
					t.Fatalf("%v: %s", err, text)
				}
				for what, want := range c.want {
					if got[what] != want {
						t.Errorf("%s: %q, want %q", what, got[what], want)
					}
				}
			case <-time.After(wait):
				t.Fatal("the page has not ended in time")
			}
		})
	}
}

// document is where the metadata of /mcp/orders is.
func (w *world) document() string {
	return w.origin() + "/.well-known/oauth-protected-resource/mcp/orders"
}
