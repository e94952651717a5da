// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package httpsig

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/shared/sfv"
)

func TestParseInputs(t *testing.T) {
	text := `edge=("@method" "@query-param";name="a" "x";bs "x");created=5;expires=7;nonce="n";keyid="k";tag="t";alg="ed25519";more=?0,` + "\t" + `other=()`
	list, err := ParseInputs(text)
	if err != nil || len(list) != 2 || list[0].Label != "edge" || list[1].Label != "other" ||
		len(list[0].Components) != 4 {
		t.Fatalf("%+v, %v", list, err)
	}
	in := &list[0]
	created, hasCreated := in.Created()
	expires, hasExpires := in.Expires()
	if created != 5 || !hasCreated || expires != 7 || !hasExpires {
		t.Errorf("created %d, %v, expires %d, %v", created, hasCreated, expires, hasExpires)
	}
	for want, get := range map[string]func() (string, bool){"n": in.Nonce, "k": in.KeyID, "t": in.Tag, "ed25519": in.Alg} {
		if got, ok := get(); got != want || !ok {
			t.Errorf("%q, %v; want %q", got, ok, want)
		}
	}
	for name, want := range map[string]bool{"@method": true, "x": true, "@query-param": false, "y": false, "": false} {
		if in.Covers(name) != want {
			t.Errorf("covers %q: %v", name, !want)
		}
	}
	bare := &list[1]
	if _, ok := bare.Created(); ok {
		t.Error("created is there")
	}
	if _, ok := bare.Nonce(); ok {
		t.Error("nonce is there")
	}
	b, err := in.AppendInput(nil)
	if b, err2 := bare.AppendInput(b); err != nil || err2 != nil || string(b) != strings.Replace(text, ",\t", ", ", 1) {
		t.Errorf("written as %s, %v, %v", b, err, err2)
	}
	if list, err := ParseInputs(""); err != nil || len(list) != 0 {
		t.Errorf("an empty field: %v, %v", list, err)
	}
}

func many(n int, f func(i string) string) string {
	var list []string
	for i := range n {
		list = append(list, f(strings.Repeat("a", i+1)))
	}
	return strings.Join(list, "")
}

func TestParseInputsRefuses(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"no dictionary", `edge=(`, ErrSyntax},
		{"a comma behind the last member", `edge=(),`, ErrSyntax},
		{"a member that is an item", `edge="@method"`, ErrSyntax},
		{"a member that is a flag", `edge`, ErrSyntax},
		{"a label twice", `edge=("@method");tag="a", edge=("@path");tag="b"`, ErrRepeated},
		{"a label three times, the same", `edge=(),x=(),edge=(),edge=()`, ErrRepeated},
		{"a signature parameter twice", `edge=();created=1;created=2`, ErrRepeated},
		{"a signature parameter twice, the same", `edge=();tag="a";keyid="k";tag="a"`, ErrRepeated},
		{"an unknown signature parameter twice", `edge=();z;z`, ErrRepeated},
		{"a component parameter twice", `edge=("x";key="a";key="b")`, ErrRepeated},
		{"a component parameter twice, in another member", `edge=(), other=("x";bs;bs)`, ErrRepeated},
		{"a component parameter twice, beside a String with separators", `edge=("x";key=",;\",;";bs;bs)`, ErrRepeated},
		{"a component twice", `edge=("@method" "@path" "@method")`, ErrRepeated},
		{"a component twice, with the same parameters", `edge=("x";key="a" "x";key="a")`, ErrRepeated},
		{"a component twice, with parameters in another order", `edge=("x";key="a";req "x";req;key="a")`, ErrRepeated},
		{"the signature parameters covered", `edge=("@signature-params")`, ErrComponent},
		{"the signature parameters covered, with a parameter", `edge=("@signature-params";req)`, ErrComponent},
		{"a name with a capital", `edge=("Content-Type")`, ErrComponent},
		{"a name with a colon", `edge=("x: 1")`, ErrComponent},
		{"a pseudo-header", `edge=(":path")`, ErrComponent},
		{"an empty name", `edge=("")`, ErrComponent},
		{"an at sign alone", `edge=("@")`, ErrComponent},
		{"a name with a quote", `edge=("x\"")`, ErrComponent},
		{"a component that is a token", `edge=(date)`, ErrComponent},
		{"a component that is bytes", `edge=(:eA==:)`, ErrComponent},
		{"a created that is a string", `edge=();created="1"`, ErrParameter},
		{"a created that is a decimal", `edge=();created=1.0`, ErrParameter},
		{"a created that is a date", `edge=();created=@1`, ErrParameter},
		{"a created before the epoch", `edge=();created=-1`, ErrParameter},
		{"an expires that is a flag", `edge=();expires`, ErrParameter},
		{"an expires before the epoch", `edge=();expires=-1`, ErrParameter},
		{"a nonce that is a token", `edge=();nonce=n`, ErrParameter},
		{"a nonce that is bytes", `edge=();nonce=:bg==:`, ErrParameter},
		{"a keyid that is a number", `edge=();keyid=1`, ErrParameter},
		{"a tag that is a token", `edge=();tag=t`, ErrParameter},
		{"an alg that is a token", `edge=();alg=ed25519`, ErrParameter},
		{"a fault in another's signature", `edge=();created=1, other=("A")`, ErrComponent},
		{"more bytes than are read", `edge=();nonce="` + strings.Repeat("n", maxBytes) + `"`, ErrTooLarge},
		{"more labels than are read", "a=()" + strings.Repeat(`,b=()`, maxParts+1), ErrTooLarge},
		{"more parameters than are read", "a=()" + strings.Repeat(`;b`, maxParts+1), ErrTooLarge},
		{"more components than are read",
			`a=(` + many(maxComponents+1, func(i string) string { return `"` + i + `" ` }) + `)`, ErrTooLarge},
	} {
		if list, err := ParseInputs(c.text); err != c.want || list != nil {
			t.Errorf("%s: %v, %v; want %v", c.name, list, err, c.want)
		}
	}
	if _, err := ParseInputs(`a=(` + many(maxComponents, func(i string) string { return `"` + i + `" ` }) + `)` +
		many(maxParts, func(i string) string { return ";" + i })); err != ErrTooLarge {
		t.Errorf("many, and too many bytes: %v", err)
	}
	if list, err := ParseInputs(`a=(` + many(maxComponents, func(i string) string { return `"` + i + `" ` }) +
		`);b=",;,;\";,"`); err != nil || len(list) != 1 {
		t.Errorf("as many as are read, and separators in a String: %v, %v", list, err)
	}
}

