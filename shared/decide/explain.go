// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package decide

import (
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Explanation is a decision that is done, in words. It says what requests and tokens say: it is for
// whoever has them, never for a log.
type Explanation struct {
	Rules  []match.Fit // those that were looked at, in order
	Checks []Check     // what was looked at besides, in order
}

// Check is one thing that was looked at.
type Check struct {
	What    string        // "audience"
	Outcome string        // "passes"; empty: it is neither good nor bad
	Code    *verdict.Code // why the request is refused by it; nil: it is not
	Said    string        // what was found, and what the configuration wants
}

// Passes is a check that finds nothing wrong.
func Passes(what, said string) Check { return Check{What: what, Outcome: "passes", Said: said} }

// Fails is a check for which the request is refused.
func Fails(what string, code *verdict.Code, said string) Check {
	return Check{what, "fails, " + code.Name, code, said}
}

// String is what came of the check.
func (c Check) String() string {
	if c.Outcome == "" || c.Said == "" {
		return c.Outcome + c.Said
	}
	return c.Outcome + ": " + c.Said
}
