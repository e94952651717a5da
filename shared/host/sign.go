// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/shared/jose"
)

// Why the proxy made no signature. Neither carries what the proxy said: that is a text from outside
// beside a private key.
var (
	ErrNoSign = errors.New("this proxy cannot sign: the foreign function sign came with Envoy 1.37")
	ErrSign   = errors.New("sign made no signature, or answered what cannot be read")
)

// Sign has Envoy make a signature with BoringSSL, by its foreign function sign (Envoy ≥ 1.37;
// source/extensions/common/wasm/foreign.cc). What comes back is for the key's Finish. ErrNoSign
// means that this proxy has no such function, and never will while it runs; any other error, that
// this one call failed.
func Sign(s jose.Signing) (signature []byte, err error) {
	result, err := proxywasm.CallForeignFunction("sign",
		appendField(appendField(appendField(nil, 1, s.Hash), 2, string(s.Key)), 3, s.Text))
	if err == types.ErrorStatusNotFound {
		return nil, ErrNoSign
	}
	if err != nil {
		return nil, err
	}
	return readSignResult(result)
}

// readSignResult reads SignResult: result = 1 (bool), signature = 2 (bytes), error = 3 (string).
// Proto3 leaves out what is false or empty and writes fields in their order, so success is exactly
// the bytes 08 01, then one signature that is not empty, then nothing.
func readSignResult(b []byte) (signature []byte, err error) {
	rest, ok := bytes.CutPrefix(b, []byte("\x08\x01\x12"))
	size, n := binary.Uvarint(rest)
	if !ok || size == 0 || size != uint64(len(rest)-n) { // a size that cannot be read is 0, too
		return nil, ErrSign
	}
	return rest[n:], nil
}
