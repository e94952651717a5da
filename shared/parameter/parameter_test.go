// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package parameter

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestQuery(t *testing.T) {
	for _, c := range []struct {
		query, value string
		n            int
		form         string // by the name as servers read it
		formN        int
	}{
		{"", "", 0, "", 0}, {"key", "", 1, "", 1}, {"key=", "", 1, "", 1}, {"key=a", "a", 1, "a", 1},
		{"a=1&key=b&c", "b", 1, "b", 1}, {"key=a=b", "a=b", 1, "a=b", 1}, {"key=%20+", "%20+", 1, "%20+", 1},
		{"Key=a", "", 0, "", 0}, {"keys=a&ke=b", "", 0, "", 0}, {"&&key=a&", "a", 1, "a", 1},
		{"key=a&key=b", "a", 2, "a", 2}, {"key=&key=b&key=c", "", 2, "", 2}, {"key=a&%6bey=b", "a", 1, "a", 2},
		{"%6Bey=b", "", 0, "b", 1}, {"ke%79=b", "", 0, "b", 1}, {"key%=b", "", 0, "", 0}, {"key%3d=b", "", 0, "", 0},
		{"ke%7=b", "", 0, "", 0}, {"%6key=b", "", 0, "", 0}, {"key+=b", "", 0, "", 0}, {"=key", "", 0, "", 0},
		{"x;key=a", "", 0, "", 0},
	} {
		if value, n := Query(c.query, "key"); value != c.value || n != c.n {
			t.Errorf("Query(%q): %q, %d", c.query, value, n)
		}
		if value, n := Form(c.query, "key"); value != c.form || n != c.formN {
			t.Errorf("Form(%q): %q, %d", c.query, value, n)
		}
	}
	if _, n := Form("a+b=1&a%20b=2", "a b"); n != 2 {
		t.Errorf("%d of a name with a space", n)
	}
}

func TestDecoded(t *testing.T) {
	for _, c := range []struct {
		text, want string
		ok         bool
	}{
		{"", "", true}, {"a", "a", true}, {"a+b", "a b", true}, {"a%2Bb%2f%25", "a+b/%", true}, {"%c3%A4", "ä", true},
		{"ä", "ä", true}, {"%", "", false}, {"a%", "", false}, {"%2", "", false}, {"%2g", "", false}, {"%g2", "", false},
		{"%zz", "", false}, {"%c3", "", false}, {"\xff", "", false}, {"%00", "\x00", true},
	} {
		got, ok := AppendDecoded([]byte("x"), c.text)
		if string(got) != "x"+c.want || ok != c.ok {
			t.Errorf("%q: %q, %v", c.text, got, ok)
		}
	}
}

func TestCookie(t *testing.T) {
	for _, c := range []struct {
		headers, value string
		n              int
	}{
		{"", "", 0}, {"key=a", "a", 1}, {"b=1; key=a; c=2", "a", 1}, {`key="a"`, "a", 1}, {"key=", "", 1}, {"key", "", 1},
		{"Key=a", "", 0}, {"key=a;key=b", "a", 2}, {"key=a|key=b", "a", 2}, {"b=1|key=a", "a", 1}, {"\tkey=a=b ;", "a=b", 1},
		{"key=; key=b; key=c", "", 2}, {"%6bey=a", "", 0},
		{"key =a", "a", 1}, {"b=1;\tkey\t= a ", "a", 1}, {"key=a; key =b", "a", 2}, {`key = "a"`, "a", 1},
	} {
		var headers [][2]string
		for _, value := range strings.Split(c.headers, "|") {
			headers = append(headers, [2]string{"x", "key=x"}, [2]string{"cookie", value})
		}
		if value, n := Cookie(headers, "key"); value != c.value || n != c.n {
			t.Errorf("%q: %q, %d", c.headers, value, n)
		}
	}
}

// What is decoded is what net/url makes of it, and UTF-8; what is not, net/url refuses, or it is not UTF-8.
func FuzzDecoded(f *testing.F) {
	for _, text := range []string{"a+b", "%", "%4", "%zz", "%C3%A4", "%c3", "a%00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := AppendDecoded(nil, text)
		want, err := url.QueryUnescape(text)
		if ok != (err == nil && utf8.ValidString(want)) || ok && string(got) != want {
			t.Errorf("%q: %q, %v; %q, %v", text, got, ok, want, err)
		}
	})
}
