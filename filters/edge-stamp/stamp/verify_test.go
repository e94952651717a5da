// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
	"github.com/tollgate-wasm/tollgate/shared/ratelimit"
	"github.com/tollgate-wasm/tollgate/shared/replay"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

const stampTyp = "edge-stamp+jwt"

// S1 S3 S5 S6 S10 S12 S18: what a verifier takes and what it does not, with its reason; a stamp is
// GET /orders/7?a=1's unless the row says otherwise.
func TestVerify(t *testing.T) {
	type change = map[string]any
	good := edge.Typed(stampTyp, claims())
	es384 := mint.New("edge-1", jose.ES384)
	for _, c := range []struct {
		name    string
		headers [][2]string
		config  string
		at      time.Duration // after now
		want    *verdict.Code
	}{
		{name: "a good stamp", headers: withStamp(good), want: verdict.OK},
		{name: "of the other key", headers: withStamp(rsaKey.Typed(stampTyp, claims())), want: verdict.OK},
		{name: "with the type as a whole media type",
			headers: withStamp(edge.Typed("application/Edge-Stamp+JWT", claims())), want: verdict.OK},
		{name: "for several audiences",
			headers: withStamp(edge.Typed(stampTyp, claims(change{"aud": []string{"x", "mesh"}}))), want: verdict.OK},
		{name: "the host in another case",
			headers: append(withStamp(good)[:1:1],
				append([][2]string{{":authority", "api.EXAMPLE:8443"}}, withStamp(good)[2:]...)...), want: verdict.OK},
		{name: "no stamp", headers: request("GET", asked), want: StampMissing},
		{name: "an empty one", headers: withStamp(""), want: StampMalformed},
		{name: "two", headers: withStamp(good, [2]string{"x-edge-stamp", good}), want: StampAmbiguous},
		{name: "two in one header", headers: withStamp(good + "," + good), want: StampAmbiguous},
		{name: "under a name that folds to the header's",
			headers: request("GET", asked, [2]string{"x_edge_stamp", good}), want: StampMissing},
		{name: "not a JWS", headers: withStamp("x"), want: StampMalformed},
		{name: "with something behind it", headers: withStamp(good + " "), want: StampMalformed},
		{name: "too long", headers: withStamp(edge.Typed(stampTyp, claims(change{"x": strings.Repeat("x", 16384)}))),
			want: StampMalformed},
		{name: "of no type", headers: withStamp(edge.Typed("", claims())), want: StampMalformed},
		{name: "of another type", headers: withStamp(edge.Typed("JWT", claims())), want: StampMalformed},
		{name: "of nobody who is trusted",
			headers: withStamp(edge.Typed(stampTyp, claims(change{"iss": "https://edge/"}))), want: StampIssuer},
		{name: "of nobody", headers: withStamp(edge.Typed(stampTyp, claims(change{"iss": nil}))), want: StampIssuer},
		{name: "for another mesh", headers: withStamp(edge.Typed(stampTyp, claims(change{"aud": "mesh2"}))),
			want: StampAudience},
		{name: "for nobody", headers: withStamp(edge.Typed(stampTyp, claims(change{"aud": nil}))), want: StampAudience},
		{name: "for anybody, where that will do", headers: withStamp(edge.Typed(stampTyp, claims(change{"aud": nil}))),
			want: verdict.OK,
			config: `"trust":[{"name":"edge","issuer":"https://edge","anyAudience":true,"jwks":{"inline":` +
				string(mint.Set(edge)) + `}}]`},
		{name: "by an algorithm that is not allowed", headers: withStamp(es384.Typed(stampTyp, claims())),
			want: StampAlgorithm},
		{name: "S6 by an algorithm that is not the key's",
			headers: withStamp(mint.New("edge-1", jose.RS256).Typed(stampTyp, claims())), want: StampAlgorithm},
		{name: "S6 with the public key for a secret",
			headers: withStamp(mint.New("edge-1", jose.HS256).Typed(stampTyp, claims())), want: StampAlgorithm},
		{name: "by a key that nobody has", headers: withStamp(mint.New("edge-2", jose.ES256).Typed(stampTyp, claims())),
			want: StampKeyUnknown},
		{name: "forged", headers: withStamp(forger.Typed(stampTyp, claims())), want: StampSignature},

		{name: "S12 in its last second", headers: withStamp(good), at: 35*time.Second - time.Microsecond, want: verdict.OK},
		{name: "S12 expired", headers: withStamp(good), at: 35 * time.Second, want: StampExpired},
		{name: "S12 made as far ahead as the skew", headers: withStamp(good), at: -5 * time.Second, want: verdict.OK},
		{name: "S12 made later", headers: withStamp(good), at: -5*time.Second - time.Microsecond, want: StampNotYetValid},
		{name: "S12 not yet valid", headers: withStamp(edge.Typed(stampTyp, claims(change{"nbf": now.Unix() + 6}))),
			want: StampNotYetValid},
		{name: "S12 as long as maxTtl",
			headers: withStamp(edge.Typed(stampTyp, claims(change{"exp": now.Unix() + 60}))), want: verdict.OK},
		{name: "S12 a second longer", headers: withStamp(edge.Typed(stampTyp, claims(change{"exp": now.Unix() + 61}))),
			want: StampLifetime},
		{name: "S12 over when it begins", headers: withStamp(edge.Typed(stampTyp, claims(change{"exp": now.Unix()}))),
			want: verdict.OK}, // within the skew
		{name: "S12 over before it begins", headers: withStamp(edge.Typed(stampTyp, claims(change{"exp": now.Unix() - 1}))),
			want: StampMalformed},
		{name: "S12 over before it begins, by less than a second", want: StampMalformed,
			headers: withStamp(edge.Typed(stampTyp, claims(change{"exp": now.Unix(), "iat": float64(now.Unix()) + 0.5})))},
		{name: "without exp", headers: withStamp(edge.Typed(stampTyp, claims(change{"exp": nil}))), want: StampMalformed},
		{name: "without iat", headers: withStamp(edge.Typed(stampTyp, claims(change{"iat": nil}))), want: StampMalformed},
		{name: "exp is a text", headers: withStamp(edge.Typed(stampTyp, claims(change{"exp": "1"}))), want: StampMalformed},
		{name: "without jti", headers: withStamp(edge.Typed(stampTyp, claims(change{"jti": nil}))), want: StampMalformed},
		{name: "jti is a number", headers: withStamp(edge.Typed(stampTyp, claims(change{"jti": 7}))), want: StampMalformed},
		{name: "jti is too long",
			headers: withStamp(edge.Typed(stampTyp, claims(change{"jti": strings.Repeat("x", 257)}))), want: StampMalformed},

		{name: "S3 another method", headers: append([][2]string{{":method", "POST"}}, withStamp(good)[1:]...),
			want: StampMismatch},
		{name: "S3 another path", headers: withStamp(edge.Typed(stampTyp, claims(change{"htp": "/orders/8"}))),
			want: StampMismatch},
		{name: "S3 the same path in another spelling",
			headers: withStamp(edge.Typed(stampTyp, claims(change{"htp": "/orders/%37"}))), want: StampMismatch},
		{name: "S3 another host", headers: withStamp(edge.Typed(stampTyp, claims(change{"hth": "api.example"}))),
			want: StampMismatch},
		{name: "S3 another query", headers: withStamp(edge.Typed(stampTyp, claims(change{"qsh": sum("a=2")}))),
			want: StampMismatch},
		{name: "S3 a part that is no text",
			headers: withStamp(edge.Typed(stampTyp, claims(change{"htm": []string{"GET"}}))), want: StampMismatch},
		{name: "S5 the method is not bound", headers: withStamp(edge.Typed(stampTyp, claims(change{"htm": nil}))),
			want: StampUnbound},
		{name: "S5 the host is not bound", headers: withStamp(edge.Typed(stampTyp, claims(change{"hth": nil}))),
			want: StampUnbound},
		{name: "S5 the path is not bound", headers: withStamp(edge.Typed(stampTyp, claims(change{"htp": nil}))),
			want: StampUnbound},
		{name: "S5 the query is not bound", headers: withStamp(edge.Typed(stampTyp, claims(change{"qsh": nil}))),
			want: StampUnbound},
		{name: "S5 the body is not bound", headers: withStamp(good), config: `"require":{"bind":["body"]}`,
			want: StampUnbound},
		{name: "S3 another path, where nothing need be bound", config: `"require":{"bind":[]}`, want: StampMismatch,
			headers: withStamp(edge.Typed(stampTyp, claims(change{"htp": "/orders/8"})))},
		{name: "not bound, where it need not be", headers: withStamp(edge.Typed(stampTyp, claims(change{"qsh": nil}))),
			config: `"require":{"bind":["path"]}`, want: verdict.OK},
		{name: "bound to another, where it need not be",
			headers: withStamp(edge.Typed(stampTyp, claims(change{"qsh": sum("")}))),
			config:  `"require":{"bind":["path"]}`, want: StampMismatch},
		{name: "a rule asks for less", headers: withStamp(edge.Typed(stampTyp, claims(change{"qsh": nil}))),
			config: `"rules":[{"name":"all","require":{"bind":["path"]}}]`, want: verdict.OK},
		{name: "a rule asks for more", headers: withStamp(good),
			config: `"rules":[{"name":"all","require":{"bind":["body"]}}]`, want: StampUnbound},

		{name: "no rule", headers: withStamp(good), config: `"rules":[{"name":"all","match":[{"paths":["/x"]}]}]`,
			want: verdict.NoRule},
		{name: "no rule, and none is needed", headers: request("GET", "/"),
			config: `"default":"allow","rules":[{"name":"all","match":[{"paths":["/x"]}]}]`, want: verdict.OK},
		{name: "a public rule", headers: request("GET", "/"), config: `"rules":[{"name":"all","access":"public"}]`,
			want: verdict.OK},
		{name: "a bad stamp under a public rule", headers: withStamp("x"),
			config: `"rules":[{"name":"all","access":"public"}]`, want: verdict.OK},
		{name: "a path with parameters that make the difference between two rules",
			headers: request("GET", "/a;x/b", [2]string{"x-edge-stamp", good}),
			config:  `"rules":[{"name":"a","match":[{"paths":["/a/b"]}]},{"name":"b"}]`, want: verdict.PathAmbiguous},
		{name: "an ambiguous path", headers: request("GET", "//x", [2]string{"x-edge-stamp", good}),
			want: verdict.PathAmbiguous},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := proxy{now: now.Add(c.at)}
			d := x.decide(parse(t, meshConfig(c.config)), c.headers)
			if got := d.Verdict().Reason(); got != c.want {
				t.Errorf("%s, want %s", got.Name, c.want.Name)
			}
			if c.want.Status == 401 {
				a := c.want.Answer("-", "")
				if string(a.Body) != `{"type":"about:blank","title":"Unauthorized","status":401,"code":"stamp_rejected"}` || len(a.Headers) != 1 {
					t.Errorf("S18 the answer is %s %v", a.Body, a.Headers)
				}
			}
		})
	}
}

