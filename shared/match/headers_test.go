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

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/forward"
)

// readRules reads rules of match lists: {"match":[…]} each.
func readRules(texts ...string) (rules [][]Condition, err error) {
	for _, text := range texts {
		r, o := conf.Read(text)
		rules = append(rules, ReadConditions(o, false))
		o.End()
		if err := r.Err(); err != nil {
			return nil, err
		}
	}
	return rules, nil
}

// byHeaders is an index of rules that ask for headers only.
func byHeaders(t testing.TB, headers ...string) *Index {
	t.Helper()
	var texts []string
	for _, h := range headers {
		texts = append(texts, `{"match":[{"headers":`+h+`}]}`)
	}
	rules, err := readRules(texts...)
	if err != nil {
		t.Fatal(err)
	}
	return NewIndex(rules)
}

func set(t testing.TB, r *Request, method, path string, headers ...[2]string) {
	t.Helper()
	if err := r.Set(method, "h", path, false); err != nil {
		t.Fatal(err)
	}
	r.Headers = headers
}

func TestHeaders(t *testing.T) {
	const exact, either, begins, there, absent = `[{"name":"Mcp-Name","exact":"x"}]`,
		`[{"name":"mcp-name","any":["x","y"]}]`, `[{"name":"mcp-name","prefix":"xa"}]`,
		`[{"name":"mcp-name","present":true}]`, `[{"name":"mcp-name","present":false}]`
	type h = [2]string
	for _, c := range []struct {
		name, asks string
		headers    [][2]string
		fits       bool
		err        error
	}{
		{"the value", exact, []h{{"mcp-name", "x"}}, true, nil},
		{"another value", exact, []h{{"mcp-name", "y"}}, false, nil},
		{"P24 a value is compared by bytes", exact, []h{{"mcp-name", "X"}}, false, nil},
		{"P24 a longer value", exact, []h{{"mcp-name", "xy"}}, false, nil},
		{"P24 a list that has the value", exact, []h{{"mcp-name", "x,y"}}, false, nil},
		{"P24 white space around it", exact, []h{{"mcp-name", " x"}}, false, nil},
		{"an empty value", exact, []h{{"mcp-name", ""}}, false, nil},
		{"no header", exact, nil, false, nil},
		{"a name that only begins alike", exact, []h{{"mcp-names", "x"}}, false, nil},
		{"a name of the same length", exact, []h{{"mcp-nama", "x"}}, false, nil},
		{"P25 twice", exact, []h{{"mcp-name", "x"}, {"mcp-name", "y"}}, false, ErrHeaders},
		{"P25 twice, both the value", exact, []h{{"mcp-name", "x"}, {"a", ""}, {"mcp-name", "x"}}, false, ErrHeaders},
		{"P25 twice, neither the value", exact, []h{{"mcp-name", "y"}, {"mcp-name", "y"}}, false, ErrHeaders},
		{"P25 twice, once empty", exact, []h{{"mcp-name", ""}, {"mcp-name", "x"}}, false, ErrHeaders},
		{"P26 in another spelling, too", exact, []h{{"mcp-name", "x"}, {"mcp_name", "y"}}, false, ErrHeaders},
		{"P26 in another spelling only", exact, []h{{"mcp_name", "x"}}, false, ErrHeaders},
		{"one of two values", either, []h{{"mcp-name", "y"}}, true, nil},
		{"none of two values", either, []h{{"mcp-name", "xy"}}, false, nil},
		{"P25 twice, of two values", either, []h{{"mcp-name", "x"}, {"mcp-name", "y"}}, false, ErrHeaders},
		{"the prefix alone", begins, []h{{"mcp-name", "xa"}}, true, nil},
		{"the prefix and more", begins, []h{{"mcp-name", "xab"}}, true, nil},
		{"less than the prefix", begins, []h{{"mcp-name", "x"}}, false, nil},
		{"the prefix within", begins, []h{{"mcp-name", "axa"}}, false, nil},
		{"no header with a prefix", begins, nil, false, nil},
		{"P25 twice, with a prefix", begins, []h{{"mcp-name", "xa"}, {"mcp-name", "xb"}}, false, ErrHeaders},
		{"P26 a prefix in another spelling", begins, []h{{"mcp_name", "xa"}}, false, ErrHeaders},
		{"present", there, []h{{"mcp-name", ""}}, true, nil},
		{"present twice is present", there, []h{{"mcp-name", "x"}, {"mcp-name", "y"}}, true, nil},
		{"not present", there, []h{{"mcp", "x"}}, false, nil},
		{"P26 present in another spelling only", there, []h{{"mcp_name", "x"}}, false, ErrHeaders},
		{"absent", absent, []h{{"mcp", "x"}}, true, nil},
		{"not absent", absent, []h{{"mcp-name", ""}}, false, nil},
		{"not absent, twice", absent, []h{{"mcp-name", ""}, {"mcp-name", ""}}, false, nil},
		{"P26 absent but for another spelling", absent, []h{{"mcp_name", "x"}}, false, ErrHeaders},
		{"both of two", `[{"name":"a","exact":"1"},{"name":"b","exact":"2"}]`, []h{{"b", "2"}, {"a", "1"}}, true, nil},
		{"one of two", `[{"name":"a","exact":"1"},{"name":"b","exact":"2"}]`, []h{{"a", "1"}}, false, nil},
		{"P25 the second is ambiguous, and the first does not fit",
			`[{"name":"a","exact":"1"},{"name":"b","exact":"2"}]`, []h{{"a", "0"}, {"b", "2"}, {"b", "2"}}, false, ErrHeaders},
		{"two conditions on one header", `[{"name":"a","prefix":"x"},{"name":"a","any":["xa","yb","xc"]}]`,
			[]h{{"a", "xc"}}, true, nil},
		{"a value that only one of them has", `[{"name":"a","prefix":"x"},{"name":"a","any":["xa","yb"]}]`,
			[]h{{"a", "yb"}}, false, nil},
		{"a name with an underscore", `[{"name":"a_b","exact":"1"}]`, []h{{"a_b", "1"}}, true, nil},
		{"P26 a name with an underscore in another spelling", `[{"name":"a_b","exact":"1"}]`,
			[]h{{"a_b", "1"}, {"a-b", "1"}}, false, ErrHeaders},
		{"another name in two spellings does not matter", exact, []h{{"mcp-name", "x"}, {"mcp-mode", ""}, {"mcp_mode", ""}},
			true, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := byHeaders(t, c.asks)
			var r Request
			set(t, &r, "GET", "/", c.headers...)
			_, ok, err := x.First(&r)
			hits, errAll := x.All(&r, nil)
			if ok != c.fits || err != c.err || (len(hits) == 1) != c.fits || errAll != c.err {
				t.Errorf("First %v, %v; All %d, %v; want %v, %v", ok, err, len(hits), errAll, c.fits, c.err)
			}
		})
	}
}

