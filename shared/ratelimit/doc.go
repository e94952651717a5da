// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package ratelimit speaks the protocol of Envoy's rate-limit service, envoy.service.ratelimit.v3,
// as a client: it writes the request of a unary gRPC call and reads the answer. The messages are
// those of Envoy's API (api/envoy/service/ratelimit/v3/rls.proto), the framing is that of gRPC over
// HTTP/2 (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
//
// It is written by hand because a filter has no gRPC client, only HTTP calls, and because the
// protobuf library rests on reflection: a megabyte of a module. Reading is stricter than protobuf
// asks: what comes from the service opens or closes a limit, so whatever is doubtful is an error,
// and no error is an OK.
package ratelimit
