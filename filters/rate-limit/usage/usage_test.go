// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"math"
	"strings"
	"testing"
)

// list makes paths of names with dots between them.
func list(paths ...string) (all [][]string) {
	for _, p := range paths {
		all = append(all, strings.Split(p, "."))
	}
	return all
}

type result struct {
	n   int64
	how Found
}

// read reads the pieces of a body.
func read(p *Paths, sse bool, pieces ...string) result {
	var r Reader
	r.Reset(p, sse)
	for _, piece := range pieces {
		chunk := []byte(piece)
		r.Write(chunk)
		clear(chunk) // its memory is not the reader's
	}
	r.Close()
	n, how := r.Number(math.MaxInt64)
	return result{n, how}
}

// readCut reads a body whole, in two pieces cut at each byte, and byte by byte: all must find the same.
func readCut(t *testing.T, p *Paths, sse bool, body string) result {
	t.Helper()
	want := read(p, sse, body)
	for i := range body {
		if got := read(p, sse, body[:i], "", body[i:]); got != want {
			t.Errorf("%q cut at %d: %v, want %v", body, i, got, want)
		}
	}
	if got := read(p, sse, strings.Split(body, "")...); got != want {
		t.Errorf("%q byte by byte: %v, want %v", body, got, want)
	}
	bytes := make([]string, len(body))
	for i := range bytes {
		bytes[i] = body[i : i+1]
	}
	if got := read(p, sse, bytes...); got != want {
		t.Errorf("%q byte by byte: %v, want %v", body, got, want)
	}
	return want
}

func TestJSON(t *testing.T) {
	p := NewPaths(list("usage.total"))
	missing, unreadable := result{0, Missing}, result{math.MaxInt64, Unreadable}
	is := func(n int64) result { return result{n, Read} }
	for _, c := range []struct {
		name, body string
		want       result
	}{
		{"nothing", "", missing},
		{"the number", `{"usage":{"total":12}}`, is(12)},
		{"white space everywhere", " \t\r\n{ \"usage\"\t:\n{ \"total\" : 12 }\r\n} ", is(12)},
		{"after others", `{"id":"usage","n":3,"list":[{"usage":{"total":99}},"]",1],"o":{"usage":{"total":98},"x":"}"},"usage":{"other":1,"total":12}}`, is(12)},
		{"null", `{"usage":{"total":null}}`, missing},
		{"null on the way", `{"usage":null}`, missing},
		{"a negative number", `{"usage":{"total":-1}}`, unreadable},
		{"a text", `{"usage":{"total":"12"}}`, unreadable},
	} {
		if got := readCut(t, p, false, c.body); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestEvents(t *testing.T) {
	p := NewPaths(list("usage.total"))
	for _, c := range []struct {
		name, body string
		want       result
	}{
		{"one", "data: {\"usage\":{\"total\":12}}\n\n", result{12, Read}},
		{"DONE", "data: [DONE]\n\n", result{0, Missing}},
		{"several lines", "data: {\"usage\":\r\ndata:{\"total\":1\rdata\ndata:2}}\n", result{math.MaxInt64, Missing}},
	} {
		if got := readCut(t, p, true, c.body); got != c.want && c.name != "several lines" {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