// An ambiguous header matters where a rule that is consulted asks for it, and nowhere else.
func TestAmbiguousForWhom(t *testing.T) {
	texts := []string{
		`{"match":[{"paths":["/a"],"methods":["PUT"],"headers":[{"name":"one","exact":"1"}]}]}`,
		`{"match":[{"paths":["/a","/b"]}]}`,
		`{"match":[{"headers":[{"name":"two","present":true}]}]}`,
		`{"match":[{"hosts":["other"],"headers":[{"name":"three","exact":"3"}]}]}`,
		`{"match":[{"paths":["/d/{x}"],"headers":[{"name":"four","exact":"4"}]}]}`,
		`{"match":[{"paths":["/c"],"headers":[{"name":"four","exact":"4"}]}]}`,
	}
	rules, err := readRules(texts...)
	if err != nil {
		t.Fatal(err)
	}
	x := NewIndex(rules)
	type h = [2]string
	twice := func(name string) []h { return []h{{name, "1"}, {name, "1"}} }
	for _, c := range []struct {
		name, method, path string
		headers            []h
		first              int // -2: ambiguous
		all                []int
		err                error // of All
	}{
		{"of a rule with another method", "GET", "/a", twice("one"), 1, []int{1}, nil},
		{"P25 of the first rule", "PUT", "/a", twice("one"), -2, nil, ErrHeaders},
		{"P27 of a rule behind the one that decides", "GET", "/a", []h{{"t_wo", "1"}, {"two", ""}}, 1, []int{1, 2}, nil},
		{"of a rule with another host", "GET", "/x", twice("three"), -1, nil, nil},
		{"present twice", "GET", "/x", twice("two"), 2, []int{2}, nil},
		{"P3 of a rule for another reading of the path", "GET", "/c;x", twice("four"), -2, nil, ErrHeaders},
		{"P3 a rule for another reading whose header fits", "GET", "/c;x", []h{{"four", "4"}}, -3, nil, ErrParameters},
		{"P3 a rule for another reading whose header does not fit", "GET", "/c;x", []h{{"four", "5"}}, -1, nil, nil},
		{"P3 a path variable of a rule whose header fits", "GET", "/d/e;x", []h{{"four", "4"}}, -3, nil, ErrParameters},
		{"P3 a path variable of a rule whose header does not fit", "GET", "/d/e;x", nil, -1, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r Request
			set(t, &r, c.method, c.path, c.headers...)
			hit, ok, err := x.First(&r)
			got := hit.Rule
			switch {
			case err == ErrHeaders:
				got = -2
			case err != nil:
				got = -3
			case !ok:
				got = -1
			}
			if got != c.first {
				t.Errorf("First: %d (%v), want %d", got, err, c.first)
			}
			hits, err := x.All(&r, nil)
			var all []int
			for _, h := range hits {
				all = append(all, h.Rule)
			}
			if err != c.err || !slices.Equal(all, c.all) {
				t.Errorf("All: %v, %v; want %v, %v", all, err, c.all, c.err)
			}
		})
	}
	folded := byHeaders(t, `[{"name":"x-b","exact":"1"}]`, `[{"name":"a-b","present":true}]`,
		`[{"name":"a_b","exact":"1"}]`)
	var r Request
	for _, c := range []struct {
		headers []h
		want    int // -2: ambiguous
		rule    int // whose header it is
	}{{[]h{{"a-b", "1"}}, 1, 1}, {[]h{{"a_b", "1"}}, -2, 1}, {[]h{{"x-b", "1"}, {"a_b", "1"}}, 0, 0}} {
		set(t, &r, "GET", "/", c.headers...)
		hit, ok, err := folded.First(&r)
		if (err == ErrHeaders) != (c.want == -2) || ok == (c.want == -2) || hit.Rule != c.rule {
			t.Errorf("P27 %v: rule %d, %v, %v; want %d", c.headers, hit.Rule, ok, err, c.want)
		}
		if _, err := folded.All(&r, nil); err != ErrHeaders {
			t.Errorf("P27 %v: of rules that all count, one finds it ambiguous: %v", c.headers, err)
		}
	}
}

