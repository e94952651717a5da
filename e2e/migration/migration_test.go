// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

func read(t *testing.T) *Notes {
	t.Helper()
	root, err := envoybin.Root()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(root, File))
	if err != nil {
		t.Fatal(err)
	}
	notes, err := Read(string(b))
	if err != nil {
		t.Fatalf("%s: %v", File, err)
	}
	return notes
}

// Every sample of the notes, Istio's and ours, before the same requests: the outcomes are the same,
// or the notes say what differs.
func TestNotes(t *testing.T) {
	notes := read(t)
	var names []string
	for _, c := range notes.Cases {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	if tried := slices.Sorted(maps.Keys(requests)); !slices.Equal(names, tried) {
		t.Fatalf("%s has samples in the sections\n%q,\nand there are requests for\n%q", File, names, tried)
	}
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		idp := startIssuers(t)
		clusters := []bootstrap.M{bootstrap.Cluster("outbound|443||idp.example.com", idp, false),
			bootstrap.Cluster("outbound|443||partner.example.net", idp, false), bootstrap.Cluster("upstream", up.Port(), false)}
		var listeners []bootstrap.M
		for _, c := range notes.Cases {
			istio, err := filters(c.Istio, published())
			if err != nil {
				t.Fatalf("%s: %v", c.Name, err)
			}
			// pilot/pkg/networking/core/listener_builder.go: pathNormalization DEFAULT is BASE. A
			// WasmPlugin is a filter of the same connection manager.
			http := bootstrap.M{"normalize_path": true, "delayed_close_timeout": "0.001s"}
			listeners = append(listeners,
				bootstrap.Listener(c.Name+": Istio", 0, istio, bootstrap.To("upstream"), http),
				bootstrap.Listener(c.Name+": jwt-scope", 0, []bootstrap.M{harness.Filter(t, "jwt-scope", c.Config)},
					bootstrap.To("upstream"), http))
			if shadowed[c.Name] {
				listeners = append(listeners,
					bootstrap.Listener(c.Name+": both", 0,
						append([]bootstrap.M{harness.Filter(t, "jwt-scope", shadow(t, c.Config))}, istio...),
						bootstrap.To("upstream"), http))
			}
		}
		envoy := harness.Start(t, harness.Config{Version: version, Listeners: listeners, Clusters: clusters})
		everywhere := newExplanations(notes.Differences, version)
		for _, c := range notes.Cases {
			t.Run(c.Name, func(t *testing.T) {
				here := newExplanations(c.Differences, version)
				compare(t, c.Name, up, envoy, here, everywhere)
				here.finish(t)
			})
		}
		everywhere.finish(t)
		counted := false
		for name := range envoy.Tollgate() {
			counted = counted || strings.Contains(name, ".outcome.would_deny.")
		}
		if !counted {
			t.Error("shadow mode has counted nothing that it would refuse")
		}
	})
}

// shadowed are the cases that are also tried with both. Each configuration more takes Envoy most of
// a second to start, for it tries each in a VM of its own.
var shadowed = map[string]bool{"Scopes by path and method": true, "Where the token stands": true}