// S6: a key that says nothing of its algorithm is used with those that the trust allows, and with
// no other that it would fit.
func TestAlgorithmOfTrust(t *testing.T) {
	config := meshConfig(`"trust":[{"name":"edge","issuer":"https://edge","audiences":["mesh"],"algorithms":["RS256"],"jwks":{"inline":{"keys":[` + strings.Replace(rsaKey.PublicJWK(), "{", `{"kid":"rsa-1",`, 1) + `]}}}]`)
	for alg, want := range map[jose.SignatureAlgorithm]*verdict.Code{jose.RS256: verdict.OK, jose.RS512: StampAlgorithm,
		jose.PS256: StampAlgorithm} {
		key := *rsaKey
		key.Algorithm = alg
		if d := (&proxy{}).decide(parse(t, config), withStamp(key.Typed(stampTyp, claims()))); d.Verdict().Code != want {
			t.Errorf("%s: %s", alg, d.Verdict().Code.Name)
		}
	}
}

// The client's certificate is asked for first, and a stamp is still needed.
func TestPeers(t *testing.T) {
	good := withStamp(edge.Typed(stampTyp, claims()))
	config := meshConfig(`"rules":[{"name":"all","peers":["spiffe://edge/gateway","spiffe://edge/other"]}]`)
	for _, c := range []struct {
		peer    string
		headers [][2]string
		want    *verdict.Code
	}{
		{"spiffe://edge/gateway", good, verdict.OK}, {"spiffe://edge/other", good, verdict.OK}, {"", good,
			PeerUntrusted}, {"spiffe://edge/gateway2", good, PeerUntrusted},
		{"spiffe://edge", good, PeerUntrusted}, {"SPIFFE://edge/gateway", good, PeerUntrusted},
		{"spiffe://edge/gateway", request("GET", asked), StampMissing},
	} {
		x := proxy{peer: c.peer}
		if d := x.decide(parse(t, config), c.headers); d.Verdict().Code != c.want {
			t.Errorf("%q: %s, want %s", c.peer, d.Verdict().Code.Name, c.want.Name)
		}
	}
	x := proxy{peer: "spiffe://edge/gateway"}
	if d := x.decide(parse(t,
		meshConfig(`"rules":[{"name":"all","peers":["spiffe://edge/gateway"],"access":"public"}]`)),
		request("GET", asked)); d.Verdict().Code != verdict.OK {
		t.Errorf("a public rule with peers: %s", d.Verdict().Code.Name)
	}
}

