// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// retryAfter is how many seconds a client is asked to stay away when something that the filter needs is not there.
const retryAfter = "5"

// Reply answers the current stream with a refusal. contentType is the request's. The callback that
// called it must return types.ActionPause: Envoy sends the reply when the callback has returned.
// headers are more of the answer's.
func Reply(filter, rule string, v *verdict.Verdict, contentType string, headers ...[2]string) error {
	code := v.Reason()
	if v.Challenge != "" {
		headers = append(headers, [2]string{"www-authenticate", v.Challenge})
	}
	if code.Status == 503 {
		headers = append(headers, [2]string{"retry-after", retryAfter})
	}
	a := code.Answer(rule, contentType, headers...)
	guest.SetReplyDetails("tollgate." + filter + "." + rule + "." + code.Name)
	return proxywasm.SendHttpResponse(a.Status, a.Headers, a.Body, a.GRPCStatus)
}
