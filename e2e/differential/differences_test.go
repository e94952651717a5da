// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
)

// class is what is explained at once: a kind of mutation with its three verdicts.
type class struct {
	kind, ours      string // ours is the code, "ok" for accepted
	native, library bool   // accepted
}

func (c class) agreed() bool { return (c.ours == "ok") == c.native && c.native == c.library }

func (c class) String() string {
	says := map[bool]string{true: accepts, false: refuses}
	return fmt.Sprintf("%s: jwt-scope %s, jwt_authn %s, golang-jwt %s", c.kind, c.ours, says[c.native], says[c.library])
}

const accepts, refuses = "accepts", "refuses"

// difference is one row of differences.json.
type difference struct {
	Why       string   `json:"why"`
	Ours      string   `json:"ours"`       // the code
	JWTAuthn  string   `json:"jwt_authn"`  // accepts or refuses
	GolangJWT string   `json:"golang_jwt"` // accepts or refuses
	Envoy     []string `json:"envoy"`      // the versions that the row is about; none: all
	Kinds     []string `json:"kinds"`
}

// readDifferences gives the classes that are explained, for one version of Envoy.
func readDifferences(t *testing.T, version string) map[class]*difference {
	t.Helper()
	b, err := os.ReadFile("differences.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []*difference
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&rows); err != nil {
		t.Fatalf("differences.json: %v", err)
	}
	table := map[class]*difference{}
	for _, row := range rows {
		if row.Why == "" || len(row.Kinds) == 0 || !isVerdict(row.JWTAuthn) || !isVerdict(row.GolangJWT) {
			t.Fatalf("differences.json: a row is not complete: %+v", row)
		}
		if len(row.Envoy) > 0 && !slices.Contains(row.Envoy, version) {
			continue
		}
		for _, kind := range row.Kinds {
			c := class{kind, row.Ours, row.JWTAuthn == accepts, row.GolangJWT == accepts}
			if c.agreed() || table[c] != nil {
				t.Fatalf("differences.json: no difference, or explained twice: %s", c)
			}
			table[c] = row
		}
	}
	return table
}

func isVerdict(s string) bool { return s == accepts || s == refuses }