// S1 S16 S19: a stamp is used once, whoever uses it first, until it has expired; refused requests use nothing up.
func TestReplay(t *testing.T) {
	p := parse(t, meshConfig(""))
	x := &proxy{}
	good := edge.Typed(stampTyp, claims())
	for i, c := range []struct {
		headers [][2]string
		want    *verdict.Code
	}{
		{request("GET", "/orders/8", [2]string{"x-edge-stamp", good}), StampMismatch},
		{withStamp(good), verdict.OK}, {withStamp(good), StampReplayed}, {withStamp(edge.Typed(stampTyp, claims())),
			StampReplayed},
		{withStamp(edge.Typed(stampTyp, claims(map[string]any{"jti": "other"}))), verdict.OK},
	} {
		if d := x.decide(p, c.headers); d.Verdict().Code != c.want {
			t.Errorf("request %d: %s, want %s", i, d.Verdict().Code.Name, c.want.Name)
		}
	}
	for id, until := range x.seen {
		if want := now.Add(36 * time.Second); !until.Equal(want) {
			t.Errorf("%x is remembered until %s, want %s: its exp, the skew and a second", id, until, want)
		}
	}
	full := &proxy{full: true}
	if d := full.decide(p, withStamp(good)); d.Verdict().Code != ReplayFull || ReplayFull.Status != 401 {
		t.Errorf("S16 a full table: %s", d.Verdict().Code.Name)
	}
	free := parse(t, meshConfig(`"require":{"replay":"off"}`))
	for range 2 {
		if d := x.decide(free, withStamp(good)); d.Verdict().Code != verdict.OK {
			t.Errorf("replay is off: %s", d.Verdict().Code.Name)
		}
	}
}