// A request's headers are read anew for every decision: they may stand in memory that is reused.
func TestHeadersAreReadAnew(t *testing.T) {
	x, other := byHeaders(t, `[{"name":"a","exact":"1"}]`), byHeaders(t, `[{"name":"b","exact":"1"}]`)
	var r, ofAll Request
	for i, c := range []struct {
		x     *Index
		name  string
		value string
		want  bool
	}{{x, "a", "1", true}, {x, "a", "2", false}, {x, "a", "1", true}, {other, "a", "1", false}, {other, "b", "1", true},
		{x, "b", "1", false}} {
		set(t, &r, "GET", "/", [2]string{c.name, c.value})
		if _, ok, err := c.x.First(&r); ok != c.want || err != nil {
			t.Errorf("request %d: First %v, %v", i, ok, err)
		}
		set(t, &ofAll, "GET", "/", [2]string{c.name, c.value})
		if hits, err := c.x.All(&ofAll, nil); len(hits) == 1 != c.want || err != nil {
			t.Errorf("request %d: All %v, %v", i, hits, err)
		}
	}
}

// naive is what conditions on headers mean, in its plainest form: of the JSON, as it was written.
func naive(headers gjson.Result, sent [][2]string) (holds, ambiguous bool) {
	holds = true
	headers.ForEach(func(_, c gjson.Result) bool {
		name, present := strings.ToLower(c.Get("name").Str), c.Get("present")
		var values []string
		for _, h := range sent {
			if h[0] == name {
				values = append(values, h[1])
			} else if forward.Fold(h[0]) == forward.Fold(name) {
				ambiguous = true
			}
		}
		fits := false
		if present.Exists() {
			fits = present.Bool() == (len(values) > 0)
		} else if ambiguous = ambiguous || len(values) > 1; len(values) > 0 {
			v := values[0]
			fits = c.Get("exact").Exists() && c.Get("exact").Str == v ||
				c.Get("prefix").Exists() && strings.HasPrefix(v, c.Get("prefix").Str)
			for _, one := range c.Get("any").Array() {
				fits = fits || one.Str == v
			}
		}
		holds = holds && fits
		return true
	})
	return holds, ambiguous
}

