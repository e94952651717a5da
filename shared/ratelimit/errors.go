// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"errors"
	"strconv"
)

// Why an answer is none. The errors carry no part of what came.
var (
	ErrNoAnswer   = errors.New("no answer, or not in time")
	ErrHTTPStatus = errors.New("the rate-limit service has not answered 200, as every gRPC answer is")
	ErrNoStatus   = errors.New("the answer has no grpc-status, or not one that can be read")
	ErrStatus     = errors.New("the rate-limit service reports an error")
	ErrTooLarge   = errors.New("the answer has more bytes or statuses than one of a rate-limit service")
	ErrFrame      = errors.New("the answer is not exactly one gRPC message")
	ErrCompressed = errors.New("the answer is compressed, which was not offered")
	ErrMessage    = errors.New("the answer is not a readable RateLimitResponse")
	ErrCode       = errors.New("the answer has a code that is neither OK nor OVER_LIMIT")
)

// StatusError is a grpc-status other than 0: the service, or the proxy in its place, has decided
// nothing. It is an ErrStatus. The numbers are those of gRPC's status codes: 4 is
// DEADLINE_EXCEEDED, 14 UNAVAILABLE.
type StatusError uint32

func (e StatusError) Error() string {
	return ErrStatus.Error() + ": grpc-status " + strconv.FormatUint(uint64(e), 10)
}

// Is makes errors.Is(err, ErrStatus) true.
func (e StatusError) Is(target error) bool { return target == ErrStatus }