// An Input that a caller makes is checked as one that is read.
func TestInputsThatAreMade(t *testing.T) {
	fine := Components("@method", "@path")
	for _, c := range []struct {
		name string
		in   Input
		want error
	}{
		{"a component twice", Input{"edge", Components("@method", "@method"), nil}, ErrRepeated},
		{"a parameter twice", Input{"edge", fine, []sfv.Parameter{Integer("created", 1), Integer("created", 2)}},
			ErrRepeated},
		{"a component's parameter twice",
			Input{"edge", []sfv.Item{
				{Value: fine[0].Value, Parameters: []sfv.Parameter{String("name", "a"), String("name", "b")}}}, nil}, ErrRepeated},
		{"a component that is a list", Input{"edge", []sfv.Item{{Inner: fine, Value: fine[0].Value}}, nil}, ErrComponent},
		{"a component that is none", Input{"edge", make([]sfv.Item, 1), nil}, ErrComponent},
		{"a negative time", Input{"edge", fine, []sfv.Parameter{Integer("expires", -1)}}, ErrParameter},
		{"a time beyond what a field holds", Input{"edge", fine, []sfv.Parameter{Integer("expires", 1e15)}}, ErrParameter},
		{"a string that is not ASCII", Input{"edge", fine, []sfv.Parameter{String("keyid", "é")}}, ErrParameter},
		{"a component's parameter that is not ASCII",
			Input{"edge", []sfv.Item{{Value: fine[0].Value, Parameters: []sfv.Parameter{String("name", "é")}}}, nil},
			ErrParameter},
	} {
		if b, err := c.in.AppendInput(nil); err != c.want || b != nil {
			t.Errorf("%s: %s, %v", c.name, b, err)
		}
		if b, err := c.in.AppendParams(nil); err != c.want || b != nil {
			t.Errorf("%s: parameters: %s, %v", c.name, b, err)
		}
		if b, err := c.in.AppendBase(nil, &request); err == nil {
			t.Errorf("%s: base %s", c.name, b)
		}
		if b, err := c.in.Base(&request); err == nil || b != "" {
			t.Errorf("%s: base %s", c.name, b)
		}
	}
	in := Input{"edge", nil, []sfv.Parameter{String("created", "1"), Integer("nonce", 1)}}
	if n, ok := in.Created(); ok {
		t.Errorf("created, which is a String: %d", n)
	}
	if text, ok := in.Nonce(); ok {
		t.Errorf("nonce, which is an Integer: %q", text)
	}
	in = Input{"Edge", nil, nil}
	if _, err := in.AppendInput(nil); err != ErrParameter {
		t.Errorf("a label with a capital: %v", err)
	}
	if _, err := AppendSignature(nil, "", nil); err != ErrParameter {
		t.Errorf("an empty label: %v", err)
	}
	in = Input{"edge", nil, []sfv.Parameter{Integer("created", 0)}}
	if b, err := in.AppendInput([]byte("a=()")); err != nil || string(b) != "a=(), edge=();created=0" {
		t.Errorf("%s, %v", b, err)
	}
	if b, err := in.AppendParams(nil); err != nil || string(b) != "();created=0" {
		t.Errorf("%s, %v", b, err)
	}
}