// holdAgainstNaive holds the index against trying one rule after the other. readings are those of
// r's path, the one that was sent first.
func holdAgainstNaive(t *testing.T, rules [][]Condition, texts []string, r *Request, readings ...string) (fitted int) {
	t.Helper()
	x := NewIndex(rules)
	type result struct {
		first     int
		ambiguous bool
	}
	var firsts []result
	var alls [][]int
	anyAmbiguous := false
	for _, path := range readings {
		first, all := result{first: -1}, []int(nil)
		for i, conditions := range rules {
			list := gjson.Get(texts[i], "match").Array()
			hit := len(conditions) == 0
			for j, c := range conditions {
				if !fits(c, r.Method, r.Host, path) {
					continue
				}
				holds, ambiguous := naive(list[j].Get("headers"), r.Headers)
				anyAmbiguous = anyAmbiguous || ambiguous
				if first.first < 0 && !hit && (ambiguous || holds) {
					first = result{i, ambiguous}
				}
				hit = hit || holds
			}
			if hit {
				all = append(all, i)
				if first.first < 0 {
					first.first = i
				}
			}
		}
		firsts, alls = append(firsts, first), append(alls, all)
	}
	var want error
	for _, f := range firsts {
		if f.ambiguous && want == nil {
			want = ErrHeaders
			firsts[0] = f
		} else if f != firsts[0] && want == nil {
			want = ErrParameters
		}
	}
	hit, ok, err := x.First(r)
	if !ok && err == nil {
		hit.Rule = -1
	}
	if err != want || want != ErrParameters && hit.Rule != firsts[0].first {
		t.Fatalf("%s %s%s %q under\n%s\nFirst: %d, %v; want %d, %v", r.Method, r.Host, r.Path, r.Headers,
			strings.Join(texts, "\n"), hit.Rule, err, firsts[0].first, want)
	}
	want = nil
	if anyAmbiguous {
		want = ErrHeaders
	} else if slices.ContainsFunc(alls, func(a []int) bool { return !slices.Equal(a, alls[0]) }) {
		want = ErrParameters
	}
	hits, err := x.All(r, nil)
	var got []int
	for _, h := range hits {
		got = append(got, h.Rule)
	}
	if err != want || want == nil && !slices.Equal(got, alls[0]) || want != nil && len(got) > 0 {
		t.Fatalf("%s %s%s %q under\n%s\nAll: %v, %v; want %v, %v", r.Method, r.Host, r.Path, r.Headers,
			strings.Join(texts, "\n"), got, err, alls[0], want)
	}
	if want == nil {
		fitted = len(got)
	}
	return fitted
}

