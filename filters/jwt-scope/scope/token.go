// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"strings"

	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

const scheme = "bearer"

// credential finds the request's bearer token. It returns TokenMissing, TokenAmbiguous or TokenMalformed where there is none, more than one, or one without a token.
// Another scheme (Basic, say) is no credential for us.
func credential(headers [][2]string) (token string, refused *verdict.Code) {
	found := false
	for i := range headers {
		if headers[i][0] != "authorization" {
			continue
		}
		value := headers[i][1]
		// Envoy joins repeated authorization headers with commas, and no token holds one; the parameters of other schemes do.
		if found || strings.IndexByte(value, ',') >= 0 && strings.Contains(strings.ToLower(value), scheme) {
			return "", TokenAmbiguous
		}
		found = true
		token, refused = bearer(value)
	}
	if !found {
		return "", TokenMissing
	}
	return token, refused
}

// bearer takes the token out of "Bearer token" (RFC 6750 §2.1): the scheme in any case, spaces, and nothing behind the token.
func bearer(value string) (token string, refused *verdict.Code) {
	if len(value) < len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return "", TokenMissing
	}
	rest := value[len(scheme):]
	if rest != "" && isTokenChar(rest[0]) {
		return "", TokenMissing // another scheme, such as BearerX
	}
	token = strings.TrimLeft(rest, " ")
	if token == rest || token == "" || strings.IndexByte(token, ' ') >= 0 {
		return "", TokenMalformed
	}
	return token, nil
}

// isTokenChar reports whether c may stand in the name of an authentication scheme (RFC 9110 §5.6.2).
func isTokenChar(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