func TestSignatures(t *testing.T) {
	b, err := AppendSignature([]byte("a=::"), "edge", []byte("hello"))
	if err != nil || string(b) != "a=::, edge=:aGVsbG8=:" {
		t.Fatalf("%s, %v", b, err)
	}
	if got, err := Signatures(string(b)); err != nil || len(got) != 2 || string(got["edge"]) != "hello" ||
		len(got["a"]) != 0 || got["a"] == nil {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := Signatures(" "); err != nil || len(got) != 0 {
		t.Errorf("an empty field: %v, %v", got, err)
	}
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"no dictionary", `edge=:aGVsbG8=`, ErrSyntax},
		{"a string", `edge="aGVsbG8="`, ErrSyntax},
		{"a list", `edge=(:aGVsbG8=:)`, ErrSyntax},
		{"a flag", `edge`, ErrSyntax},
		{"parameters, which nothing signs", `edge=:aGVsbG8=:;a`, ErrSyntax},
		{"padding left out", `edge=:aGVsbG8:`, ErrSyntax},
		{"bits that no byte holds", `edge=:aGVsbG9=:`, ErrSyntax},
		{"a label twice", `edge=:aGVsbG8=:, edge=:aGVsbG8=:`, ErrRepeated},
		{"another's label twice", `edge=:aGVsbG8=:, a=::, a=::`, ErrRepeated},
		{"more bytes than are read", `edge=:` + strings.Repeat("AAAA", maxBytes/4) + `:`, ErrTooLarge},
	} {
		if got, err := Signatures(c.text); err != c.want || got != nil {
			t.Errorf("%s: %v, %v; want %v", c.name, got, err, c.want)
		}
	}
}

// S11: nothing of what a client sends under the signer's label is left, wherever a reader could
// find it, and all else stays byte for byte.
func TestWithout(t *testing.T) {
	const unreadable = false
	for _, c := range []struct {
		name        string
		lines, want []string
		readable    bool
	}{
		{"no line", nil, nil, true},
		{"an empty line", []string{""}, []string{""}, true},
		{"only that one", []string{`edge=("@method");created=1`}, nil, true},
		{"only that one, twice", []string{`edge=("@method");created=1,edge=()`}, nil, true},
		{"as a flag", []string{`edge;a`}, nil, true},
		{"first", []string{`edge=(), a=("x";sf);b`}, []string{`a=("x";sf);b`}, true},
		{"in the middle, with spaces", []string{`a=1 ,` + "\t" + `edge=:AA==: , b`}, []string{`a=1 , b`}, true},
		{"twice, around another", []string{`edge=(),a=("x"  "y"), edge=:AA==:`}, []string{`a=("x"  "y")`}, true},
		{"in one of several lines", []string{`a=1`, `edge=()`, `b=2,  c`}, []string{`a=1`, `b=2,  c`}, true},
		{"with a comma in a String of it", []string{`a=1, edge=("@method");nonce="x, y";tag="\", edge=", b`},
			[]string{`a=1, b`}, true},
		{"another label twice", []string{`a=1, b=2, a=3`}, []string{`a=1, b=2, a=3`}, true},
		{"labels that begin or end so", []string{`edges=1, wedge=2, edge.=3, edge-=4, edge_=5, edge*=6, edge1=7`},
			[]string{`edges=1, wedge=2, edge.=3, edge-=4, edge_=5, edge*=6, edge1=7`}, true},
		{"in a String", []string{`a="x, edge=()"`, `b=1`}, []string{`a="x, edge=()"`, `b=1`}, true},
		{"in a String, and behind it", []string{`a="x, edge=()", edge=()`}, []string{`a="x, edge=()"`}, true},

		{"an older scheme", []string{
			`keyId="a",algorithm="rsa-sha256",headers="(request-target) date",signature="eA=="`},
			[]string{`keyId="a",algorithm="rsa-sha256",headers="(request-target) date",signature="eA=="`}, unreadable},
		{"a webhook's", []string{`t=1,v1=ab`, `sha256=0123abcd`, `dGV4dA==`},
			[]string{`t=1,v1=ab`, `sha256=0123abcd`, `dGV4dA==`}, unreadable},
		{"an older scheme with ours", []string{`keyId="a",signature="eA==", edge=:AA==:`},
			[]string{`keyId="a",signature="eA=="`}, unreadable},
		{"ours between what is none", []string{`Signature a, edge=("@method");nonce="a,b", b`},
			[]string{`Signature a, b`}, unreadable},
		{"ours that is none", []string{`a=1, edge=(`}, []string{`a=1`}, unreadable},
		{"ours that is none, and alone", []string{`edge=("@method`}, nil, unreadable},
		{"ours with a space before its sign", []string{`edge =()`, `(`}, []string{`(`}, unreadable},
		{"behind a quotation mark that does not end", []string{`a="x, edge=()`}, []string{`a="x`}, unreadable},
		{"behind one that ends in another line", []string{`a="x`, `y", edge=()`}, []string{`a="x`, `y"`}, unreadable},
		{"at the beginning of the line in which it ends", []string{`a="x`, `edge=(), b"`}, []string{`a="x`, `b"`},
			unreadable},
		{"in a String of a line beside one that cannot be read", []string{`a="x`, `b="y, edge=()"`},
			[]string{`a="x`, `b="y`}, unreadable},
		{"in a Display String", []string{`a=%"x, edge=()", b`}, []string{`a=%"x, edge=()", b`}, true},
		{"behind a Display String", []string{`a=%"x", edge=()`}, []string{`a=%"x"`}, true},
		{"behind one with a backslash", []string{`a=%"\", edge=()`}, []string{`a=%"\"`}, unreadable},
		{"in a String behind one with a backslash", []string{`a=%"\", b="x, edge=(), y"`}, []string{`a=%"\", b="x, y"`},
			unreadable},
		{"behind a String with a percent sign", []string{`a="\"%", edge=()`}, []string{`a="\"%"`}, unreadable},
		{"a comma at the end", []string{`a=1,`}, []string{`a=1,`}, unreadable},
		{"too many bytes", []string{`a="` + strings.Repeat("x", maxBytes) + `", edge=()`},
			[]string{`a="` + strings.Repeat("x", maxBytes) + `"`}, unreadable},
		{"too many members", []string{`a=1` + strings.Repeat(",a=1", maxParts+1) + ",edge=()"},
			[]string{`a=1` + strings.Repeat(",a=1", maxParts+1)}, unreadable},
	} {
		rest, changed, readable := Without(c.lines, "edge")
		if !slices.Equal(rest, c.want) || readable != c.readable || changed == slices.Equal(rest, c.lines) {
			t.Errorf("%s: %q, changed %v, readable %v", c.name, rest, changed, readable)
		}
	}
}

