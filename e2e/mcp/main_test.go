// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build keycloak

package mcp

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/tollgate-wasm/tollgate/build/loop/backends"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/tools/process"
	"github.com/tollgate-wasm/tollgate/e2e/checkout"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/e2e/keycloak"
)

// world is what all tests of the package have in common. They run one after the other.
type world struct {
	keycloak *keycloak.Server
	password string // of the user alice
	// port is the gateway's, in each test: the name of the resource has it, and Keycloak has to know that name.
	port int
	dir  string
}

var shared *world // nil before the first test

func TestMain(m *testing.M) {
	code := m.Run()
	if shared != nil {
		shared.keycloak.Stop()
		_ = os.RemoveAll(shared.dir) // a temporary folder
	}
	os.Exit(code)
}

// running is the world with a Keycloak that serves.
func running(t *testing.T) *world {
	t.Helper()
	if shared == nil {
		free, err := process.FreePorts(1)
		if err != nil {
			t.Fatal(err)
		}
		w := &world{password: rand.Text(), port: free[0]}
		if w.keycloak, err = keycloak.Start(os.Stderr, "testdata/tools-realm.json", "TOLLGATE_USER_PASSWORD="+w.password,
			"TOLLGATE_GATEWAY="+w.origin()); err != nil {
			t.Fatal(err)
		}
		shared = w
		if w.dir, err = os.MkdirTemp("", "tollgate-mcp-"); err != nil {
			t.Fatal(err)
		}
		if err := backends.MCPServer(context.Background(), checkout.Root(t), w.program()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log of Keycloak:\n%s", shared.keycloak.Log())
		}
	})
	return shared
}

func (w *world) program() string { return filepath.Join(w.dir, "mcpserver") }

// origin is the gateway's, as clients know it.
func (w *world) origin() string { return "http://127.0.0.1:" + strconv.Itoa(w.port) }

// server is a running MCP server.
type server struct {
	*process.Process
	port int
}

// handled is what the MCP server tells of a request. A call is what headers or body say.
type handled struct {
	Request, Path, Revision, Subject string
	Header, Body                     struct{ Method, Name string }
	Credential                       bool
}

// startServer runs the MCP server of build/loop/mcpserver until the test ends.
func (w *world) startServer(t *testing.T) *server {
	t.Helper()
	return startServer(t, w.program(), "-listen", "127.0.0.1:0")
}

// startServer runs an MCP server, which writes first where it listens, until the test ends.
func startServer(t *testing.T, program string, arguments ...string) *server {
	t.Helper()
	p, err := process.Start(exec.Command(program, arguments...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("the log of the MCP server:\n%s", p.Log())
		}
	})
	s := &server{Process: p}
	if err := p.Await(func() bool {
		var first struct{ Listening string }
		if line, _, whole := strings.Cut(p.Log(), "\n"); whole && json.Unmarshal([]byte(line), &first) == nil {
			_, port, _ := strings.Cut(first.Listening, ":")
			s.port, _ = strconv.Atoi(port)
		}
		return s.port != 0
	}, wait); err != nil {
		t.Fatalf("the MCP server does not listen: %v", err)
	}
	return s
}

// handled are the requests that have reached the server, as far as it has written whole lines.
func (s *server) handled(t *testing.T) (all []handled) {
	t.Helper()
	for line := range strings.Lines(s.Log()) {
		var h handled
		if !strings.HasSuffix(line, "\n") {
			break
		}
		if err := json.Unmarshal([]byte(line), &h); err != nil {
			t.Fatalf("the MCP server writes %q: %v", line, err)
		}
		if h.Request != "" {
			all = append(all, h)
		}
	}
	return all
}

// await waits until so many requests have reached the server: what it writes comes a moment later. More are an error.
func (s *server) await(t *testing.T, n int) []handled {
	t.Helper()
	if err := s.Await(func() bool { return len(s.handled(t)) >= n }, wait); err != nil {
		t.Fatalf("%d requests have reached the server, want %d: %v", len(s.handled(t)), n, err)
	}
	all := s.handled(t)
	if len(all) > n {
		t.Errorf("%d requests have reached the server, want %d", len(all), n)
	}
	return all
}