const globalConfig = `"replay":{"global":{"cluster":"r","authority":"r","domain":"d"}},"require":{"replay":"onceGlobal"}`

// S1 over several proxies: what one has seen, another refuses, also where the rate-limit service begins a new window.
func TestReplayGlobal(t *testing.T) {
	p := parse(t, meshConfig(globalConfig))
	const day = 86400
	for _, at := range []int64{now.Unix(), (now.Unix()/3600)*3600 - 3, (now.Unix()/day)*day - 3,
		(now.Unix()/(30*day))*30*day - 3, (now.Unix()/(365*day))*365*day - 3} {
		shared := map[string]bool{}
		stamp := withStamp(edge.Typed(stampTyp, claims(map[string]any{"iat": at, "exp": at + 30})))
		for i, after := range []time.Duration{0, 5 * time.Second, 34 * time.Second} {
			x := &proxy{now: time.Unix(at, 0).Add(after), global: shared} // another one each time
			want := verdict.OK
			if i > 0 {
				want = StampReplayed
			}
			if d := x.decide(p, stamp); d.Verdict().Code != want {
				t.Errorf("a stamp of %d, %s later: %s, want %s", at, after, d.Verdict().Code.Name, want.Name)
			}
		}
	}
	good := withStamp(edge.Typed(stampTyp, claims()))
	for name, c := range map[string]struct {
		spoil func(*ratelimit.Response)
		want  error
	}{
		"no limit there": {func(r *ratelimit.Response) {
			r.Statuses[0].HasLimit, r.Statuses[0].Limit = false,
				ratelimit.Limit{}
		}, ErrLimit},
		"another limit":          {func(r *ratelimit.Response) { r.Statuses[0].Limit.Requests = 2 }, ErrLimit},
		"another window":         {func(r *ratelimit.Response) { r.Statuses[0].Limit.Unit = ratelimit.Minute }, ErrLimit},
		"a window of many units": {func(r *ratelimit.Response) { r.Statuses[0].Limit.Multiplier = 2 }, ErrLimit},
		"no status":              {func(r *ratelimit.Response) { r.Statuses = nil }, ErrStatuses},
		"two statuses": {func(r *ratelimit.Response) { r.Statuses = append(r.Statuses, r.Statuses[0]) },
			ErrStatuses},
	} {
		x := &proxy{answer: c.spoil}
		if d := x.decide(p, good); d.Verdict().Code != ReplayUnavailable || x.complaint != c.want {
			t.Errorf("%s: %s, %v", name, d.Verdict().Code.Name, x.complaint)
		}
	}
	// Once in six years all windows end at once, and a stamp of that moment falls into none.
	const all = 10 * 2190 * day
	d := &Decision{}
	p.Decide(d, toDecide(withStamp(edge.Typed(stampTyp, claims(map[string]any{"iat": all - 3, "exp": all + 27}))), true,
		time.Unix(all, 0)))
	d.signatureChecked(true, nil)
	d.replayChecked(replay.Fresh, nil)
	if _, err := d.Asks(); err != ErrWindow {
		t.Errorf("a stamp of the moment when all windows end: %v", err)
	}
	// The service's own shadow mode says OK over all.
	seen := map[string]bool{}
	for i, want := range []*verdict.Code{verdict.OK, StampReplayed} {
		x := &proxy{global: seen, answer: func(r *ratelimit.Response) { r.Code = ratelimit.OK }}
		if d := x.decide(p, good); d.Verdict().Code != want {
			t.Errorf("request %d: %s", i, d.Verdict().Code.Name)
		}
	}
	if d := (&proxy{broken: "global"}).decide(p, good); d.Verdict().Code != ReplayUnavailable ||
		d.Verdict().Outcome() != verdict.Error || d.Verdict().Admits() {
		t.Errorf("the service is down: %s", d.Verdict().Code.Name)
	}
	local := parse(t, meshConfig(strings.Replace(globalConfig, `"d"}`, `"d","onError":"local"}`, 1)))
	x := &proxy{broken: "global"}
	for i, want := range []*verdict.Code{verdict.OK, StampReplayed} {
		if d := x.decide(local, good); d.Verdict().Code != want {
			t.Errorf("the service is down and onError is local, request %d: %s", i, d.Verdict().Code.Name)
		}
	}
}

