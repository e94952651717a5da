// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package match

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/shared/conf"
)

func TestSetPath(t *testing.T) {
	for _, c := range []struct {
		name, path, want string
		err              error // under reject
		literal          string
		literalErr       error // under literal
	}{
		{name: "the root", path: "/", want: "/"},
		{name: "a plain path", path: "/orders/7", want: "/orders/7"},
		{name: "a trailing slash stays", path: "/orders/", want: "/orders/"},
		{name: "P4 the query is cut at the first ?", path: "/a?b=/../c?d", want: "/a"},
		{name: "P4 an encoded ? is a character", path: "/a%3fb", want: "/a?b"},
		{name: "P4 an encoded ? behind dots", path: "/a/..%3f/b", err: ErrDotSegment, literalErr: ErrDotSegment},
		{name: "P4 an encoded # behind a dot and parameters", path: "/a/.;x%23", err: ErrDotSegment,
			literalErr: ErrDotSegment},
		{name: "P4 a # in the path", path: "/a#b", err: ErrFragment, literalErr: ErrFragment},
		{name: "P4 a # in the query", path: "/a?b#c", err: ErrFragment, literalErr: ErrFragment},
		{name: "P2 unreserved escapes are decoded", path: "/%61dm%69n/%7e%2D%5f", want: "/admin/~-_"},
		{name: "P2 reserved escapes are decoded: upstreams do", path: "/users/%40me%3a%2b", want: "/users/@me:+"},
		{name: "P2 UTF-8 in escapes or raw is the same path", path: "/caf%c3%A9/caf\u00e9", want: "/caf\u00e9/caf\u00e9"},
		{name: "P2 decoded once only", path: "/%2561dmin", err: ErrSeparator, literal: "/%2561dmin"},
		{name: "P1 an encoded slash", path: "/a%2fb", err: ErrSeparator, literal: "/a%2Fb"},
		{name: "P1 an encoded backslash", path: "/a%5Cb", err: ErrSeparator, literal: "/a%5Cb"},
		{name: "P1 an encoded percent sign", path: "/a%25b", err: ErrSeparator, literal: "/a%25b"},
		{name: "P1 a backslash", path: `/a\b`, err: ErrBackslash, literalErr: ErrBackslash},
		{name: "P1 an empty segment", path: "/a//b", err: ErrEmpty, literal: "/a//b"},
		{name: "P1 an empty first segment", path: "//a", err: ErrEmpty, literal: "//a"},
		{name: "P1 two slashes at the end", path: "/a//", err: ErrEmpty, literal: "/a//"},
		{name: "P2 a dot segment", path: "/a/./b", err: ErrDotSegment, literalErr: ErrDotSegment},
		{name: "P2 a dot-dot segment", path: "/a/../b", err: ErrDotSegment, literalErr: ErrDotSegment},
		{name: "P2 a dot-dot segment at the end", path: "/a/..", err: ErrDotSegment, literalErr: ErrDotSegment},
		{name: "P2 an encoded dot-dot", path: "/a/%2e%2E/b", err: ErrDotSegment, literalErr: ErrDotSegment},
		{name: "P2 a half-encoded dot-dot", path: "/a/.%2e/b", err: ErrDotSegment, literalErr: ErrDotSegment},
		{name: "P2 three dots are a name", path: "/a/.../b", want: "/a/.../b"},
		{name: "P2 a dot in a name", path: "/a/.well-known/x.y", want: "/a/.well-known/x.y"},
		{name: "P3 dot-dot with a parameter", path: "/a/..;x/b", err: ErrDotSegment, literalErr: ErrDotSegment},
		{name: "P3 dot-dot with an encoded parameter", path: "/a/..%3bx/b", err: ErrDotSegment, literalErr: ErrDotSegment},
		{name: "P3 a segment that is only a parameter", path: "/a/;x/b", err: ErrEmpty, literal: "/a/;x/b"},
		{name: "P3 a parameter", path: "/a;v=1/b", want: "/a;v=1/b"},
		{name: "P5 invalid UTF-8", path: "/a%ff", err: ErrUTF8, literalErr: ErrUTF8},
		{name: "P5 invalid raw UTF-8", path: "/a\xff", err: ErrUTF8, literalErr: ErrUTF8},
		{name: "P5 an overlong slash", path: "/a%c0%af", err: ErrUTF8, literalErr: ErrUTF8},
		{name: "P5 case stays", path: "/Admin", want: "/Admin"},
		{name: "P1 a control character", path: "/a%0ab", err: ErrControl, literalErr: ErrControl},
		{name: "P1 a raw control character", path: "/a\tb", err: ErrControl, literalErr: ErrControl},
		{name: "P1 NUL", path: "/a%00", err: ErrControl, literalErr: ErrControl},
		{name: "P1 DEL", path: "/a%7f", err: ErrControl, literalErr: ErrControl},
		{name: "P1 a C1 control character", path: "/a%c2%85", err: ErrControl, literalErr: ErrControl},
		{name: "P2 a percent sign at the end", path: "/a%", err: ErrEscape, literalErr: ErrEscape},
		{name: "P2 half an escape", path: "/a%4", err: ErrEscape, literalErr: ErrEscape},
		{name: "P2 no hex digits", path: "/a%zz", err: ErrEscape, literalErr: ErrEscape},
		{name: "P2 an IIS escape", path: "/a%u002f", err: ErrEscape, literalErr: ErrEscape},
		{name: "P19 an absolute form", path: "http://example.com/a", err: ErrNoSlash, literalErr: ErrNoSlash},
		{name: "P19 nothing", path: "", err: ErrNoSlash, literalErr: ErrNoSlash},
		{name: "P19 only a query", path: "?a", err: ErrNoSlash, literalErr: ErrNoSlash},
		{name: "P19 a star for GET", path: "*", err: ErrNoSlash, literalErr: ErrNoSlash},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r Request
			if err := r.Set("GET", "h", c.path, false); err != c.err || err == nil && r.Path != c.want {
				t.Errorf("reject: %q, %v; want %q, %v", r.Path, err, c.want, c.err)
			}
			want := c.literal
			if c.err == nil {
				want = c.want
			}
			if err := r.Set("GET", "h", c.path, true); err != c.literalErr || err == nil && r.Path != want {
				t.Errorf("literal: %q, %v; want %q, %v", r.Path, err, want, c.literalErr)
			}
		})
	}
}

