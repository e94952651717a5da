// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package match

import (
	"strings"
)

// Meets reports whether the condition may fit requests to one of the hosts (nil: every host) whose
// path is path or below it. path is one as it stands in a Request; empty: every path.
func (c *Condition) Meets(hosts []string, path string) bool {
	if !hostsMeet(c.Hosts, hosts) {
		return false
	}
	if c.Paths == nil || path == "" {
		return true
	}
	segments := split(nil, path)
	for i := range c.Paths {
		if c.Paths[i].meets(segments) {
			return true
		}
	}
	return false
}

func (t *Template) meets(segments []string) bool {
	for i, s := range segments {
		if i == len(t.segments) {
			return t.tail
		}
		if own := &t.segments[i]; !own.wild && own.literal != s {
			return false
		}
	}
	return true
}

func hostsMeet(a, b []string) bool {
	if a == nil || b == nil {
		return true
	}
	for _, x := range a {
		for _, y := range b {
			if x == y || below(x, y) || below(y, x) {
				return true
			}
		}
	}
	return false
}

// below reports whether a host, or all that a pattern stands for, is what the pattern above stands for.
func below(host, above string) bool {
	return strings.HasPrefix(above, "*.") && strings.HasSuffix(host, above[1:])
}
