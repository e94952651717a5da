// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package wycheproof

import (
	"encoding/base64"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/e2e/vectors/wycheproof"
	"github.com/tollgate-wasm/tollgate/shared/guest/probetest"
	"github.com/tollgate-wasm/tollgate/shared/wasmhost"
)

// check is a signature for the verifier, as headers, with what the vector says of it.
type check struct {
	name             string
	id               int
	headers          [][2]string
	valid, eitherWay bool
}

func header(name, value string) [2]string {
	return [2]string{name, base64.StdEncoding.EncodeToString([]byte(value))}
}

// checks are all vectors: JSON Web Signatures with any payload, and signatures over any message by every algorithm.
func checks(t *testing.T) []check {
	t.Helper()
	var all []check
	for _, c := range wycheproof.Tokens(t) {
		all = append(all, check{"JWS, " + c.Comment, c.ID,
			[][2]string{header("x-jwk", string(c.Key)), header("x-jws", c.JWS)}, c.Valid, false})
	}
	for _, f := range wycheproof.Files {
		for _, s := range f.Signatures(t) {
			if s.Algorithm == "" {
				continue
			}
			all = append(all, check{f.Name, s.ID,
				[][2]string{header("x-jwk", s.Key), {"x-alg", s.Algorithm}, header("x-text", string(s.Message)),
					header("x-signature", string(s.Signature))}, s.Valid, s.Acceptable})
		}
	}
	return all
}

// What must have run: the tokens, and the signatures but for those by SHA-1 and SHA-224, which no algorithm of JWS has.
const (
	allChecks   = 401 + 4377
	validChecks = 1236
)

// The same verdicts as natively, from compiled code with Go's crypto in the proxy's place.
func TestVerifierInWasmhost(t *testing.T) {
	all := checks(t)
	m, err := wasmhost.LoadFile(probetest.Build(t, "e2e/wycheproof/verifier"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := wasmhost.NewProxy(m, wasmhost.Options{}).Worker("{}")
	if err != nil {
		t.Fatal(err)
	}
	valid := 0
	for _, c := range all {
		s := w.Request(append([][2]string{{":method", "GET"}, {":authority", "a"}, {":path", "/"}}, c.headers...), true)
		if s.Reply == nil || s.Reply.Status != 200 {
			t.Fatalf("WP %d of %s: %+v", c.id, c.name, s.Reply)
		}
		valid += c.hold(t, s.Reply.Body)
		s.Close()
	}
	count(t, len(all), valid)
}

// The same verdicts as natively, from compiled code with BoringSSL.
func TestVerifierInEnvoy(t *testing.T) {
	all := checks(t)
	path := probetest.Build(t, "e2e/wycheproof/verifier")
	harness.Each(t, func(t *testing.T, version string) {
		envoy := harness.Start(t,
			harness.Config{Version: version,
				Filters: []bootstrap.M{bootstrap.Wasm{Name: "verifier", Module: path, Configuration: "{}"}.Filter()}})
		client := harness.NewClient1(t, envoy.Main())
		valid := 0
		for _, c := range all {
			m := client.Do(harness.Request("GET", "/", c.headers...))
			if m.Status() != 200 {
				t.Fatalf("WP %d of %s: %+v", c.id, c.name, m)
			}
			valid += c.hold(t, m.Body)
		}
		count(t, len(all), valid)
	})
}

// hold compares a verdict with the vector's, and returns 1 for valid.
func (c *check) hold(t *testing.T, verdict string) int {
	t.Helper()
	if verdict != "valid" && verdict != "invalid" || !c.eitherWay && (verdict == "valid") != c.valid {
		t.Errorf("WP %d of %s: %q, want valid %v", c.id, c.name, verdict, c.valid)
	}
	if verdict == "valid" {
		return 1
	}
	return 0
}

func count(t *testing.T, run, valid int) {
	t.Helper()
	t.Logf("%d vectors, %d valid", run, valid)
	if run != allChecks || valid != validChecks {
		t.Errorf("%d vectors were run, %d of them valid; want %d and %d", run, valid, allChecks, validChecks)
	}
}