func TestSetStarForOptions(t *testing.T) {
	var r Request
	if err := r.Set("OPTIONS", "h", "*", false); err != nil || r.Path != "*" {
		t.Fatalf("%q, %v", r.Path, err)
	}
}

// P5: each of the 256 bytes, raw and escaped, either reads as itself or makes the path ambiguous; but for the ? that
// starts the query, raw and escaped never read differently.
func TestSetEveryByte(t *testing.T) {
	for b := range 256 {
		var raw, escaped Request
		rawErr := raw.Set("GET", "h", "/a"+string([]byte{byte(b)})+"z", false)
		escapedErr := escaped.Set("GET", "h", fmt.Sprintf("/a%%%02xz", b), false)
		if escapedErr == nil && escaped.Path != "/a"+string(rune(b))+"z" {
			t.Errorf("%%%02x reads as %q", b, escaped.Path)
		}
		if rawErr == nil && escapedErr == nil && raw.Path != escaped.Path && b != '?' {
			t.Errorf("%#02x reads as %q raw and as %q escaped", b, raw.Path, escaped.Path)
		}
		if (b < ' ' || b >= 0x7f) && escapedErr == nil {
			t.Errorf("%%%02x is accepted", b)
		}
	}
}

func TestSetHost(t *testing.T) {
	for _, c := range []struct{ name, authority, want string }{
		{"as sent", "api.example.com", "api.example.com"},
		{"P6 case", "API.Example.COM", "api.example.com"},
		{"P6 a port", "api.example.com:8443", "api.example.com"},
		{"P6 an empty port", "api.example.com:", "api.example.com"},
		{"P6 a trailing dot", "api.example.com.", "api.example.com"},
		{"P6 a trailing dot and a port", "api.example.com.:80", "api.example.com"},
		{"an underscore", "my_host", "my_host"},
		{"an IPv4 address", "127.0.0.1:80", "127.0.0.1"},
		{"an IPv6 address", "[::1]:80", "[::1]"},
		{"none", "", ""},
	} {
		var r Request
		if err := r.Set("GET", c.authority, "/", false); err != nil || r.Host != c.want {
			t.Errorf("%s: %q, %v; want %q", c.name, r.Host, err, c.want)
		}
	}
	for _, authority := range []string{
		"user@api.example.com", "api.example.com:80:80", "api.example.com:x", "api.example.com:123456", "a b", "a/b",
		`a\b`, "a?b", "a#b", "a%41", "..", ".", ".a",
		"a..b", "a..", ":80", "[::1", "::1", "[::1]x", "a[b]", "a\x00b", "caf\u00e9", "a,b", "*",
	} {
		var r Request
		if err := r.Set("GET", authority, "/", false); err != ErrHost {
			t.Errorf("P6 %q: %v (%q), want ErrHost", authority, err, r.Host)
		}
	}
}

