// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package condition

import (
	"math"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/jwt"
)

// Explain tells what verified claims have where the condition looks, and what is asked for.
func (c *Claim) Explain(claims gjson.Result) string {
	said, found := strings.Join(c.path, "."), 0
	jwt.Some(claims, c.path, true, func(v gjson.Result) bool {
		if found++; found == 1 {
			said += " is "
		} else {
			said += " and "
		}
		said += v.Raw
		return false
	})
	if found == 0 {
		said += " is not there"
	}
	if c.op != opBetween {
		return said + "; " + string(c.op) + " is asked for"
	}
	said += "; asked for is a number"
	if !math.IsInf(c.least, 0) {
		said += " of at least " + strconv.FormatFloat(c.least, 'g', -1, 64)
	}
	if !math.IsInf(c.most, 0) {
		said += " of at most " + strconv.FormatFloat(c.most, 'g', -1, 64)
	}
	return said
}
