// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"crypto/subtle"
	"hash"

	"github.com/tollgate-wasm/tollgate/shared/sha2"
)

// MAC is HMAC-SHA-256 (RFC 2104) of a text.
func MAC(key []byte, text string) []byte { return signHMAC(sha2.New256, key, text) }

// verifyHMAC compares in the same time wherever the tags differ.
func verifyHMAC(newHash func() hash.Hash, key []byte, text string, tag []byte) bool {
	return subtle.ConstantTimeCompare(signHMAC(newHash, key, text), tag) == 1
}

// signHMAC is RFC 2104 over SHA-2. crypto/hmac would bring SHA-3 and more into the module for these few lines.
func signHMAC(newHash func() hash.Hash, key []byte, text string) []byte {
	h := newHash()
	if len(key) > h.BlockSize() {
		h.Write(key)
		key = h.Sum(nil)
	}
	pad := func(with byte) []byte {
		b := make([]byte, h.BlockSize())
		copy(b, key)
		for i := range b {
			b[i] ^= with
		}
		return b
	}
	h.Reset()
	h.Write(pad(0x36))
	h.Write([]byte(text))
	inner := h.Sum(nil)
	h.Reset()
	h.Write(pad(0x5c))
	h.Write(inner)
	return h.Sum(nil)
}
