// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
	"github.com/tollgate-wasm/tollgate/shared/jwt"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Limits of introspection.
const (
	MaxIntrospection = 32 << 10 // bytes of an answer
	maxInquiries     = 1024     // tokens of one provider and VM that are asked for at once
)

// Why an answer is not taken: nobody knows whether the token is good.
var (
	ErrNotAsked      = errors.New("there are too many questions without an answer")
	ErrAnswerSize    = errors.New("the answer is empty or over 32 KiB")
	ErrAnswerJSON    = errors.New("the answer is no JSON that reads in one way only")
	ErrAnswerActive  = errors.New("the answer's active is neither true nor false (RFC 7662 §2.2)")
	ErrAnswerDates   = errors.New("the answer's exp, nbf or iat is no date")
	ErrAnswerExpired = errors.New("it took too long to answer")
)

// introspection is an endpoint that tells what a token is worth (RFC 7662), and what it has told.
type introspection struct {
	jwks.Place
	provider         *provider
	timeout          time.Duration
	headers          [][2]string // of a request
	form             string      // its body, up to the token
	all              bool        // JWTs are asked for, too
	entries          int
	ttl, negativeTTL time.Duration

	known    *cache              // tokens that were active
	refused  map[string]negative // what was refused, by the token's hash
	inflight map[string]*Inquiry // by their tokens
}

// negative is a token that the endpoint does not vouch for.
type negative struct {
	code  *verdict.Code
	until int64 // microseconds
}

// Inquiry is a question to an introspection endpoint. There is one at a time for each token in a
// VM: whoever comes with the token meanwhile waits for the same answer.
type Inquiry struct {
	service  *introspection
	token    string
	sent     bool
	answered bool
	found    *verified     // nil: the token is refused
	code     *verdict.Code // for which it is
}

// Cluster of the endpoint.
func (q *Inquiry) Cluster() string { return q.service.Cluster }

// Authority of the endpoint.
func (q *Inquiry) Authority() string { return q.service.Authority }

// Timeout of the question, and the longest that a request waits for its answer.
func (q *Inquiry) Timeout() time.Duration { return q.service.timeout }

// Provider whose endpoint it is.
func (q *Inquiry) Provider() string { return q.service.provider.name }

// Answered reports whether the question has ended.
func (q *Inquiry) Answered() bool { return q.answered }

// Send returns the request to be sent; ok is false where that has been done.
func (q *Inquiry) Send() (headers [][2]string, body []byte, ok bool) {
	if q.sent {
		return nil, nil, false
	}
	q.sent = true
	q.service.inflight[q.token] = q // not before: one that nobody sends is not waited for
	return q.service.headers, []byte(q.service.form + "token=" + forward.PercentEncode(q.token) +
		"&token_type_hint=access_token"), true
}

// Fail ends the question without an answer.
func (q *Inquiry) Fail() { q.end(nil, IntrospectionUnavailable) }

// end answers the question for all who wait for it.
func (q *Inquiry) end(found *verified, code *verdict.Code) {
	q.answered, q.found, q.code = true, found, code
	delete(q.service.inflight, q.token)
}

// Answer ends the question with the body of an answer of status 200. An error says why that is none.
func (q *Inquiry) Answer(body string, now time.Time) error {
	v, code, err := q.read(body, now)
	if err != nil {
		q.Fail()
		return err
	}
	s := q.service
	if code == nil {
		s.remember(v, now)
	} else {
		s.refuse(q.token, code, now)
	}
	q.end(v, code)
	return nil
}

// read reads an answer: a token that may be believed, or why it is refused.
func (q *Inquiry) read(body string, now time.Time) (*verified, *verdict.Code, error) {
	if body == "" || len(body) > MaxIntrospection {
		return nil, nil, ErrAnswerSize
	}
	claims, err := strictjson.Parse(body, answerLimits)
	if err != nil {
		return nil, nil, ErrAnswerJSON
	}
	switch active, _ := strictjson.Member(claims, "active"); active.Type {
	case gjson.True:
	case gjson.False:
		return nil, TokenInactive, nil
	default:
		return nil, nil, ErrAnswerActive
	}
	p, registered := q.service.provider, jwt.ReadRegistered(claims)
	for _, date := range [...]*gjson.Result{&registered.Expires, &registered.NotBefore, &registered.IssuedAt} {
		// null is absent; and so is exp 0, which some servers write for tokens that do not expire.
		if date.Type == gjson.Null || date == &registered.Expires && date.Type == gjson.Number && date.Num == 0 {
			*date = gjson.Result{}
		}
	}
	if _, ok := registered.Dates(); !ok {
		return nil, nil, ErrAnswerDates
	}
	if p.issuer != "" && !p.issued(&registered, claims) {
		return nil, TokenIssuer, nil
	}
	validity, refused := p.checkClaims(&registered, now)
	if refused != nil {
		return nil, refused, nil
	}
	v := &verified{provider: p, claims: claims, validity: validity, token: q.token,
		encoded: base64.RawURLEncoding.EncodeToString([]byte(claims.Raw))}
	v.scopes = p.readScopes(claims)
	if p.constraint != unconstrained {
		v.confirmation = readConfirmation(claims)
	}
	return v, nil, nil
}