// A body that is bound is compared, and one that cannot be waited for is refused.
func TestBody(t *testing.T) {
	bound := func(body string) string {
		return edge.Typed(stampTyp, claims(map[string]any{"bdh": sum(body), "htm": "POST"}))
	}
	for _, c := range []struct {
		name    string
		stamp   string
		x       proxy
		headers [][2]string
		want    *verdict.Code
	}{
		{"the body", bound("hello"), proxy{body: "hello"}, nil, verdict.OK},
		{"S8 another one", bound("hello"), proxy{body: "hellO"}, nil, StampMismatch},
		{"S8 none", bound("hello"), proxy{}, nil, StampMismatch},
		{"none, as it should be", bound(""), proxy{}, nil, verdict.OK},
		{"S8 one where there should be none", bound(""), proxy{body: "x"}, nil, StampMismatch},
		{"as long as may be", bound("hello"), proxy{body: "hello"}, [][2]string{{"content-length", "1048576"}}, verdict.OK},
		{"longer, and says so", bound("hello"), proxy{body: "hello"}, [][2]string{{"content-length", "1048577"}},
			BodyTooLarge},
		{"longer", bound("hello"), proxy{body: "hello", big: true}, nil, BodyTooLarge},
		{"too slow", bound("hello"), proxy{body: "hello", late: true}, nil, BodyTimeout},
		{"one too many", bound("hello"), proxy{body: "hello", crowded: true}, nil, Overloaded},
		{"an upgrade", bound("hello"), proxy{body: "hello"}, [][2]string{{"upgrade", "websocket"}}, StampUnbound},
		{"an upgrade in HTTP/2", bound("hello"), proxy{body: "hello"}, [][2]string{{":protocol", "websocket"}}, StampUnbound},
		{"gRPC", bound("hello"), proxy{body: "hello"}, [][2]string{{"content-type", "Application/gRPC+proto"}}, StampUnbound},
		{"not gRPC", bound("hello"), proxy{body: "hello"}, [][2]string{{"content-type", "application/json"}}, verdict.OK},
		{"a hash that is none", edge.Typed(stampTyp, claims(map[string]any{"bdh": "x", "htm": "POST"})),
			proxy{body: "hello"}, nil, StampMalformed},
		{"forged", forger.Typed(stampTyp, claims(map[string]any{"bdh": sum("hello"), "htm": "POST"})),
			proxy{body: "hello"}, nil, StampSignature},
	} {
		for _, config := range []string{"", `"require":{"bind":["method","authority","path","query","body"]}`} {
			c.x.seen = nil
			d := c.x.decide(parse(t, meshConfig(config)),
				request("POST", asked, append([][2]string{{"x-edge-stamp", c.stamp}}, c.headers...)...))
			if d.Verdict().Code != c.want {
				t.Errorf("%s: %s, want %s", c.name, d.Verdict().Code.Name, c.want.Name)
			}
			if c.x.body == "" && slices.Contains(c.x.steps, decide.ReadBody) {
				t.Errorf("%s: it waits for a body that will not come", c.name)
			}
			if c.name == "forged" && len(c.x.steps) != 1 {
				t.Errorf("the body of a forged stamp is read: %v", c.x.steps)
			}
		}
	}
}

