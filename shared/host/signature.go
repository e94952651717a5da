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

// VerifySignature has Envoy check a signature with BoringSSL, by its foreign function verify_signature (Envoy ≥ 1.30; source/extensions/common/wasm/foreign.cc). It is
// some thirty times faster than Go's own ECDSA in the guest. good is true only for the one answer that means so.
func VerifySignature(v jose.Verification) (good bool, err error) {
	result, err := proxywasm.CallForeignFunction("verify_signature", verifyArguments(v))
	if err != nil {
		return false, err
	}
	return readVerifyResult(result)
}

// verifyArguments encodes envoy.source.extensions.common.wasm.VerifySignatureArguments: hash_function = 1, public_key = 2, signature = 3, text = 4, each of
// wire type 2 (bytes).
func verifyArguments(v jose.Verification) []byte {
	b := make([]byte, 0, len(v.Hash)+len(v.Key)+len(v.Signature)+len(v.Text)+4*6)
	b = appendField(b, 1, v.Hash)
	b = appendField(b, 2, string(v.Key))
	b = appendField(b, 3, string(v.Signature))
	return appendField(b, 4, v.Text)
}

//go:noinline
func appendField(b []byte, number byte, value string) []byte {
	b = append(b, number<<3|2)
	n := uint64(len(value))
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(append(b, byte(n)), value...)
}

// readVerifyResult reads VerifySignatureResult: result = 1 (bool), error = 2 (string). Proto3 leaves false out, so a bad signature has only the error; success is
// exactly the bytes 08 01, and anything that is neither is no answer.
func readVerifyResult(b []byte) (good bool, err error) {
	switch {
	case string(b) == "\x08\x01":
		return true, nil
	case len(b) == 0, b[0] == 2<<3|2:
		return false, nil
	}
	return false, ErrVerify
}
