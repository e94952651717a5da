// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import "github.com/tollgate-wasm/tollgate/shared/verdict"

// rejected is all that a client is told of what is wrong with its stamp: whoever tries stamps must
// not learn how near they are.
const rejected = "stamp_rejected"

// Codes are all of this filter's own.
var Codes verdict.Codes

// The reasons for which a request is refused, beside those that every filter has (verdict.NoRule,
// PathAmbiguous, KeysUnavailable, Internal).
var (
	StampMissing   = Codes.Hidden("stamp_missing", rejected, 401)
	StampAmbiguous = Codes.Hidden("stamp_ambiguous", rejected, 401) // more than one
	StampMalformed = Codes.Hidden("stamp_malformed", rejected, 401) // not a stamp that reads in one way only
	// not allowed for the issuer, or not the key's
	StampAlgorithm  = Codes.Hidden("stamp_algorithm", rejected, 401)
	StampKeyUnknown = Codes.Hidden("stamp_key_unknown", rejected, 401) // no key of the issuer fits
	// no key verifies it; in profile rfc9421 also: a covered part differs
	StampSignature   = Codes.Hidden("stamp_signature", rejected, 401)
	StampIssuer      = Codes.Hidden("stamp_issuer", rejected, 401)        // nobody whom the configuration trusts
	StampAudience    = Codes.Hidden("stamp_audience", rejected, 401)      // made for another mesh
	StampExpired     = Codes.Hidden("stamp_expired", rejected, 401)       // now ≥ exp + skew
	StampNotYetValid = Codes.Hidden("stamp_not_yet_valid", rejected, 401) // iat > now + skew, or now < nbf − skew
	StampLifetime    = Codes.Hidden("stamp_lifetime", rejected, 401)      // exp − iat is over maxTtl
	// a part that must be bound is not, or cannot be compared
	StampUnbound = Codes.Hidden("stamp_unbound", rejected, 401)
	// a bound part differs: it is another request's stamp
	StampMismatch = Codes.Hidden("stamp_mismatch", rejected, 401)
	StampReplayed = Codes.Hidden("stamp_replayed", rejected, 401) // it has been used
	ReplayFull    = Codes.Hidden("replay_full", rejected, 401)    // there is no room to remember it
	// the connection's client is not one of peers
	PeerUntrusted = Codes.Hidden("peer_untrusted", rejected, 401)

	// role sign, profile txn-token: nobody has verified a claim that a Txn-Token must have
	ClaimsMissing = Codes.New("claims_missing", 403)

	BodyTooLarge = Codes.New("body_too_large", 413) // a bound body over bodyBytes
	// a bound body that has not ended within bodyTimeout
	BodyTimeout = Codes.New("body_timeout", 408)
	Overloaded  = Codes.Undecided("overloaded", 503) // too many requests wait for their bodies already
	// role sign: with its claims, it would be a stamp that no verifier takes
	StampTooLarge = Codes.Undecided("stamp_too_large", 500)
	// the rate-limit service does not tell, and onError is deny
	ReplayUnavailable = Codes.Undecided("replay_unavailable", 503)
)