// page is where a reader gets the configuration from that is tested here.
const page = "filters/jwt-scope/MCP.md"

// snippets of the page, in a language.
func snippets(t *testing.T, language string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(checkout.Root(t), filepath.FromSlash(page)))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		all = append(all, m[1])
	}
	if all == nil {
		t.Fatalf("%s has no snippet in %s", page, language)
	}
	return all
}

// policy is the page's configuration, for the servers that run here, and with a second MCP server at
// /mcp/checked. That one holds the headers against the body in every revision, so its rules for single
// tools do not ask for a revision.
func (w *world) policy(t *testing.T) string {
	t.Helper()
	text := w.here(snippets(t, "json")[0])
	var policy map[string]any
	if err := json.Unmarshal([]byte(text), &policy); err != nil {
		t.Fatal(err)
	}
	add := func(to map[string]any, key, text string) {
		var more []any
		if err := json.Unmarshal([]byte(text), &more); err != nil {
			t.Fatal(err)
		}
		to[key] = append(to[key].([]any), more...)
	}
	add(policy["providers"].([]any)[0].(map[string]any), "audiences", `["`+w.origin()+`/mcp/checked"]`)
	add(policy, "resources", `[{"path": "/.well-known/oauth-protected-resource/mcp/checked"}]`)
	add(policy, "rules", `[
	 {"name": "checked-delete", "match": [{"paths": ["/mcp/checked"], "headers": [
	   {"name": "mcp-method", "exact": "tools/call"}, {"name": "mcp-name", "exact": "delete_order"}]}],
	  "require": {"scopes": {"all": ["mcp:read", "mcp:delete"]}}},
	 {"name": "checked-read", "match": [{"paths": ["/mcp/checked"]}], "require": {"scopes": {"all": ["mcp:read"]}}}]`)
	all, err := json.Marshal(policy)
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

// here puts the addresses of what runs here in the place of the page's.
func (w *world) here(text string) string {
	return strings.NewReplacer("https://idp.example.com", "http://"+w.keycloak.Authority, "idp.example.com",
		w.keycloak.Authority, "https://api.example.com", w.origin()).Replace(text)
}

// gateway runs an Envoy in front of an MCP server until the test ends.
func (w *world) gateway(t *testing.T, version string, s *server) *harness.Envoy {
	t.Helper()
	cors, routes := w.crossOrigin(t)
	filters := []bootstrap.M{cors, harness.Filter(t, "jwt-scope", w.policy(t))}
	return harness.Start(t, harness.Config{Version: version, Own: true,
		Listeners: []bootstrap.M{bootstrap.Listener("main", w.port, filters, routes, nil)},
		Clusters: []bootstrap.M{bootstrap.Cluster("mcp", s.port, false),
			bootstrap.Cluster("idp", w.keycloak.Port(), false)}})
}

// crossOrigin are the page's filter for pages of other origins, and its routes, one of which has the
// policy. The documents have no route: the filter answers.
func (w *world) crossOrigin(t *testing.T) (filter bootstrap.M, routes []bootstrap.M) {
	t.Helper()
	var envoy struct {
		Filters []bootstrap.M `json:"http_filters"`
		Routes  []bootstrap.M `json:"routes"`
	}
	for _, text := range snippets(t, "yaml") {
		text = strings.ReplaceAll(text, "https://app.example.com", pageOrigin(t))
		if err := yaml.Unmarshal([]byte(text), &envoy); err != nil {
			t.Fatalf("%s: %v", page, err)
		}
	}
	if len(envoy.Filters) != 1 || len(envoy.Routes) != 1 {
		t.Fatalf("%s has no filter for pages of other origins, or no route with a policy: %+v", page, envoy)
	}
	return envoy.Filters[0], envoy.Routes
}

// wait is for what takes a second or two on a quiet machine.
const wait = 60 * time.Second

// answer is an HTTP response that has been read.
type answer struct {
	*http.Response
	body string
}

// send makes a request of a caller's own.
func send(t *testing.T, method, address, body string, header http.Header) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header.Clone()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp, string(text)}
}
