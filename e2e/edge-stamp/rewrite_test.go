// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package edgestamp

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

var update = flag.Bool("update", false, "write the table of filters/edge-stamp/README.md")

// Where the edge signs.
const (
	// as an HTTP filter of the listener: what the client sent, after the connection manager has read it
	arriving = "arriving"
	leaving  = "leaving" // as an upstream HTTP filter of the cluster: each attempt as it leaves, after routing
)

var bound = []struct {
	name  string
	parts []string
}{
	{"all", line},
	{"no-authority", []string{"method", "path", "query"}},
	{"no-path", []string{"method", "authority", "query"}},
}

// rewrite is something that is done to a request between the client and the mesh.
type rewrite struct {
	name        string
	client      string // h1 or h2
	path        string // that the client asks for
	normalising bool   // the edge's connection manager does normalize_path and merge_slashes
	reaches     string // the path and the host that the mesh sees
	way         string // to the mesh: h1, h2 or reordered
	route       M      // members of the edge's route
}

var rewrites = []rewrite{
	{name: "nothing", client: "h1", path: "/none/7?a=1&b=2", reaches: "/none/7?a=1&b=2 api.example", way: "h1"},
	{name: "HTTP/2 from the client, HTTP/1.1 to the mesh", client: "h2", path: "/none/7?a=1&b=2",
		reaches: "/none/7?a=1&b=2 api.example", way: "h1"},
	{name: "HTTP/1.1 from the client, HTTP/2 to the mesh", client: "h1", path: "/two/7?a=1&b=2",
		reaches: "/two/7?a=1&b=2 api.example", way: "h2"},
	{name: "`prefix_rewrite`", client: "h1", path: "/prefix/7?a=1", reaches: "/orders/7?a=1 api.example", way: "h1",
		route: M{"prefix_rewrite": "/orders"}},
	{name: "`regex_rewrite`", client: "h1", path: "/regex/7?a=1", reaches: "/orders/7?a=1 api.example", way: "h1",
		route: M{"regex_rewrite": M{"pattern": M{"regex": "^/regex/([0-9]+)"}, "substitution": `/orders/\1`}}},
	{name: "`host_rewrite_literal`", client: "h1", path: "/host/7", reaches: "/host/7 orders.internal", way: "h1",
		route: M{"host_rewrite_literal": "orders.internal"}},
	{name: "`normalize_path` at the edge: `/none/x/../7`", client: "h1", path: "/none/x/../7", normalising: true,
		reaches: "/none/7 api.example", way: "h1"},
	{name: "the same path, not normalised", client: "h1", path: "/none/x/../7", way: "h1"},
	{name: "`merge_slashes` at the edge: `/none//7`", client: "h1", path: "/none//7", normalising: true,
		reaches: "/none/7 api.example", way: "h1"},
	{name: "the same path, not merged", client: "h1", path: "/none//7", way: "h1"},
	{name: "`x-forwarded-*` added", client: "h1", path: "/forwarded/7", reaches: "/forwarded/7 api.example", way: "h1"},
	{name: "the query put into another order on the way", client: "h1", path: "/reordered/7?a=1&b=2",
		reaches: "/reordered/7?b=2&a=1 api.example", way: "reordered"},
	{name: "a retry on 503, the first attempt admitted (S15)", client: "h1", path: "/retry/7",
		reaches: "/retry/7 api.example", way: "h1", route: M{"retry_policy": M{"retry_on": "5xx", "num_retries": 1}}},
}

// stubborn is an upstream that answers 503 to the first attempt of what is asked below /retry/.
type stubborn struct {
	port  int
	mu    sync.Mutex
	got   []string
	tried map[string]bool // cases
}

func startStubborn(t *testing.T) *stubborn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &stubborn{port: l.Addr().(*net.TCPAddr).Port, tried: map[string]bool{}}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.got = append(s.got, r.RequestURI+" "+r.Host)
		if strings.HasPrefix(r.URL.Path, "/retry/") && !s.tried[r.Header.Get("x-case")] {
			s.tried[r.Header.Get("x-case")] = true
			w.WriteHeader(503)
		}
	})}
	go func() { _ = server.Serve(l) }() // ends with Close
	t.Cleanup(func() { server.Close() })
	return s
}

