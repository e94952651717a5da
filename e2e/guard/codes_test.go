// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/e2e/checkout"
)

// Every reason for a refusal stands in its filter's README, where whoever is on call looks it up, and
// in a test of the package that decides.
func TestEveryCode(t *testing.T) {
	root := checkout.Root(t)
	for _, f := range filters.All {
		if len(f.Codes) == 0 {
			t.Errorf("%s has no codes", f.Name)
		}
		readme, err := os.ReadFile(filepath.Join(root, "filters", f.Name, "README.md"))
		if err != nil {
			t.Fatal(err)
		}
		core := filepath.Join(root, "filters", f.Name, f.Core)
		names, tested := codeNames(t, filepath.Join(core, "errors.go")), mentioned(t, core)
		for _, c := range f.Codes {
			if !hasRow(string(readme), c.Name) {
				t.Errorf("%s is in no row of filters/%s/README.md", c.Name, f.Name)
			}
			if !tested[names[c.Name]] && !tested[c.Name] {
				t.Errorf("no test of filters/%s/%s has %s (%s)", f.Name, f.Core, names[c.Name], c.Name)
			}
		}
	}
}

// hasRow reports whether a table's first cell names the code.
func hasRow(readme, code string) bool {
	for _, line := range strings.Split(readme, "\n") {
		if cells := strings.Split(line, "|"); len(cells) > 2 && strings.Contains(cells[1], "`"+code+"`") {
			return true
		}
	}
	return false
}

// codeNames are the variables of codes, by what the codes are called.
func codeNames(t *testing.T, path string) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if call, ok := spec.Values[0].(*ast.CallExpr); ok && len(call.Args) > 1 {
			if text, ok := call.Args[0].(*ast.BasicLit); ok && text.Kind == token.STRING {
				name, _ := strconv.Unquote(text.Value)
				names[name] = spec.Names[0].Name
			}
		}
		return true
	})
	return names
}

// mentioned are the identifiers, and the words of texts, in the tests of a package.
func mentioned(t *testing.T, dir string) map[string]bool {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				found[n.Name] = true
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); err == nil {
					for _, word := range strings.Fields(text) {
						found[word] = true
					}
				}
			}
			return true
		})
	}
	return found
}
