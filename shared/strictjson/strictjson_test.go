// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package strictjson

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/tidwall/gjson"
)

var limits = Limits{Depth: 4, Members: 8, Number: 32}

func TestScan(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"an object", `{"a":1,"b":[true,false,null,"x",-1.5e+3]}`, nil},
		{"white space around", " \r\n\t{} ", nil},
		{"a scalar", `"x"`, nil},
		{"the same name in sibling objects", `{"a":{"x":1},"b":{"x":1}}`, nil},
		{"the same name outside and inside", `{"a":{"a":1}}`, nil},
		{"a surrogate pair", `"\ud83d\ude00"`, nil},
		{"every short escape", `"\"\\\/\b\f\n\r\t"`, nil},
		{"J8 a repeated name", `{"alg":1,"alg":2}`, ErrRepeated},
		{"J8 a repeated name spelt with an escape", `{"alg":1,"\u0061lg":2}`, ErrRepeated},
		{"J8 a repeated name in a nested object", `{"a":{"b":1,"b":1}}`, ErrRepeated},
		{"J8 a repeated name after a nested object", `{"a":{"b":1},"a":1}`, ErrRepeated},
		{"J9 names differ by case only", `{"alg":1,"Alg":2}`, nil},
		{"J10 not UTF-8", "\"\xff\"", ErrUTF8},
		{"J10 overlong UTF-8", "\"\xc0\xaf\"", ErrUTF8},
		{"J10 a surrogate in UTF-8", "\"\xed\xa0\x80\"", ErrUTF8},
		{"J10 a lone high surrogate", `"\ud800"`, ErrString},
		{"J10 a lone low surrogate", `"\udc00"`, ErrString},
		{"J10 two high surrogates", `"\ud800\ud800"`, ErrString},
		{"J10 an escaped NUL", `"a\u0000b"`, ErrString},
		{"J10 a raw NUL", "\"a\x00b\"", ErrSyntax},
		{"J10 a byte order mark", "\ufeff{}", ErrSyntax},
		{"J11 as deep as allowed", `[[[[]]]]`, nil},
		{"J11 one level deeper", `[[[[[]]]]]`, ErrDepth},
		{"J11 arrays and objects count alike", `{"a":[{"a":[{}]}]}`, ErrDepth},
		{"J11 deep beyond any stack", strings.Repeat("[", 1<<20), ErrDepth},
		{"J11 as many members as allowed", `{"a":1,"b":1,"c":1,"d":{"a":1,"b":1,"c":1,"d":1}}`, nil},
		{"J11 one member more", `{"a":1,"b":1,"c":1,"d":{"a":1,"b":1,"c":1,"d":1,"e":1}}`, ErrMembers},
		{"J11 a number of 32 bytes", strings.Repeat("1", 32), nil},
		{"J11 a number of 33 bytes", strings.Repeat("1", 33), ErrNumberLen},
		{"J17 the largest double", "1.7976931348623157e308", nil},
		{"J17 beyond the largest double", "1.7976931348623159E+308", ErrNumber},
		{"J17 far beyond any double", "-1e400", ErrNumber},
		{"an exponent beyond any machine's numbers", "1e99999999999999999999", ErrNumber},
		{"too small for a double, so 0", "1e-400", nil},
		{"nothing", ``, ErrSyntax},
		{"two values", `{} {}`, ErrSyntax},
		{"a comma at the end of an object", `{"a":1,}`, ErrSyntax},
		{"a comma at the end of an array", `[1,]`, ErrSyntax},
		{"a name that is no string", `{a:1}`, ErrSyntax},
		{"no colon", `{"a" 1}`, ErrSyntax},
		{"an open object", `{"a":1`, ErrSyntax},
		{"an open string", `"a`, ErrSyntax},
		{"an open escape", `"\`, ErrSyntax},
		{"an unknown escape", `"\x"`, ErrSyntax},
		{"a short escape", `"\u12"`, ErrSyntax},
		{"a raw newline in a string", "\"a\nb\"", ErrSyntax},
		{"a leading zero", `01`, ErrSyntax},
		{"a plus sign", `+1`, ErrSyntax},
		{"J17 NaN", `NaN`, ErrSyntax},
		{"J17 Infinity", `-Infinity`, ErrSyntax},
		{"no digits after the point", `1.`, ErrSyntax},
		{"no digits in the exponent", `1e`, ErrSyntax},
		{"a comment", `{}//x`, ErrSyntax},
		{"a literal in another case", `True`, ErrSyntax},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(c.text, limits)
			if !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
				t.Fatalf("Parse = %v, want %v", err, c.want)
			}
		})
	}
}

func TestNumberBeyondADoubleWithoutExponent(t *testing.T) {
	l := limits
	l.Number = 400
	for digits, want := range map[int]error{309: ErrNumber, 308: nil} {
		if _, err := Parse(strings.Repeat("9", digits), l); !errors.Is(err, want) || (want == nil) != (err == nil) {
			t.Errorf("%d digits: %v, want %v", digits, err, want)
		}
	}
}

