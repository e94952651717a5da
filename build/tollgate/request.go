// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/tollgate-wasm/tollgate/shared/forward"
)

// request is one as a filter sees it, from the flags of a command.
type request struct {
	line    string
	headers []string
	body    string
	at      string
}

func (r *request) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVarP(&r.line, "request", "r", "", "the method and the URL: 'GET https://api.example.com/orders/7?a=1'")
	f.StringArrayVarP(&r.headers, "header", "H", nil, "a header, 'name: value', or several, one in each line; may be "+
		"repeated")
	f.StringVar(&r.body, "body", "", "a file with the body")
	f.StringVar(&r.at, "at", "", "the time at which to decide, RFC 3339 (default: now)")
}

// pairs are the headers, with the pseudo-headers in front.
func (r *request) pairs() ([][2]string, error) {
	method, url, ok := strings.Cut(strings.TrimSpace(r.line), " ")
	scheme, rest, hasScheme := strings.Cut(strings.TrimSpace(url), "://")
	if !ok || !hasScheme || strings.Contains(rest, " ") {
		return nil, usage{fmt.Errorf("--request %q: want a method and a URL, such as 'GET "+
			"https://api.example.com/orders/7'", r.line)}
	}
	// Not by net/url: what is odd about a path is what a filter must see.
	authority, path := rest, "/"
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, path = rest[:i], rest[i:]
		if path[0] == '?' {
			path = "/" + path
		}
	}
	pairs := [][2]string{{":method", method}, {":scheme", scheme}, {":authority", authority}, {":path", path}}
	for i, h := range r.headers {
		list, err := headerLines(h)
		if err != nil {
			return nil, usage{fmt.Errorf("--header, number %d: %w", i+1, err)}
		}
		pairs = append(pairs, list...)
	}
	return pairs, nil
}

// headerLines reads headers, one in each line: stamp sign prints several. What is none is not repeated: it may be a
// credential.
func headerLines(text string) (list [][2]string, err error) {
	n := 0
	for line := range strings.FieldsFuncSeq(text, func(c rune) bool { return c == '\n' || c == '\r' }) {
		if n++; strings.TrimSpace(line) == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.ContainsFunc(name, isNoTokenChar) {
			return nil, fmt.Errorf("line %d is no header: want 'name: value', with the name of a header", n)
		}
		list = append(list, [2]string{strings.ToLower(name), strings.TrimSpace(value)})
	}
	if list == nil {
		err = errors.New("is empty: want 'name: value'")
	}
	return list, err
}

func isNoTokenChar(c rune) bool { return c > unicode.MaxASCII || !forward.IsTokenChar(byte(c)) }

func (r *request) time() (time.Time, error) {
	if r.at == "" {
		return time.Now(), nil
	}
	at, err := time.Parse(time.RFC3339, r.at)
	if err != nil {
		return at, usage{fmt.Errorf("--at: %w", err)}
	}
	return at, nil
}

// content is the body; nil: there is none.
func (r *request) content() ([]byte, error) {
	if r.body == "" {
		return nil, nil
	}
	b, err := os.ReadFile(r.body)
	if b == nil && err == nil {
		b = []byte{}
	}
	return b, err
}

// readConfig reads a filter's configuration.
func readConfig(path string) (string, error) {
	if path == "" {
		return "", usage{errors.New("--config is required: a filter's configuration")}
	}
	b, err := os.ReadFile(path)
	return string(b), err
}
