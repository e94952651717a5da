// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package wait

import (
	"strings"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/guest/httpcall"
)

// Read200 reads an answer of status 200, or says what came instead: of another status, what refusal
// says. A body that is empty, or has more than most bytes, is not read: nil.
func Read200(answer httpcall.Answer, most int, refusal func(status string, headers [][2]string) string) (
	headers [][2]string, body []byte, problem string) {
	if answer.Headers == 0 {
		return nil, nil, "no answer"
	}
	headers, err := proxywasm.GetHttpCallResponseHeaders()
	if err != nil {
		return nil, nil, "the answer's headers cannot be read"
	}
	if status := forward.Header(headers, ":status"); status != "200" {
		return headers, nil, refusal(status, headers)
	}
	if answer.Body == 0 || answer.Body > most {
		return headers, nil, ""
	}
	if body, err = proxywasm.GetHttpCallResponseBody(0, answer.Body); err != nil {
		return headers, nil, "the answer's body cannot be read"
	}
	return headers, body, ""
}

// Unreached reports whether it is the proxy itself that answers, since it could not reach the
// cluster: without a server or a date, as nothing answers that has passed an upstream connection.
func Unreached(status string, headers [][2]string) bool {
	return strings.HasPrefix(status, "5") && forward.Header(headers, "server") == "" &&
		forward.Header(headers, "date") == "" && forward.Header(headers, "x-envoy-upstream-service-time") == ""
}

// CannotReach tells of it.
func CannotReach(cluster string) string {
	return "cluster " + cluster + " cannot be reached (its counters say why: upstream_cx_connect_fail, " +
		"ssl.fail_verify_error, …)"
}
