// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"crypto/subtle"
	"hash"
)

// verifyHMAC is RFC 2104 over SHA-2, with a comparison that takes the same time wherever the tags differ. crypto/hmac would bring SHA-3 and more into the module for these few lines.
func verifyHMAC(newHash func() hash.Hash, key []byte, text string, tag []byte) bool {
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
	return subtle.ConstantTimeCompare(h.Sum(nil), tag) == 1
}
