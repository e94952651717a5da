// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/httpsig"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// signing is the making of a stamp.
type signing struct {
	copied  string         // the claims that are copied, as members of a JSON object, each with a comma before it
	newTxn  bool           // profile txn-token: the transaction begins here
	lacks   string         // profile txn-token: the claim for which there is no token; empty: none
	text    string         // what is signed
	jws     []byte         // profile jws: the same, with room for a dot and the signature
	input   *httpsig.Input // profile rfc9421
	claims  string         // profile rfc9421: the header of the claims; empty: none
	digests field          // profile rfc9421: Content-Digest; without a name: no body is bound
	fields  [2]string      // profile rfc9421: the stamp's Signature-Input and Signature
}

// sign decides a request of the edge, which is there to be signed.
func (d *Decision) sign() *verdict.Code {
	p := d.policy
	if !p.rules[d.rule].sign {
		return nil
	}
	if len(p.signer.copyClaims) > 0 || p.signer.context != nil {
		d.step = decide.ReadIdentity
		return nil
	}
	return d.bindBody()
}

// identityRead tells the claims that an earlier filter has verified. An error means that nobody knows.
func (d *Decision) identityRead(claims gjson.Result, err error) {
	if d.taken(decide.ReadIdentity, err) {
		d.end(d.copyClaims(claims))
	}
}

func (d *Decision) copyClaims(claims gjson.Result) *verdict.Code {
	if d.policy.signer.context != nil {
		return d.copyContext(claims)
	}
	var b []byte
	for _, name := range d.policy.signer.copyClaims {
		if v, ok := strictjson.Member(claims, name); ok && v.Type != gjson.Null {
			b = append(gjson.AppendJSONString(append(b, ','), name), ':')
			b = append(b, v.Raw...)
		}
	}
	d.signing.copied = string(b)
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
	size := 16
	if d.signing.newTxn {
		size += 16
	}
	random, err := s.unguessable(size + s.key.SaltSize())
	if err != nil {
		return verdict.Internal
	}
	nonce, salt := base64.RawURLEncoding.EncodeToString(random[:16]), random[size:]
	if d.signing.newTxn {
		d.signing.copied += `,"txn":"` + base64.RawURLEncoding.EncodeToString(random[16:size]) + `"`
	}
	if d.policy.message {
		if refused := d.composeMessage(nonce, bodyHash); refused != nil {
			return refused
		}
	} else {
		s.scratch = d.appendClaims(s.scratch[:0], nonce, bodyHash)
		b := make([]byte, 0, len(s.header)+1+base64.RawURLEncoding.EncodedLen(len(s.scratch))+1+s.room)
		b = append(append(b, s.header...), '.')
		b = base64.RawURLEncoding.AppendEncode(b, s.scratch)
		// b is appended to from now on, and not changed
		d.signing.jws, d.signing.text = b, unsafe.String(unsafe.SliceData(b), len(b))
		if refused := d.fits(s.scratch, len(b)+1+s.room); refused != nil {
			return refused
		}
	}
	if s.byProxy {
		d.proxySign, d.step = s.key.Signing(d.signing.text), decide.Sign
		return nil
	}
	signature, err := s.key.Sign(d.signing.text, salt)
	if err != nil {
		return verdict.Internal
	}
	return d.stamp(signature)
}

// tooLarge are the sizes of a stamp that is not sent.
type tooLarge struct{ size, copied int }

// fits reports why a stamp with these claims, which take size bytes, is not sent: a verifier would
// take it for malformed, and its client would be refused for ever without anybody knowing why.
func (d *Decision) fits(claims []byte, size int) *verdict.Code {
	copied := d.signing.copied
	// Few claims need not be counted: each member takes five bytes at least, beside the stamp's
	// own, and each level of nesting a bracket.
	few := len(copied) < 2*limits.JSON.Members && strings.Count(copied, "[")+strings.Count(copied, "{") < limits.JSON.Depth
	if size <= limits.TokenBytes && (few || strictjson.Scan(string(claims), limits.JSON) == nil) {
		return nil
	}
	d.tooLarge = tooLarge{size, len(copied)}
	return StampTooLarge
}

// TooLarge says for the log what is too large about a stamp that is not sent (StampTooLarge):
// sizes, and nothing of what is in it.
func (d *Decision) TooLarge() string {
	t := d.tooLarge
	return "the stamp would have " + strconv.Itoa(t.size) + " bytes, and its copied claims have " +
		strconv.Itoa(t.copied) + "; it may have " + strconv.Itoa(limits.TokenBytes) + " bytes, " +
		strconv.Itoa(limits.JSON.Members) + " members, and " + strconv.Itoa(limits.JSON.Depth) +
		" levels of nesting: copy fewer claims (copyClaims)"
}

// unguessable returns random bytes, each of which is used once. The proxy is asked for many at a
// time: every call of it costs.
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

// signatureMade tells the signature that the proxy has made.
func (d *Decision) signatureMade(signature []byte, err error) {
	if err == nil {
		signature, err = d.policy.signer.key.Finish(signature)
	}
	if d.taken(decide.Sign, err) {
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
	if len(b) > limits.TokenBytes {
		d.tooLarge = tooLarge{len(b), len(d.signing.copied)}
		return StampTooLarge
	}
	d.set = append(d.set, [2]string{d.policy.header, unsafe.String(unsafe.SliceData(b), len(b))})
	return nil
}

// removeStamps has every stamp removed that came with the request, in any spelling that a server
// may confuse with it, and writes the one that it gets. Signatures of others are not touched.
func (d *Decision) removeStamps(e *forward.Effect) {
	d.removeSpellings(e, "")
	if !d.policy.message {
		return
	}
	stamped := d.verdict.Code == verdict.OK && d.signing.fields[0] != ""
	for i, name := range [...]string{"signature-input", "signature"} {
		for _, spelling := range d.spellings(name) {
			f := field{name: spelling}
			f.take(d.lines(spelling), label)
			d.unreadable = d.unreadable || f.unreadable
			if spelling == name && stamped {
				f.ours = d.signing.fields[i]
			}
			f.effect(e)
		}
	}
	if stamped && d.signing.digests.name != "" {
		d.unreadable = d.unreadable || d.signing.digests.unreadable
		d.signing.digests.effect(e)
	}
}

// removeSpellings has the stamp's header removed in every spelling but kept. What stands in another than
// its own was never looked at, and servers may take it for a stamp or for claims that somebody has verified.
func (d *Decision) removeSpellings(e *forward.Effect, kept string) {
	for i := range d.headers {
		if name := d.headers[i][0]; name != kept && forward.SameFold(name, d.policy.header) {
			e.RemoveHeader(name)
		}
	}
}

// spellings are the name itself, and those of the request's headers that servers confuse with it.
func (d *Decision) spellings(name string) []string {
	list := []string{name}
	for i := range d.headers {
		if other := d.headers[i][0]; other != name && forward.Fold(other) == name && !slices.Contains(list, other) {
			list = append(list, other)
		}
	}
	return list
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
