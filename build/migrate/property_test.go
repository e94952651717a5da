// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/advice"
	"github.com/tollgate-wasm/tollgate/build/mint"
	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
	"github.com/tollgate-wasm/tollgate/shared/jose/josetest"
)

var keys = []*mint.Key{mint.New("one", jose.ES256), mint.New("two", jose.ES256)}

var now = time.Unix(1_800_000_000, 0)

// ask is a request, and what is known of it besides.
type ask struct {
	host, method, path string
	issuer             int // from 1; 0: without a token
	claims             map[string]any
	inside             bool // where jwt-scope does not look: its address is one of the blocks
}

func issuerURL(n int) string { return fmt.Sprintf("https://issuer%d.example", n) }

// tokens are signed once.
var tokens = map[string]string{}

func (a ask) token() string {
	all := map[string]any{"iss": issuerURL(a.issuer), "exp": now.Unix() + 60}
	for name, v := range a.claims {
		all[name] = v
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic(err) // claims of these tests marshal
	}
	if tokens[string(text)] == "" {
		tokens[string(text)] = keys[a.issuer-1].Token(json.RawMessage(text))
	}
	return tokens[string(text)]
}

// admits is what jwt-scope decides.
func admits(t testing.TB, p *scope.Policy, a ask) bool {
	t.Helper()
	headers := [][2]string{{":method", a.method}, {":authority", a.host}, {":path", a.path}}
	if a.issuer > 0 {
		headers = append(headers, [2]string{"authorization", "Bearer " + a.token()})
	}
	d := &scope.Decision{}
	p.Decide(d, headers, now)
	for d.Step() != scope.Done {
		if d.Step() != scope.CheckSignature {
			t.Fatalf("the decision waits for step %d", d.Step())
		}
		v, _ := d.Signature()
		d.SignatureChecked(josetest.Verify(v))
	}
	return d.Verdict().Admits()
}

// The rest is Istio, once more and as plainly as can be: policies as they are written, asked one after the other.

type iRule struct {
	From []iFrom `json:"from,omitempty"`
	To   []iTo   `json:"to,omitempty"`
	When []iWhen `json:"when,omitempty"`
}

type iFrom struct {
	Source map[string][]string `json:"source"`
}

type iTo struct {
	Operation map[string][]string `json:"operation"`
}

type iWhen struct {
	Key       string   `json:"key"`
	Values    []string `json:"values,omitempty"`
	NotValues []string `json:"notValues,omitempty"`
}

type iPolicy struct {
	Action string  `json:"action"`
	Rules  []iRule `json:"rules"`
}

func istioAdmits(policies []iPolicy, a ask) bool {
	admitted, asked := false, false
	for _, p := range policies {
		for _, r := range p.Rules {
			fits := r.fits(a)
			if fits && p.Action == "DENY" {
				return false
			}
			admitted = admitted || fits && p.Action == "ALLOW"
		}
		asked = asked || p.Action == "ALLOW"
	}
	return admitted || !asked
}

func (r iRule) fits(a ask) bool {
	from := len(r.From) == 0 || slices.ContainsFunc(r.From, func(f iFrom) bool {
		s := f.Source
		return every(s, "requestPrincipals", a.isPrincipal) && every(s, "ipBlocks", func(string) bool { return a.inside })
	})
	to := len(r.To) == 0 || slices.ContainsFunc(r.To, func(o iTo) bool {
		return every(o.Operation, "hosts", func(v string) bool { return plain(v, a.host) }) && every(o.Operation, "methods", func(v string) bool { return plain(v, a.method) }) &&
			every(o.Operation, "paths", func(v string) bool { return isPath(v, a.path) })
	})
	return from && to && !slices.ContainsFunc(r.When, func(w iWhen) bool { return !w.fits(a) })
}

// every asks a list and the list of what must not be.
func every(m map[string][]string, name string, is func(string) bool) bool {
	list, not := m[name], m["not"+strings.ToUpper(name[:1])+name[1:]]
	return (len(list) == 0 || slices.ContainsFunc(list, is)) && !slices.ContainsFunc(not, is)
}