func TestSetMethod(t *testing.T) {
	for _, m := range []string{"GET", "M-SEARCH", "QUERY", "VERSION_CONTROL"} {
		if err := new(Request).Set(m, "", "/", false); err != nil {
			t.Errorf("P13 %s: %v", m, err)
		}
	}
	for _, m := range []string{"get", "Get", "", "GET ", "G\u00cbT"} {
		if err := new(Request).Set(m, "", "/", false); err != ErrMethod {
			t.Errorf("P13 %q: %v", m, err)
		}
	}
}

func TestTemplateFits(t *testing.T) {
	for _, c := range []struct {
		template  string
		fits, not []string
	}{
		{"/", []string{"/"}, []string{"/a"}},
		{"/orders", []string{"/orders", "/%6frders"}, []string{"/orders/", "/Orders", "/order", "/orders/7", "/"}},
		{"/orders/", []string{"/orders/"}, []string{"/orders", "/orders/7"}},
		{"/orders/{*}", []string{"/orders/7"}, []string{"/orders", "/orders/", "/orders/7/"}},
		{"/orders/{*}/items", []string{"/orders/7/items"}, []string{"/orders/7", "/orders/items"}},
		{"/orders/{id}", []string{"/orders/7"}, []string{"/orders/7/8"}},
		{"/orders/{**}", []string{"/orders", "/orders/", "/orders/7/items", "/orders/7/"},
			[]string{"/order", "/ordersx", "/x/orders"}},
		{"/{**}", []string{"/", "/a", "/a/b/"}, nil},
		{"/a/{*}/{**}", []string{"/a/b", "/a/b/c"}, []string{"/a", "/a/"}},
		{"/caf%c3%a9", []string{"/caf\u00e9", "/caf%C3%A9"}, []string{"/cafe"}},
		{"/a%20b", []string{"/a%20b"}, []string{"/a+b"}},
	} {
		tmpl, problem := ParseTemplate(c.template, false)
		if problem != "" {
			t.Fatalf("%s: %s", c.template, problem)
		}
		x := NewIndex([][]Condition{{{Paths: []Template{tmpl}}}})
		for i, path := range append(slices.Clone(c.fits), c.not...) {
			var r Request
			if err := r.Set("GET", "", path, false); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if _, ok, err := x.First(&r); ok != (i < len(c.fits)) || err != nil {
				t.Errorf("%s fits %s: %v, %v", c.template, path, ok, err)
			}
		}
	}
}

func TestParseTemplateRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"orders": "starts with a slash", "*": "starts with a slash", "/a?b": "no ?", "/a#b": "no ?",
		"/{**}/a": "at the end only", "/a*": "whole segments", "/a/*": "whole segments",
		"/{}": "named by", "/{1a}": "named by", "/{a-b}": "named by", "/{a}/{a}": "twice", "/x{a}": "whole segments",
		"/a;b": ";parameters", "/a//b": "empty segment",
		"/../a": ". or ..", "/a%2fb": "encoded slash", "/a%": "percent sign", "/a%3fb": "encoded", "/a%23": "encoded",
		"/a%3bb": "encoded", "/a%ff": "UTF-8", `/a\b`: "backslash",
	} {
		if _, problem := ParseTemplate(text, false); !strings.Contains(problem, want) {
			t.Errorf("%s: %q, want …%s…", text, problem, want)
		}
	}
}