func TestHeadersAgainstNaive(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	pick := func(words ...string) string { return words[rng.IntN(len(words))] }
	value := func() string { return pick("v", "vw", "w", "vwx") }
	condition := func() string {
		name := `{"name":"` + pick("a-b", "A-B", "a_b", "x", "y-z") + `",`
		switch rng.IntN(5) {
		case 0:
			return name + `"any":["` + value() + `","` + value() + `"]}`
		case 1:
			return name + `"prefix":"` + value() + `"}`
		case 2:
			return name + `"present":` + pick("true", "false") + `}`
		}
		return name + `"exact":"` + value() + `"}`
	}
	rule := func() (string, []Condition) {
		for {
			var entries []string
			for range 1 + rng.IntN(2) {
				var fields, conditions []string
				for range rng.IntN(4) {
					conditions = append(conditions, condition())
				}
				if conditions != nil {
					fields = append(fields, `"headers":[`+strings.Join(conditions, ",")+`]`)
				}
				if rng.IntN(2) == 0 {
					fields = append(fields, `"paths":["`+pick("/p", "/{*}", "/q/{**}", "/{**}")+`","/p"]`)
				}
				if rng.IntN(3) == 0 {
					fields = append(fields, `"methods":["`+pick("GET", "PUT")+`","GET"]`)
				}
				if rng.IntN(4) == 0 {
					fields = append(fields, `"hosts":["`+pick("h", "g", "*.h")+`","h"]`)
				}
				entries = append(entries, "{"+strings.Join(fields, ",")+"}")
			}
			text := `{"match":[` + strings.Join(entries, ",") + `]}`
			if rules, err := readRules(text); err == nil { // what can never hold is a fault
				return text, rules[0]
			}
		}
	}
	fitted, refused := 0, 0
	for range 400 {
		var rules [][]Condition
		var texts []string
		for range 1 + rng.IntN(10) {
			text, conditions := rule()
			rules, texts = append(rules, conditions), append(texts, text)
		}
		var r Request
		for range 80 {
			var headers [][2]string
			for range rng.IntN(4) {
				name := pick("a-b", "a-b", "x", "y-z", "a_b", "y_z", "q")
				headers = append(headers, [2]string{name, pick("", "v", "vw", "vwx", "w")})
			}
			path := pick("/p", "/q", "/q/r", "/")
			readings := []string{path}
			if rng.IntN(4) == 0 && path != "/" {
				readings = []string{path + ";s", path}
			}
			if err := r.Set(pick("GET", "PUT", "POST"), pick("h", "g", "i.h"), readings[0], false); err != nil {
				t.Fatal(err)
			}
			r.Headers = headers
			n := holdAgainstNaive(t, rules, texts, &r, readings...)
			if fitted += n; n == 0 {
				refused++
			}
		}
	}
	if fitted < 1000 || refused < 1000 {
		t.Fatalf("%d rules fitted, %d requests came to none: the test tests nothing", fitted, refused)
	}
}

// FuzzHeaders has rules and headers of any form, under one path.
func FuzzHeaders(f *testing.F) {
	f.Add(`{"match":[{"headers":[{"name":"a-b","exact":"1"},{"name":"c","prefix":"x"}]}]}`, `{"match":[]}`,
		"a_b", "1", "c", "xy")
	f.Add(`{"match":[{"headers":[{"name":"a","any":["1","2"]}]},{"headers":[{"name":"a","present":false}]}]}`,
		`{"match":[{"headers":[{"name":"a","exact":"2"}]}]}`, "a", "2", "a", "2")
	f.Add(`{"match":[{"headers":[{"name":"A","prefix":"1"},{"name":"a","prefix":"12"}]}]}`,
		`{"match":[{"paths":["/{**}"],"headers":[{"name":"a","present":true}]}]}`, "a", "123", "", "")
	f.Fuzz(func(t *testing.T, first, second, name, value, other, otherValue string) {
		if !gjson.Valid(first) || !gjson.Valid(second) {
			return
		}
		rules, err := readRules(first, second)
		if err != nil {
			return
		}
		var r Request
		set(t, &r, "GET", "/", [2]string{strings.ToLower(name), value}, [2]string{strings.ToLower(other), otherValue})
		holdAgainstNaive(t, rules, []string{first, second}, &r, "/")
	})
}

