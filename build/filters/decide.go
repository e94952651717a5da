// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"time"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/filters/edge-stamp/stamp"
	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
	"github.com/tollgate-wasm/tollgate/filters/rate-limit/limit"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/gcra"
	"github.com/tollgate-wasm/tollgate/shared/inflight"
	"github.com/tollgate-wasm/tollgate/shared/jose/proxycrypto"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
	"github.com/tollgate-wasm/tollgate/shared/ratelimit"
	"github.com/tollgate-wasm/tollgate/shared/replay"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Outside is what decisions need of a proxy, where there is none.
type Outside struct {
	Env        Env
	Source     string // of the connection, with its port
	PeerURI    string // of the client's certificate
	PeerDigest string
	Identity   string    // verified claims, as JSON; empty: none
	Body       []byte    // nil: there is none
	Keys       *jwks.Set // that every set which has to be fetched counts as; nil: none can be fetched

	// Counted is what limits have counted, for whoever decides several requests; nil: nothing, and it is forgotten.
	Counted map[int][]byte

	// Introspection is what every introspection endpoint answers (RFC 7662 §2.2); empty: none can be asked.
	Introspection string
}

// World does what a proxy would, as one that has counted nothing and seen nothing yet.
func (o *Outside) World() *decide.World {
	tell := func(text string) func() (string, error) { return func() (string, error) { return text, nil } }
	buckets := o.Counted
	if buckets == nil {
		buckets = map[int][]byte{}
	}
	return &decide.World{
		Verify: proxycrypto.Verify, Sign: proxycrypto.Sign,
		Identity: func() (gjson.Result, error) { return decide.ParseIdentity(o.Identity) }, Source: tell(o.Source),
		PeerURI: tell(o.PeerURI), PeerDigest: tell(o.PeerDigest),
		Admit: func(replay.ID, time.Time, time.Time) (replay.Result, error) { return replay.Fresh, nil },
		Swap: func(bucket int, change func([]byte) []byte) error {
			if buckets[bucket] == nil {
				buckets[bucket] = gcra.Empty()
			}
			if next := change(buckets[bucket]); next != nil {
				buckets[bucket] = slices.Clone(next)
			}
			return nil
		},
		Flight: func(_ int, change func([]byte) []byte) error { // nothing else is on its way
			change(inflight.Empty())
			return nil
		},
	}
}

// keys gives sets what they would fetch.
func (o *Outside) keys(remotes []*jwks.Remote, at time.Time) {
	if o.Keys == nil {
		return
	}
	for _, remote := range remotes {
		remote.Source.Update(jwks.Record{Version: 1, Fetched: at.UnixMicro()}, o.Keys)
	}
}

// KeysError is why nothing is decided where a set would have to be fetched.
type KeysError struct{ At string }

func (e KeysError) Error() string { return "the keys are at " + e.At }

// IntrospectionError is why nothing is decided where an endpoint would have to be asked.
type IntrospectionError struct{ At string }

func (e IntrospectionError) Error() string { return "the token has to be introspected at " + e.At }

func missing(remote *jwks.Remote) error { return KeysError{remote.Authority + remote.Path} }

// Decided is a request that was decided.
type Decided struct {
	Rule    string // that has decided
	Verdict verdict.Verdict
	Why     decide.Explanation
	Effect  forward.Effect
	Headers [][2]string // of the answer
	Asked   []string    // what the rate-limit service would be asked for

	// Answer is what the filter answers a request with that it admits, instead of letting it go on; nil: it goes on.
	Answer *Answer
}

// Answer is one of the filter's own.
type Answer struct {
	Status  int
	Headers [][2]string
	Body    string
}

// errNoProxy is what the rate-limit service answers here.
var errNoProxy = errors.New("no proxy, and so no rate-limit service")