func plain(pattern, text string) bool {
	switch {
	case pattern == "*":
		return text != ""
	case strings.HasPrefix(pattern, "*"):
		return strings.HasSuffix(text, pattern[1:])
	case strings.HasSuffix(pattern, "*"):
		return strings.HasPrefix(text, strings.TrimSuffix(pattern, "*"))
	}
	return pattern == text
}

func isPath(pattern, path string) bool {
	if strings.Contains(pattern, "{") {
		regex := strings.NewReplacer(`\{\*\}`, `[^/]+`, `\{\*\*\}`, `.*`).Replace(regexp.QuoteMeta(pattern))
		return regexp.MustCompile("^" + regex + "$").MatchString(path)
	}
	return plain(pattern, path)
}

func (a ask) isPrincipal(v string) bool {
	iss, sub := "", ""
	if a.issuer > 0 {
		iss = issuerURL(a.issuer)
		sub, _ = a.claims["sub"].(string)
	}
	if v == "*" {
		return iss != "" && sub != ""
	}
	i := strings.LastIndex(v, "/")
	return plain(v[:i], iss) && plain(v[i+1:], sub)
}

func (w iWhen) fits(a ask) bool {
	name := strings.TrimSuffix(strings.TrimPrefix(w.Key, "request.auth.claims["), "]")
	var items []string
	switch v := a.claims[name].(type) {
	case string:
		items = []string{v}
		if name == "scope" || name == "permission" {
			items = strings.Split(v, " ")
		}
	case []string:
		items = v
	}
	if a.issuer == 0 {
		items = nil
	}
	is := func(pattern string) bool {
		return slices.ContainsFunc(items, func(item string) bool { return plain(pattern, item) })
	}
	return (len(w.Values) == 0 || slices.ContainsFunc(w.Values, is)) && !slices.ContainsFunc(w.NotValues, is)
}

// some picks from a list; exact leaves out what has no counterpart.
func some(r *rand.Rand, list []string) []string {
	picked := []string{list[r.IntN(len(list))]}
	if r.IntN(3) == 0 {
		picked = append(picked, list[r.IntN(len(list))])
	}
	return unique(picked)
}

func randomPolicies(r *rand.Rand, exact bool) (list []iPolicy) {
	paths := []string{"/a", "/a/*", "/a/b", "/a/{*}/c", "/a/b/{**}", "/{*}/b", "*", "/", "/*", "/a/", "/a/b/*", "/{*}/{*}"}
	hosts := []string{"x.example.com", "*.example.com", "*"}
	methods := []string{"GET", "POST", "*"}
	principals := []string{"*", issuerURL(1) + "/*", issuerURL(2) + "/*", issuerURL(1) + "/ann", "*/bob"}
	roles, scopes := []string{"a", "b"}, []string{"r", "w"}
	if !exact {
		paths = append(paths, "/a*", "*b", "/a/{**}/c", "/a/b*")
		hosts = append(hosts, "x.*", "*example.com")
		methods = append(methods, "P*")
		principals = append(principals, issuerURL(1)+"/a*", "*example/ann")
		roles, scopes = append(roles, "a*", "*b", "*"), append(scopes, "r*", "*")
	}
	for range 1 + r.IntN(3) {
		p := iPolicy{Action: []string{"ALLOW", "DENY"}[r.IntN(2)], Rules: []iRule{}}
		for range r.IntN(4) {
			var rule iRule
			for range r.IntN(3) {
				o := map[string][]string{}
				for i, name := range []string{"paths", "hosts", "methods", "notPaths", "notHosts", "notMethods"} {
					if r.IntN(2) == 0 && (name == "paths" || r.IntN(3) == 0) {
						o[name] = some(r, [][]string{paths, hosts, methods}[i%3])
					}
				}
				rule.To = append(rule.To, iTo{o})
			}
			for range r.IntN(2) {
				s := map[string][]string{[]string{"requestPrincipals", "notRequestPrincipals"}[r.IntN(2)]: some(r, principals)}
				if !exact && r.IntN(3) == 0 {
					s["ipBlocks"] = []string{"10.0.0.0/8"}
				}
				rule.From = append(rule.From, iFrom{s})
			}
			for range r.IntN(3) {
				w := iWhen{Key: "request.auth.claims[role]", Values: some(r, roles)}
				if r.IntN(2) == 0 {
					w = iWhen{Key: "request.auth.claims[scope]", Values: some(r, scopes)}
				} else if !exact && r.IntN(5) == 0 {
					w = iWhen{Key: "request.auth.claims[permission]", Values: some(r, scopes)}
				}
				if r.IntN(3) == 0 {
					w.Values, w.NotValues = nil, w.Values
				}
				rule.When = append(rule.When, w)
			}
			p.Rules = append(p.Rules, rule)
		}
		list = append(list, p)
	}
	return list
}

