// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package policytest makes random resources of Istio's and requests that tell them apart, for tests
// of what migrate makes of them: and it is Istio, once more and as plainly as can be, policies as
// they are written, asked one after the other.
package policytest

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
)

// IssuerURL is that of an issuer, from 1.
func IssuerURL(n int) string { return fmt.Sprintf("https://issuer%d.example", n) }

// Ask is a request, and what is known of it besides.
type Ask struct {
	Host, Method, Path string
	Headers            [][2]string // besides
	Issuer             int         // from 1; 0: without a token
	Claims             map[string]any
	Inside             bool // where jwt-scope does not look: its address is one of the blocks
	each               bool // value of a header is compared, and one has to fit; else all with commas between
}

// Ambiguous reports whether a header is there twice, or in two spellings that many servers take for
// one: jwt-scope may refuse what asks for it, which Istio does not.
func (a Ask) Ambiguous() bool {
	for i, h := range a.Headers {
		if strings.Contains(h[0], "_") || slices.ContainsFunc(a.Headers[:i], func(o [2]string) bool { return o[0] == h[0] }) {
			return true
		}
	}
	return false
}

// Rule is one of a Policy.
type Rule struct {
	From []From `json:"from,omitempty"`
	To   []To   `json:"to,omitempty"`
	When []When `json:"when,omitempty"`
}

// From is where a request comes from.
type From struct {
	Source map[string][]string `json:"source"`
}

// To is what it asks for.
type To struct {
	Operation map[string][]string `json:"operation"`
}

// When is a condition besides.
type When struct {
	Key       string   `json:"key"`
	Values    []string `json:"values,omitempty"`
	NotValues []string `json:"notValues,omitempty"`
}

// Policy is the spec of an AuthorizationPolicy, but for whom it is for.
type Policy struct {
	Action string `json:"action"`
	Rules  []Rule `json:"rules"`
}

// Admits is what Istio decides by policies that are all for one workload, with an Envoy that
// takes the values of a header that is there twice together, and with one that does not.
func Admits(policies []Policy, a Ask) bool {
	each := a
	each.each = true
	return admits(policies, a) && admits(policies, each)
}