func decideScopes(config string, r *decide.Request, o *Outside) (*Decided, error) {
	p, err := scope.Parse(config, scope.Surroundings{Env: anySecret(o.Env)})
	if err != nil {
		return nil, err
	}
	if p.WantsNonceKey() {
		p.SetNonceKey([32]byte{}) // whoever explains a proof has no proxy's nonce
	}
	o.keys(p.Remotes(), r.Now)
	d, w := &scope.Decision{}, o.World()
	p.Decide(d, r)
	if d.Run(w) == decide.FetchKeys && o.Keys != nil { // it would be fetched again, and be the same
		p.DecideAfterWait(d, r)
		d.Run(w)
	}
	switch d.Step() {
	case decide.FetchKeys:
		return nil, missing(d.KeysWanted())
	case decide.Introspect:
		q := d.Inquiry()
		if o.Introspection == "" {
			return nil, IntrospectionError{q.Authority()}
		}
		if err := q.Answer(o.Introspection, r.Now); err != nil {
			return nil, err
		}
		p.DecideAfterInquiry(d, r, q)
		d.Run(w)
	}
	v := d.Verdict()
	out := &Decided{Rule: p.RuleName(v.Rule), Verdict: *v, Why: d.Explain(), Headers: d.Headers(nil)}
	if status, headers, body, ok := d.Publishes(); ok && v.Admits() {
		out.Answer = &Answer{status, headers, body}
	}
	d.Effect(&out.Effect)
	return out, nil
}

// Stamp has edge-stamp decide a request, for whoever wants to know more than Decide tells.
func Stamp(config string, r *decide.Request, o *Outside) (*stamp.Policy, *stamp.Decision, error) {
	p, err := stamp.Parse(config, stamp.Surroundings{Env: o.Env, Random: func(b []byte) error {
		_, err := rand.Read(b)
		return err
	}})
	if err != nil {
		return nil, nil, err
	}
	if key := p.Signer(); key != nil && key.Algorithm().ByProxy() {
		p.SignByProxy()
	}
	o.keys(p.Remotes(), r.Now)
	d, w := &stamp.Decision{}, o.World()
	p.Decide(d, r)
	for {
		switch d.Run(w) {
		case decide.Done:
			return p, d, nil
		case decide.FetchKeys:
			if o.Keys == nil {
				return nil, nil, missing(d.KeysWanted())
			}
			p.DecideAfterWait(d, r)
		case decide.ReadBody:
			sum := sha256.Sum256(o.Body)
			d.BodyRead(base64.RawURLEncoding.EncodeToString(sum[:]))
		case decide.AskService:
			_ = d.Answered(ratelimit.Response{}, errNoProxy)
		default:
			return nil, nil, decide.ErrUndone
		}
	}
}

func decideStamps(config string, r *decide.Request, o *Outside) (*Decided, error) {
	p, d, err := Stamp(config, r, o)
	if err != nil {
		return nil, err
	}
	v := d.Verdict()
	out := &Decided{Rule: p.RuleName(v.Rule), Verdict: *v, Why: d.Explain()}
	if x, found := StampDifference(config, r, o, d); found {
		checks := &out.Why.Checks
		*checks = slices.Insert(*checks, 0, decide.Fails("signature", v.Reason(), x.String()))
	}
	if status, headers, body, ok := d.Publishes(); ok && v.Admits() {
		out.Answer = &Answer{status, headers, body}
	}
	d.Effect(&out.Effect)
	return out, nil
}

func decideLimits(config string, r *decide.Request, o *Outside) (*Decided, error) {
	p, err := limit.Parse(config)
	if err != nil {
		return nil, err
	}
	p.SetSeed(gcra.Seed{})
	d, w, out := &limit.Decision{}, o.World(), &Decided{}
	p.Decide(d, r)
	for d.Run(w) == decide.AskService {
		for _, descriptor := range d.Asks().Descriptors {
			asked := "descriptor"
			for _, entry := range descriptor.Entries {
				asked += " " + entry.Key + "=" + entry.Value
			}
			out.Asked = append(out.Asked, asked)
		}
		_ = d.Answered(ratelimit.Response{}, errNoProxy, r.Now)
	}
	v := d.Verdict()
	out.Rule, out.Verdict, out.Why, out.Headers = p.RuleName(v.Rule), *v, d.Explain(), d.Headers(nil)
	d.Effect(&out.Effect)
	return out, nil
}
