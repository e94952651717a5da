// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"strings"

	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// subprotocols is the header in which a WebSocket's client offers subprotocols (RFC 6455 §11.3.4),
// and some send their tokens.
const subprotocols = "sec-websocket-protocol"

func (l *location) isSubprotocol() bool { return l.after+l.start != "" }

// eachSubprotocol visits the items of all headers of that name, in order.
func eachSubprotocol(headers [][2]string, visit func(item string)) {
	for i := range headers {
		if headers[i][0] != subprotocols {
			continue
		}
		for rest, more := headers[i][1], true; more; {
			var item string
			item, rest, more = strings.Cut(rest, ",")
			if item = strings.Trim(item, " \t"); item != "" { // RFC 9110 §5.6.1: empty items are none
				visit(item)
			}
		}
	}
}

func (l *location) findInSubprotocols(headers [][2]string) (token string, refused *verdict.Code) {
	refused = TokenMissing
	places, expected := 0, false
	eachSubprotocol(headers, func(item string) {
		switch {
		case expected:
			expected, token, refused = false, item, nil
		case l.after != "" && item == l.after:
			places, expected, refused = places+1, true, TokenMalformed
		case l.start != "" && strings.HasPrefix(item, l.start):
			places++
			b, err := jose.DecodeBase64(item[len(l.start):])
			if token, refused = string(b), nil; err != nil {
				token, refused = item, TokenMalformed
			} else if token == "" {
				refused = TokenMalformed
			}
		}
	})
	if places > 1 {
		return "", TokenAmbiguous
	}
	return token, refused
}

// stripSubprotocols takes the items away that are, or announce, a token.
func stripSubprotocols(e *forward.Effect, headers [][2]string, places []*location) {
	var rest []string
	expected := false
	eachSubprotocol(headers, func(item string) {
		isToken := expected
		expected = false
		for _, l := range places {
			// One that stands where a token should may announce one as well: in shadow mode nobody has refused that.
			expected = expected || l.after != "" && item == l.after
			isToken = isToken || expected || l.start != "" && strings.HasPrefix(item, l.start)
		}
		if !isToken {
			rest = append(rest, item)
		}
	})
	e.RemoveHeader(subprotocols)
	if len(rest) > 0 {
		e.Set = append(e.Set, [2]string{subprotocols, strings.Join(rest, ", ")})
	}
}
