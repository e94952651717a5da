// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package httpsig

import (
	"encoding/base64"

	"github.com/tollgate-wasm/tollgate/shared/sfv"
)

// ContentDigest is the value of Content-Digest (RFC 9530 §2) for content that has that SHA-256.
func ContentDigest(sum []byte) string {
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum) + ":"
}

// ParseContentDigest reads the value of Content-Digest, several lines joined with commas; what it
// does not have is nil. Algorithms other than sha-256 and sha-512 are passed over, as RFC 9530 §5
// advises against them or does not know them, but one of the two must be there. Where both are,
// both must fit.
func ParseContentDigest(text string) (sha256, sha512 []byte, err error) {
	members, err := dictionary(text)
	if err != nil {
		return nil, nil, err
	}
	for i := range members {
		size := 0
		switch members[i].Name {
		case "sha-256":
			size = 32
		case "sha-512":
			size = 64
		default:
			continue
		}
		item := &members[i].Item
		if item.Value.Kind != sfv.Bytes || item.Parameters != nil {
			return nil, nil, ErrSyntax
		}
		if len(item.Value.Text) != size {
			return nil, nil, ErrDigest
		}
		if size == 32 {
			sha256 = []byte(item.Value.Text)
		} else {
			sha512 = []byte(item.Value.Text)
		}
	}
	if sha256 == nil && sha512 == nil {
		return nil, nil, ErrNoDigest
	}
	return sha256, sha512, nil
}