// Who looks for one among many passes over what is none.
func TestFindInputs(t *testing.T) {
	for _, c := range []struct {
		text       string
		labels     string
		other, err error
	}{
		{"", "", nil, nil}, {`a=(), b=("@path");created=1`, "ab", nil, nil},
		{`a=1, b=(), c`, "b", ErrSyntax, nil}, {`a=("X"), b=(), c=1`, "b", ErrComponent, nil},
		{`a=();created=-1, b=(), c=("x" "x")`, "b", ErrParameter, nil}, {`a=("x" "x"), b=()`, "b", ErrRepeated, nil},
		{`a=(), a=()`, "", nil, ErrRepeated}, {`a=();x;x, b=()`, "", nil, ErrRepeated}, {`a=(), b=(`, "", nil, ErrSyntax},
		{strings.Repeat("a", maxBytes) + "=()", "", nil, ErrTooLarge}, {`a=` + strings.Repeat(`("x")`, 2), "", nil, ErrSyntax},
	} {
		list, other, err := FindInputs(c.text)
		labels := ""
		for i := range list {
			labels += list[i].Label
		}
		if labels != c.labels || other != c.other || err != c.err {
			t.Errorf("%.40s: %q, %v, %v", c.text, labels, other, err)
		}
		// Who wants all of it has all or nothing.
		if c.err == nil {
			c.err = c.other
		}
		if c.err != nil {
			c.labels = ""
		}
		if list, strict := ParseInputs(c.text); strict != c.err || len(list) != len(c.labels) {
			t.Errorf("%.40s: all of it: %v, %v", c.text, list, strict)
		}
	}
}

