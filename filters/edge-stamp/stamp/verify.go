// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"strconv"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
	"github.com/tollgate-wasm/tollgate/shared/replay"
	"github.com/tollgate-wasm/tollgate/shared/sha2"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// verify decides a request of the mesh.
func (d *Decision) verify() *verdict.Code {
	if len(d.policy.rules[d.rule].peers) > 0 {
		d.step = decide.ReadPeer
		return nil
	}
	return d.readStamp()
}

// peerRead tells the URI of the client's certificate. An error means that nobody knows it.
func (d *Decision) peerRead(uri string, err error) {
	if !d.taken(decide.ReadPeer, err) {
		return
	}
	for _, id := range d.policy.rules[d.rule].peers {
		if id == uri {
			d.end(d.readStamp())
			return
		}
	}
	d.end(PeerUntrusted)
}

// readStamp checks everything about a stamp but its signature, cheapest first, and then begins with that.
func (d *Decision) readStamp() *verdict.Code {
	r := &d.policy.rules[d.rule]
	if r.public {
		return nil
	}
	d.stamped.demand = r.demand
	refused := StampMissing
	switch {
	case len(d.policy.verifier.trust) == 0:
	case d.policy.message:
		refused = d.readMessage()
	default:
		refused = d.readJWS()
	}
	// Only for want of a stamp: a signature beside it excuses none that does not do.
	if refused == StampMissing && len(d.policy.verifier.others) > 0 {
		return d.readForeign()
	}
	return refused
}

// begin tries the stamp's keys; t is what they should have signed.
func (d *Decision) begin(t *trust, set *jwks.Set, signed *jose.JWS, a jose.Algorithm) *verdict.Code {
	remote := t.keys.Remote
	switch err := d.trial.Begin(set, signed, a); {
	case err == jwks.ErrAlgorithm:
		return StampAlgorithm
	case err != nil && remote != nil && signed.HasKID:
		if remote.Source.MayForce(signed.KeyID, d.now) && !d.waited {
			return d.waitForKeys(remote)
		}
		remote.Source.Unknown(strings.Clone(signed.KeyID), d.now)
		return StampKeyUnknown
	case err != nil:
		return StampKeyUnknown
	}
	return d.tryNextKey()
}

// keysOf returns what stamps of t are verified with, or why there is nothing.
func (d *Decision) keysOf(t *trust) (*jwks.Set, *verdict.Code) {
	set := t.keys.Set(d.now)
	switch {
	case set != nil:
		return set, nil
	case d.waited:
		return nil, verdict.KeysUnavailable
	}
	return nil, d.waitForKeys(t.keys.Remote)
}

func (d *Decision) waitForKeys(remote *jwks.Remote) *verdict.Code {
	d.remote, d.step = remote, decide.FetchKeys
	return verdict.Internal // until the keys are there
}

func (d *Decision) tryNextKey() *verdict.Code {
	switch d.trial.Next() {
	case jwks.Ask:
		d.step = decide.CheckSignature
		return nil
	case jwks.Good:
		return d.signed()
	}
	return StampSignature
}

// signatureChecked tells the outcome of the check of the trial's signature. An error means that the
// proxy could not check: it is not known whether the signature is good.
func (d *Decision) signatureChecked(good bool, err error) {
	switch {
	case !d.taken(decide.CheckSignature, err):
	case good:
		d.end(d.signed())
	default:
		d.end(d.tryNextKey())
	}
}

// signed goes on from a genuine stamp: to the body, where that is bound.
func (d *Decision) signed() *verdict.Code {
	if d.bodyHash != "" {
		return d.wantBody(d.compareBody)
	}
	return d.once()
}

// streaming reports whether the request's body cannot be waited for: an upgrade, a tunnel, or gRPC,
// where answers may go out while it comes.
func (d *Decision) streaming() bool {
	contentType := forward.Header(d.headers, "content-type")
	return d.target.method == "CONNECT" || forward.Header(d.headers, "upgrade") != "" ||
		forward.Header(d.headers, ":protocol") != "" ||
		len(contentType) >= len(grpc) && strings.EqualFold(contentType[:len(grpc)], grpc)
}

const grpc = "application/grpc"

// wantBody has the body read, unless it is known to be empty or too long.
func (d *Decision) wantBody(then func(sum string) *verdict.Code) *verdict.Code {
	if d.empty {
		return then(emptyHash)
	}
	if length := forward.Header(d.headers, "content-length"); length != "" {
		if n, err := strconv.ParseUint(length, 10, 63); err == nil && n > uint64(d.policy.bodyBytes) {
			return BodyTooLarge
		}
	}
	d.step = decide.ReadBody
	return nil
}

// emptyHash is the SHA-256 of nothing, in base64url.
var emptyHash = jose.Hash("")

// hashOf is the SHA-256 of a text, in base64url.
func hashOf(text string) string {
	if text == "" {
		return emptyHash
	}
	return jose.Hash(text)
}

// BodyRead tells the SHA-256 of the whole body, in base64url.
func (d *Decision) BodyRead(sum string) {
	switch {
	case !d.taken(decide.ReadBody, nil):
	case d.policy.signer != nil:
		d.end(d.compose(sum))
	default:
		d.end(d.compareBody(sum))
	}
}

// BodyTooBig tells that the body is longer than BodyBytes, BodyLate that its end has not come within BodyTimeout.
func (d *Decision) BodyTooBig() {
	if d.taken(decide.ReadBody, nil) {
		d.end(BodyTooLarge)
	}
}

// BodyLate is described at BodyTooBig.
func (d *Decision) BodyLate() {
	if d.taken(decide.ReadBody, nil) {
		d.end(BodyTimeout)
	}
}

// BodyUnheld tells that the request cannot be held back until its body is there: too many are.
func (d *Decision) BodyUnheld() {
	if d.taken(decide.ReadBody, nil) {
		d.end(Overloaded)
	}
}

func (d *Decision) compareBody(sum string) *verdict.Code {
	if sum != d.bodyHash {
		d.differs, d.bodySum = body, sum
		return StampMismatch
	}
	return d.once()
}

// once asks whether the stamp has been used. It comes last: a request that is refused for another
// reason uses nothing up.
func (d *Decision) once() *verdict.Code {
	if d.stamped.demand.replay != off {
		d.step = decide.CheckReplay
		return nil
	}
	return d.admit()
}

// remember fixes what is remembered of a stamp: a hash of who made it and its id.
func (s *stamped) remember(issuer, id string, begins, expires, skew int64) {
	if s.demand.replay == off {
		return
	}
	h := sha2.New256()
	_, _ = h.Write([]byte(issuer + "\x00" + id)) // never fails
	copy(s.id[:], h.Sum(nil))
	s.begins = (begins - skew) / 1e6
	s.expires = time.UnixMicro(expires + skew).Add(time.Second) // the table counts whole seconds
}

// replayChecked tells whether this proxy sees the stamp for the first time. An error means that nobody knows.
func (d *Decision) replayChecked(result replay.Result, err error) {
	switch {
	case !d.taken(decide.CheckReplay, err):
	case result == replay.Seen:
		d.end(StampReplayed)
	case result != replay.Fresh:
		d.end(ReplayFull)
	case d.stamped.demand.replay == onceGlobal:
		d.step = decide.AskService
		d.end(nil)
	default:
		d.end(d.admit())
	}
}

func (d *Decision) admit() *verdict.Code {
	d.identity = d.stamped.claims.Raw
	return nil
}