func TestFirstMatchDecides(t *testing.T) {
	r, o := conf.Read(`{"match":[{"hosts":["api.example.com","*.shop.example"],"paths":["/a","/b/{x}"],"methods":["GET","HEAD"]},{"paths":["/c"]}]}`)
	rules := [][]Condition{
		ReadConditions(o, false),
		{{Hosts: []string{"api.example.com"}, Methods: []string{"GET"}}},
		{{Hosts: []string{"*.example.com"}}},
		{{Methods: []string{"OPTIONS"}}},
	}
	if o.End(); r.Err() != nil {
		t.Fatal(r.Err())
	}
	x := NewIndex(rules)
	for _, c := range []struct {
		name, method, host, path string
		want                     int
	}{
		{"host, path and method", "GET", "api.example.com", "/a", 0},
		{"a wildcard host", "HEAD", "eu.shop.example", "/b/7", 0},
		{"a wildcard host of two labels", "HEAD", "x.eu.shop.example", "/b/7", 0},
		{"the wildcard's own domain does not fit", "HEAD", "shop.example", "/b/7", -1},
		{"another domain that ends alike does not fit", "HEAD", "myshop.example", "/b/7", -1},
		{"the second entry of the list", "POST", "any", "/c", 0},
		{"no path in the rule", "GET", "api.example.com", "/zzz", 1},
		{"P13 the method differs", "POST", "api.example.com", "/a", 2},
		{"P14 an unknown method falls into no rule that names methods", "QUERY", "other", "/a", -1},
		{"a rule without hosts fits a request without", "OPTIONS", "", "/a", 3},
		{"OPTIONS * fits rules without paths", "OPTIONS", "other", "*", 3},
		{"OPTIONS * fits no path", "OPTIONS", "api.example.com", "*", 2},
		{"nothing fits", "GET", "other", "/zzz", -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r Request
			if err := r.Set(c.method, c.host, c.path, false); err != nil {
				t.Fatal(err)
			}
			hit, ok, err := x.First(&r)
			if !ok {
				hit.Rule = -1
			}
			if hit.Rule != c.want || err != nil {
				t.Fatalf("rule %d, %v; want %d", hit.Rule, err, c.want)
			}
		})
	}
}

func TestParameters(t *testing.T) {
	x := index(t, []string{"/orders/{**}"}, []string{"/tenants/{tenant}/{**}"}, []string{"/admin"},
		[]string{"/files/{*}"}, []string{"/{**}"})
	for _, c := range []struct {
		name, path string
		want       int
		err        error
	}{
		{"P3 below {**} they make no difference", "/orders/7;v=1", 0, nil},
		{"P3 under {*} they make no difference", "/files/7;v=1", 3, nil},
		{"P3 encoded ones are parameters too", "/orders/7%3bv=1", 0, nil},
		{"P3 in a literal segment they select another rule", "/orders;x/7", 0, ErrParameters},
		{"P3 behind a literal segment they select another rule", "/admin;x=y", 0, ErrParameters},
		{"P3 in a path variable they make another value", "/tenants/acme;x/y", 0, ErrParameters},
		{"P4 an encoded ? below {**} makes no difference", "/orders/what%3f/7", 0, nil},
		{"P4 nor an encoded # under {*}", "/files/c%23", 3, nil},
		{"P4 an encoded ? ends a literal segment for whoever parses twice", "/admin%3fx", 0, ErrParameters},
		{"P4 so does an encoded #", "/admin%23/x", 0, ErrParameters},
		{"P4 and what follows it is gone", "/files/a%3f/b", 0, ErrParameters},
		{"P4 in a path variable it makes another value", "/tenants/acme%3fx/y", 0, ErrParameters},
		{"P4 a parameter before it", "/admin;x%3fy", 0, ErrParameters},
		{"P4 it stands within a parameter that is dropped first", "/files;%3f/a", 0, ErrParameters},
		{"P4 both, and no difference", "/orders/7;v=1/what%3f", 0, nil},
		{"P4 P1 it makes an empty one of no account", "/orders/%3f", 0, nil},
		{"P3 behind a path variable they make no difference", "/tenants/acme/y;x", 1, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r Request
			if err := r.Set("GET", "", c.path, false); err != nil {
				t.Fatal(err)
			}
			hit, _, err := x.First(&r)
			if err != c.err || hit.Rule != c.want {
				t.Fatalf("First: rule %d, %v; want %d, %v", hit.Rule, err, c.want, c.err)
			}
			if _, err := x.All(&r, nil); err != c.err {
				t.Fatalf("All: %v, want %v", err, c.err)
			}
		})
	}
	x = index(t, []string{"/admin"})
	var r Request
	if err := r.Set("GET", "", "/x/admin;a", false); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := x.First(&r); ok || err != nil {
		t.Errorf("where neither reading fits a rule: %v, %v", ok, err)
	}
	x = index(t, []string{"/a/b"})
	for _, path := range []string{"/a/b%3f", "/a/b%23/c", "/a;p/b%3f", "/a;p%3f/b"} {
		if err := r.Set("GET", "", path, false); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := x.First(&r); ok || err != ErrParameters {
			t.Errorf("P4 %s: %v, %v", path, ok, err)
		}
	}
}

