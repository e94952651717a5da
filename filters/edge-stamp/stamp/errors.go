// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import "github.com/tollgate-wasm/tollgate/shared/verdict"

// rejected is all that a client is told of what is wrong with its stamp: whoever tries stamps must
// not learn how near they are.
const rejected = "stamp_rejected"

// The reasons for which a request is refused, beside those that every filter has (verdict.NoRule,
// PathAmbiguous, KeysUnavailable, Internal).
var (
	StampMissing   = verdict.NewHidden("stamp_missing", rejected, 401)
	StampAmbiguous = verdict.NewHidden("stamp_ambiguous", rejected, 401) // more than one
	StampMalformed = verdict.NewHidden("stamp_malformed", rejected, 401) // not a stamp that reads in one way only
	// not allowed for the issuer, or not the key's
	StampAlgorithm  = verdict.NewHidden("stamp_algorithm", rejected, 401)
	StampKeyUnknown = verdict.NewHidden("stamp_key_unknown", rejected, 401) // no key of the issuer fits
	// no key verifies it; in profile rfc9421 also: a covered part differs
	StampSignature   = verdict.NewHidden("stamp_signature", rejected, 401)
	StampIssuer      = verdict.NewHidden("stamp_issuer", rejected, 401)        // nobody whom the configuration trusts
	StampAudience    = verdict.NewHidden("stamp_audience", rejected, 401)      // made for another mesh
	StampExpired     = verdict.NewHidden("stamp_expired", rejected, 401)       // now ≥ exp + skew
	StampNotYetValid = verdict.NewHidden("stamp_not_yet_valid", rejected, 401) // iat > now + skew, or now < nbf − skew
	StampLifetime    = verdict.NewHidden("stamp_lifetime", rejected, 401)      // exp − iat is over maxTtl
	// a part that must be bound is not, or cannot be compared
	StampUnbound = verdict.NewHidden("stamp_unbound", rejected, 401)
	// a bound part differs: it is another request's stamp
	StampMismatch = verdict.NewHidden("stamp_mismatch", rejected, 401)
	StampReplayed = verdict.NewHidden("stamp_replayed", rejected, 401) // it has been used
	ReplayFull    = verdict.NewHidden("replay_full", rejected, 401)    // there is no room to remember it
	// the connection's client is not one of peers
	PeerUntrusted = verdict.NewHidden("peer_untrusted", rejected, 401)

	BodyTooLarge = verdict.NewCode("body_too_large", 413) // a bound body over bodyBytes
	// a bound body that has not ended within bodyTimeout
	BodyTimeout = verdict.NewCode("body_timeout", 408)
	Overloaded  = verdict.NewUndecided("overloaded", 503) // too many requests wait for their bodies already
	// role sign: with its claims, it would be a stamp that no verifier takes
	StampTooLarge = verdict.NewUndecided("stamp_too_large", 500)
	// the rate-limit service does not tell, and onError is deny
	ReplayUnavailable = verdict.NewUndecided("replay_unavailable", 503)
)