// forwardIdp takes an identity provider's own token, and nothing else of its making; an edge's
// stamps stay bound beside it.
func TestForwardIDP(t *testing.T) {
	idp := mint.New("idp", jose.RS256)
	config := meshConfig(`"trust":[{"name":"edge","issuer":"https://edge","audiences":["mesh"],"jwks":{"inline":` + string(mint.Set(edge)) + `}},
		{"name":"idp","issuer":"https://idp","audiences":["api"],"forwardIdp":true,"require":{"bind":[],"replay":"off"},"jwks":{"inline":` + string(mint.Set(idp)) + `}}]`)
	token := func(typ string, change map[string]any) [][2]string {
		c := map[string]any{"iss": "https://idp", "aud": "api", "sub": "ann", "exp": now.Unix() + 3600}
		for k, v := range change {
			c[k] = v
		}
		return withStamp(idp.Typed(typ, c))
	}
	p, x := parse(t, config), &proxy{}
	for _, c := range []struct {
		name    string
		headers [][2]string
		want    *verdict.Code
	}{
		{"its token", token("at+jwt", nil), verdict.OK}, {"the same again", token("at+jwt", nil), verdict.OK},
		{"over before it begins", token("at+jwt", map[string]any{"exp": now.Unix() - 1, "iat": now.Unix()}), StampMalformed},
		{"expired", token("at+jwt", map[string]any{"exp": now.Unix() - 6}), StampExpired}, {"for another",
			token("at+jwt", map[string]any{"aud": "mesh"}), StampAudience},
		{"a stamp of its making", token(stampTyp, nil), StampMalformed}, {"in the edge's name",
			token("at+jwt", map[string]any{"iss": "https://edge"}), StampMalformed},
		{"a stamp in the edge's name", token(stampTyp, claims()), StampKeyUnknown},
		{"an unbound stamp of the edge", withStamp(edge.Typed(stampTyp, claims(map[string]any{"htp": nil}))), StampUnbound},
		{"a stamp of the edge that calls itself a token", withStamp(edge.Typed("at+jwt", claims())), StampMalformed},
	} {
		if d := x.decide(p, c.headers); d.Verdict().Code != c.want {
			t.Errorf("%s: %s, want %s", c.name, d.Verdict().Code.Name, c.want.Name)
		}
	}
	if list := p.Warnings(); len(list) != 1 ||
		list[0].String() != "trust[1].forwardIdp: is on: its tokens are bound to no request and can be used again" {
		t.Errorf("the warnings are %v", list)
	}
	bearer := merge(config, `"header":"authorization"`)
	for value, want := range map[string]*verdict.Code{"Bearer " + header(token("", nil), "x-edge-stamp"): verdict.OK,
		"Basic x": StampMissing, header(token("", nil), "x-edge-stamp"): StampMissing} {
		if d := x.decide(parse(t, bearer),
			request("GET", asked, [2]string{"authorization", value})); d.Verdict().Code != want {
			t.Errorf("%.9s: %s, want %s", value, d.Verdict().Code.Name, want.Name)
		}
	}
}

// An answer of the proxy that cannot be read is no answer: 500 internal, never a pass, not even in shadow mode.
func TestBrokenProxy(t *testing.T) {
	good := withStamp(edge.Typed(stampTyp, claims()))
	for _, mode := range []string{"enforce", "shadow"} {
		for _, what := range []string{"signature", "seen"} {
			d := (&proxy{broken: what}).decide(parse(t, meshConfig(`"mode":"`+mode+`"`)), good)
			if v := d.Verdict(); v.Code != verdict.Internal || v.Admits() {
				t.Errorf("%s, %s: %s", mode, what, v.Code.Name)
			}
		}
		for _, what := range []string{"sign", "identity"} {
			d := (&proxy{broken: what}).decide(parse(t, edgeConfig(`"copyClaims":["sub"],"mode":"`+mode+`"`)),
				request("GET", asked))
			if v := d.Verdict(); v.Code != verdict.Internal || v.Admits() {
				t.Errorf("%s, %s: %s", mode, what, v.Code.Name)
			}
		}
		p := parse(t, edgeConfig(`"mode":"`+mode+`"`))
		p.signer.random = func([]byte) error { return errBroken }
		if v := (&proxy{}).decide(p, request("GET", asked)).Verdict(); v.Code != verdict.Internal || v.Admits() {
			t.Errorf("%s, no random bytes: %s", mode, v.Code.Name)
		}
		if v := (&proxy{identity: `{"sub":`}).decide(parse(t, edgeConfig(`"copyClaims":["sub"],"mode":"`+mode+`"`)),
			request("GET", asked)).Verdict(); v.Code != verdict.Internal {
			t.Errorf("%s, an identity that is none: %s", mode, v.Code.Name)
		}
	}
}

