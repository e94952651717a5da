// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package wasmhost

import (
	"encoding/binary"

	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jose/proxycrypto"
)

// foreign are Envoy's foreign functions (source/extensions/common/wasm/foreign.cc), with Go's
// crypto in BoringSSL's place.
var foreign = map[string]func([]byte) ([]byte, Status){
	"verify_signature":  verifySignature,
	"sign":              sign,
	"clear_route_cache": func([]byte) ([]byte, Status) { return nil, OK },
}

// readFields reads the length-delimited fields of a protobuf message whose fields are all of that kind.
func readFields(b []byte) (fields map[uint64][]byte, ok bool) {
	fields = map[uint64][]byte{}
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 || tag&7 != 2 {
			return nil, false
		}
		size, k := binary.Uvarint(b[n:])
		if k <= 0 || size > uint64(len(b)-n-k) {
			return nil, false
		}
		b = b[n+k:]
		fields[tag>>3], b = b[:size], b[size:]
	}
	return fields, true
}

func field(number byte, value []byte) []byte {
	return append(binary.AppendUvarint([]byte{number<<3 | 2}, uint64(len(value))), value...)
}

// verifySignature: a signature that is not good is no failure of the call but a result without field 1.
func verifySignature(argument []byte) ([]byte, Status) {
	f, ok := readFields(argument)
	if !ok {
		return nil, BadArgument
	}
	good, err := proxycrypto.Verify(jose.Verification{Hash: string(f[1]), Key: f[2], Signature: f[3], Text: string(f[4])})
	switch {
	case good:
		return []byte{1 << 3, 1}, OK
	case err != nil:
		return field(2, []byte(err.Error())), OK
	}
	return field(2, []byte("Failed to verify digest. Error code: 0")), OK
}

// sign: PKCS#1 v1.5 for RSA, ASN.1 for ECDSA, with a PKCS#8 key.
func sign(argument []byte) ([]byte, Status) {
	f, ok := readFields(argument)
	if !ok {
		return nil, BadArgument
	}
	signature, err := proxycrypto.Sign(jose.Signing{Hash: string(f[1]), Key: f[2], Text: string(f[3])})
	if err != nil {
		return field(3, []byte(err.Error())), OK
	}
	return append([]byte{1 << 3, 1}, field(2, signature)...), OK
}