// answerLimits bound an answer, whose bytes MaxIntrospection does.
var answerLimits = strictjson.Limits{Depth: 16, Members: 1024, Number: 32}

// issued reports whether the claims are the provider's, whose issuer is one or a template.
func (p *provider) issued(claims *jwt.Registered, payload gjson.Result) bool {
	if claims.Issuer.Type != gjson.String {
		return false
	}
	if p.template != nil {
		return p.template.fits(claims.Issuer.Str, payload)
	}
	return p.issuer == claims.Issuer.Str
}

// remember keeps a token that is active until ttl or its exp, whichever is earlier.
func (s *introspection) remember(v *verified, now time.Time) {
	until := now.Add(s.ttl).UnixMicro()
	if v.validity.HasExp {
		until = min(until, v.validity.Exp)
	}
	if v.until = until; until > now.UnixMicro() {
		s.known.put(v)
	}
}

// refuse keeps why a token is refused. Where there are too many of them all are forgotten: strangers
// can make the proxy ask, and no more than that.
func (s *introspection) refuse(token string, code *verdict.Code, now time.Time) {
	if s.negativeTTL == 0 || s.entries == 0 {
		return
	}
	if len(s.refused) >= s.entries {
		clear(s.refused)
	}
	s.refused[jose.Hash(token)] = negative{code, now.Add(s.negativeTTL).UnixMicro()}
}

// introspector is the provider that is to be asked what the token is worth; nil: none.
//
//go:noinline
func (p *Policy) introspector(c *credential, r *rule) *provider {
	jws := isJWS(c.token)
	for _, provider := range r.providers {
		s := provider.introspection
		if s == nil || jws && !s.all || !provider.takes(r, c) {
			continue
		}
		if jws && p.verifies(c, r) {
			return nil
		}
		return provider
	}
	return nil
}

// verifies reports whether the token names an issuer whose keys the rule would have it verified with.
func (p *Policy) verifies(c *credential, r *rule) bool {
	t, err := jose.Parse(c.token, p.limits)
	if err != nil {
		return false
	}
	claims := jwt.ReadRegistered(t.Payload)
	provider := p.issuer(&claims, t.Payload)
	return provider != nil && !provider.trusted() && provider.takes(r, c)
}

// isJWS reports whether a token is meant to be a compact JWS, well formed or not: three parts, of
// which the first begins as a JSON object in base64url does.
func isJWS(token string) bool {
	if len(token) < 4 || strings.Count(token, ".") != 2 {
		return false
	}
	start, err := base64.RawURLEncoding.DecodeString(token[:4])
	return err == nil && strings.HasPrefix(strings.TrimLeft(string(start), " \t\r\n"), "{")
}

// introspect finds what the provider's endpoint says of the token, or leaves the decision waiting for that.
func (d *Decision) introspect(p *provider) *verdict.Code {
	s, token, now := p.introspection, d.credential.token, d.now.UnixMicro()
	if len(token) > d.policy.limits.TokenBytes || !isVisible(token) {
		return TokenMalformed
	}
	if q := d.inquiry; q != nil && q.service == s && q.token == token {
		return d.answered(q)
	}
	if v := s.known.find(token); v != nil {
		if now < v.until {
			s.known.touch(v)
			return d.vouched(v)
		}
		s.known.remove(v)
	}
	if len(s.refused) > 0 {
		if n, ok := s.refused[jose.Hash(token)]; ok && now < n.until {
			return n.code
		}
	}
	q := s.inflight[token]
	if q == nil {
		if len(s.inflight) >= maxInquiries {
			d.why = ErrNotAsked.Error()
			return IntrospectionUnavailable
		}
		q = &Inquiry{service: s, token: strings.Clone(token)}
	}
	d.inquiry, d.step = q, decide.Introspect
	return nil
}

// answered takes the answer that the request has waited for.
func (d *Decision) answered(q *Inquiry) *verdict.Code {
	switch {
	case !q.answered:
		if d.why = ErrAnswerExpired.Error(); !q.sent {
			d.why = ErrNotAsked.Error()
		}
		return IntrospectionUnavailable
	case q.code != nil:
		return q.code
	}
	return d.vouched(q.found)
}

// vouched goes on from a token that the endpoint vouches for.
func (d *Decision) vouched(v *verified) *verdict.Code {
	if refused := v.provider.check(&v.validity, d.now); refused != nil {
		return refused
	}
	d.verified = v
	return d.admit()
}

// isVisible reports whether a token is made of what a header may carry as one (RFC 6750 §2.1).
func isVisible(token string) bool {
	for i := range len(token) {
		if c := token[i]; c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return token != ""
}

// Inquiry is what the decision waits for (decide.Introspect). Have it sent, unless that has been
// done, and when it is answered, or has failed, or has taken too long, call DecideAfterInquiry.
func (d *Decision) Inquiry() *Inquiry { return d.inquiry }

// DecideAfterInquiry is Decide for a request that has waited for an answer: it will not wait for
// that again, whether the answer is there or not.
func (p *Policy) DecideAfterInquiry(d *Decision, r *decide.Request, q *Inquiry) {
	d.waited = false
	p.decide(d, r, q)
}
