// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose

// What the vectors need beyond the package's face: signatures over any text.

func ParseAnyPayload(token string, lim Limits) (*JWS, error) {
	t, _, err := parse(token, lim)
	return t, err
}

func Signed(text string, signature []byte) *JWS { return &JWS{signed: text, signature: signature} }

func HashBits(a Algorithm) int { return algorithms[a].hash }