func admits(policies []Policy, a Ask) bool {
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

func (r Rule) fits(a Ask) bool {
	from := len(r.From) == 0 || slices.ContainsFunc(r.From, func(f From) bool {
		s := f.Source
		return every(s, "requestPrincipals", a.isPrincipal) && every(s, "ipBlocks", func(string) bool { return a.Inside })
	})
	to := len(r.To) == 0 || slices.ContainsFunc(r.To, func(o To) bool {
		return every(o.Operation, "hosts", func(v string) bool { return plain(v, a.Host) }) &&
			every(o.Operation, "methods", func(v string) bool { return plain(v, a.Method) }) &&
			every(o.Operation, "paths", func(v string) bool { return isPath(v, a.Path) })
	})
	return from && to && !slices.ContainsFunc(r.When, func(w When) bool { return !w.fits(a) })
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

func (a Ask) isPrincipal(v string) bool {
	iss, sub := "", ""
	if a.Issuer > 0 {
		iss = IssuerURL(a.Issuer)
		sub, _ = a.Claims["sub"].(string)
	}
	if v == "*" {
		return iss != "" && sub != ""
	}
	i := strings.LastIndex(v, "/")
	return plain(v[:i], iss) && plain(v[i+1:], sub)
}

// header are its values as Envoy's matchers see them.
func (a Ask) header(name string) (values []string) {
	for _, h := range a.Headers {
		if strings.EqualFold(h[0], name) {
			values = append(values, h[1])
		}
	}
	if len(values) > 1 && !a.each {
		values = []string{strings.Join(values, ",")}
	}
	return values
}

func (w When) fits(a Ask) bool {
	if name, ok := strings.CutPrefix(w.Key, "request.headers["); ok {
		values := a.header(strings.TrimSuffix(name, "]"))
		is := func(pattern string) bool {
			return slices.ContainsFunc(values, func(v string) bool { return pattern == "*" || plain(pattern, v) })
		}
		return (len(w.Values) == 0 || slices.ContainsFunc(w.Values, is)) && !slices.ContainsFunc(w.NotValues, is)
	}
	names := strings.Split(strings.TrimSuffix(strings.TrimPrefix(w.Key, "request.auth.claims["), "]"), "][")
	name, claims := names[len(names)-1], a.Claims
	for _, outer := range names[:len(names)-1] {
		claims, _ = claims[outer].(map[string]any)
	}
	var items []string
	switch v := claims[name].(type) {
	case string:
		items = []string{v}
		if name == "scope" || name == "permission" {
			items = strings.Fields(v)
		}
	case []string:
		items = v
	}
	if a.Issuer == 0 {
		items = nil
	}
	is := func(pattern string) bool {
		return slices.ContainsFunc(items, func(item string) bool { return plain(pattern, item) })
	}
	return (len(w.Values) == 0 || slices.ContainsFunc(w.Values, is)) && !slices.ContainsFunc(w.NotValues, is)
}

// Some picks from a list.
func Some(r *rand.Rand, list []string) []string {
	picked := []string{list[r.IntN(len(list))]}
	if r.IntN(3) == 0 {
		picked = append(picked, list[r.IntN(len(list))])
	}
	return slices.Compact(picked)
}

// RandomPolicies are some for one workload; exact ones have nothing in them that jwt-scope has no words for.
func RandomPolicies(r *rand.Rand, exact bool) (list []Policy) {
	paths := []string{"/a", "/a/*", "/a/b", "/a/{*}/c", "/a/b/{**}", "/{*}/b", "*", "/", "/*", "/a/", "/a/b/*", "/{*}/{*}"}
	hosts := []string{"x.example.com", "*.example.com", "*"}
	methods := []string{"GET", "POST", "*"}
	principals := []string{"*", IssuerURL(1) + "/*", IssuerURL(2) + "/*", IssuerURL(1) + "/ann", "*/bob"}
	roles, scopes := []string{"a", "b"}, []string{"r", "w"}
	headers := []string{"a", "ab", "b", "a*", "ab*", "*"}
	if !exact {
		paths = append(paths, "/a*", "*b", "/a/{**}/c", "/a/b*")
		hosts = append(hosts, "x.*", "*example.com")
		methods = append(methods, "P*")
		principals = append(principals, IssuerURL(1)+"/a*", "*example/ann")
		roles, scopes = append(roles, "a*", "*b", "*"), append(scopes, "r*", "*w", "*", "w r")
		headers = append(headers, "*b", "b,a")
	}
	for range 1 + r.IntN(3) {
		p := Policy{Action: []string{"ALLOW", "DENY"}[r.IntN(2)], Rules: []Rule{}}
		for range r.IntN(4) {
			var rule Rule
			for range r.IntN(3) {
				o := map[string][]string{}
				for i, name := range []string{"paths", "hosts", "methods", "notPaths", "notHosts", "notMethods"} {
					if r.IntN(2) == 0 && (name == "paths" || r.IntN(3) == 0) {
						o[name] = Some(r, [][]string{paths, hosts, methods}[i%3])
					}
				}
				rule.To = append(rule.To, To{o})
			}
			for range r.IntN(2) {
				s := map[string][]string{[]string{"requestPrincipals", "notRequestPrincipals"}[r.IntN(2)]: Some(r, principals)}
				if !exact && r.IntN(3) == 0 {
					s["ipBlocks"] = []string{"10.0.0.0/8"}
				}
				rule.From = append(rule.From, From{s})
			}
			for range r.IntN(3) {
				w := When{Key: "request.auth.claims[role]", Values: Some(r, roles)}
				if r.IntN(2) == 0 {
					w = When{Key: "request.auth.claims[scope]", Values: Some(r, scopes)}
				} else if !exact && r.IntN(5) == 0 {
					w = When{Key: "request.auth.claims[permission]", Values: Some(r, scopes)}
				} else if r.IntN(4) == 0 {
					w.Key = "request.auth.claims[realm][role]"
				} else if !exact && r.IntN(6) == 0 {
					w.Key = []string{"request.auth.claims[role][*]", "request.auth.claims[*]"}[r.IntN(2)]
				}
				if r.IntN(3) == 0 {
					w.Values, w.NotValues = nil, w.Values
				}
				rule.When = append(rule.When, w)
			}
			for r.IntN(5) < 2 {
				w := When{Key: []string{"request.headers[x-a]", "request.headers[X-B]"}[r.IntN(2)]}
				if r.IntN(3) > 0 {
					w.Values = Some(r, headers)
				}
				if r.IntN(3) == 0 || w.Values == nil {
					w.NotValues = Some(r, headers)
				}
				rule.When = append(rule.When, w)
			}
			p.Rules = append(p.Rules, rule)
		}
		list = append(list, p)
	}
	return list
}

// Asks are requests with every token, on every path.
func Asks() (list []Ask) {
	tokens := []Ask{
		{},
		{Issuer: 1},
		{Issuer: 1, Claims: map[string]any{"sub": "ann", "scope": "r"}},
		{Issuer: 1, Claims: map[string]any{"sub": "bob", "scope": "w r", "role": "a"}},
		{Issuer: 1, Claims: map[string]any{"sub": "bob", "scope": []string{"rr"}, "role": []string{"b", "ab"},
			"permission": "r"}},
		{Issuer: 1, Claims: map[string]any{"sub": "", "role": "ab", "permission": "w"}},
		{Issuer: 2, Claims: map[string]any{"sub": "ann", "role": []string{"a", "b"}}},
		{Issuer: 2, Claims: map[string]any{"sub": "eve", "scope": "r", "role": ""}},
		{Issuer: 2, Claims: map[string]any{"scope": "w", "role": "b"}},
		{Issuer: 1, Claims: map[string]any{"sub": "ann", "scope": "a wr rw", "role": "b a", "permission": "x r w"}},
		{Issuer: 2, Claims: map[string]any{"sub": "ann", "scope": []string{"w r", "x"}, "role": "ab b",
			"realm": map[string]any{"role": []string{"a"}}}},
		{Issuer: 2, Claims: map[string]any{"sub": "bob", "scope": "xw", "realm": map[string]any{"role": "ab"}, "*": "a"}},
	}
	// Their number has no factor in common with that of anything above.
	sent := [][][2]string{nil, {{"x-a", "a"}}, {{"x-a", "ab"}, {"x-b", "b"}}, {{"x-a", "b"}}, {{"x-b", "a"}},
		{{"x-a", ""}}, {{"x-b", "abc"}, {"x-a", "c"}}, nil, {{"x-a", "a"}, {"x-a", "b"}}, {{"x_a", "a"}, {"x-b", "ab"}},
		{{"x-a", "ab"}, {"x_a", "b"}}, {{"x-b", "b,a"}}, {{"x-b", "b"}, {"x-b", "a"}}}
	for _, host := range []string{"x.example.com", "y.example.com", "example.com", "x.example.org"} {
		for _, method := range []string{"GET", "POST", "PUT"} {
			for _, path := range []string{"/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/a/x/c", "/a/x/c/d", "/x/b",
				"/ab", "/a/bb", "/x"} {
				for i, a := range tokens {
					a.Host, a.Method, a.Path, a.Inside = host, method, path, (i+len(path))%2 == 0
					a.Headers = sent[len(list)%len(sent)]
					list = append(list, a)
				}
			}
		}
	}
	return list
}
