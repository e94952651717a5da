// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	ours "github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jose/proxycrypto"
	"github.com/tollgate-wasm/tollgate/shared/ratelimit"
	"github.com/tollgate-wasm/tollgate/shared/replay"
)

var (
	now    = time.Unix(1_800_000_000, 0)
	edge   = mint.New("edge-1", jose.ES256)
	forger = mint.New("edge-1", jose.ES256)
	rsaKey = mint.New("rsa-1", jose.RS256)
)

// environ is the VM's environment in tests.
var environ = map[string]string{"EDGE": edge.PrivateJWK(), "FORGER": forger.PrivateJWK(), "RSA": rsaKey.PrivateJWK(),
	"SECRET": "a secret of 32 bytes or more, as HS256 wants", "SHORT": "too short", "EMPTY": ""}

var surroundings = Surroundings{
	Env:    func(name string) (string, bool) { v, ok := environ[name]; return v, ok },
	Random: func(b []byte) error { _, err := rand.Read(b); return err },
}

func parse(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := Parse(text, surroundings)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return p
}

// edgeConfig is a configuration of the edge with more members, which replace those of the same name.
func edgeConfig(more string) string {
	return merge(`{"role":"sign","issuer":"https://edge","audience":"mesh","keys":[{"kid":"edge-1","alg":"ES256","env":"EDGE"}],"rules":[{"name":"all","sign":true}]}`, more)
}

// meshConfig is one of the mesh.
func meshConfig(more string) string {
	return merge(`{"role":"verify","trust":[{"name":"edge","issuer":"https://edge","audiences":["mesh"],"algorithms":["ES256","RS256"],"jwks":{"inline":`+string(mint.Set(edge, rsaKey))+`}}],
		"rules":[{"name":"all"}]}`, more)
}