// shadow is the first step of the way that the notes describe: before the filters of Istio, deciding and counting only.
func shadow(t *testing.T, config string) string {
	t.Helper()
	var keys map[string]json.RawMessage
	if err := json.Unmarshal([]byte(config), &keys); err != nil {
		t.Fatal(err)
	}
	delete(keys, "forward")
	keys["mode"] = json.RawMessage(`"shadow"`)
	b, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// startIssuers publishes the key sets and returns the port.
func startIssuers(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sets := published()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if set := sets[r.Host+r.URL.Path]; set != "" {
			fmt.Fprint(w, set)
		} else {
			w.WriteHeader(http.StatusNotFound)
		}
	})}
	go func() { _ = server.Serve(l) }() // ends with Close
	t.Cleanup(func() { server.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

// explanations are the differences of one section or of all, with what has been seen of them.
type explanations struct {
	rows []Difference
	seen map[string]bool // of a row: a request, and an outcome of a side
}

func newExplanations(rows []Difference, version string) *explanations {
	e := &explanations{seen: map[string]bool{}}
	for _, row := range rows {
		if row.Versions == nil || slices.Contains(row.Versions, version) {
			e.rows = append(e.rows, row)
		}
	}
	return e
}

// explain reports whether a row has this difference.
func (e *explanations) explain(request, istio, scope string) bool {
	for i, row := range e.rows {
		if slices.Contains(row.Requests, request) && slices.Contains(row.Istio, istio) && slices.Contains(row.Scope, scope) {
			e.seen[key(i, "request", request)], e.seen[key(i, "Istio", istio)], e.seen[key(i, "jwt-scope", scope)] =
				true, true, true
			return true
		}
	}
	return false
}

func key(row int, kind, text string) string { return fmt.Sprint(row, " ", kind, " ", text) }

// unused is what is explained and has not occurred.
func (e *explanations) unused() []string {
	var list []string
	for i, row := range e.rows {
		for kind, texts := range map[string][]string{"request": row.Requests, "Istio": row.Istio, "jwt-scope": row.Scope} {
			for _, text := range texts {
				if !e.seen[key(i, kind, text)] {
					list = append(list, fmt.Sprintf("%s (%s) in the row of %q", text, kind, strings.Join(row.Requests, "; ")))
				}
			}
		}
	}
	return list
}

func (e *explanations) finish(t *testing.T) {
	t.Helper()
	for _, text := range e.unused() {
		t.Errorf("the notes explain a difference that does not occur: %s", text)
	}
}

// compare sends the requests of a case to both sides.
func compare(t *testing.T, name string, up *harness.Upstream, envoy *harness.Envoy, here, everywhere *explanations) {
	client := func(side string) *harness.Client1 { return harness.NewClient1(t, envoy.Address(name+": "+side)) }
	istioClient, scopeClient := client("Istio"), client("jwt-scope")
	var bothClient *harness.Client1
	if shadowed[name] {
		bothClient = client("both")
	}
	list := requests[name]()
	asked := map[string]bool{}
	allowed, refused, differ := 0, 0, 0
	for i, r := range list {
		if asked[r.name] {
			t.Fatalf("two requests are called %q", r.name)
		}
		asked[r.name] = true
		text, token := r.wire()
		istio, _ := send(t, istioClient, up, r.method, text, token)
		scope, answer := send(t, scopeClient, up, r.method, text, token)
		checkChallenge(t, r.name, answer)
		if bothClient != nil {
			if both, _ := send(t, bothClient, up, r.method, text, token); both.text(istio) != istio.text(both) {
				t.Errorf("%s: %s, and with jwt-scope in shadow mode before it %s", r.name, istio.text(both), both.text(istio))
			}
		}
		a, b := istio.text(scope), scope.text(istio)
		switch {
		case a != b:
			differ++
			if !here.explain(r.name, a, b) && !everywhere.explain(r.name, a, b) {
				t.Errorf("| %s | %s | %s | not explained", r.name, a, b)
			}
		case istio.status == 200:
			allowed++
		default:
			refused++
		}
		if i == 0 && (istio.status != 200 || scope.status != 200) {
			t.Fatalf("%s: %s, %s", r.name, a, b)
		}
	}
	t.Logf("%d requests: %d allowed by both, %d refused alike, %d differ", len(list), allowed, refused, differ)
	if len(list) < 12 || allowed < 3 || refused < 3 {
		t.Error("the requests show too little")
	}
}

// checkChallenge looks at what the notes promise with every 401 and with a scope that is missing.
func checkChallenge(t *testing.T, name string, answer *harness.Message) {
	t.Helper()
	challenge := answer.Header("www-authenticate")
	if answer.Status() == 401 && !strings.HasPrefix(challenge, `Bearer realm="`) {
		t.Errorf("%s: 401 with the challenge %q", name, challenge)
	}
	if strings.Contains(answer.Body, `"insufficient_scope"`) &&
		!strings.Contains(challenge, `error="insufficient_scope", scope="`) {
		t.Errorf("%s: insufficient_scope with the challenge %q", name, challenge)
	}
}

// outcome is what became of a request: the status, and where it is 200, what reached the upstream.
type outcome struct {
	status   int
	upstream map[string]string // headers, and the path under ":path"
}

func send(t *testing.T, client *harness.Client1, up *harness.Upstream, method, text, token string) (outcome,
	*harness.Message) {
	t.Helper()
	answer := client.Do(text)
	reached := up.Take()
	o := outcome{status: answer.Status()}
	if (o.status == 200) != (len(reached) == 1) {
		t.Fatalf("%.200q: %s, and %d requests reached the upstream", text, answer.Start, len(reached))
	}
	if o.status == 200 {
		o.upstream = map[string]string{":path": strings.TrimSuffix(strings.TrimPrefix(reached[0].Start, method+" "),
			" HTTP/1.1")}
		for _, h := range reached[0].Headers {
			if h[0] == "x-request-id" {
				continue
			}
			value := h[1]
			if parts := strings.Split(token, "."); len(parts) == 3 {
				value = strings.ReplaceAll(value, token, "<token>")
				if value == parts[1] {
					value = "<claims>"
				}
			}
			if before, ok := o.upstream[h[0]]; ok {
				value = before + " & " + value
			}
			o.upstream[h[0]] = value
		}
	}
	return o, answer
}

// text is the outcome as the tables have it: the status, and where both sides let the request pass,
// what differs behind them.
func (o outcome) text(other outcome) string {
	s := fmt.Sprint(o.status)
	if o.status == 0 {
		s = "closed"
	}
	if o.status != 200 || other.status != 200 {
		return s
	}
	names := maps.Clone(o.upstream)
	maps.Copy(names, other.upstream)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		value, ok := o.upstream[name]
		otherValue, otherOK := other.upstream[name]
		switch {
		case ok == otherOK && value == otherValue:
		case ok:
			s += ", " + name + ": " + value
		default:
			s += ", no " + name
		}
	}
	return s
}