// J8: a repeated name is found among few names and among many, and an inner object's names are its own.
func TestRepeatedNames(t *testing.T) {
	lim := Limits{Depth: 4, Members: 1 << 14, Number: 8}
	for n := 1; n <= 70; n++ {
		for _, again := range []int{0, n / 2, n - 1} {
			var names []string
			for i := range n {
				names = append(names, `"n`+strconv.Itoa(i)+`":{"n0":1,"n1":{"n1":2}}`)
			}
			good := "{" + strings.Join(names, ",") + "}"
			if err := Scan(good, lim); err != nil {
				t.Fatalf("%d names: %v", n, err)
			}
			if err := Scan(good[:len(good)-1]+`,"n`+strconv.Itoa(again)+`":3}`, lim); err == nil || err.Err != ErrRepeated {
				t.Fatalf("%d names, and the one at %d again: %v", n, again, err)
			}
		}
	}
	if depth, members := Measure(`{"a":[[{"b":1}]],"c":2}`); depth != 4 || members != 3 {
		t.Errorf("depth %d, %d members", depth, members)
	}
	Measure(strings.Repeat("[", 1<<16)) // ends
}

func TestErrorSaysWhere(t *testing.T) {
	err := Scan(`{"a":1,"a":2}`, limits)
	if err == nil || err.Offset != 7 {
		t.Fatalf("got %v, want the offset of the second name, 7", err)
	}
}

func TestRepeatedNamesCanBeLeftToTheCaller(t *testing.T) {
	l := limits
	l.RepeatedNames = true
	if err := Scan(`{"a":1,"a":2}`, l); err != nil {
		t.Fatal(err)
	}
}

func TestMemberTakesNamesLiterally(t *testing.T) {
	doc, err := Parse(`{"a.b":1,"a":{"b":2},"@this":3,"*":4,"x|y":5,"\u0065sc":6}`, Limits{4, 16, 32, false, false})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a.b": "1", "@this": "3", "*": "4", "x|y": "5", "esc": "6"} {
		if v, ok := Member(doc, name); !ok || v.Raw != want {
			t.Errorf("Member(%q) = %q, %v; want %s", name, v.Raw, ok, want)
		}
	}
	for _, name := range []string{"A", "a*", "b", "", "a|b"} {
		if v, ok := Member(doc, name); ok {
			t.Errorf("Member(%q) found %q", name, v.Raw)
		}
	}
	if _, ok := Member(gjson.Parse(`["a"]`), "a"); ok {
		t.Error("Member found a name in an array")
	}
}

// What Scan accepts, encoding/json accepts too and reads alike; what encoding/json refuses, Scan refuses.
func FuzzScan(f *testing.F) {
	for _, s := range []string{`{"a":1,"b":[true,null,"\u00e9\ud83d\ude00"]}`, `{"a":1,"\u0061":2}`, "\"\xff\"",
		`[[[[]]]]`, `1e400`, "\ufeff{}", `{"a":{"a":{}}}`} {
		f.Add(s)
	}
	for _, s := range []string{`{"a":{"b":"}\\"]","c":[{"a":1}]},"b" : -1.5e3 , "":"","c\u0022":"\\","d":[],"e":{}}`,
		` { "a" : null , "aa" : false } `, `{"\ud83d\ude00":1,"é":2}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		doc, err := Parse(text, Limits{Depth: 64, Members: 1 << 16, Number: 1 << 16})
		if err != nil {
			return
		}
		checkMembers(t, doc, 0)
		if !json.Valid([]byte(text)) {
			t.Fatalf("accepted what encoding/json refuses: %q", text)
		}
		var s string
		if json.Unmarshal([]byte(text), &s) == nil && doc.Type == gjson.String && doc.Str != s {
			t.Fatalf("read %q, encoding/json reads %q", doc.Str, s)
		}
	})
}

// checkMembers holds Member against gjson's own way through an object, and through those in it.
func checkMembers(t *testing.T, doc gjson.Result, depth int) {
	if depth > 3 || !doc.IsObject() && !doc.IsArray() {
		return
	}
	n := 0
	doc.ForEach(func(k, v gjson.Result) bool {
		if n++; doc.IsObject() {
			got, ok := Member(doc, k.Str)
			if !ok || got.Raw != v.Raw || got.Type != v.Type || got.Str != v.Str || got.Num != v.Num {
				t.Fatalf("member %q of %s: %+v, %v, want %+v", k.Str, doc.Raw, got, ok, v)
			}
			if _, ok := Member(doc, k.Str+"x"); ok && !has(doc, k.Str+"x") {
				t.Fatalf("member %q of %s", k.Str+"x", doc.Raw)
			}
		}
		checkMembers(t, v, depth+1)
		return n < 20
	})
}

func has(doc gjson.Result, name string) (found bool) {
	doc.ForEach(func(k, _ gjson.Result) bool {
		found = found || k.Str == name
		return !found
	})
	return found
}
