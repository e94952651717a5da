// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
)

// checked remembers that something could not be written: a result that is not there must not pass for an empty one.
type checked struct {
	io.Writer
	err error
}

func (w *checked) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	if err != nil && w.err == nil {
		w.err = err
	}
	return n, err
}

// result is in which format a command writes, and to where.
type result struct {
	format, output string
	formats        []string // the first is the default
}

func (r *result) flags(c *cobra.Command, formats ...string) {
	r.formats = formats
	c.Flags().StringVar(&r.format, "format", formats[0], strings.Join(formats, ", "))
	c.Flags().StringVarP(&r.output, "output", "o", "",
		"a file to write to (default: standard output); a word without a dot or slash is a format")
}

// check reads the flags.
func (r *result) check() error {
	// --output json has always been a format here. A file has a folder or an ending.
	if r.output != "" && r.output != "-" && !strings.ContainsAny(r.output, `./\`) {
		r.format, r.output = r.output, ""
	}
	if !slices.Contains(r.formats, r.format) {
		return usage{fmt.Errorf("--format %q: want one of %s", r.format, strings.Join(r.formats, ", "))}
	}
	return nil
}

// write has something written to where it is to go.
func (r *result) write(c *cobra.Command, what func(io.Writer) error) error {
	if r.output == "" || r.output == "-" {
		return what(c.OutOrStdout())
	}
	f, err := os.Create(r.output)
	if err != nil {
		return err
	}
	w := &checked{Writer: f}
	err = what(w)
	if err == nil {
		err = w.err
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// printJSON writes a value, indented.
func printJSON(w io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		_, err = fmt.Fprintf(w, "%s\n", text)
	}
	return err
}

// sarif is what code hosts show beside the lines of a change (SARIF 2.1.0).
func sarif(list []check.Finding) any {
	type m = map[string]any
	levels := map[check.Severity]string{check.Error: "error", check.Warning: "warning", check.Note: "note"}
	results := []m{}
	for _, f := range list {
		location := m{"artifactLocation": m{"uri": f.File}}
		if f.Line > 0 {
			location["region"] = m{"startLine": f.Line, "startColumn": max(f.Column, 1)}
		}
		text := f.Problem
		for _, part := range []string{f.Path, f.Resource} {
			if part != "" {
				text = part + ": " + text
			}
		}
		results = append(results, m{"ruleId": "tollgate", "level": levels[f.Severity], "message": m{"text": text},
			"locations": []m{{"physicalLocation": location}}})
	}
	return m{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
		"runs": []m{{"tool": m{"driver": m{"name": "tollgate",
			"informationUri": "https://github.com/tollgate-wasm/tollgate", "rules": []m{{"id": "tollgate"}}}},
			"results": results}},
	}
}
