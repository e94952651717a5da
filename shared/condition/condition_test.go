// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package condition

import "testing"

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"a*", "a", true}, {"*", "", true}, {"a*a", "a", false}, {"a*a", "aa",
			true}, {"a*b*c", "axbxc", true}, {"a*b*c", "axcxb", false},
		{"*b", "ab", true}, {"*b", "abc", false}, {"a**b", "ab", true}, {"*a*", "bab", true}, {"?", "a", false}, {"[a]",
			"a", false}, {"ab*bc", "abc", false},
	} {
		if got := glob(c.pattern, c.text); got != c.want {
			t.Errorf("glob(%q, %q) = %v", c.pattern, c.text, got)
		}
	}
}
