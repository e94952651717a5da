// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwks

import "github.com/tollgate-wasm/tollgate/shared/jose"

// Trial finds out whether one of a few keys made a signature. The zero value is ready for Begin;
// reusing one saves allocations.
type Trial struct {
	token   *jose.JWS
	alg     jose.Algorithm
	keys    []*jose.Key // that the token is to be tried with
	tried   int         // how many of them have been
	guessed bool        // that no kid has named them
	pending jose.Verification
}

// Outcome of a step of a Trial.
type Outcome int

// The outcomes. The zero Outcome believes nothing.
const (
	Bad  Outcome = iota // no key has made the signature
	Good                // a key has
	Ask                 // the proxy has to check Verification; Next goes on where that was no good
)

// Begin chooses the keys of set that token is to be tried with, for its algorithm a. Its errors are
// those of Set.Candidates.
//
//go:noinline
func (t *Trial) Begin(set *Set, token *jose.JWS, a jose.Algorithm) (err error) {
	t.token, t.alg, t.tried = token, a, 0
	t.keys, t.guessed, err = set.Candidates(token, a, t.keys[:0])
	return err
}

// KeyID is the token's kid; empty where it has none.
func (t *Trial) KeyID() string { return t.token.KeyID }

// Guessed reports that no kid has said which key it is: there may be a newer set with another.
func (t *Trial) Guessed() bool { return t.guessed }

// BeginWith tries one key.
func (t *Trial) BeginWith(key *jose.Key, token *jose.JWS, a jose.Algorithm) {
	t.token, t.alg, t.tried, t.guessed, t.keys = token, a, 0, false, append(t.keys[:0], key)
}

// Next tries the next key.
//
//go:noinline
func (t *Trial) Next() Outcome {
	for t.tried < len(t.keys) {
		key := t.keys[t.tried]
		t.tried++
		if !t.alg.ByProxy() {
			if t.token.Verify(t.alg, key) {
				return Good
			}
			continue
		}
		v, err := t.token.Verification(t.alg, key)
		if err == nil {
			t.pending = v
			return Ask
		}
	}
	return Bad
}

// Verification is the check that Next asked for.
func (t *Trial) Verification() jose.Verification { return t.pending }
