// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import "github.com/tollgate-wasm/tollgate/shared/verdict"

// Codes are all of this filter's own.
var Codes verdict.Codes

// The reasons for which a request is refused, beside those that every filter has (verdict.NoRule,
// PathAmbiguous, KeysUnavailable, Internal).
var (
	TokenMissing    = Codes.New("token_missing", 401)     // access is required and there is no credential
	TokenAmbiguous  = Codes.New("token_ambiguous", 400)   // more than one credential
	TokenMalformed  = Codes.New("token_malformed", 401)   // not a compact JWS that reads in one way only
	TokenAlgorithm  = Codes.New("token_algorithm", 401)   // not allowed for the issuer, or not the key's
	TokenKeyUnknown = Codes.New("token_key_unknown", 401) // no key of the issuer fits
	TokenSignature  = Codes.New("token_signature", 401)   // no key verifies it
	// no provider has this iss, or the rule does not accept it
	TokenIssuer      = Codes.New("token_issuer", 401)
	TokenAudience    = Codes.New("token_audience", 401)      // made for somebody else
	TokenType        = Codes.New("token_type", 401)          // typ is not one of types
	TokenExpired     = Codes.New("token_expired", 401)       // now ≥ exp + skew
	TokenNotYetValid = Codes.New("token_not_yet_valid", 401) // now < nbf − skew, or iat > now + skew
	TokenLifetime    = Codes.New("token_lifetime", 401)      // exp − iat is over maxLifetime
	// the sender does not prove to be the one that the token's cnf names
	TokenUnbound = Codes.New("token_unbound", 401)
	// the introspection endpoint does not vouch for it
	TokenInactive = Codes.New("token_inactive", 401)
	// the endpoint does not tell, or not in one way
	IntrospectionUnavailable = Codes.Undecided("introspection_unavailable", 503)
	// the proof needs a nonce of ours (RFC 9449 §9)
	ProofNonce = Codes.New("dpop_nonce", 401)
	// the user was authenticated in another way, or too long ago (RFC 9470)
	AuthenticationInsufficient = Codes.New("authentication_insufficient", 401)
	// access is required and the trusted header is not there
	PayloadMissing = Codes.New("payload_missing", 401)
	// the trusted header is no base64url JSON, or stands there twice
	PayloadMalformed  = Codes.New("payload_malformed", 400)
	InsufficientScope = Codes.New("insufficient_scope", 403) // the rule asks for other scopes
	ClaimMismatch     = Codes.New("claim_mismatch", 403)     // the rule asks for other claims
)

// bearerError is the error of RFC 6750 §3.1 that goes with a code; empty where the challenge has none.
func bearerError(c *verdict.Code) string {
	switch {
	case c == TokenMissing, c == PayloadMissing:
		return "" // §3.1: no error where the request has no authentication information
	case c == InsufficientScope, c == ClaimMismatch:
		return "insufficient_scope"
	case c == ProofNonce:
		return "use_dpop_nonce"
	case c == AuthenticationInsufficient:
		return "insufficient_user_authentication"
	case c.Status == 400:
		return "invalid_request"
	}
	return "invalid_token"
}