// Only one's own label counts, whatever stands beside it.
func TestMember(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  string
		n     int
	}{
		{"nothing", nil, "", 0}, {"alone", []string{`edge=("@path");nonce="a, b"`}, `edge=("@path");nonce="a, b"`, 1},
		{"beside others", []string{`a=(), edge=:AA==: , b`}, "edge=:AA==:", 1},
		{"beside what is no member", []string{`sig1=afd37b…, :AAAA:;v=1, ((, edge=()`}, "edge=()", 1},
		{"in a line of its own", []string{`a="x"`, `edge=()`}, "edge=()", 1},
		{"in a line within a String", []string{`a="x`, `edge=()`, `y"`}, "", 0},
		{"behind a String of several lines", []string{`a="x`, `edge=(1)`, `y", edge=()`}, "edge=()", 1},
		{"twice", []string{`edge=(), edge=:AA==:`}, "edge=:AA==:", 2}, {"twice, in two lines",
			[]string{`edge=()`, `a, edge`}, "edge", 2}, {"in a String", []string{`a="x, edge=()"`}, "", 0},
		{"behind a String that does not end", []string{`a="x, edge=()`}, "", 0},
		{"behind a Display String with a backslash", []string{`a=%"\", edge=()`}, "edge=()", 1},
		{"in a Display String", []string{`a=%"x, edge=()"`}, "", 0},
		{"behind a Display String, before a String that does not end", []string{`a=%"x\", edge=(), b="`, `edge=()`}, "edge=()", 1},
		{"behind a String with which it begins", []string{`"\", edge=()`}, "", 0},
		{"behind a backslash at the end", []string{`edge=(), a="\`}, "edge=()", 1},
		{"a longer label", []string{`edge2=(), edge-x=()`}, "", 0},
	} {
		if got, n := Member(strings.Join(c.lines, ", "), "edge"); got != c.want || n != c.n {
			t.Errorf("%s: %q, %d", c.name, got, n)
		}
	}
}

var request = Message{
	Method: "POST", Scheme: "HTTPS", Authority: "API.Example.com:443", Path: "/a/b%2Fc?x=1&y=%20&x=2&z",
	Fields: [][2]string{
		{":path", "/other"}, {"date", "Tue, 20 Apr 2021 02:07:56 GMT"}, {"x-ows", " \t two  words\t"}, {"x-fold",
			"Obsolete \r\n    line\r\n\tfolding."}, {"x-first-fold", "\r\n a"}, {"x-two-folds", "a\r\n \r\n b"},
		{"cache-control", "max-age=60"}, {"x-empty", ""}, {"cache-control", "   must-revalidate"}, {"example-dict",
			"  a=1,    b=2;x=1;y=2,   c=(a   b   c), d"},
		{"example-header", "value, with, lots"}, {"example-header", "of, commas"}, {"signature", "a=:AA==:"},
		{"signature", "  b=:AQ==:;p  "}, {"x-latin", "caf\xe9"},
		{"x-return", "a\rb"}, {"x-line", "a\n\"@path\": /"}, {"x-break", "a\r\nb"}, {"x-end", "a\r\n"}, {"x-nul",
			"a\x00b"}, {"x-last-line", "a\n"}, {"x-escape", "\x1b"}, {"x-delete", "a\x7f"},
		{"want-repr-digest", "sha-256=1, sha-256=2"}, {"accept-signature", "a=("}, {"example-params", "a=1;b=1;b=2"},
	},
}

func with(change func(m *Message)) *Message {
	m := request
	change(&m)
	return &m
}

func line(t *testing.T, component string, m *Message) (string, error) {
	t.Helper()
	list, err := ParseInputs(`edge=(` + component + `)`)
	if err != nil {
		t.Fatal(err)
	}
	base, err := list[0].Base(m)
	if err != nil {
		return "", err
	}
	value, ok := strings.CutPrefix(base, component+": ")
	value, ok2 := strings.CutSuffix(value, "\n\"@signature-params\": ("+component+")")
	if !ok || !ok2 {
		t.Fatalf("%s: the base is %s", component, base)
	}
	return value, nil
}

func TestValues(t *testing.T) {
	response := Message{Status: 503, Fields: request.Fields}
	for _, c := range []struct {
		name, component string
		m               *Message
		want            string
	}{
		{"the method in its case", `"@method"`, with(func(m *Message) { m.Method = "gEt" }), "gEt"},
		{"the scheme in lower case", `"@scheme"`, &request, "https"},
		{"the authority without the default port", `"@authority"`, &request, "api.example.com"},
		{"the default port of http", `"@authority"`, with(func(m *Message) { m.Scheme, m.Authority = "http", "a:80" }), "a"},
		{"the port of the other scheme", `"@authority"`, with(func(m *Message) { m.Authority = "a:80" }), "a:80"},
		{"an empty port", `"@authority"`, with(func(m *Message) { m.Authority = "A:" }), "a"},
		{"no port", `"@authority"`, with(func(m *Message) { m.Authority = "A" }), "a"},
		{"a port while the scheme is not known", `"@authority"`,
			with(func(m *Message) { m.Scheme = ""; m.Authority = "a:443" }), "a:443"},
		{"an IPv6 address with a port", `"@authority"`, with(func(m *Message) { m.Authority = "[FE80::1]:443" }),
			"[fe80::1]"},
		{"an IPv6 address that ends like a port", `"@authority"`,
			with(func(m *Message) { m.Authority = "[fe80::443]" }), "[fe80::443]"},
		{"a bare IPv6 address that ends like a port", `"@authority"`,
			with(func(m *Message) { m.Authority = "fe80::443" }), "fe80::443"},
		{"the target URI", `"@target-uri"`, &request, "https://api.example.com/a/b%2Fc?x=1&y=%20&x=2&z"},
		{"the target URI with nothing behind the authority", `"@target-uri"`, with(func(m *Message) { m.Path = "" }),
			"https://api.example.com/"},
		{"the target URI with an empty query", `"@target-uri"`, with(func(m *Message) { m.Path = "?" }),
			"https://api.example.com/?"},
		{"the request target", `"@request-target"`, &request, request.Path},
		{"the request target of OPTIONS", `"@request-target"`,
			with(func(m *Message) { m.Method, m.Path = "OPTIONS", "*" }), "*"},
		{"the request target of CONNECT", `"@request-target"`,
			with(func(m *Message) { m.Method, m.Path, m.Authority = "CONNECT", "", "A:80" }), "A:80"},
		{"the request target of an extended CONNECT", `"@request-target"`,
			with(func(m *Message) { m.Method, m.Path = "CONNECT", "/ws" }), "/ws"},
		{"the path as sent", `"@path"`, &request, "/a/b%2Fc"},
		{"an empty path", `"@path"`, with(func(m *Message) { m.Path = "?a" }), "/"},
		{"the query as sent", `"@query"`, &request, "?x=1&y=%20&x=2&z"},
		{"no query", `"@query"`, with(func(m *Message) { m.Path = "/a" }), "?"},
		{"an empty query", `"@query"`, with(func(m *Message) { m.Path = "/a?" }), "?"},
		{"a question mark in the query", `"@query"`, with(func(m *Message) { m.Path = "/a??" }), "??"},
		{"a query parameter", `"@query-param";name="y"`, &request, "%20"},
		{"a query parameter without a value", `"@query-param";name="z"`, &request, ""},
		{"an empty query parameter", `"@query-param";name="qux"`, with(func(m *Message) { m.Path = "/?&qux=&&" }), ""},
		{"line breaks in a query parameter", `"@query-param";name="var"`,
			with(func(m *Message) { m.Path = "/?var=this%20is%20a%20big%0Amultiline%20value" }),
			"this%20is%20a%20big%0Amultiline%20value"},
		{"plus signs in a query parameter", `"@query-param";name="bar"`,
			with(func(m *Message) { m.Path = "/?bar=with+plus+whitespace" }), "with%20plus%20whitespace"},
		{"an encoded name", `"@query-param";name="fa%C3%A7ade%22%3A%20"`,
			with(func(m *Message) { m.Path = "/?fa%c3%a7ade%22%3A%20=something" }), "something"},
		{"percent signs that encode nothing", `"@query-param";name="a"`,
			with(func(m *Message) { m.Path = "/?a=%4G%4%zz%41%" }), "%254G%254%25zzA%25"},
		{"equals signs and what needs no encoding", `"@query-param";name="a"`,
			with(func(m *Message) { m.Path = "/?a==*-._~" }), "%3D*-._%7E"},
		{"the status", `"@status"`, &response, "503"},
		{"a field of a response", `"x-ows"`, &response, "two  words"},
		{"a field", `"date"`, &request, "Tue, 20 Apr 2021 02:07:56 GMT"},
		{"spaces around a value", `"x-ows"`, &request, "two  words"},
		{"line folds", `"x-fold"`, &request, "Obsolete line folding."},
		{"a line fold before the value", `"x-first-fold"`, &request, "a"},
		{"two line folds", `"x-two-folds"`, &request, "a  b"},
		{"several lines", `"cache-control"`, &request, "max-age=60, must-revalidate"},
		{"an empty field", `"x-empty"`, &request, ""},
		{"a structured field as it is", `"example-dict"`, &request, "a=1,    b=2;x=1;y=2,   c=(a   b   c), d"},
		{"a member", `"example-dict";key="a"`, &request, "1"},
		{"a member that is a flag", `"example-dict";key="d"`, &request, "?1"},
		{"a member with parameters", `"example-dict";key="b"`, &request, "2;x=1;y=2"},
		{"a member that is a list", `"example-dict";key="c"`, &request, "(a b c)"},
		{"a member of several lines", `"signature";key="b"`, &request, ":AQ==:;p"},
		{"a member, said to be of a structured field", `"signature";sf;key="a"`, &request, ":AA==:"},
		{"a structured field of several lines", `"signature";sf`, &request, "a=:AA==:, b=:AQ==:;p"},
		{"wrapped lines", `"example-header";bs`, &request, ":dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:"},
		{"what is not ASCII, wrapped", `"x-latin";bs`, &request, ":Y2Fm6Q==:"},
		{"an empty field, wrapped", `"x-empty";bs`, &request, "::"},
		{"spaces and a fold, wrapped", `"x-fold";bs`, &request, ":T2Jzb2xldGUgbGluZSBmb2xkaW5nLg==:"},
	} {
		if got, err := line(t, c.component, c.m); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
	}
}

func TestBaseRefuses(t *testing.T) {
	response := Message{Status: 503, Path: "/", Scheme: "https", Authority: "a"}
	type refusal struct {
		name, component string
		m               *Message
		want            error
	}
	cases := []refusal{
		{"a derived component that nobody knows", `"@unknown"`, &request, ErrUnsupported},
		{"a derived component that nobody knows, of a response", `"@unknown"`, &response, ErrUnsupported},
		{"a component of the request in a response", `"@method";req`, &request, ErrUnsupported},
		{"a field of the request in a response", `"date";req`, &request, ErrUnsupported},
		{"a trailer", `"date";tr`, &request, ErrUnsupported},
		{"a parameter that nobody knows", `"date";x`, &request, ErrUnsupported},
		{"a parameter that nobody knows, of the query", `"@query";x`, &request, ErrUnsupported},
		{"a flag that is not set", `"date";bs=?0`, &request, ErrUnsupported},
		{"a flag that is a number", `"date";bs=1`, &request, ErrUnsupported},
		{"a flag that is not set, of a structured field", `"signature";sf=?0`, &request, ErrUnsupported},
		{"a key that is a token", `"example-dict";key=a`, &request, ErrUnsupported},
		{"a structured field of a type that is not known", `"example-dict";sf`, &request, ErrUnsupported},
		{"wrapped and structured", `"signature";bs;sf`, &request, ErrUnsupported},
		{"wrapped and a member", `"example-dict";bs;key="a"`, &request, ErrUnsupported},
		{"a query parameter without a name", `"@query-param"`, &request, ErrUnsupported},
		{"a query parameter by another parameter", `"@query-param";key="y"`, &request, ErrUnsupported},
		{"a query parameter with more parameters", `"@query-param";name="y";req`, &request, ErrUnsupported},
		{"a query parameter whose name is a token", `"@query-param";name=y`, &request, ErrUnsupported},
		{"a field that is not there", `"x-absent"`, &request, ErrAbsent},
		{"a field that is not there, wrapped", `"x-absent";bs`, &request, ErrAbsent},
		{"a member that is not there", `"example-dict";key="z"`, &request, ErrAbsent},
		{"a query parameter that is not there", `"@query-param";name="q"`, &request, ErrAbsent},
		{"a query parameter whose name is not encoded", `"@query-param";name="a b"`,
			with(func(m *Message) { m.Path = "/?a%20b=1" }), ErrAbsent},
		{"the status of a request", `"@status"`, with(func(m *Message) { m.Status = 200 }), ErrUnsupported},
		{"a status of four digits", `"@status"`, &Message{Status: 1000}, ErrAbsent},
		{"a status of two digits", `"@status"`, &Message{Status: 99}, ErrAbsent},
		{"no scheme", `"@scheme"`, with(func(m *Message) { m.Scheme = "" }), ErrAbsent},
		{"no authority", `"@authority"`, with(func(m *Message) { m.Authority = "" }), ErrAbsent},
		{"an authority that is a port", `"@authority"`, with(func(m *Message) { m.Authority = ":443" }), ErrAbsent},
		{"a target URI without a scheme", `"@target-uri"`, with(func(m *Message) { m.Scheme = "" }), ErrAbsent},
		{"a target URI without an authority", `"@target-uri"`, with(func(m *Message) { m.Authority = "" }), ErrAbsent},
		{"no request target", `"@request-target"`, with(func(m *Message) { m.Path = "" }), ErrAbsent},
		{"no request target of CONNECT", `"@request-target"`,
			with(func(m *Message) { m.Method, m.Path, m.Authority = "CONNECT", "", "" }), ErrAbsent},
		{"the path of OPTIONS *", `"@path"`, with(func(m *Message) { m.Path = "*" }), ErrAbsent},
		{"a path that does not begin with a slash", `"@target-uri"`,
			with(func(m *Message) { m.Path = ".example.com/" }), ErrAbsent},
		{"a query parameter that comes twice", `"@query-param";name="x"`, &request, ErrAmbiguous},
		{"a query parameter that comes twice, once encoded", `"@query-param";name="a"`,
			with(func(m *Message) { m.Path = "/?a=1&%61=1" }), ErrAmbiguous},
		{"a query parameter that is not UTF-8", `"@query-param";name="a"`,
			with(func(m *Message) { m.Path = "/?a=%ff" }), ErrAmbiguous},
		{"a query parameter whose name is not UTF-8", `"@query-param";name="a"`,
			with(func(m *Message) { m.Path = "/?a=1&%ff=1" }), ErrAmbiguous},
		{"a fragment in the path", `"@path"`, with(func(m *Message) { m.Path = "/a#b" }), ErrValue},
		{"a fragment in the query", `"@query"`, with(func(m *Message) { m.Path = "/a?b#c" }), ErrValue},
		{"a fragment in a query parameter", `"@query-param";name="b"`, with(func(m *Message) { m.Path = "/a?b=1#c" }),
			ErrValue},
		{"a path that is not ASCII", `"@path"`, with(func(m *Message) { m.Path = "/é" }), ErrValue},
		{"a query parameter that is not ASCII", `"@query-param";name="a"`, with(func(m *Message) { m.Path = "/?a=é" }),
			ErrValue},
		{"a path that ends with a space", `"@path"`, with(func(m *Message) { m.Path = "/a " }), ErrValue},
		{"a method that begins with a space", `"@method"`, with(func(m *Message) { m.Method = " GET" }), ErrValue},
		{"a method with a line break", `"@method"`, with(func(m *Message) { m.Method = "GET\n\"@path\": /" }), ErrValue},
		{"a request target with a line break", `"@request-target"`, with(func(m *Message) { m.Path = "/\r\n" }), ErrValue},
		{"an authority with NUL", `"@authority"`, with(func(m *Message) { m.Authority = "a\x00" }), ErrValue},
		{"an authority that is not ASCII", `"@authority"`, with(func(m *Message) { m.Authority = "é" }), ErrValue},
		{"an authority with a path", `"@target-uri"`, with(func(m *Message) { m.Authority = "a/b" }), ErrValue},
		{"an authority with a query", `"@target-uri"`, with(func(m *Message) { m.Authority = "a?b" }), ErrValue},
		{"an authority with a fragment", `"@target-uri"`, with(func(m *Message) { m.Authority = "a#b" }), ErrValue},
		{"an authority with user information", `"@authority"`, with(func(m *Message) { m.Authority = "A@b" }), ErrValue},
		{"an authority that is two", `"@authority"`, with(func(m *Message) { m.Authority = "a,b" }), ErrValue},
		{"an authority with a space", `"@authority"`, with(func(m *Message) { m.Authority = "a b" }), ErrValue},
		{"an authority with a backslash", `"@authority"`, with(func(m *Message) { m.Authority = "a\\b" }), ErrValue},
		{"a scheme with an authority", `"@target-uri"`, with(func(m *Message) { m.Scheme = "https://a" }), ErrValue},
		{"a carriage return", `"x-return"`, &request, ErrValue},
		{"a line break", `"x-line"`, &request, ErrValue},
		{"a line break at the end", `"x-last-line"`, &request, ErrValue},
		{"a line break that is no fold", `"x-break"`, &request, ErrValue},
		{"a line break that is no fold, at the end", `"x-end"`, &request, ErrValue},
		{"a line break, wrapped", `"x-line";bs`, &request, ErrValue},
		{"NUL", `"x-nul"`, &request, ErrValue},
		{"NUL, wrapped", `"x-nul";bs`, &request, ErrValue},
		{"a control character", `"x-escape"`, &request, ErrValue},
		{"a delete character", `"x-delete"`, &request, ErrValue},
		{"what is not ASCII", `"x-latin"`, &request, ErrValue},
		{"a member of a field that is no dictionary", `"date";key="a"`, &request, ErrSyntax},
		{"a structured field that is broken", `"accept-signature";sf`, &request, ErrSyntax},
		{"a structured field with a member twice", `"want-repr-digest";sf`, &request, ErrRepeated},
		{"a member that stands twice", `"want-repr-digest";key="sha-256"`, &request, ErrRepeated},
		{"a member's parameter that stands twice", `"example-params";key="a"`, &request, ErrRepeated},
	}
	for _, name := range []string{"@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path",
		"@query"} {
		cases = append(cases, refusal{name + " of a response", `"` + name + `"`, &response, ErrAbsent})
		cases = append(cases, refusal{name + " with a parameter", `"` + name + `";name="a"`, &request, ErrUnsupported})
	}
	cases = append(cases, refusal{"a query parameter of a response", `"@query-param";name="y"`, &response, ErrAbsent},
		refusal{"@status with a parameter", `"@status";req`, &response, ErrUnsupported})
	for _, c := range cases {
		if got, err := line(t, c.component, c.m); err != c.want {
			t.Errorf("%s: %q, %v; want %v", c.name, got, err, c.want)
		}
	}
}

// Pseudo-headers are no fields, whatever the host hands over with them.
func TestPseudoHeadersAreNoFields(t *testing.T) {
	in := Input{Label: "edge", Components: Components(":path")}
	if base, err := in.Base(&request); err != ErrComponent {
		t.Errorf("%q, %v", base, err)
	}
	m := Message{Method: "GET", Fields: [][2]string{{":path", "/"}, {"@method", "POST"}, {"@x", "1"}}}
	if got, err := line(t, `"@method"`, &m); got != "GET" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := line(t, `"@x"`, &m); err != ErrUnsupported {
		t.Errorf("a field with a derived component's name: %q, %v", got, err)
	}
}

func TestContentDigest(t *testing.T) {
	sum, long := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 64)
	text := ContentDigest(sum)
	if text != "sha-256=:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=:" {
		t.Fatal(text)
	}
	b, _ := AppendSignature([]byte(text+", md5=a;b"), "sha-512", long)
	if got256, got512, err := ParseContentDigest(string(b)); err != nil || !bytes.Equal(got256, sum) ||
		!bytes.Equal(got512, long) {
		t.Errorf("%x, %x, %v", got256, got512, err)
	}
	if got256, got512, err := ParseContentDigest(text); err != nil || !bytes.Equal(got256, sum) || got512 != nil {
		t.Errorf("%x, %x, %v", got256, got512, err)
	}
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"nothing", ``, ErrNoDigest},
		{"only algorithms that are not good enough", `md5=:AAAAAAAAAAAAAAAAAAAAAA==:, sha=:AAAA:, unixsum=:AAAA:`,
			ErrNoDigest},
		{"an algorithm twice", text + ", " + text, ErrRepeated},
		{"another algorithm twice", text + ", md5=::, md5=::", ErrRepeated},
		{"a digest in a string", `sha-256="AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="`, ErrSyntax},
		{"a digest with parameters", text + ";a", ErrSyntax},
		{"a short digest", `sha-256=:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ==:`, ErrDigest},
		{"an empty digest", `sha-512=::`, ErrDigest},
		{"the digest of the other algorithm", strings.Replace(text, "256", "512", 1), ErrDigest},
		{"one that is right and one that is not", text + ", sha-512=:AAAA:", ErrDigest},
		{"the old Digest field", `SHA-256=AQEB`, ErrSyntax},
	} {
		if a, b, err := ParseContentDigest(c.text); err != c.want || a != nil || b != nil {
			t.Errorf("%s: %x, %x, %v; want %v", c.name, a, b, err, c.want)
		}
	}
}

var stamp = Input{"edge", Components("@method", "@authority", "@path", "@query"),
	[]sfv.Parameter{Integer("created", 1767225600), Integer("expires", 1767225630),
		String("nonce", "AAECAwQFBgcICQoLDA0ODw"), String("keyid", "edge-2026-11"), String("tag", "edge-stamp")}}

func BenchmarkBase(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := stamp.Base(&request); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendBase(b *testing.B) {
	b.ReportAllocs()
	var buffer []byte
	for b.Loop() {
		var err error
		if buffer, err = stamp.AppendBase(buffer[:0], &request); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendInput(b *testing.B) {
	b.ReportAllocs()
	var buffer []byte
	for b.Loop() {
		var err error
		if buffer, err = stamp.AppendInput(buffer[:0]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseInputs(b *testing.B) {
	text, err := stamp.AppendInput(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseInputs(string(text)); err != nil {
			b.Fatal(err)
		}
	}
}

// Signature-Agent is a dictionary (Web Bot Auth), so that a signer may cover it in canonical form.
func TestSignatureAgent(t *testing.T) {
	m := with(func(m *Message) {
		m.Fields = [][2]string{{"signature-agent", `a="https://a.example";type=cimd,   b="https://b.example"`}}
	})
	for params, want := range map[string]string{
		`;sf`:      `"signature-agent";sf: a="https://a.example";type=cimd, b="https://b.example"`,
		`;key="a"`: `"signature-agent";key="a": "https://a.example";type=cimd`,
		``:         `"signature-agent": a="https://a.example";type=cimd,   b="https://b.example"`,
	} {
		inputs, err := ParseInputs(`s=("signature-agent"` + params + `)`)
		if err != nil {
			t.Fatal(err)
		}
		if base, err := inputs[0].Base(m); err != nil || !strings.HasPrefix(base, want+"\n") {
			t.Errorf("%s: %v, %s", params, err, base)
		}
	}
}
