// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// decision is a line of the access log.
type decision struct {
	Time    string
	Method  string
	Path    string
	Status  int
	Details string
}

// printDecisions writes each access log line in a form for reading, until the log ends.
func printDecisions(w io.Writer, log io.Reader, colour bool) {
	for lines := bufio.NewScanner(log); lines.Scan(); {
		var d decision
		if err := json.Unmarshal(lines.Bytes(), &d); err != nil {
			fmt.Fprintf(w, "a log line that is none: %v\n", err)
			continue
		}
		fmt.Fprintln(w, d.text(colour))
	}
}

// text is the decision in one line. The query is left out: it may hold a credential.
func (d *decision) text(colour bool) string {
	path, _, _ := strings.Cut(d.Path, "?")
	verdict, sgr := "allowed", "32"
	if rule, code, ok := refusal(d.Details); ok {
		verdict, sgr = "refused  "+code, "31"
		if rule != "-" {
			verdict += " (rule " + rule + ")"
		}
	}
	if colour {
		verdict = "\x1b[" + sgr + "m" + verdict + "\x1b[0m"
	}
	return fmt.Sprintf("%s  %d  %-6s %-32s %s", d.Time, d.Status, d.Method, path, verdict)
}

// refusal reads the response code details of a reply of the filter's: tollgate.jwt_scope.<rule>.<code>.
func refusal(details string) (rule, code string, ok bool) {
	parts := strings.Split(details, ".")
	if len(parts) != 4 || parts[0] != "tollgate" {
		return "", "", false
	}
	return parts[2], parts[3], true
}

// colours reports whether a person looks at f.
func colours(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == ""
}
