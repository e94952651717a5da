// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/binary"
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
	m := appendField(message[:0], 1, v.Hash)
	m = append(appendLength(m, 2, len(v.Key)), v.Key...)
	m = append(appendLength(m, 3, len(v.Signature)), v.Signature...)
	message = appendField(m, 4, v.Text)
	result, err := proxywasm.CallForeignFunction("verify_signature", message)
	if err != nil {
		return false, err
	}
	return readVerifyResult(result)
}

// message is the memory of the last verify_signature's arguments. The proxy has copied them when it returns.
var message []byte

// appendField appends a field of wire type 2 (bytes), as all of the messages of Envoy's foreign
// functions are: for verify_signature
// (envoy.source.extensions.common.wasm.VerifySignatureArguments) hash_function, public_key,
// signature, text.
func appendField(b []byte, number byte, value string) []byte {
	return append(appendLength(b, number, len(value)), value...)
}

func appendLength(b []byte, number byte, size int) []byte {
	return binary.AppendUvarint(append(b, number<<3|2), uint64(size))
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