func (s *stubborn) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	return got
}

type rewriting struct {
	up         *stubborn
	raw        *harness.Upstream
	edge, mesh *harness.Envoy
}

func startRewriting(t *testing.T, version string) *rewriting {
	t.Helper()
	w := &rewriting{up: startStubborn(t), raw: harness.StartUpstream(t)}
	mesh := harness.Config{Version: version, Clusters: []M{bootstrap.Cluster("upstream", w.up.port, false)}}
	for _, profile := range profiles {
		for _, b := range bound {
			filter := stampFilter(t, verify(M{"profile": profile, "require": M{"bind": b.parts}}))
			mesh.Listeners = append(mesh.Listeners,
				bootstrap.Listener(profile+"-"+b.name, 0, []M{filter}, bootstrap.To("upstream"), nil))
		}
	}
	w.mesh = harness.Start(t, mesh)

	edge := harness.Config{Version: version}
	k := signers(version)[0]
	for _, profile := range profiles {
		for _, b := range bound {
			to := portOf(t, w.mesh, profile+"-"+b.name)
			reorder := harness.StartRelay(t, func(request []byte) []byte {
				return bytes.Replace(request, []byte("?a=1&b=2 "), []byte("?b=2&a=1 "), 1)
			})
			reorder.To(w.mesh.Address(profile + "-" + b.name))
			signer := stampFilter(t, sign(k, M{"profile": profile, "bind": b.parts}))
			for _, where := range []string{arriving, leaving} {
				name := strings.Join([]string{profile, b.name, where}, "-")
				for _, c := range []M{bootstrap.Cluster(name+"-h1", to, false), bootstrap.Cluster(name+"-h2", to, true),
					bootstrap.Cluster(name+"-reordered", reorder.Port(), false)} {
					if where == leaving {
						bootstrap.Leaving(c, signer)
					}
					edge.Clusters = append(edge.Clusters, c)
				}
				var filters, routes []M
				if where == arriving {
					filters = []M{signer}
				}
				for _, r := range rewrites {
					action := M{"cluster": name + "-" + r.way}
					maps.Copy(action, r.route)
					prefix := r.path[:1+strings.Index(r.path[1:], "/")]
					routes = append(routes, M{"match": M{"prefix": prefix}, "route": action})
					if prefix == "/forwarded" {
						routes[len(routes)-1]["request_headers_to_add"] =
							[]M{{"header": M{"key": "x-forwarded-host", "value": "api.example"}},
								{"header": M{"key": "x-forwarded-prefix", "value": "/"}},
								{"header": M{"key": "x-forwarded-for", "value": "192.0.2.1"}}}
					}
				}
				edge.Listeners = append(edge.Listeners, bootstrap.Listener(name, 0, filters, routes, nil),
					bootstrap.Listener(name+"-normalising", 0, filters, routes, M{"normalize_path": true, "merge_slashes": true}))
			}
		}
	}
	for _, where := range []string{arriving, leaving} {
		filters := []M{tokenFilter(t, M{"issuer": idpIssuer, "aud": "shop", "jwks": M{"inline": mint.Set(idp)}},
			M{"name": "anyone"})}
		signer := stampFilter(t, sign(k, M{"copyClaims": []string{"sub", "scope"}}))
		cluster := bootstrap.Cluster("claims-"+where, w.raw.Port(), false)
		if where == arriving {
			filters = append(filters, signer)
		} else {
			bootstrap.Leaving(cluster, signer)
		}
		edge.Clusters = append(edge.Clusters, cluster)
		edge.Listeners = append(edge.Listeners,
			bootstrap.Listener("claims-"+where, 0, filters, bootstrap.To("claims-"+where), nil))
	}
	w.edge = harness.Start(t, edge)
	return w
}

