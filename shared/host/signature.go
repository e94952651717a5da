// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

	"github.com/tollgate-wasm/tollgate/shared/jose"
)

// ErrVerify means that the proxy gave no answer that can be read: whether the signature is good is not known.
var ErrVerify = errors.New("verify_signature answered what cannot be read")

// VerifySignature has Envoy check a signature with BoringSSL, by its foreign function
// verify_signature (Envoy ≥ 1.30; source/extensions/common/wasm/foreign.cc). It is some thirty
// times faster than Go's own ECDSA in the guest. good is true only for the one answer that means
// so.
func VerifySignature(v jose.Verification) (good bool, err error) {
	result, err := proxywasm.CallForeignFunction("verify_signature",
		arguments(v.Hash, string(v.Key), string(v.Signature), v.Text))
	if err != nil {
		return false, err
	}
	return readVerifyResult(result)
}

// arguments encodes a protobuf message whose fields 1, 2, 3 … are each of wire type 2 (bytes), as
// those of Envoy's foreign functions are: for verify_signature
// (envoy.source.extensions.common.wasm.VerifySignatureArguments) hash_function, public_key,
// signature, text.
func arguments(fields ...string) []byte {
	size := 0
	for _, f := range fields {
		size += len(f) + 6
	}
	b := make([]byte, 0, size)
	for i, f := range fields {
		b = append(b, byte(i+1)<<3|2)
		n := uint64(len(f))
		for ; n >= 0x80; n >>= 7 {
			b = append(b, byte(n)|0x80)
		}
		b = append(append(b, byte(n)), f...)
	}
	return b
}

// readVerifyResult reads VerifySignatureResult: result = 1 (bool), error = 2 (string). Proto3
// leaves false out, so a bad signature has only the error; success is exactly the bytes 08 01, and
// anything that is neither is no answer.
func readVerifyResult(b []byte) (good bool, err error) {
	switch {
	case string(b) == "\x08\x01":
		return true, nil
	case len(b) == 0, b[0] == 2<<3|2:
		return false, nil
	}
	return false, ErrVerify
}