func TestVariables(t *testing.T) {
	x := index(t, []string{"/tenants/{tenant}/users/{user}"})
	for path, want := range map[string]string{"/tenants/ac%6de/users/a%40b": "acme a@b",
		"/tenants/a/users/b%2fc%25": "a b/c%"} {
		var r Request
		if err := r.Set("GET", "", path, true); err != nil {
			t.Fatal(err)
		}
		hit, ok, err := x.First(&r)
		tenant, _ := hit.Variable("tenant")
		user, _ := hit.Variable("user")
		if !ok || err != nil || tenant+" "+user != want {
			t.Errorf("%s: %s %s, %v, %v; want %s", path, tenant, user, ok, err, want)
		}
		if _, ok := hit.Variable("other"); ok {
			t.Error("a variable that is not there")
		}
		if hit.Template() != "/tenants/{tenant}/users/{user}" {
			t.Error(hit.Template())
		}
	}
}

func TestConditionFaults(t *testing.T) {
	r, o := conf.Read(`{"match":[{"hosts":["a b","*.*.x","api.x:80","API.x","*"],"paths":["x",7],"methods":["get",""],"path":[]},7,{"hosts":[]}]}`)
	ReadConditions(o, false)
	o.End()
	want := `match[0].hosts[0]: want a host name such as api.example.com or *.example.com
match[0].hosts[1]: a * stands for the first labels only, as in *.example.com; leave hosts out to fit every host
match[0].hosts[2]: write the host without port: it is not compared, so that the rule is for every port
match[0].hosts[4]: a * stands for the first labels only, as in *.example.com; leave hosts out to fit every host
match[0].paths[0]: a path starts with a slash
match[0].paths[1]: want a string, got a number
match[0].methods[0]: want a method in upper case, such as GET: methods are compared exactly
match[0].methods[1]: must not be empty
match[0].path: unknown key; did you mean paths?
match[1]: want an object, got a number
match[2].hosts: the list is empty: name at least one, or leave the key out`
	if got := r.Err(); got == nil || got.Error() != want {
		t.Fatalf("got\n%v\nwant\n%s", got, want)
	}
}

// index makes an index of one condition per rule, over paths only.
func index(t testing.TB, rules ...[]string) *Index {
	t.Helper()
	var conditions [][]Condition
	for _, paths := range rules {
		var c Condition
		for _, p := range paths {
			tmpl, problem := ParseTemplate(p, true)
			if problem != "" {
				t.Fatalf("%s: %s", p, problem)
			}
			c.Paths = append(c.Paths, tmpl)
		}
		conditions = append(conditions, []Condition{c})
	}
	return NewIndex(conditions)
}

