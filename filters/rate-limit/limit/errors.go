// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"errors"

	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Codes are all of this filter's own.
var Codes verdict.Codes

// The reasons for which a request is refused, beside those that every filter has (verdict.PathAmbiguous, Internal).
var (
	RateLimited = Codes.Quota("rate_limited", 429) // over a limit, or its bucket could not be had
	// onMissingKey: deny, and a part of the key is not there or cannot be read
	KeyMissing = Codes.New("key_missing", 403)
	// the rate-limit service does not tell, and onError is deny
	LimiterUnavailable = Codes.Undecided("limiter_unavailable", 503)
)

// Why the rate-limit service does not tell whether a request is within a limit.
var (
	ErrStatuses = errors.New("the answer is not about the descriptors that were asked for")
	ErrLimit    = errors.New("the service has no limit for a descriptor: its configuration lacks it (README)")

	// ErrRate is for the log only: the service's word counts.
	ErrRate = errors.New("the service has another rate for a limit than this configuration, by which headers and the " +
		"local fallback go: write its configuration anew (README)")
)