func asks() (list []ask) {
	tokens := []ask{
		{},
		{issuer: 1},
		{issuer: 1, claims: map[string]any{"sub": "ann", "scope": "r"}},
		{issuer: 1, claims: map[string]any{"sub": "bob", "scope": "w r", "role": "a"}},
		{issuer: 1, claims: map[string]any{"sub": "bob", "scope": []string{"rr"}, "role": []string{"b", "ab"}, "permission": "r"}},
		{issuer: 1, claims: map[string]any{"sub": "", "role": "ab", "permission": "w"}},
		{issuer: 2, claims: map[string]any{"sub": "ann", "role": []string{"a", "b"}}},
		{issuer: 2, claims: map[string]any{"sub": "eve", "scope": "r", "role": ""}},
		{issuer: 2, claims: map[string]any{"scope": "w", "role": "b"}},
	}
	for _, host := range []string{"x.example.com", "y.example.com", "example.com", "x.example.org"} {
		for _, method := range []string{"GET", "POST", "PUT"} {
			for _, path := range []string{"/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/a/x/c", "/a/x/c/d", "/x/b", "/ab", "/a/bb", "/x"} {
				for i, a := range tokens {
					a.host, a.method, a.path, a.inside = host, method, path, (i+len(path))%2 == 0
					list = append(list, a)
				}
			}
		}
	}
	return list
}

// Whatever the policies: what the migrated configuration admits, Istio admits. Where nothing is said to be lost, it admits as much.
func TestNeverLessStrict(t *testing.T) {
	list := asks()
	made, exactly, stricter := 0, 0, 0
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		policies := randomPolicies(r, seed%2 == 0)
		text := authenticationWithKeys(t)
		for i, p := range policies {
			spec, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			text += fmt.Sprintf("---\n{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: p%d, namespace: shop}, spec: %s}\n", i, spec)
		}
		m := &Migrator{}
		m.Add("p.yaml", []byte(text))
		result := m.Result()
		if len(result.Configurations) != 1 {
			t.Fatalf("seed %d: %d configurations: %v", seed, len(result.Configurations), result.Findings)
		}
		made++
		p, err := scope.Parse(result.Configurations[0].JSON)
		if err != nil {
			t.Fatal(err)
		}
		lost := slices.ContainsFunc(result.Findings, func(f advice.Finding) bool {
			return f.Severity == advice.Error || strings.Contains(f.Problem, "without a letter in it")
		})
		if !lost {
			exactly++
		}
		for _, a := range list {
			ours, istios := admits(t, p, a), istioAdmits(policies, a)
			if ours && !istios {
				t.Fatalf("seed %d: %+v is admitted, and Istio refuses it:\n%s\n%s\n%v", seed, a, text, result.Configurations[0].JSON, result.Findings)
			}
			if istios && !ours {
				stricter++
				if !lost {
					t.Fatalf("seed %d: %+v is refused, Istio admits it, and no finding says so:\n%s\n%s\n%v", seed, a, text, result.Configurations[0].JSON, result.Findings)
				}
			}
		}
	}
	t.Logf("%d configurations, %d without a loss, %d requests refused that Istio admits", made, exactly, stricter)
	if exactly < made/4 || stricter == 0 {
		t.Error("the policies show too little")
	}
}

func authenticationWithKeys(t testing.TB) string {
	t.Helper()
	var rules []string
	for i, k := range keys {
		rules = append(rules, fmt.Sprintf("{issuer: %q, audiences: [any], jwks: %q}", issuerURL(i+1), mint.Set(k)))
	}
	text := "{apiVersion: security.istio.io/v1, kind: RequestAuthentication, metadata: {name: idp, namespace: shop}, spec: {jwtRules: [" + strings.Join(rules, ", ") + "]}}\n"
	return strings.ReplaceAll(text, ", audiences: [any]", "")
}