// try sends one request and says what became of it: "verified", or the code of the refusal.
func (w *rewriting) try(t *testing.T, profile, parts, where string, r rewrite) string {
	t.Helper()
	name := strings.Join([]string{profile, parts, where}, "-")
	listener, reaches := name, r.reaches
	if r.normalising {
		listener += "-normalising"
	}
	var answer *harness.Message
	var edge map[string]uint64
	mesh := w.mesh.Change(func() {
		edge = w.edge.Change(func() {
			answer = exchange(t, r.client, w.edge.Address(listener), "GET", r.path, [2]string{"x-case", name})
		})
	})
	got := w.up.take()
	refused := map[string]bool{}
	for _, counters := range []map[string]uint64{mesh, edge} {
		for counter := range counters {
			if _, code, ok := strings.Cut(counter, ".denied.code."); ok {
				refused[code] = true
			}
		}
	}
	codes := slices.Sorted(maps.Keys(refused))
	retried := strings.HasPrefix(r.path, "/retry/")
	switch {
	case answer.Status() == 200 && len(codes) == 0:
		if retried {
			got = slices.Compact(got)
		}
		if len(got) != 1 || got[0] != reaches {
			t.Errorf("%s, %s: the upstream has %q, want %q", name, r.name, got, reaches)
		}
		return "verified"
	case (answer.Status() == 401 || answer.Status() == 400) && len(codes) == 1:
		if len(got) != 0 && !retried || retried && len(got) != 1 {
			t.Errorf("%s, %s: refused, and the upstream has %q", name, r.name, got)
		}
		return "`" + codes[0] + "`"
	}
	t.Errorf("%s, %s: %s %s; edge %v, mesh %v", name, r.name, answer.Start, answer.Body, edge, mesh)
	return "?"
}

// table measures all combinations.
func (w *rewriting) table(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| what is done to the request | signed | method, authority, path, query | without authority | " +
		"without path |\n|---|---|---|---|---|\n")
	for _, r := range rewrites {
		for _, where := range []string{arriving, leaving} {
			fmt.Fprintf(&b, "| %s | %s |", r.name, where)
			for _, parts := range bound {
				one, other := w.try(t, "jws", parts.name, where, r), w.try(t, "rfc9421", parts.name, where, r)
				if one != other {
					one += " / " + other
				}
				fmt.Fprintf(&b, " %s |", one)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// rewriteTable is the table in edge-stamp's README.
var rewriteTable = regexp.MustCompile(`(?m)^\| what is done to the request \|.*\n(\|.*\n)+`)

// S4 S15: what may come between signing and verifying.
func TestRewriting(t *testing.T) {
	root, err := envoybin.Root()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "filters", "edge-stamp", "README.md")
	written := false
	harness.Each(t, func(t *testing.T, version string) {
		w := startRewriting(t, version)
		t.Run("claims", w.claims)
		measured := w.table(t)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		kept := rewriteTable.Find(text)
		if *update && !written && kept != nil && !t.Failed() {
			if err := os.WriteFile(file, bytes.Replace(text, kept, []byte(measured), 1), 0o644); err != nil {
				t.Fatal(err)
			}
			written, kept = true, []byte(measured) // the next version is held against this one
		}
		if string(kept) != measured {
			t.Errorf("the README says another thing than was measured; -update writes this:\n%s", measured)
		}
	})
}

// claims: an upstream filter reads what a filter of the listener has published.
func (w *rewriting) claims(t *testing.T) {
	for _, where := range []string{arriving, leaving} {
		answer := exchange(t, "h1", w.edge.Address("claims-"+where), "GET", "/orders/7", bearer(token()))
		got := w.raw.Take()
		if answer.Status() != 200 || len(got) != 1 {
			t.Fatalf("%s: %+v", where, answer)
		}
		parts := strings.Split(got[0].Header("x-edge-stamp"), ".")
		if len(parts) != 3 || !strings.Contains(decoded(t, parts[1]), `"sub":"ann"`) {
			t.Errorf("%s: the stamp does not have the client's claims: %+v", where, got[0].Headers)
		}
	}
}
