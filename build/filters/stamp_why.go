// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"github.com/tollgate-wasm/tollgate/filters/edge-stamp/stamp"
	"github.com/tollgate-wasm/tollgate/shared/decide"
)

// StampDifference finds the part of a request for which a signature does not do: one does not say what it covered, but
// it may do for a request from which proxies make this one. d is what Stamp has decided.
func StampDifference(config string, r *decide.Request, o *Outside, d *stamp.Decision) (x stamp.Difference, found bool) {
	if d.Verdict().Reason() != stamp.StampSignature || d.SignatureBase() == "" {
		return x, false
	}
	for _, other := range stamp.OtherRequests(r.Headers) {
		changed := &decide.Request{Headers: other.Headers, Empty: r.Empty, Now: r.Now} // a Request keeps its line
		if _, d, err := Stamp(config, changed, o); err == nil && d.Verdict().Reason() != stamp.StampSignature &&
			d.SignatureBase() != "" {
			return other.Difference, true
		}
	}
	return x, false
}
