// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"testing"

	"github.com/tidwall/gjson"
)

func TestText(t *testing.T) {
	for _, c := range []struct {
		json, want string
		ok         bool
	}{
		{`"ann"`, "ann", true}, {`7`, "7", true}, {`1.50`, "1.50", true}, {`true`, "true", true}, {`["a",1,false]`,
			"a,1,false", true},
		{`"a\r\nx: y"`, "", false}, {`"a\tb"`, "", false}, {`"caf\u00e9"`, "", false}, {`"\u007f"`, "", false},
		{`["a","b,c"]`, "", false}, {`["a",{}]`, "", false},
		{`{}`, "", false}, {`[]`, "", false}, {`""`, "", false}, {`null`, "", false},
	} {
		if got, ok := Text(gjson.Parse(c.json)); ok != c.ok || ok && got != c.want {
			t.Errorf("P9 %s: %q, %v", c.json, got, ok)
		}
	}
}

// What a header cannot carry as it is goes on where it is encoded, and reads back as it was.
func TestEncoding(t *testing.T) {
	for _, c := range []struct{ json, percent, base64URL string }{
		{`"ann"`, "ann", "YW5u"},
		{`"Jos\u00e9 D\u00edaz"`, "Jos%C3%A9%20D%C3%ADaz", "Sm9zw6kgRMOtYXo"},
		{`"a\r\nx: 100%"`, "a%0D%0Ax%3A%20100%25", "YQ0KeDogMTAwJQ"},
		{`["a,b","\u00fc"]`, "a%2Cb,%C3%BC", "YSxi,w7w"},
		{`true`, "true", "dHJ1ZQ"},
		{`{}`, "", ""}, {`""`, "", ""}, {`[]`, "", ""}, {`["a",{}]`, "", ""},
	} {
		for encoding, want := range map[string]string{percent: c.percent, base64URL: c.base64URL} {
			if got, ok := encoded(gjson.Parse(c.json), encoding); ok != (want != "") || ok && got != want {
				t.Errorf("P9 %s as %s: %q, %v", c.json, encoding, got, ok)
			}
		}
	}
}

func TestSameFold(t *testing.T) {
	for _, names := range [][2]string{{"a-b", "a_b"}, {"a-b", "a-b"}, {"a_b", "a_b"}, {"a-b", "a.b"}, {"a-b", "a-bc"},
		{"", ""}, {"x_-", "x-_"}, {"a_", "ab"}, {"ab", "a_"}, {"a-", "ab"}} {
		if got, want := SameFold(names[0], names[1]), Fold(names[0]) == Fold(names[1]); got != want {
			t.Errorf("%q: %v", names, got)
		}
	}
}
