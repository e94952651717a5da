// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"unsafe"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/sha2"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

// Why a text is no token. ErrMalformed wraps none of the text: it may be a credential.
var (
	ErrParts     = errors.New("not three parts")
	ErrBase64    = errors.New("not canonical base64url")
	ErrHeader    = errors.New("the header is not a JSON object that reads in one way only")
	ErrPayload   = errors.New("the payload is not a JSON object that reads in one way only")
	ErrParameter = errors.New("a header parameter has the wrong type")
	ErrCritical  = errors.New("the header has crit or b64")
)

// LimitError is what a text is refused with that is over one of the limits.
type LimitError struct {
	Name       string // "jsonMembers"
	Got, Limit int
}

func (e *LimitError) Error() string {
	return "over limits." + e.Name + ": " + strconv.Itoa(e.Got) + ", of " + strconv.Itoa(e.Limit) + " allowed"
}

// PartError says what is wrong with a part of a token, and nothing of what it says.
type PartError struct {
	Part error // ErrHeader or ErrPayload
	Err  error
}

func (e *PartError) Error() string { return e.Part.Error() + ": " + e.Err.Error() }

// Unwrap gives the part.
func (e *PartError) Unwrap() error { return e.Part }

// Limits bound a token before any of it is decoded.
type Limits struct {
	TokenBytes int
	JSON       strictjson.Limits
}

// maxKeyID keeps a token's kid from being a weight in maps and logs.
const maxKeyID = 256

// JWS is a compact JWS whose signature has not been checked: nothing in it is true until that is done.
type JWS struct {
	Alg    string // as in the header
	KeyID  string // kid; empty when there is none
	HasKID bool
	Type   string // typ; empty when there is none

	Header    gjson.Result // a JSON object; not for choosing a token's key by
	Payload   gjson.Result // a JSON object
	signed    string       // header.payload, as sent
	signature []byte
}

// Parse reads token. The header's jku, jwk, x5u and x5c are not looked at: a token does not bring its own key.
func Parse(token string, lim Limits) (*JWS, error) {
	t, payload, err := parse(token, lim)
	if err != nil {
		return nil, err
	}
	t.Payload, err = object(payload, lim.JSON, ErrPayload)
	return t, err
}

func object(b []byte, lim strictjson.Limits, part error) (gjson.Result, error) {
	text := unsafe.String(unsafe.SliceData(b), len(b)) // b is nobody else's
	if err := strictjson.Scan(text, lim); err != nil {
		return gjson.Result{}, &PartError{part, explainLimit(text, err, lim)}
	}
	v := gjson.Parse(text)
	if !v.IsObject() {
		return gjson.Result{}, part
	}
	return v, nil
}

// explainLimit tells by how much a text is over a limit, where that is what is wrong with it.
//
//go:noinline
func explainLimit(text string, err *strictjson.Error, lim strictjson.Limits) error {
	switch err.Err {
	case strictjson.ErrDepth:
		depth, _ := strictjson.Measure(text)
		return &LimitError{"jsonDepth", depth, lim.Depth}
	case strictjson.ErrMembers:
		_, members := strictjson.Measure(text)
		return &LimitError{"jsonMembers", members, lim.Members}
	}
	return err
}

// EncodedPayload is the payload in base64url, as it was sent.
func (t *JWS) EncodedPayload() string { return t.signed[strings.IndexByte(t.signed, '.')+1:] }

// Hash is the SHA-256 of a text in base64url, as ath (RFC 9449 §4.2) and x5t#S256 have it.
//
//go:noinline
func Hash(text string) string {
	h := sha2.New256()
	_, _ = h.Write([]byte(text)) // never fails
	return base64url.EncodeToString(h.Sum(nil))
}

// DecodePayload reads a JSON object in base64url that stands by itself, as Envoy's jwt_authn
// forwards the claims it has verified: without padding, or with the right one.
func DecodePayload(text string, lim Limits) (gjson.Result, error) {
	if len(text) > lim.TokenBytes {
		return gjson.Result{}, &LimitError{"tokenBytes", len(text), lim.TokenBytes}
	}
	if bare := strings.TrimRight(text, "="); len(text)%4 == 0 && len(text)-len(bare) <= 2 {
		text = bare
	}
	b, err := DecodeBase64(text)
	if err != nil {
		return gjson.Result{}, err
	}
	return object(b, lim.JSON, ErrPayload)
}

// ParseOpaque is Parse for a JWS whose payload may be any bytes (RFC 7515 §3): it is not looked at,
// and no JWT. What a token claims is read by Parse.
func ParseOpaque(token string, lim Limits) (*JWS, error) {
	t, _, err := parse(token, lim)
	return t, err
}

// Signed is a signature over a text that is no JWS, such as the signature base of an HTTP message
// (RFC 9421 §3.3.7 gives JOSE's algorithms to those, too).
func Signed(text string, signature []byte) *JWS { return &JWS{signed: text, signature: signature} }

// parse reads a JWS with any payload.
func parse(token string, lim Limits) (t *JWS, payload []byte, err error) {
	if len(token) > lim.TokenBytes {
		return nil, nil, &LimitError{"tokenBytes", len(token), lim.TokenBytes}
	}
	dot, last := strings.IndexByte(token, '.'), strings.LastIndexByte(token, '.')
	if dot == last || strings.IndexByte(token[dot+1:last], '.') >= 0 {
		return nil, nil, ErrParts
	}
	b, err := DecodeBase64(token[:dot])
	if err != nil {
		return nil, nil, err
	}
	header, err := object(b, lim.JSON, ErrHeader)
	if err != nil {
		return nil, nil, err
	}
	t = &JWS{Header: header, signed: token[:last]}
	if err := t.readHeader(header); err != nil {
		return nil, nil, err
	}
	if payload, err = DecodeBase64(token[dot+1 : last]); err != nil {
		return nil, nil, err
	}
	if t.signature, err = DecodeBase64(token[last+1:]); err != nil {
		return nil, nil, err
	}
	return t, payload, nil
}

func (t *JWS) readHeader(header gjson.Result) (err error) {
	header.ForEach(func(name, v gjson.Result) bool {
		switch name.Str {
		case "alg":
			t.Alg, err = headerText(v)
		case "typ":
			t.Type, err = headerText(v)
		case "kid":
			t.HasKID = true
			if t.KeyID, err = headerText(v); err == nil && len(t.KeyID) > maxKeyID {
				err = ErrParameter
			}
		case "crit", "b64":
			// RFC 7515 §4.1.11: we understand no extension, so a critical one cannot be honoured;
			// RFC 7797: b64 changes what is signed.
			err = ErrCritical
		}
		return err == nil
	})
	if err == nil && t.Alg == "" {
		err = ErrParameter
	}
	return err
}

func headerText(v gjson.Result) (string, error) {
	if v.Type != gjson.String {
		return "", ErrParameter
	}
	return v.Str, nil
}

// Strict refuses trailing bits that are not zero; DecodeBase64 refuses the line breaks that
// encoding/base64 skips.
var base64url = base64.RawURLEncoding.Strict()

// DecodeBase64 reads base64url without padding (RFC 7515 §2) in its one canonical form.
func DecodeBase64(s string) ([]byte, error) {
	b, err := base64url.DecodeString(s)
	// Where a line break was skipped there is less than so many digits give.
	if err != nil || len(s)%4 == 1 || len(b) != base64url.DecodedLen(len(s)) {
		return nil, ErrBase64
	}
	return b, nil
}
