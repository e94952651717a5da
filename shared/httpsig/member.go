// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package httpsig

import (
	"strings"

	"github.com/tollgate-wasm/tollgate/shared/sfv"
)

// Signature, Signature-Input and Content-Digest belong to many: each puts its own members there,
// and older signature schemes, which are no dictionaries, have the same names for theirs. What is
// here finds one member among others, whatever those are, and takes one out without touching them.

// Member returns the member of a field called label, as it stands there, and how many there are: of
// several, none is the one. What else is in the field need not be a dictionary; a member is what
// stands between commas outside of Strings.
//
// The value is that of all lines, joined with commas, as a signature base has it: in each line by itself
// a String may begin or end elsewhere, and whoever splits the lines anew would choose what is found.
func Member(value, label string) (text string, n int) {
	for more := true; more; {
		var member string
		if member, value, more = cutMember(value, true); isMember(member, label) {
			text = strings.Trim(member, " \t")
			n++
		}
	}
	return text, n
}

// Without returns the lines of a field without the members called label; all else stays byte for
// byte, except for white space around what is gone. readable is false where a line is no dictionary,
// larger than what is read here, or one to new readers only: readers may then disagree where its
// Strings begin, so that the label is gone wherever one of them could find it, in each line and in all
// of them joined.
func Without(lines []string, label string) (rest []string, changed, readable bool) {
	readable = true
	for _, line := range lines {
		readable = readable && isDictionary(line)
	}
	for _, line := range lines {
		left := without(line, label, true)
		if !readable {
			left = without(left, label, false)
		}
		if left != line {
			changed = true
		}
		if left != "" || line == "" {
			rest = append(rest, left)
		}
	}
	return rest, changed, readable
}

func isDictionary(line string) bool {
	if commas, semicolons := separators(line); len(line) > maxBytes || commas+semicolons > maxParts {
		return false
	}
	// Who knows no Display Strings (RFC 8941) takes a backslash in one for an escape, and finds its end elsewhere.
	if strings.Contains(line, `%"`) && strings.IndexByte(line, '\\') >= 0 {
		return false
	}
	_, err := sfv.ParseDictionary(line)
	return err == nil
}

// without takes the members called label out of a line. Where the line has none, it is returned as it is.
func without(line, label string, quotes bool) string {
	var kept []string
	removed := false
	for rest, more := line, true; more; {
		var member string
		if member, rest, more = cutMember(rest, quotes); isMember(member, label) {
			removed = true
		} else {
			kept = append(kept, member)
		}
	}
	if !removed {
		return line
	}
	return strings.Trim(strings.Join(kept, ","), " \t")
}

// cutMember cuts a line at its first comma, outside of Strings where quotes says so: with that, a
// line is cut as a dictionary is.
func cutMember(line string, quotes bool) (member, rest string, more bool) {
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"' && quotes:
			i = closing(line, i)
		case c == ',':
			return line[:i], line[i+1:], true
		}
	}
	return line, "", false
}

// isMember reports whether a member is called label.
func isMember(member, label string) bool {
	member = strings.TrimLeft(member, " \t")
	if !strings.HasPrefix(member, label) {
		return false
	}
	if member = member[len(label):]; member == "" {
		return true
	}
	// its value, its parameters, or what somebody has put before those (RFC 9651 §3.2)
	return strings.IndexByte("=; \t", member[0]) >= 0
}
