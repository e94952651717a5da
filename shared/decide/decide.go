// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package decide is what all filters' decisions have in common, and whoever drives one has to know.
//
// A policy decides a Request. What it cannot know by itself it asks for in steps, one at a time:
// some a World does at once, others take time. When none is left, the decision is Done and has its
// verdict.Verdict; until then its verdict is a refusal. So is a step that nobody does.
package decide

import (
	"errors"
	"time"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/replay"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Request is what is decided.
type Request struct {
	// Headers are as the proxy has them, pseudo-headers among them, names in lower case. They must
	// stay as they are until the decision is used no more, or until its Keep.
	Headers [][2]string

	Empty bool      // it has no body
	Now   time.Time // when it is decided

	line match.Line
	read bool
}

// Line is the request line.
func (r *Request) Line() *match.Line {
	if !r.read {
		r.line, r.read = match.LineOf(r.Headers), true
	}
	return &r.line
}

// Ambiguous is the code for a request that cannot be matched, by match's error.
//
//go:noinline
func Ambiguous(err error) *verdict.Code {
	if err == match.ErrHeaders {
		return verdict.HeaderAmbiguous
	}
	return verdict.PathAmbiguous
}

// Step is what a decision waits for.
type Step uint8

// The steps.
const (
	Done Step = iota // nothing: there is a verdict

	// These a World does at once.
	CheckSignature
	Sign
	ReadIdentity
	ReadSource
	ReadPeer
	CheckReplay
	TakeBucket

	// These take time. The decision says what it wants, and takes the answer.
	FetchKeys
	ReadBody
	AskService
	Introspect // what a token is worth, by RFC 7662
)

// AtOnce reports whether a World does the step.
func (s Step) AtOnce() bool { return s > Done && s < FetchKeys }

// ErrUndone is why a decision is a refusal whose World does not do a step.
var ErrUndone = errors.New("nobody does what the decision waits for")

// World does what decisions cannot do themselves. A function that is nil is a step that nobody
// does. An error means that nobody knows, which is a refusal with code internal wherever it
// matters. Texts may lie in memory that is used again once the callback has ended.
type World struct {
	// Verify checks a signature.
	Verify func(jose.Verification) (good bool, err error)

	// Sign makes one, with a key that the decision has.
	Sign func(jose.Signing) (signature []byte, err error)

	// Identity are the claims that an earlier filter has verified, as ParseIdentity gives them.
	Identity func() (gjson.Result, error)

	// Source is from whom the proxy has the connection, as Envoy's source.address: "192.0.2.1:4711".
	// Empty: it does not say.
	Source func() (string, error)

	// PeerURI is the URI of the certificate that the connection's client has shown, as Envoy's
	// connection.uri_san_peer_certificate, and PeerDigest its SHA-256 in hexadecimal digits, as
	// connection.sha256_peer_certificate_digest. Empty: there is none.
	PeerURI, PeerDigest func() (string, error)

	// Admit remembers what must not come twice until it expires, and tells whether it has come before.
	Admit func(id replay.ID, expires, now time.Time) (replay.Result, error)

	// Swap changes what all workers have in common under a number: change is called with the old
	// content, as often as another worker was faster, and what it returned last is what stays; nil:
	// nothing has changed. ErrBusy: others have always been faster.
	Swap func(bucket int, change func(old []byte) (next []byte)) error

	// Flight is Swap for what counts requests at once.
	Flight func(bucket int, change func(old []byte) (next []byte)) error
}

// identityLimits are those of the claims that an earlier filter has verified: what jwt-scope lets
// through at most.
var identityLimits = strictjson.Limits{Depth: 64, Members: 1 << 12, Number: 32}

// ParseIdentity reads claims that an earlier filter has verified, a JSON object; without Raw: none
// has. An error means that whoever wrote the text is no filter of ours.
//
//go:noinline
func ParseIdentity(text string) (claims gjson.Result, err error) {
	if text == "" {
		return claims, nil
	}
	if claims, err = strictjson.Parse(text, identityLimits); err == nil && !claims.IsObject() {
		err = strictjson.ErrSyntax
	}
	return claims, err
}

// ErrBusy is described at World.Swap.
var ErrBusy = errors.New("other workers have always been faster")