func merge(text, more string) string {
	all := map[string]json.RawMessage{}
	for _, s := range []string{text, "{" + more + "}"} {
		if err := json.Unmarshal([]byte(s), &all); err != nil {
			panic(err.Error() + ": " + s)
		}
	}
	b, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func request(method, path string, headers ...[2]string) [][2]string {
	return append([][2]string{{":method", method}, {":authority", "API.example:8443"}, {":path", path},
		{":scheme", "https"}}, headers...)
}

func toDecide(headers [][2]string, empty bool, at time.Time) *decide.Request {
	return &decide.Request{Headers: headers, Empty: empty, Now: at}
}

// proxy does the steps of decisions as Envoy would.
type proxy struct {
	now      time.Time
	identity string
	peer     string
	body     string // "": the request has none
	late     bool
	crowded  bool // too many requests wait already
	big      bool
	seen     map[replay.ID]time.Time
	full     bool
	global   map[string]bool
	broken   string // what fails: "signature", "sign", "peer", "identity", "seen", "global"
	steps    []decide.Step

	answer    func(*ratelimit.Response) // spoils what the rate-limit service answers
	complaint error
}

var errBroken = errors.New("broken")

func (x *proxy) fail(what string) error {
	if x.broken == what {
		return errBroken
	}
	return nil
}

func (x *proxy) decide(p *Policy, headers [][2]string) *Decision {
	d := &Decision{}
	at := x.now
	if at.IsZero() {
		at = now
	}
	p.Decide(d, toDecide(headers, x.body == "", at))
	x.steps = nil
	w := x.world(d)
	for d.Run(w) != decide.Done {
		x.step(d)
		switch d.Step() {
		case decide.ReadBody:
			copies := append([][2]string{}, headers...)
			d.Keep(copies)
			switch {
			case x.big:
				d.BodyTooBig()
			case x.crowded:
				d.BodyUnheld()
			case x.late:
				d.BodyLate()
			default:
				sum := sha256.Sum256([]byte(x.body))
				d.BodyRead(base64.RawURLEncoding.EncodeToString(sum[:]))
			}
		case decide.AskService:
			x.ask(d, at)
		default: // keys that do not come
			return d
		}
	}
	return d
}

// step notes what a decision waits for, and that it does not admit meanwhile.
func (x *proxy) step(d *Decision) {
	if x.steps = append(x.steps, d.Step()); len(x.steps) > 20 {
		panic("a decision that never ends")
	}
	if d.Verdict().Admits() {
		panic("a decision that waits admits")
	}
}

// world does what the decision waits for at once.
func (x *proxy) world(d *Decision) *decide.World {
	return &decide.World{
		Verify: func(v ours.Verification) (bool, error) {
			x.step(d)
			if x.broken == "signature" {
				return true, errBroken
			}
			return proxycrypto.Verify(v)
		},
		Sign: func(s ours.Signing) ([]byte, error) {
			x.step(d)
			signature, err := proxycrypto.Sign(s)
			if x.broken == "sign" {
				err = errBroken
			}
			return signature, err
		},
		PeerURI: func() (string, error) {
			x.step(d)
			return x.peer, x.fail("peer")
		},
		Identity: func() (gjson.Result, error) {
			x.step(d)
			if err := x.fail("identity"); err != nil {
				return gjson.Result{}, err
			}
			return decide.ParseIdentity(x.identity)
		},
		Admit: func(id replay.ID, expires, at time.Time) (replay.Result, error) {
			x.step(d)
			if x.seen == nil {
				x.seen = map[replay.ID]time.Time{}
			}
			result := replay.Fresh
			if until, ok := x.seen[id]; ok && at.Before(until) {
				result = replay.Seen
			}
			if x.full {
				result = replay.Full
			}
			x.seen[id] = expires
			return result, x.fail("seen")
		},
	}
}

// ask has the rate-limit service asked.
func (x *proxy) ask(d *Decision, at time.Time) {
	request, err := d.Asks()
	if err != nil {
		panic(err)
	}
	w, _ := d.stamped.window()
	entry := request.Descriptors[0].Entries[0]
	key := fmt.Sprint(entry, at.Unix()/w.seconds)
	if x.global == nil {
		x.global = map[string]bool{}
	}
	answer := ratelimit.Response{Code: ratelimit.OK,
		Statuses: []ratelimit.Status{{Code: ratelimit.OK, HasLimit: true,
			Limit: ratelimit.Limit{Requests: 1, Unit: w.unit, Multiplier: 1}}}}
	if x.global[key] {
		answer.Statuses[0].Code = ratelimit.OverLimit
	}
	x.global[key] = true
	if x.answer != nil {
		x.answer(&answer)
	}
	x.complaint = d.Answered(answer, x.fail("global"))
}

// stamp signs a request and returns its headers as they go on.
func (x *proxy) stamp(t testing.TB, p *Policy, headers [][2]string) [][2]string {
	t.Helper()
	d := x.decide(p, headers)
	if code := d.Verdict().Code.Name; code != "ok" {
		t.Fatalf("signing: %s", code)
	}
	return effect(d, headers)
}

// effect are the headers as they go on.
func effect(d *Decision, headers [][2]string) [][2]string {
	var e forward.Effect
	d.Effect(&e)
	var out [][2]string
	for _, h := range headers {
		kept := true
		for _, name := range e.Remove {
			kept = kept && name != h[0]
		}
		for _, s := range e.Set {
			kept = kept && s[0] != h[0]
		}
		if kept {
			out = append(out, h)
		}
	}
	last := map[string]int{}
	for i, s := range e.Set {
		last[s[0]] = i
	}
	for i, s := range e.Set {
		if last[s[0]] == i {
			out = append(out, s)
		}
	}
	return append(out, e.Add...)
}

// values are those of all headers of that name.
func values(headers [][2]string, name string) (list []string) {
	for _, h := range headers {
		if h[0] == name {
			list = append(list, h[1])
		}
	}
	return list
}

func header(headers [][2]string, name string) string { return forward.Header(headers, name) }

// claims of a good stamp for GET /orders/7?a=1, with changes; nil takes a claim away.
func claims(changes ...map[string]any) map[string]any {
	c := map[string]any{"iss": "https://edge", "aud": "mesh", "iat": now.Unix(), "exp": now.Unix() + 30,
		"jti": "id-" + fmt.Sprint(len(changes)), "htm": "GET", "hth": "api.example:8443", "htp": "/orders/7",
		"qsh": sum("a=1"), "sub": "ann"}
	for _, change := range changes {
		for k, v := range change {
			if c[k] = v; v == nil {
				delete(c, k)
			}
		}
	}
	return c
}

func sum(text string) string {
	h := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(h[:])
}

const asked = "/orders/7?a=1"

func withStamp(text string, more ...[2]string) [][2]string {
	return request("GET", asked, append([][2]string{{"x-edge-stamp", text}}, more...)...)
}

func parts3(token string) []string { return strings.Split(token, ".") }