// An answer to what nobody has asked decides nothing.
func TestAnswersOutOfTurn(t *testing.T) {
	good := withStamp(edge.Typed(stampTyp, claims()))
	for name, f := range map[string]func(d *Decision){
		"PeerRead": func(d *Decision) { d.peerRead("", nil) }, "BodyRead": func(d *Decision) { d.BodyRead("") },
		"ReplayChecked": func(d *Decision) { d.replayChecked(replay.Fresh, nil) },
		"Answered":      func(d *Decision) { _ = d.Answered(ratelimit.Response{}, nil) },
		"IdentityRead":  func(d *Decision) { d.identityRead(gjson.Result{}, nil) },
		"Signed":        func(d *Decision) { d.signatureMade(nil, nil) },
		"BodyTooBig":    func(d *Decision) { d.BodyTooBig() }, "BodyLate": func(d *Decision) { d.BodyLate() },
		"BodyUnheld": func(d *Decision) { d.BodyUnheld() },
	} {
		d := &Decision{}
		parse(t, meshConfig("")).Decide(d, toDecide(good, true, now))
		if d.Step() != decide.CheckSignature {
			t.Fatalf("it waits for %d", d.Step())
		}
		func() {
			defer func() { _ = recover() }() // what belongs to the other role may not even be there
			f(d)
		}()
		if d.Verdict().Admits() {
			t.Errorf("%s admits", name)
		}
		d.signatureChecked(true, nil)
		if d.Verdict().Admits() || d.Step() != decide.Done && d.Step() != decide.CheckReplay {
			t.Errorf("%s and then SignatureChecked: step %d", name, d.Step())
		}
	}
}

// What is verified is published and written into headers; what is not, is nobody's, also in shadow mode.
func TestEffect(t *testing.T) {
	const output = `"forward":{"stamp":"strip","payloadHeader":"x-claims","claimHeaders":[{"path":["sub"],"header":"x-user"}]}`
	good := edge.Typed(stampTyp, claims())
	sent := func(stamp string) [][2]string {
		return withStamp(stamp, [2]string{"x-user", "root"}, [2]string{"x_user", "root"}, [2]string{"x-claims", "e30"},
			[2]string{"x_edge_stamp", "x"}, [2]string{"x-b", "1"})
	}
	p := parse(t, meshConfig(output))
	d := (&proxy{}).decide(p, sent(good))
	var e = effect(d, sent(good))
	if header(e, "x-user") != "ann" || header(e, "x-claims") != parts3(good)[1] || header(e, "x-b") != "1" ||
		len(e) != 4+3 {
		t.Errorf("after a good stamp: %v", e)
	}
	if b, _ := base64.RawURLEncoding.DecodeString(parts3(good)[1]); d.identity != string(b) {
		t.Errorf("the identity is %s", d.identity)
	}
	kept := parse(t, meshConfig(strings.Replace(output, "strip", "keep", 1)))
	if e := effect((&proxy{}).decide(kept, sent(good)), sent(good)); header(e, "x-edge-stamp") != good {
		t.Errorf("the stamp is kept: %v", e)
	}
	shadow := parse(t, meshConfig(output+`,"mode":"shadow"`))
	for name, stamp := range map[string]string{"forged": forger.Typed(stampTyp, claims()), "replayed": good,
		"mismatched": edge.Typed(stampTyp, claims(map[string]any{"htm": "PUT"}))} {
		x := &proxy{}
		if name == "replayed" {
			x.decide(shadow, sent(stamp))
		}
		d := x.decide(shadow, sent(stamp))
		if v := d.Verdict(); v.Outcome() != verdict.WouldDeny || !v.Admits() {
			t.Errorf("%s in shadow mode: %s", name, v.Outcome())
		}
		if e := effect(d, sent(stamp)); header(e, "x-user") != "" || header(e, "x-claims") != "" || d.identity != "" ||
			len(e) != 4+1 {
			t.Errorf("%s in shadow mode: %v, %q", name, e, d.identity)
		}
	}
	public := parse(t, meshConfig(output+`,"rules":[{"name":"all","access":"public"}]`))
	if e := effect((&proxy{}).decide(public, sent(good)), sent(good)); len(e) != 4+1 {
		t.Errorf("a public rule: %v", e)
	}
}

// S2: no byte of a stamp can be changed.
func TestEveryBitOfStamp(t *testing.T) {
	good := edge.Typed(stampTyp, claims())
	p := parse(t, meshConfig(""))
	for i := range len(good) {
		for bit := range 8 {
			b := []byte(good)
			b[i] ^= 1 << bit
			if d := (&proxy{}).decide(p, withStamp(string(b))); d.Verdict().Admits() {
				t.Errorf("byte %d, bit %d: %s", i, bit, d.Verdict().Code.Name)
			}
		}
	}
	for i := range len(good) {
		if d := (&proxy{}).decide(p, withStamp(good[:i])); d.Verdict().Admits() {
			t.Errorf("cut at byte %d", i)
		}
	}
}