// fits is the definition of a match (jwt-scope's README, Paths) in its plainest form: the oracle
// that the tree is held against.
func fits(c Condition, method, host, path string) bool {
	hostFits := c.Hosts == nil
	for _, h := range c.Hosts {
		hostFits = hostFits || h == host || strings.HasPrefix(h, "*.") && strings.HasSuffix(host, h[1:]) &&
			len(host) >= len(h)
	}
	pathFits := c.Paths == nil
	for _, t := range c.Paths {
		parts := strings.Split(path, "/")[1:]
		ok := len(parts) == len(t.segments) || t.tail && len(parts) >= len(t.segments)
		for i := 0; ok && i < len(t.segments); i++ {
			ok = t.segments[i].literal == parts[i] && !t.segments[i].wild || t.segments[i].wild && parts[i] != ""
		}
		pathFits = pathFits || ok
	}
	return hostFits && pathFits && (c.Methods == nil || slices.Contains(c.Methods, method))
}

// The index answers as trying one rule after the other does.
func TestIndexAgainstOracle(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	pick := func(words ...string) string { return words[rng.IntN(len(words))] }
	var found int
	for range 300 {
		var rules [][]Condition
		for range 1 + rng.IntN(12) {
			var list []Condition
			for range rng.IntN(3) {
				var c Condition
				if rng.IntN(2) == 0 {
					c.Hosts = []string{pick("a.x", "*.x", "b.a.x", "*.a.x")}
				}
				for range rng.IntN(3) {
					text := ""
					for range rng.IntN(4) {
						text += "/" + pick("p", "q", "{*}", "p")
					}
					tmpl, problem := ParseTemplate(text+pick("/{**}", "/p", "/", "/{v}"), false)
					if problem != "" {
						t.Fatal(problem)
					}
					c.Paths = append(c.Paths, tmpl)
				}
				if rng.IntN(2) == 0 {
					c.Methods = []string{pick("GET", "POST"), "PUT"}
				}
				list = append(list, c)
			}
			rules = append(rules, list)
		}
		x := NewIndex(rules)
		for range 60 {
			method, host, path := pick("GET", "POST", "PUT", "QUERY"), pick("a.x", "b.a.x", "x", "c.b.a.x", "z"), ""
			for range rng.IntN(5) {
				path += "/" + pick("p", "q", "r")
			}
			if path += pick("", "/"); path == "" {
				path = "/"
			}
			var want []int
			for i, list := range rules {
				ok := len(list) == 0
				for _, c := range list {
					ok = ok || fits(c, method, host, path)
				}
				if ok {
					want = append(want, i)
				}
			}
			var r Request
			if err := r.Set(method, host, path, false); err != nil {
				t.Fatal(err)
			}
			hits, err := x.All(&r, nil)
			var got []int
			for _, h := range hits {
				got = append(got, h.Rule)
			}
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("%s %s%s: rules %v, %v; want %v", method, host, path, got, err, want)
			}
			first, ok, err := x.First(&r)
			if err != nil || ok != (len(want) > 0) || ok && first.Rule != want[0] {
				t.Fatalf("%s %s%s: first rule %v, %v, %v; want of %v", method, host, path, first.Rule, ok, err, want)
			}
			found += len(want)
		}
	}
	if found < 1000 {
		t.Fatalf("only %d rules fitted: the test tests nothing", found)
	}
}

