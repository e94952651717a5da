// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package sfv

import (
	"encoding/base32"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/e2e/vectors"
)

// vector is a record of https://github.com/httpwg/structured-field-tests.
type vector struct {
	Name       string
	Raw        []string
	HeaderType string `json:"header_type"`
	Expected   json.RawMessage
	Canonical  []string
	MustFail   bool `json:"must_fail"`
	CanFail    bool `json:"can_fail"`
}

func read(t *testing.T, file string) (list []vector) {
	t.Helper()
	if err := json.Unmarshal(vectors.Read(t, "structured-field-tests/"+file+".json"), &list); err != nil ||
		len(list) == 0 {
		t.Fatalf("%s: %v", file, err)
	}
	return list
}

// The following turn the vectors' JSON into values. An integer is told from a decimal by its spelling.
func bareOf(t *testing.T, raw json.RawMessage) Value {
	t.Helper()
	var typed struct {
		Type  string `json:"__type"`
		Value json.RawMessage
	}
	text := string(raw)
	var s string
	switch {
	case text == "true":
		return Value{Kind: Boolean, Int: 1}
	case text == "false":
		return Value{Kind: Boolean}
	case json.Unmarshal(raw, &s) == nil:
		return Value{Kind: String, Text: s}
	case text[0] == '{':
		if err := json.Unmarshal(raw, &typed); err != nil {
			t.Fatal(err)
		}
		switch typed.Type {
		case "date":
			var n int64
			if err := json.Unmarshal(typed.Value, &n); err != nil {
				t.Fatal(err)
			}
			return Value{Kind: Date, Int: n}
		case "token", "binary":
			if err := json.Unmarshal(typed.Value, &s); err != nil {
				t.Fatal(err)
			}
			if typed.Type == "token" {
				return Value{Kind: Token, Text: s}
			}
			b, err := base32.StdEncoding.DecodeString(s)
			if err != nil {
				t.Fatal(err)
			}
			return Value{Kind: Bytes, Text: string(b)}
		}
	case strings.ContainsAny(text, ".eE"):
		var f float64
		if err := json.Unmarshal(raw, &f); err != nil {
			t.Fatal(err)
		}
		return Value{Kind: Decimal, Int: int64(math.RoundToEven(f * 1000))}
	default:
		var n int64
		if err := json.Unmarshal(raw, &n); err == nil {
			return Value{Kind: Integer, Int: n}
		}
	}
	t.Fatalf("a value that the test does not know: %s", text)
	return Value{}
}

func pair(t *testing.T, raw json.RawMessage) (a, b json.RawMessage) {
	t.Helper()
	var two []json.RawMessage
	if err := json.Unmarshal(raw, &two); err != nil || len(two) != 2 {
		t.Fatalf("want a pair: %s", raw)
	}
	return two[0], two[1]
}

func several(t *testing.T, raw json.RawMessage) (list []json.RawMessage) {
	t.Helper()
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func itemOf(t *testing.T, raw json.RawMessage) (item Item) {
	t.Helper()
	value, parameters := pair(t, raw)
	if value[0] == '[' {
		item.Inner = []Item{}
		for _, i := range several(t, value) {
			item.Inner = append(item.Inner, itemOf(t, i))
		}
	} else {
		item.Value = bareOf(t, value)
	}
	for _, p := range several(t, parameters) {
		name, value := pair(t, p)
		item.Parameters = append(item.Parameters, Parameter{bareOf(t, name).Text, bareOf(t, value)})
	}
	return item
}

func valueOf(t *testing.T, v vector) any {
	t.Helper()
	switch v.HeaderType {
	case "item":
		return itemOf(t, v.Expected)
	case "list":
		var items []Item
		for _, i := range several(t, v.Expected) {
			items = append(items, itemOf(t, i))
		}
		return items
	}
	var members []Member
	for _, m := range several(t, v.Expected) {
		name, item := pair(t, m)
		members = append(members, Member{bareOf(t, name).Text, itemOf(t, item)})
	}
	return members
}

func parse(kind, text string) (any, error) {
	switch kind {
	case "item":
		return ParseItem(text)
	case "list":
		return ParseList(text)
	}
	return ParseDictionary(text)
}

func write(value any) (string, error) {
	var b []byte
	var err error
	switch v := value.(type) {
	case Item:
		b, err = AppendItem(nil, &v)
	case []Item:
		b, err = AppendList(nil, v)
	case []Member:
		b, err = AppendDictionary(nil, v)
	}
	return string(b), err
}

func TestVectors(t *testing.T) {
	count, refused := 0, 0
	for _, file := range []string{"binary", "boolean", "date", "dictionary", "examples", "item", "key-generated",
		"list", "listlist", "number", "number-generated", "param-dict", "param-list", "param-listlist",
		"string", "string-generated", "token", "token-generated"} {
		for _, v := range read(t, file) {
			count++
			text := strings.Join(v.Raw, ", ")
			got, err := parse(v.HeaderType, text)
			if v.MustFail || err != nil && v.CanFail {
				if refused++; err == nil {
					t.Errorf("%s: %s: %q is taken", file, v.Name, text)
				}
				continue
			}
			want := valueOf(t, v)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %s: %q: got %+v, %v; want %+v", file, v.Name, text, got, err, want)
				continue
			}
			canonical := text
			if v.Canonical != nil {
				canonical = strings.Join(v.Canonical, ", ")
			}
			if written, err := write(want); err != nil || written != canonical {
				t.Errorf("%s: %s: written as %q, %v; want %q", file, v.Name, written, err, canonical)
			}
		}
	}
	for _, file := range []string{"key-generated", "number", "string-generated", "token-generated"} {
		for _, v := range read(t, "serialisation-tests/"+file) {
			count++
			var number float64
			if json.Unmarshal(v.Expected, &[]any{&number, &[]any{}}) == nil && file == "number" && math.Abs(number) >= 1e15 {
				continue // too large for the type already
			}
			written, err := write(valueOf(t, v))
			if v.MustFail != (err != nil) || err == nil && written != strings.Join(v.Canonical, ", ") {
				t.Errorf("writing %s: %s: %q, %v; want %q, failing %v", file, v.Name, written, err, v.Canonical, v.MustFail)
			}
		}
	}
	if count < 1500 || refused < 500 {
		t.Errorf("only %d vectors, %d of them to be refused", count, refused)
	}
	t.Logf("%d vectors, %d of them refused", count, refused)
}