// S13: a kid that the published set does not have is worth one fetch, and after that it is unknown.
func TestUnknownKid(t *testing.T) {
	next := mint.New("edge-2", jose.ES256)
	for profile, headers := range map[string][][2]string{
		"jws": withStamp(next.Typed(stampTyp, claims())), "rfc9421": signMessage(t, next,
			line4+parameters("keyid", `"edge-2"`), request("GET", asked)),
	} {
		p := parse(t, meshConfig(`"profile":"`+profile+
			`","trust":[{"name":"edge","issuer":"https://edge","audiences":["mesh"],"jwks":{"remote":{"cluster":"c","authority":"a","path":"/"}}}]`))
		source := &p.Remotes()[0].Source
		set, _, err := jwks.ReadDocument(string(mint.Set(edge)))
		if err != nil {
			t.Fatal(err)
		}
		record := jwks.Record{Version: 1, Fetched: now.UnixMicro()}
		source.Update(record, set)
		d := &Decision{}
		p.Decide(d, toDecide(headers, true, now))
		if d.KeysWanted() != p.Remotes()[0] || d.Verdict().Admits() {
			t.Errorf("%s: it does not wait for a fetch: %s", profile, d.Verdict().Code.Name)
		}
		if p.DecideAfterWait(d, toDecide(headers, true, now)); d.KeysWanted() != nil || d.Verdict().Code != StampKeyUnknown {
			t.Errorf("%s: after the wait: %s", profile, d.Verdict().Code.Name)
		}
		if p.Decide(d, toDecide(headers, true, now)); d.KeysWanted() != nil || d.Verdict().Code != StampKeyUnknown {
			t.Errorf("%s: once it is known to be unknown: %s", profile, d.Verdict().Code.Name)
		}
		if set, _, err = jwks.ReadDocument(string(mint.Set(edge, next))); err != nil {
			t.Fatal(err)
		}
		source.Update(record, set)
		if p.Decide(d, toDecide(headers, true, now)); d.Step() != decide.CheckSignature {
			t.Errorf("%s: when it has been published: %s", profile, d.Verdict().Code.Name)
		}
		source.Update(jwks.Record{Version: 1, Fetched: now.Add(-25 * time.Hour).UnixMicro(), Failures: 1}, nil)
		if p.Decide(d, toDecide(headers, true, now)); d.KeysWanted() != p.Remotes()[0] || d.Verdict().Admits() {
			t.Errorf("%s: keys that are too old are not asked for: %s", profile, d.Verdict().Code.Name)
		}
		if p.DecideAfterWait(d, toDecide(headers, true, now)); d.KeysWanted() != nil ||
			d.Verdict().Code != verdict.KeysUnavailable {
			t.Errorf("%s: keys that are too old: %s", profile, d.Verdict().Code.Name)
		}
	}
}

// A step that nobody does is a refusal, and ends the decision.
func TestNobodyDoesIt(t *testing.T) {
	stamped := withStamp(edge.Typed(stampTyp, claims()))
	for _, c := range []struct {
		name, config string
		headers      [][2]string
		without      func(*decide.World)
	}{
		{"a signature", meshConfig(""), stamped, func(w *decide.World) { w.Verify = nil }},
		{"what must not come twice", meshConfig(""), stamped, func(w *decide.World) { w.Admit = nil }},
		{"a certificate", meshConfig(`"rules":[{"name":"all","peers":["spiffe://edge/gateway"]}]`), stamped,
			func(w *decide.World) { w.PeerURI = nil }},
		{"claims", edgeConfig(`"copyClaims":["sub"]`), request("GET", asked), func(w *decide.World) { w.Identity = nil }},
		{"a stamp", edgeConfig(`"keys":[{"kid":"rsa-1","alg":"RS256","env":"RSA"}]`), request("GET", asked),
			func(w *decide.World) { w.Sign = nil }},
	} {
		p, d := parse(t, c.config), &Decision{}
		if key := p.Signer(); key != nil && key.Algorithm().ByProxy() {
			p.SignByProxy()
		}
		p.Decide(d, toDecide(c.headers, true, now))
		w := (&proxy{peer: "spiffe://edge/gateway"}).world(d)
		c.without(w)
		if step := d.Run(w); step != decide.Done || d.Verdict().Code != verdict.Internal || len(d.set) != 0 {
			t.Errorf("%s: step %d, %s", c.name, step, d.Verdict().Reason().Name)
		}
	}
}
