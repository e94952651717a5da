// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"encoding/base64"
	"slices"
	"strconv"
	"unsafe"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/httpsig"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// signing is the making of a stamp.
type signing struct {
	copied string         // the claims that are copied, as members of a JSON object, each with a comma before it
	text   string         // what is signed
	jws    []byte         // profile jws: the same, with room for a dot and the signature
	input  *httpsig.Input // profile rfc9421
	claims string         // profile rfc9421: the header of the claims; empty: none
	digest string         // profile rfc9421: Content-Digest; empty: none
}

// sign decides a request of the edge, which is there to be signed.
func (d *Decision) sign() *verdict.Code {
	p := d.policy
	if !p.rules[d.rule].sign {
		return nil
	}
	if len(p.signer.copyClaims) > 0 {
		d.step = ReadIdentity
		return nil
	}
	return d.bindBody()
}

// IdentityRead tells the claims that an earlier filter has verified, as a JSON object; empty: none has. An error means that nobody knows.
func (d *Decision) IdentityRead(identity string, err error) {
	if d.taken(ReadIdentity, err) {
		d.end(d.copyClaims(identity))
	}
}

func (d *Decision) copyClaims(identity string) *verdict.Code {
	if identity != "" {
		claims, err := strictjson.Parse(identity, limits.JSON)
		if err != nil || !claims.IsObject() {
			return verdict.Internal // whoever wrote that is no filter of ours
		}
		var b []byte
		for _, name := range d.policy.signer.copyClaims {
			if v, ok := strictjson.Member(claims, name); ok && v.Type != gjson.Null {
				b = append(gjson.AppendJSONString(append(b, ','), name), ':')
				b = append(b, v.Raw...)
			}
		}
		d.signing.copied = string(b)
	}
	return d.bindBody()
}

// bindBody reads the body where it is to be bound and can be waited for.
func (d *Decision) bindBody() *verdict.Code {
	if d.policy.rules[d.rule].bind&body == 0 || d.streaming() {
		return d.compose("")
	}
	return d.wantBody(d.compose)
}

// compose writes what is to be signed, and signs it or has it signed.
func (d *Decision) compose(bodyHash string) *verdict.Code {
	s := d.policy.signer
	random, err := s.unguessable(16 + s.key.SaltSize())
	if err != nil {
		return verdict.Internal
	}
	nonce, salt := base64.RawURLEncoding.EncodeToString(random[:16]), random[16:]
	if d.policy.message {
		if refused := d.composeMessage(nonce, bodyHash); refused != nil {
			return refused
		}
	} else {
		s.scratch = d.appendClaims(s.scratch[:0], nonce, bodyHash)
		b := make([]byte, 0, len(s.header)+1+base64.RawURLEncoding.EncodedLen(len(s.scratch))+1+s.room)
		b = append(append(b, s.header...), '.')
		b = base64.RawURLEncoding.AppendEncode(b, s.scratch)
		d.signing.jws, d.signing.text = b, unsafe.String(unsafe.SliceData(b), len(b)) // b is appended to from now on, and not changed
	}
	if s.byProxy {
		d.proxySign, d.step = s.key.Signing(d.signing.text), Sign
		return nil
	}
	signature, err := s.key.Sign(d.signing.text, salt)
	if err != nil {
		return verdict.Internal
	}
	return d.stamp(signature)
}

// unguessable returns random bytes, each of which is used once. The proxy is asked for many at a time: every call of it costs.
func (s *signer) unguessable(n int) ([]byte, error) {
	if len(s.pool) < n {
		pool := make([]byte, 32*n)
		if err := s.random(pool); err != nil {
			return nil, err
		}
		s.pool = pool
	}
	bytes := s.pool[:n]
	s.pool = s.pool[n:]
	return bytes, nil
}

// Signing is the signature that the decision waits for.
func (d *Decision) Signing() jose.Signing { return d.proxySign }

// Signed tells the signature that the proxy has made.
func (d *Decision) Signed(signature []byte, err error) {
	if err == nil {
		signature, err = d.policy.signer.key.Finish(signature)
	}
	if d.taken(Sign, err) {
		d.end(d.stamp(signature))
	}
}

// stamp puts the stamp together.
func (d *Decision) stamp(signature []byte) *verdict.Code {
	if d.policy.message {
		return d.stampMessage(signature)
	}
	s := d.policy.signer
	b := base64.RawURLEncoding.AppendEncode(append(d.signing.jws, '.'), signature)
	s.room = max(s.room, len(b)-len(d.signing.jws)-1)
	d.set = append(d.set, [2]string{d.policy.header, unsafe.String(unsafe.SliceData(b), len(b))})
	return nil
}

// removeStamps has every stamp removed that came with the request, in any spelling that a server may confuse with it.
func (d *Decision) removeStamps(e *forward.Effect) {
	for i := range d.headers {
		name := d.headers[i][0]
		switch folded := forward.Fold(name); {
		case folded == forward.Fold(d.policy.header):
			e.RemoveHeader(name)
		case folded != "signature" && folded != "signature-input", slices.Contains(e.Remove, name):
		default:
			e.RemoveHeader(name)
			if rest := d.otherSignatures(name); rest != "" && name == folded {
				e.Set = append(e.Set, [2]string{name, rest})
			}
		}
	}
}

// otherSignatures is what the header of that name has of signatures that are not stamps.
func (d *Decision) otherSignatures(name string) string {
	value := d.joined(name)
	if value == "" {
		return "" // as nearly always
	}
	rest, _ := httpsig.WithoutLabel(value, label) // nothing where nobody could tell which signatures are in it
	return rest
}

func appendNumber(b []byte, name string, n int64) []byte {
	b = append(append(append(b, `,"`...), name...), `":`...)
	return strconv.AppendInt(b, n, 10)
}

func appendText(b []byte, name, text string) []byte {
	b = append(append(append(b, `,"`...), name...), `":`...)
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return gjson.AppendJSONString(b, text)
		}
	}
	return append(append(append(b, '"'), text...), '"') // as nearly all are: there is nothing to escape
}
