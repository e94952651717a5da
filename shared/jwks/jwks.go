// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package jwks holds the key sets that signatures are verified with (RFC 7517 §5).
//
// A Set is checked when it is loaded, so that a request never meets a key that cannot be used, and it answers one question: which keys may have signed this?
package jwks

import (
	"errors"
	"strconv"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

// Limits of a set. A verification costs up to 0.2 ms, so a token without kid is not tried with more than MaxTries keys.
const (
	MaxKeys  = 64
	MaxTries = 8
)

// Why a set cannot be used.
var (
	ErrNoSet       = errors.New("want a JWK Set: an object with a list called keys")
	ErrTooMany     = errors.New("more than " + strconv.Itoa(MaxKeys) + " keys")
	ErrNoKey       = errors.New("no key for verifying signatures")
	ErrRepeatedKID = errors.New("another key has the same kid")
	ErrSymmetric   = errors.New("a secret (kty oct) does not belong into a published key set, and elsewhere only beside HS256, HS384 or HS512 in algorithms")
)

// Why no key of a set is to be tried.
var (
	ErrUnknown   = errors.New("no key fits the token")
	ErrAlgorithm = errors.New("the token's key is not for its algorithm")
)

// Fault is one key of a set that cannot be used.
type Fault struct {
	Index int // in the set's list; -1 for the set itself
	Err   error
}

// Set is a list of keys for verifying.
type Set struct {
	keys []*jose.Key
	byID map[string]*jose.Key
}

// Parse reads a JWK Set and names every key that cannot be used; the caller decides whether it wants the rest. Keys that say they are for something other than
// signatures (use, key_ops) are passed over: identity providers publish their encryption keys beside the others. Secrets are refused unless symmetric is set.
func Parse(set gjson.Result, symmetric bool) (*Set, []Fault) {
	list, ok := strictjson.Member(set, "keys")
	if !ok || !list.IsArray() {
		return nil, []Fault{{-1, ErrNoSet}}
	}
	s := &Set{byID: map[string]*jose.Key{}}
	var faults []Fault
	i := -1
	list.ForEach(func(_, jwk gjson.Result) bool {
		if i++; i == MaxKeys {
			faults = append(faults, Fault{-1, ErrTooMany})
			return false
		}
		k, err := jose.ParseKey(jwk)
		switch {
		case err != nil:
		case s.byID[k.ID] != nil:
			err = ErrRepeatedKID
		case k.Symmetric() && !symmetric:
			err = ErrSymmetric
		}
		switch {
		case err == jose.ErrKeyUse:
		case err != nil:
			faults = append(faults, Fault{i, err})
		default:
			s.keys = append(s.keys, k)
			if k.ID != "" {
				s.byID[k.ID] = k
			}
		}
		return true
	})
	if len(s.keys) == 0 && len(faults) == 0 {
		faults = append(faults, Fault{-1, ErrNoKey})
	}
	return s, faults
}

// NewSet makes a set of keys with different ids.
func NewSet(keys []*jose.Key) *Set {
	s := &Set{keys: keys, byID: map[string]*jose.Key{}}
	for _, k := range keys {
		s.byID[k.ID] = k
	}
	return s
}

// Candidates appends to dst the keys that token is to be tried with, for its algorithm a: the one that its kid names, or without a kid every key that fits.
//
//go:noinline
func (s *Set) Candidates(token *jose.JWS, a jose.Algorithm, dst []*jose.Key) ([]*jose.Key, error) {
	if token.HasKID {
		k := s.byID[token.KeyID]
		switch {
		case k == nil || token.KeyID == "":
			return dst, ErrUnknown
		case !k.Fits(a):
			return dst, ErrAlgorithm
		}
		return append(dst, k), nil
	}
	start := len(dst)
	for _, k := range s.keys {
		if k.Fits(a) && len(dst)-start < MaxTries {
			dst = append(dst, k)
		}
	}
	if len(dst) == start {
		return dst, ErrUnknown
	}
	return dst, nil
}

// Len is the number of keys that can be used.
func (s *Set) Len() int { return len(s.keys) }

// HasKeyFor reports whether any key fits any of the algorithms.
func (s *Set) HasKeyFor(algorithms []jose.Algorithm) bool {
	for _, k := range s.keys {
		for _, a := range algorithms {
			if k.Fits(a) {
				return true
			}
		}
	}
	return false
}
