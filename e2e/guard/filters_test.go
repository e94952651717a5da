// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/e2e/checkout"
)

// lists are the files with what is too much each filter's own to stand in build/filters, and why.
var lists = map[string]string{
	"build/tollgate/check/chain.go": "what of a request each filter decides by; one without a case is blinded by " +
		"others, and nobody tells",
}

// No list, map or switch has all filters but that of build/filters, where a new one would be
// forgotten, and those that must have all do.
func TestOneListOfFilters(t *testing.T) {
	files, listed := token.NewFileSet(), map[string]bool{}
	for _, name := range sources(t, "*.go") {
		file, err := parser.ParseFile(files, filepath.Join(checkout.Root(t), name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if namesAll(n) {
				if lists[name] == "" {
					t.Errorf("%s lists the filters: that is for build/filters", files.Position(n.Pos()))
				}
				listed[name] = true
			}
			return true
		})
	}
	for name := range lists {
		if !listed[name] {
			t.Errorf("%s has not all filters: a new one wants its case there (%s), or the file is not to be named "+
				"here any more", name, lists[name])
		}
	}
}

// Without this, a list could look in a way that the test above does not see.
func TestNamesAll(t *testing.T) {
	for text, want := range map[string]bool{
		`[]string{"rate-limit", "edge-stamp", "x", "jwt-scope"}`:                                       true,
		`[]string{"rate-limit", "edge-stamp"}`:                                                         false,
		`map[string]int{"rate-limit": 1, "edge-stamp": 2, "jwt-scope": 3}`:                             true,
		`map[int]string{1: "rate_limit", 2: "edge_stamp", 3: "jwt_scope"}`:                             true,
		`[]struct{a, b string}{{"rate-limit", "x"}, {"edge-stamp", "y"}, {"jwt-scope", "z"}}`:          true,
		`[]struct{a, b string}{{"x", "rate-limit"}, {"x", "edge-stamp"}, {"x", "jwt-scope"}}`:          false,
		`func() { switch x { case "rate-limit": case "edge-stamp", "jwt-scope": } }`:                   true,
		`func() { switch x { case "rate-limit": case "edge-stamp": default: } }`:                       false,
		`func() { switch { case x == "rate-limit": case x == "edge-stamp": case x == "jwt-scope": } }`: true,
	} {
		e, err := parser.ParseExpr(text)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		ast.Inspect(e, func(n ast.Node) bool {
			found = found || namesAll(n)
			return true
		})
		if found != want {
			t.Errorf("%s: lists the filters: %t", text, found)
		}
	}
}

// namesAll reports whether a node is a list, a map or a switch that has the names of all filters:
// as its elements, what they begin with, its keys or its cases.
func namesAll(n ast.Node) bool {
	var entries []ast.Expr
	switch n := n.(type) {
	case *ast.CompositeLit:
		entries = n.Elts
	case *ast.SwitchStmt:
		for _, c := range n.Body.List {
			entries = append(entries, c.(*ast.CaseClause).List...)
		}
	}
	found := map[string]bool{}
	for _, e := range entries {
		for _, one := range named(e) {
			if text, err := strconv.Unquote(one.Value); one.Kind == token.STRING && err == nil {
				found[strings.ReplaceAll(text, "_", "-")] = true
			}
		}
	}
	for _, name := range filters.Names() {
		if !found[name] {
			return false
		}
	}
	return true
}

// named are the texts by which an entry could be that of a filter.
func named(e ast.Expr) (list []*ast.BasicLit) {
	switch e := e.(type) {
	case *ast.BasicLit:
		return []*ast.BasicLit{e}
	case *ast.KeyValueExpr:
		return append(named(e.Key), named(e.Value)...)
	case *ast.CompositeLit:
		if len(e.Elts) > 0 {
			return named(e.Elts[0])
		}
	case *ast.BinaryExpr:
		return append(named(e.X), named(e.Y)...)
	}
	return nil
}