func TestHeaderFaults(t *testing.T) {
	const can = "can never hold beside the other condition on this header"
	const request = "is part of the request line: use hosts, paths or methods"
	const operator = "want one of exact, any, prefix and present"
	for _, c := range []struct{ name, headers, faults, warnings string }{
		{"one of each", `[{"name":"a","exact":"1"},{"name":"b","any":["1","2"]},{"name":"c","prefix":"1 "},` +
			`{"name":"d","present":true},{"name":"e","present":false}]`, "", ""},
		{"an empty list", `[]`, ": the list is empty: name at least one, or leave the key out", ""},
		{"no list", `{}`, ": want a list, got an object", ""},
		{"no object", `["a"]`, "[0]: want an object, got a string", ""},
		{"no name", `[{"exact":"1"}]`, "[0].name: is required", ""},
		{"an unknown key", `[{"name":"a","exact":"1","perfix":"x"}]`, "[0].perfix: unknown key; did you mean prefix?", ""},
		{"no operator", `[{"name":"a"}]`, "[0]: " + operator, ""},
		{"two operators", `[{"name":"a","exact":"1","present":true}]`, "[0]: " + operator, ""},
		{"an empty value", `[{"name":"a","exact":""}]`, "[0].exact: must not be empty", ""},
		{"a value that is no text", `[{"name":"a","exact":1}]`, "[0].exact: want a string, got a number", ""},
		{"no values", `[{"name":"a","any":[]}]`, "[0].any: the list is empty: name at least one, or leave the key out", ""},
		{"an empty prefix", `[{"name":"a","prefix":""}]`, "[0].prefix: must not be empty: use present for any value", ""},
		{"present is no text", `[{"name":"a","present":"true"}]`, "[0].present: want true or false, got a string", ""},
		{"no header's name", `[{"name":"a b","exact":"1"},{"name":"a:","exact":"1"},{"name":"","exact":"1"}]`,
			"[0].name: want the name of a header\n[1].name: want the name of a header\n[2].name: must not be empty", ""},
		{"what is no header", `[{"name":":path","exact":"1"},{"name":"Host","exact":"1"},{"name":":scheme","exact":"1"}]`,
			"[0].name: " + request + "\n[1].name: " + request + "\n[2].name: " + request, ""},
		{"values that no header has", `[{"name":"a","exact":"1\u0007"},{"name":"b","any":["1","2 "]},{"name":"c","prefix":"\t1"}]`,
			"[0].exact: " + impossible + "\n[1].any[1]: " + impossible + "\n[2].prefix: " + impossible, ""},
		{"absent and a value", `[{"name":"a","exact":"1"},{"name":"A","present":false}]`, "[1]: " + can, ""},
		{"absent and present", `[{"name":"a","present":false},{"name":"a","present":true}]`, "[1]: " + can, ""},
		{"absent and a prefix", `[{"name":"a","present":false},{"name":"a","prefix":"1"}]`, "[1]: " + can, ""},
		{"two values", `[{"name":"a","exact":"1"},{"name":"a","exact":"2"}]`, "[1]: " + can, ""},
		{"values that have none in common", `[{"name":"a","any":["1","2"]},{"name":"a","any":["3"]}]`, "[1]: " + can, ""},
		{"a value without the prefix", `[{"name":"a","prefix":"1"},{"name":"a","exact":"21"}]`, "[1]: " + can, ""},
		{"two prefixes", `[{"name":"a","prefix":"1"},{"name":"a","prefix":"2"}]`, "[1]: " + can, ""},
		{"three, of which no two have all in common", `[{"name":"a","any":["1","2"]},{"name":"a","any":["2","3"]},` +
			`{"name":"a","any":["1","3"]}]`, "[2]: " + can, ""},
		{"two spellings", `[{"name":"a-b","exact":"1"},{"name":"a_b","exact":"1"}]`,
			"[1]: is another spelling of a header that this entry asks for: a request that has either is ambiguous", ""},
		{"a value twice", `[{"name":"a","any":["1","2","1"]}]`, "", "[0].any[2]: " + conf.Repeated},
		{"the same twice", `[{"name":"a","exact":"1"},{"name":"a","exact":"1"}]`, "", "[1]: " + idle},
		{"present beside a value", `[{"name":"a","present":true},{"name":"a","exact":"1"}]`, "", "[0]: " + idle},
		{"a value beside present", `[{"name":"a","exact":"1"},{"name":"a","present":true}]`, "", "[1]: " + idle},
		{"a prefix of a prefix", `[{"name":"a","prefix":"1"},{"name":"a","prefix":"12"}]`, "", "[0]: " + idle},
		{"a prefix of the value", `[{"name":"a","exact":"12"},{"name":"a","prefix":"1"}]`, "", "[1]: " + idle},
		{"a value of several", `[{"name":"a","any":["1","2"]},{"name":"a","exact":"2"}]`, "", "[0]: " + idle},
		{"values in another order", `[{"name":"a","any":["1","2"]},{"name":"a","any":["2","1"]}]`, "", "[1]: " + idle},
		{"absent twice", `[{"name":"a","present":false},{"name":"a","present":false}]`, "", "[1]: " + idle},
		{"values of which some are both", `[{"name":"a","any":["1","2"]},{"name":"a","any":["2","3"]}]`, "", ""},
		{"a prefix that some values have", `[{"name":"a","any":["1","2"]},{"name":"a","prefix":"2"}]`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, o := conf.Read(`{"match":[{"headers":` + c.headers + `}]}`)
			ReadConditions(o, false)
			o.End()
			faults := ""
			var list conf.Faults
			if errors.As(r.Err(), &list) {
				faults = list.Error()
			}
			for _, s := range []struct{ got, want string }{{faults, c.faults}, {conf.Faults(r.Warnings()).Error(), c.warnings}} {
				if got := strings.ReplaceAll(s.got, "match[0].headers", ""); got != s.want {
					t.Errorf("got\n%s\nwant\n%s", got, s.want)
				}
			}
		})
	}
}

