// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// A command line that says two things is none.
func TestSaidTwice(t *testing.T) {
	for _, args := range [][]string{{"explain", "--config", "x", "--token", "a", "--token-file", "b"},
		{"check", "-", "-"}, {"migrate", "-", "x", "-"}} {
		if _, progress := tollgate(t, exitUsage, args...); !strings.Contains(progress, "See tollgate help") {
			t.Errorf("%v: %s", args, progress)
		}
	}
}

// A key set that is refused says which key is why, and in which file.
func TestRefusedKeySet(t *testing.T) {
	config := write(t, "jwt-scope.yaml",
		"providers: [{name: idp, issuer: https://idp, audiences: [api], algorithms: [ES256], jwks: {remote: "+
			"{cluster: idp, authority: idp, path: /keys}}}]\nrules: [{name: all}]\n")
	set := write(t, "set.json", `{"keys": [{"kty": "EC", "kid": "odd", "crv": "P-256", "x": "AA", "y": "AA"}]}`)
	_, progress := tollgate(t, exitFound, "explain", "--config", config, "--request", "GET https://a/", "--jwks", set)
	if !strings.Contains(progress, `key 0, kid "odd"`) || !strings.HasPrefix(progress, "tollgate: "+set) {
		t.Error(progress)
	}
}

// JSON is JSON where nothing could be decided, too.
func TestExplainMissing(t *testing.T) {
	out, _ := tollgate(t, exitFound, "explain", "--config", t.TempDir()+"/missing", "--request", "GET https://a/",
		"--format", "json")
	var said struct{ Error string }
	if err := json.Unmarshal([]byte(out), &said); err != nil || !strings.Contains(said.Error, "no such file") {
		t.Errorf("%v: %s", err, out)
	}
}

// Of one word, nobody is asked whether it was meant.
func TestFilterOfAnotherSpelling(t *testing.T) {
	out, _ := tollgate(t, exitFound, "check", write(t, "a.yaml", "filter: jwt_scope\nproviders: []\nrules: []\n"))
	if !strings.Contains(out, "filter: want jwt-scope\n") {
		t.Error(out)
	}
}
