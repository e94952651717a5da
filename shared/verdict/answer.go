// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"strconv"
	"strings"
)

// Answer is a reply that the filter gives itself, in the terms of proxy_send_local_response.
type Answer struct {
	Status     uint32
	Headers    [][2]string
	Body       []byte
	GRPCStatus int32 // -1 where the request is not gRPC
}

// Answer is the reply for a refused request: application/problem+json (RFC 9457), or a
// trailers-only gRPC response where contentType, that of the request, is application/grpc*. It is
// the same for every request with this code and rule; headers are added to it.
func (c *Code) Answer(rule, contentType string, headers ...[2]string) Answer {
	const prefix = "application/grpc"
	if len(contentType) < len(prefix) || !strings.EqualFold(contentType[:len(prefix)], prefix) {
		return Answer{uint32(c.Status), append([][2]string{{"content-type", "application/problem+json"}}, headers...),
			c.bodyOf(rule), -1}
	}
	if rest := contentType[len(prefix):]; rest == "" || rest[0] == '+' {
		// Envoy knows the request as gRPC and writes the trailers-only form itself, with the body as grpc-message
		// (Grpc::Common::isGrpcRequestHeaders and Utility::prepareLocalReply).
		return Answer{uint32(c.Status), headers, []byte(c.shown), c.grpc}
	}
	// gRPC-Web and the like: Envoy would answer as for plain HTTP.
	return Answer{200, append([][2]string{
		{"content-type", "application/grpc"}, {"grpc-status", strconv.Itoa(int(c.grpc))}, {"grpc-message", c.shown},
	}, headers...), nil, -1}
}

// bodyOf is the body of the answer; a rule's name needs no escapes.
func (c *Code) bodyOf(rule string) []byte {
	if !c.quota {
		return c.body
	}
	return append(append(append(make([]byte, 0, len(c.body)+len(rule)+3), c.body...), rule...), `"]}`...)
}

// grpcStatus is the status of gRPC for one of HTTP; 13 (INTERNAL) stands for what it does not name.
func grpcStatus(status int) int32 {
	switch status {
	case 400, 408, 413:
		return 3
	case 401:
		return 16
	case 403:
		return 7
	case 429:
		return 8
	case 503:
		return 14
	}
	return 13
}

// reason is the phrase of RFC 9110, for the statuses that the filters use.
func reason(status int) string {
	switch status {
	case 200:
		return "OK"
	case 400:
		return "Bad Request"
	case 401:
		return "Unauthorized"
	case 403:
		return "Forbidden"
	case 408:
		return "Request Timeout"
	case 413:
		return "Content Too Large"
	case 429:
		return "Too Many Requests"
	case 500:
		return "Internal Server Error"
	case 503:
		return "Service Unavailable"
	}
	// at start, never for a request: codes are package variables
	panic("verdict: no reason phrase for status " + digits(status))
}

func digits(n int) string { return strconv.Itoa(n) }