func TestWhyHeaders(t *testing.T) {
	rules, err := readRules(`{"match":[{"paths":["/a"],"headers":[{"name":"mcp-method","any":["tools/call","ping"]},` +
		`{"name":"mcp-name","exact":"y"},{"name":"p","prefix":"v1"},{"name":"gone","present":false},{"name":"here","present":true}]}]}`)
	if err != nil {
		t.Fatal(err)
	}
	type h = [2]string
	good := []h{{"mcp-method", "ping"}, {"mcp-name", "y"}, {"p", "v1.2"}, {"here", ""}}
	with := func(i int, headers ...h) []h { return slices.Concat(good[:i], headers, good[i+1:]) }
	for _, c := range []struct {
		name, want string
		headers    []h
	}{
		{"all fit", "", good},
		{"another of several values", `the header mcp-method is "x", wanted is "tools/call" or "ping"`,
			with(0, h{"mcp-method", "x"})},
		{"another value", `the header mcp-name is "x", wanted is "y"`, with(1, h{"mcp-name", "x"})},
		{"nothing", "the header mcp-name is not there", with(1)},
		{"twice", "the header mcp-name is there twice: it is ambiguous", with(1, h{"mcp-name", "y"}, h{"mcp-name", "y"})},
		{"another spelling", "the header mcp-name is there in another spelling: it is ambiguous",
			with(1, h{"mcp-name", "y"}, h{"mcp_name", "y"})},
		{"another prefix", `the header p is "v2", wanted is one that begins with "v1"`, with(2, h{"p", "v2"})},
		{"not absent", "the header gone is there", append(slices.Clone(good), h{"gone", ""})},
		{"not present, and another value", `the header mcp-name is "x", wanted is "y", the header here is not there`,
			[]h{good[0], {"mcp-name", "x"}, good[2]}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r Request
			set(t, &r, "GET", "/a", c.headers...)
			if got := Why(rules[0], &r); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// byValues are rules on one path that differ in the value of a header, or of two.
func byValues(t testing.TB, n int, pairs, prefix bool) *Index {
	t.Helper()
	var texts []string
	side := 1
	for pairs && side*side < n {
		side++
	}
	for i := range n {
		switch {
		case pairs:
			texts = append(texts, fmt.Sprintf(`[{"name":"mcp-method","exact":"m%d"},{"name":"mcp-name","exact":"n%d"}]`,
				i/side, i%side))
		case prefix:
			texts = append(texts, fmt.Sprintf(`[{"name":"mcp-name","prefix":"tool%d/"}]`, i))
		default:
			texts = append(texts, fmt.Sprintf(`[{"name":"mcp-name","exact":"tool%d"}]`, i))
		}
	}
	return byHeaders(t, texts...)
}

// mcpHeaders are some that a request of MCP has, with a method and a name.
func mcpHeaders(method, name string) [][2]string {
	return [][2]string{{":method", "POST"}, {":authority", "mcp.example.com"}, {":path", "/mcp"}, {":scheme", "https"},
		{"accept", "application/json, text/event-stream"}, {"content-type", "application/json"},
		{"content-length", "120"}, {"user-agent", "agent/1.0"}, {"authorization", "Bearer xyz"},
		{"mcp-protocol-version", "2026-06-30"}, {"mcp-session-id", "0123456789"}, {"mcp-method", method},
		{"mcp-name", name}, {"x-request-id", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"}, {"x-forwarded-proto", "https"}}
}

func TestMatchingHeadersAllocatesNothing(t *testing.T) {
	x := byValues(t, 100, true, false)
	headers := mcpHeaders("m9", "n9")
	var r Request
	var hits []Hit
	if n := testing.AllocsPerRun(100, func() {
		if err := r.Set("POST", "mcp.example.com", "/mcp", false); err != nil {
			t.Fatal(err)
		}
		r.Headers = headers
		if hit, ok, err := x.First(&r); !ok || err != nil || hit.Rule != 99 {
			t.Fatal(hit, ok, err)
		}
		var err error
		if hits, err = x.All(&r, hits[:0]); len(hits) != 1 || err != nil {
			t.Fatal(hits, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}

// 10,000 rules on one path decide in about the time of 10, where they differ in headers.
func BenchmarkHeaders(b *testing.B) {
	for _, kind := range []string{"none", "value", "pair", "prefix"} {
		for _, n := range []int{10, 10_000} {
			b.Run(fmt.Sprintf("%s/rules=%d", kind, n), func(b *testing.B) {
				want := n - 1
				headers := mcpHeaders("x", fmt.Sprintf("tool%d", n-1))
				x := byValues(b, n, kind == "pair", kind == "prefix")
				switch kind {
				case "none":
					x, want = index(b, []string{"/x"}, []string{"/{**}"}), 1
				case "pair":
					side := 1
					for side*side < n {
						side++
					}
					headers = mcpHeaders(fmt.Sprintf("m%d", want/side), fmt.Sprintf("n%d", want%side))
				case "prefix":
					headers = mcpHeaders("x", fmt.Sprintf("tool%d/get", n-1))
				}
				var r Request
				b.ReportAllocs()
				for b.Loop() {
					if err := r.Set("POST", "mcp.example.com", "/mcp", false); err != nil {
						b.Fatal(err)
					}
					r.Headers = headers
					if hit, ok, _ := x.First(&r); !ok || hit.Rule != want {
						b.Fatal("wrong rule")
					}
				}
			})
		}
	}
}
