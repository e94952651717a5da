// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"
	"strings"
)

// notes are the changelog's section of a version. A pre-release that has none gets what is not released yet: what it
// tries is just that. A release needs its own, so that nobody has to guess what is in it.
func notes(changelog, version string) (string, error) {
	number := strings.TrimPrefix(version, "v")
	text, ok := section(changelog, number)
	if !ok && strings.Contains(number, "-") {
		text, ok = section(changelog, "Unreleased")
	}
	if !ok {
		return "", fmt.Errorf("CHANGELOG.md has no section \"## [%s] - 2006-01-02\": give what stands under [Unreleased] "+
			"that heading, with the day, and leave an empty [Unreleased] above it", number)
	}
	if text == "" {
		return "", fmt.Errorf("CHANGELOG.md: the section of %s is empty", number)
	}
	return text + "\n", nil
}

// section is what stands under a heading of the second level.
func section(changelog, name string) (text string, ok bool) {
	heading := regexp.MustCompile(`(?m)^## \[` + regexp.QuoteMeta(name) + `\]( - \d{4}-\d\d-\d\d)?$`)
	at := heading.FindStringIndex(changelog)
	if at == nil || name != "Unreleased" && !strings.Contains(changelog[at[0]:at[1]], " - ") {
		return "", false
	}
	text, _, _ = strings.Cut(changelog[at[1]:], "\n## ")
	return strings.TrimSpace(text), true
}