func TestMatchingAllocatesNothing(t *testing.T) {
	x := index(t, []string{"/orders/{id}/items"}, []string{"/{**}"})
	var r Request
	if n := testing.AllocsPerRun(100, func() {
		if err := r.Set("GET", "api.example.com:443", "/orders/7/items?x=y", false); err != nil {
			t.Fatal(err)
		}
		if hit, ok, err := x.First(&r); !ok || err != nil || hit.Rule != 0 {
			t.Fatal(hit, ok, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}

// A path that Set accepts survives being encoded again: nothing in it was lost, and no second decoding changes it.
// The quick readers of paths and hosts are the thorough ones, where they do not pass.
func sameAsThorough(t *testing.T, method, authority, path string) {
	t.Helper()
	var quick, thorough Request
	quick.Method = method
	if quick.setPlain(path) {
		thorough.Method = method
		err := thorough.setPath(path, false)
		if err != nil || quick.Path != thorough.Path || quick.Query != thorough.Query ||
			!slices.Equal(quick.segments, thorough.segments) || len(thorough.others) > 0 {
			t.Errorf("path %q: quick %q ?%q %q; thorough %q ?%q %q %q, %v", path, quick.Path, quick.Query,
				quick.segments, thorough.Path, thorough.Query, thorough.segments, thorough.others, err)
		}
	}
	if end := plainHost(authority); end >= 0 {
		if host, err := canonicalHost(authority); err != nil || host != authority[:end] {
			t.Errorf("host %q: quick %q; thorough %q, %v", authority, authority[:end], host, err)
		}
	}
}

func TestQuickReaders(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	plain := 0
	for range 200_000 {
		var path, host []byte
		for range rng.IntN(12) {
			const ofPath, ofHost = "//..;?#%2e\\ab*~ \x7f\x80", "..::aZ09-_[]@ "
			path = append(path, ofPath[rng.IntN(len(ofPath))])
			host = append(host, ofHost[rng.IntN(len(ofHost))])
		}
		sameAsThorough(t, "GET", string(host), "/"+string(path))
		if (&Request{}).setPlain("/" + string(path)) {
			plain++
		}
	}
	if plain < 1000 {
		t.Fatalf("only %d paths were plain", plain)
	}
}

func FuzzSet(f *testing.F) {
	for _, p := range []string{"/", "/a%2e%2e/b", "/a;x/..;/b", "/%61?x", "//", "/a%2fb%25", "/caf%c3%a9", "*", "/\\",
		"/a\x00"} {
		f.Add("GET", "api.example.com:443", p, false)
		f.Add("OPTIONS", "[::1]:80", p, true)
	}
	f.Fuzz(func(t *testing.T, method, authority, path string, literal bool) {
		sameAsThorough(t, method, authority, path)
		var r Request
		if r.Set(method, authority, path, literal) != nil || r.Path == "*" {
			return
		}
		for _, s := range slices.Concat(append(slices.Clone(r.others), r.segments)...) {
			if s == "." || s == ".." || strings.ContainsAny(s, "/\\\x00") {
				t.Fatalf("%q has the segment %q", path, s)
			}
		}
		encoded := ""
		for _, c := range []byte(r.Path) {
			if c == '/' || literal && c == '%' {
				encoded += string(rune(c))
			} else {
				encoded += fmt.Sprintf("%%%02x", c)
			}
		}
		if literal && strings.Contains(r.Path, "%") {
			return // the hex digits of kept escapes cannot be told from letters here
		}
		var again Request
		if err := again.Set(method, authority, encoded, literal); err != nil && !errors.Is(err, ErrSeparator) ||
			err == nil && again.Path != r.Path {
			t.Fatalf("%q reads as %q, and that encoded as %q, %v", path, r.Path, again.Path, err)
		}
	})
}

func BenchmarkFirst(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			var rules [][]string
			for i := range n {
				rules = append(rules, []string{fmt.Sprintf("/svc%d/{tenant}/orders/{**}", i)})
			}
			x := index(b, rules...)
			var r Request
			path := fmt.Sprintf("/svc%d/acme/orders/7", n-1)
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Set("GET", "api.example.com", path, false); err != nil {
					b.Fatal(err)
				}
				if hit, ok, _ := x.First(&r); !ok || hit.Rule != n-1 {
					b.Fatal("wrong rule")
				}
			}
		})
	}
}

func TestAuthority(t *testing.T) {
	for authority, want := range map[string]string{
		"": "", "host": "host", "HOST": "host", "host.": "host", "host:443": "host", "host:80": "host",
		"Host.:443": "host", "host:": "host", "host:8443": "host:8443", "host.:8443": "host:8443",
		"host:4430": "host:4430", "host:0443": "host:0443",
		"[::1]": "[::1]", "[::1]:80": "[::1]", "[::1]:81": "[::1]:81", "[2001:DB8::443]": "[2001:db8::443]",
		"[::80]": "[::80]", "192.0.2.1:443": "192.0.2.1",
	} {
		if got := Authority(authority); got != want {
			t.Errorf("%q: %q, want %q", authority, got, want)
		}
	}
}