// What §3.3.8 and §4.2.10 say of Display Strings.
func TestDisplayStrings(t *testing.T) {
	for _, c := range []struct{ text, want, canonical string }{
		{`%""`, "", ""}, {`%"two words"`, "two words", ""}, {`%"a, b; c=\"`, `a, b; c=\`, ""},
		{`%"caf%c3%a9 %22 %25 %e2%82%ac%f0%9f%98%80"`, "caf\u00e9 \" % \u20ac\U0001f600", ""},
		{`%"%00%0a%7f~ !"`, "\x00\n\x7f~ !", ""}, {`%"%61%5c"`, `a\`, `%"a\"`},
	} {
		item, err := ParseItem(c.text)
		if err != nil || item.Value != (Value{Kind: DisplayString, Text: c.want}) {
			t.Errorf("%s: %+v, %v", c.text, item, err)
		}
		if c.canonical == "" {
			c.canonical = c.text
		}
		if b, err := AppendItem(nil, &item); err != nil || string(b) != c.canonical {
			t.Errorf("%s: written as %s, %v", c.text, b, err)
		}
		// Behind it the text goes on.
		members, err := ParseDictionary(`a=(` + c.text + `);b=` + c.text + `, c`)
		if err != nil || len(members) != 2 || members[0].Item.Inner[0].Value.Text != c.want {
			t.Errorf("%s in a dictionary: %+v, %v", c.text, members, err)
		}
	}
	for _, text := range []string{`%`, `%x`, `%x"`, `%'x'`, `%"`, `%"x`, `%"%`, `%"%"`, `%"%a`, `%"%a"`, `%"%4g"`, `%"%g4"`, `%"%C3%A9"`, `%"%c3"`,
		`%"%c3%28"`, `%"%a0"`, `%"%ed%a0%80"`, "%\"\t\"", "%\"\x7f\"", "%\"\u00e9\"", `%"x"y`, `a%"x"`, `% "x"`} {
		if item, err := ParseItem(text); err != ErrSyntax {
			t.Errorf("%q is read as %+v, %v", text, item, err)
		}
	}
	if b, err := AppendItem(nil, &Item{Value: Value{Kind: DisplayString, Text: "\xc3"}}); err != ErrValue {
		t.Errorf("what is not UTF-8 is written as %q, %v", b, err)
	}
}

func TestParameterByName(t *testing.T) {
	item, err := ParseItem(`("@method" "@path");created=1;keyid="k"`)
	if err == nil {
		t.Fatal("an inner list is no item")
	}
	list, err := ParseList(`("@method" "@path");created=1;keyid="k";created=2`)
	if err != nil || len(list) != 1 {
		t.Fatal(err)
	}
	item = list[0]
	if v, ok := item.Parameter("created"); !ok || v.Int != 2 {
		t.Errorf("created is %v, %v", v, ok)
	}
	if _, ok := item.Parameter("expires"); ok {
		t.Error("a parameter that is not there")
	}
}

// What is written reads as what was written.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{`a=1`, `edge=("@method" "@path";req);created=1;nonce="x"`, `a=:aGVsbG8=:`,
		`a;b;c=?0, d=(1 2.5 -0.1 @7 t "s\"")`, `a=1,`, "a=1,\t b", `(`, `"\`, `:::`, `?2`, `1.`, `%"\%c3%a9"`, `a=1;a=2, a=3`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, kind := range []string{"item", "list", "dictionary"} {
			value, err := parse(kind, text)
			if err != nil {
				continue
			}
			written, err := write(value)
			if err != nil {
				t.Fatalf("%q is read as %+v, which cannot be written: %v", text, value, err)
			}
			again, err := parse(kind, written)
			if err != nil || !reflect.DeepEqual(value, again) {
				t.Fatalf("%q is written as %q, which is %+v, %v; want %+v", text, written, again, err, value)
			}
		}
	})
}
