// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tollgate-wasm/tollgate/e2e/checkout"
)

// columns is how long a line of Go may be.
const columns = 120

// Long lines are hard to read side by side. Those with a text that is no sentence, such as a
// configuration or a token, stay whole.
func TestLines(t *testing.T) {
	for _, name := range sources(t, "*.go") {
		text, err := os.ReadFile(filepath.Join(checkout.Root(t), name))
		if err != nil {
			t.Fatal(err)
		}
		long := map[int]bool{}
		for i, line := range strings.Split(string(text), "\n") {
			if utf8.RuneCountInString(line) > columns {
				long[i+1] = true
			}
		}
		if len(long) == 0 {
			continue
		}
		var s scanner.Scanner
		file := token.NewFileSet().AddFile(name, -1, len(text))
		s.Init(file, text, nil, 0)
		for {
			pos, kind, literal := s.Scan()
			if kind == token.EOF {
				break
			}
			if kind == token.STRING && (literal[0] == '`' || len(literal) > columns/3) {
				for i := range 1 + strings.Count(literal, "\n") {
					delete(long, file.Line(pos)+i)
				}
			}
		}
		for line := range long {
			t.Errorf("%s:%d has more than %d columns", name, line, columns)
		}
	}
}
