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
	"time"
	"unicode"
)

// logFields is the access log's format; decision reads it.
var logFields = map[string]string{
	"time": "%START_TIME%", "method": "%REQ(:METHOD)%", "path": "%REQ(:PATH)%", "status": "%RESPONSE_CODE%",
	"details": "%RESPONSE_CODE_DETAILS%",
}

// decision is a line of the access log. Envoy writes null for what a broken request does not have.
type decision struct {
	Time    string // RFC 3339, UTC
	Method  string
	Path    string
	Status  int
	Details string
}

// printDecisions writes each access log line in a form for reading, until the log ends. It reads
// lines of any length, and on past what it cannot write: a log that nobody reads would block Envoy
// and then its end. (Envoy takes 60 KiB of request headers, and a byte may become six in JSON.)
func printDecisions(w io.Writer, log io.Reader, colour bool) {
	for lines := bufio.NewReader(log); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var d decision
		if err := json.Unmarshal(line, &d); err != nil {
			fmt.Fprintf(w, "Envoy printed what is not a decision: %v\n", err)
			continue
		}
		fmt.Fprintln(w, d.text(colour))
	}
}

// text is the decision in one line. The query is left out: it may hold a credential.
func (d *decision) text(colour bool) string {
	when := d.Time
	if t, err := time.Parse(time.RFC3339Nano, d.Time); err == nil {
		when = t.Local().Format(time.TimeOnly)
	}
	path, _, _ := strings.Cut(d.Path, "?")
	verdict, sgr := "allowed", "32"
	if rule, code, ok := refusal(d.Details); ok {
		verdict, sgr = "refused  "+code, "31"
		if rule != "-" {
			verdict += " (rule " + rule + ")"
		}
	} else if d.Details != "via_upstream" {
		// Neither the filter's answer nor the upstream's: a request that Envoy cannot read, an
		// upstream that fails, a filter that has failed closed.
		verdict, sgr = "answered by Envoy  "+plain(d.Details), "33"
	}
	if colour {
		verdict = "\x1b[" + sgr + "m" + verdict + "\x1b[0m"
	}
	return fmt.Sprintf("%s  %d  %-6.16s %-32.64s %s", when, d.Status, plain(d.Method), plain(path), verdict)
}

// plain is what a client sent, without characters that steer a terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// refusal reads the response code details of a reply of the filter's: tollgate.jwt_scope.<rule>.<code>.
func refusal(details string) (rule, code string, ok bool) {
	parts := strings.Split(details, ".")
	if len(parts) != 4 || parts[0] != "tollgate" || parts[1] != "jwt_scope" {
		return "", "", false
	}
	return parts[2], parts[3], true
}

// colours reports whether a person looks at f.
func colours(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == ""
}
