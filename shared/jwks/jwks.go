// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package jwks holds the key sets that signatures are verified with (RFC 7517 §5).
//
// A Set is checked when it is loaded, so that a request never meets a key that cannot be used, and
// it answers one question: which keys may have signed this?
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
	ErrRepeatedKID = errors.New("two different keys have the same kid, kty and alg: a token could mean either")
	ErrRepeated    = errors.New("a member name is repeated")
	ErrTwice       = errors.New("the same key stands there twice")
	ErrSymmetric   = errors.New("a secret (kty oct) does not belong into a published key set, and elsewhere only " +
		"beside HS256, HS384 or HS512 in algorithms")
)

// Why no key of a set is to be tried.
var (
	ErrUnknown   = errors.New("no key fits the token")
	ErrAlgorithm = errors.New("the token's key is not for its algorithm")
)

// Fault is one key of a set that cannot be used.
type Fault struct {
	Index int    // in the set's list; -1 for the set itself
	KID   string // the key's, where it has one that is text
	Err   error
}

// fatal reports whether a published set with this fault is refused as a whole: something that
// should be secret is not, or nobody could say what a token means.
func (f *Fault) fatal() bool {
	switch f.Err {
	case jose.ErrKeyPrivate, ErrSymmetric, ErrRepeatedKID:
		return true
	}
	return f.Index < 0
}

// Set is a list of keys for verifying.
type Set struct {
	keys        []*jose.Key
	thumbprints []string // of the keys; nil until ByKeyID wants them
}

// Parse reads a JWK Set and names every key that cannot be used, among them those that are for
// something else than signatures (jose.ErrKeyUse): the caller decides whether it wants the rest.
// Secrets are refused unless symmetric is set.
func Parse(set gjson.Result, symmetric bool) (*Set, []Fault) {
	list, ok := strictjson.Member(set, "keys")
	if !ok || !list.IsArray() {
		return nil, []Fault{{-1, "", ErrNoSet}}
	}
	s := &Set{}
	var faults []Fault
	i := -1
	list.ForEach(func(_, jwk gjson.Result) bool {
		if i++; i == MaxKeys {
			faults = append(faults, Fault{-1, "", ErrTooMany})
			return false
		}
		k, err := jose.ParsePublished(jwk)
		again := repeated(jwk)
		switch {
		case !symmetric && isSecret(jwk):
			err = ErrSymmetric
		case again != nil:
			err = again
		case err == nil:
			err = s.admits(k)
		}
		if err == nil {
			s.keys = append(s.keys, k)
		} else {
			faults = append(faults, Fault{i, strictjson.Text(jwk, "kid"), err})
		}
		return true
	})
	if len(s.keys) == 0 {
		faults = append(faults, Fault{-1, "", ErrNoKey})
	}
	return s, faults
}

// isSecret reports whether a JWK is a symmetric key that is there for all to see, whatever it is for.
func isSecret(jwk gjson.Result) bool {
	k, _ := strictjson.Member(jwk, "k")
	return strictjson.Text(jwk, "kty") == "oct" && k.Type != gjson.Null && k.Raw != `""`
}

// repeated reports that a JWK names a member twice, so that readers differ in what it is: a key
// that one of them would take for a private one is that.
func repeated(jwk gjson.Result) (err error) {
	seen := map[string]bool{}
	jwk.ForEach(func(name, _ gjson.Result) bool {
		switch {
		case !seen[name.Str] || err == jose.ErrKeyPrivate:
		case jose.IsPrivate(name.Str):
			err = jose.ErrKeyPrivate
		default:
			err = ErrRepeated
		}
		seen[name.Str] = true
		return jwk.IsObject()
	})
	return err
}

// admits reports why a key cannot stand beside those that the set has. One kid may name several keys, as long as their
// types or algorithms tell them apart.
func (s *Set) admits(k *jose.Key) error {
	for _, other := range s.keys {
		switch {
		case k.Equal(other):
			return ErrTwice
		case k.ID != "" && k.Like(other):
			return ErrRepeatedKID
		}
	}
	return nil
}

// NewSet makes a set of keys with different ids.
func NewSet(keys []*jose.Key) *Set { return &Set{keys: keys} }

// KeyName is the way in which the keyid of an HTTP message signature names a key.
type KeyName int

// The ways, in the order in which they should be asked: nobody can choose a thumbprint, and anybody a kid.
const (
	ByThumbprint KeyName = iota // RFC 7638
	ByKID
)

// ByKeyID returns the key that the keyid of an HTTP message signature names in one way, with the
// algorithm of those given that it is for, and what the key is called: its kid or, where it has
// none, its thumbprint. ErrAlgorithm: what it names is for none of the algorithms; ErrUnknown: it
// names nothing.
//
//go:noinline
func (s *Set) ByKeyID(keyid string, by KeyName, algorithms []jose.Algorithm) (key *jose.Key, a jose.Algorithm,
	name string, err error) {
	if s.thumbprints == nil {
		for _, k := range s.keys {
			s.thumbprints = append(s.thumbprints, k.Thumbprint())
		}
	}
	err = ErrUnknown
	for i, k := range s.keys {
		name := k.ID
		if by == ByThumbprint {
			name = s.thumbprints[i]
		}
		if keyid == "" || name != keyid {
			continue
		}
		err = ErrAlgorithm
		for _, a := range algorithms {
			if k.Fits(a) {
				if name = k.ID; name == "" {
					name = s.thumbprints[i]
				}
				return k, a, name, nil
			}
		}
	}
	return nil, 0, "", err
}

// Named tells about the keys that a kid names: nil where one of them fits the algorithm,
// ErrAlgorithm where none does, and ErrUnknown where there are none.
func (s *Set) Named(kid string, a jose.Algorithm) error {
	err := ErrUnknown
	for _, k := range s.keys {
		switch {
		case kid == "" || k.ID != kid:
		case k.Fits(a):
			return nil
		default:
			err = ErrAlgorithm
		}
	}
	return err
}

// Candidates appends to dst the keys that token is to be tried with, for its algorithm a: the one
// that its kid names; where no key has that kid, those without one; where the token has none, every
// key that fits. guessed tells that no kid has said which key it is.
//
//go:noinline
func (s *Set) Candidates(token *jose.JWS, a jose.Algorithm, dst []*jose.Key) (_ []*jose.Key, guessed bool, err error) {
	start := len(dst)
	err = s.Named(token.KeyID, a)
	guessed = err == ErrUnknown
	for _, k := range s.keys {
		wanted := k.ID == token.KeyID
		if guessed {
			wanted = (!token.HasKID || k.ID == "") && len(dst)-start < MaxTries
		}
		if wanted && k.Fits(a) {
			dst = append(dst, k)
		}
	}
	if guessed && len(dst) > start {
		err = nil
	}
	return dst, guessed, err
}

// Describe tells of each key what it is called and for, for people.
func (s *Set) Describe() (keys []string) {
	for _, k := range s.keys {
		keys = append(keys, k.String())
	}
	return keys
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
