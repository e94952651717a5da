// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/e2e/vectors"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/jose/proxycrypto"
	"github.com/tollgate-wasm/tollgate/shared/replay"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// sender is what the proxy knows of who sends: the certificate's digest, and the proofs that have come.
type sender struct {
	digest string
	proofs map[replay.ID]time.Time
	fails  bool // nobody can tell about proofs
}

func (s *sender) judge(p *Policy, at time.Time, headers ...[2]string) verdict.Verdict {
	var d Decision
	p.Decide(&d, asked(headers, at))
	d.Run(s.world())
	return *d.Verdict()
}

func (s *sender) world() *decide.World {
	return &decide.World{Verify: proxycrypto.Verify, Admit: s.admit,
		PeerDigest: func() (string, error) { return s.digest, nil }}
}

func (s *sender) admit(id replay.ID, expires, now time.Time) (replay.Result, error) {
	if s.fails {
		return replay.Fresh, errors.New("shared data cannot be read")
	}
	until, seen := s.proofs[id]
	if s.proofs == nil {
		s.proofs = map[replay.ID]time.Time{}
	}
	s.proofs[id] = expires
	if seen && now.Before(until) {
		return replay.Seen, nil
	}
	return replay.Fresh, nil
}

func constrained(t testing.TB, mode string) *Policy {
	return parse(t, strings.Replace(testConfig, `"name": "corp",`, `"name": "corp", "senderConstraint": "`+mode+`",`, 1))
}

func hash(text string) string {
	h := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(h[:])
}

func thumbprint(t testing.TB, key any) string {
	return base64.RawURLEncoding.EncodeToString(must((&jose.JSONWebKey{Key: key}).Thumbprint(crypto.SHA256)))
}

// proof makes a DPoP proof with a library that is not ours. A nil jwk embeds the key's own public half.
func proof(t testing.TB, alg jose.SignatureAlgorithm, key any, typ jose.ContentType, jwk any, c claims) string {
	t.Helper()
	options := &jose.SignerOptions{EmbedJWK: jwk == nil}
	if typ != "" {
		options = options.WithType(typ)
	}
	if jwk != nil && jwk != false {
		options = options.WithHeader("jwk", jwk)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	return must(must(signer.Sign(must(json.Marshal(c)))).CompactSerialize())
}

func proofClaims(token string, changes ...claims) claims {
	c := claims{"jti": "id-" + fmt.Sprint(time.Now().UnixNano()), "htm": "GET", "htu": "https://api.example/any",
		"iat": now.Unix(), "ath": hash(token)}
	for _, change := range changes {
		maps.Copy(c, change)
	}
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func TestMTLS(t *testing.T) {
	const certificate = "not really a certificate"
	sum := sha256.Sum256([]byte(certificate))
	digest := hex.EncodeToString(sum[:])
	bound := es256(t, good(claims{"cnf": claims{"x5t#S256": hash(certificate)}}))
	for _, mode := range []string{"mtls", "whenPresent"} {
		p := constrained(t, mode)
		for _, c := range []struct {
			name, token, digest string
			want                *verdict.Code
		}{
			{"with its certificate", bound, digest, verdict.OK},
			{"digits in upper case", bound, strings.ToUpper(digest), verdict.OK},
			{"without a certificate", bound, "", TokenUnbound},
			{"with another certificate", bound, strings.Repeat("0", 64), TokenUnbound},
			{"with the beginning of the digest", bound, digest[:62], TokenUnbound},
			{"bound to what is no hash", es256(t, good(claims{"cnf": claims{"x5t#S256": "AAAA"}})), "000000", TokenUnbound},
			{"bound to an empty hash", es256(t, good(claims{"cnf": claims{"x5t#S256": ""}})), "", TokenUnbound},
			{"bound to a number", es256(t, good(claims{"cnf": claims{"x5t#S256": 1}})), digest, TokenUnbound},
			{"bound to something unknown", es256(t, good(claims{"cnf": claims{"x5t": hash(certificate)}})), digest,
				TokenUnbound},
			{"cnf is a text", es256(t, good(claims{"cnf": hash(certificate)})), digest, TokenUnbound},
			{"bound to a key, too, and no proof",
				es256(t, good(claims{"cnf": claims{"x5t#S256": hash(certificate), "jkt": hash("key")}})), digest, TokenUnbound},
			{"too few rights", es256(t, good(claims{"scope": "guest", "cnf": claims{"x5t#S256": hash(certificate)}})),
				digest, InsufficientScope},
		} {
			path := "/any"
			if c.want == InsufficientScope {
				path = "/staff"
			}
			for _, again := range []string{"", ", remembered"} {
				v := (&sender{digest: c.digest}).judge(p, now, request("GET", path, bearerHeader(c.token))...)
				if v.Code != c.want {
					t.Errorf("%s, %s%s: %s, want %s", mode, c.name, again, v.Code.Name, c.want.Name)
				}
				if c.want == TokenUnbound &&
					v.Challenge != `Bearer realm="orders", error="invalid_token", resource_metadata="https://api.example/.well-known/oauth-protected-resource"` && !strings.Contains(c.name, "key") {
					t.Errorf("%s, %s: %s", mode, c.name, v.Challenge)
				}
			}
		}
	}
	plain := es256(t, good())
	if v := (&sender{digest: digest}).judge(constrained(t, "mtls"), now,
		request("GET", "/any", bearerHeader(plain))...); v.Code != TokenUnbound {
		t.Errorf("a token without cnf: %s", v.Code.Name)
	}
	if v := (&sender{}).judge(constrained(t, "whenPresent"), now,
		request("GET", "/any", bearerHeader(plain))...); v.Code != verdict.OK {
		t.Errorf("a token without cnf, when present: %s", v.Code.Name)
	}
	if v := (&sender{}).judge(constrained(t, "none"), now,
		request("GET", "/any", bearerHeader(bound))...); v.Code != verdict.OK {
		t.Errorf("a bound token where nobody asks: %s", v.Code.Name)
	}
}

func dpopRequest(method, path, scheme, token string, proofs ...string) [][2]string {
	r := request(method, path, [2]string{":scheme", "https"}, [2]string{"authorization", scheme + " " + token})
	for _, p := range proofs {
		r = append(r, [2]string{"dpop", p})
	}
	return r
}

func TestDPoP(t *testing.T) {
	_, edKey, _ := ed25519.GenerateKey(rand.Reader)
	bound := func(key any, more ...claims) string {
		return es256(t, good(append([]claims{{"cnf": claims{"jkt": thumbprint(t, key)}}}, more...)...))
	}
	token := bound(&otherKey.PublicKey)
	proved := func(changes ...claims) string {
		return proof(t, jose.ES256, otherKey, "dpop+jwt", nil, proofClaims(token, changes...))
	}
	public := jose.JSONWebKey{Key: &otherKey.PublicKey}
	type row struct {
		name    string
		headers [][2]string
		want    *verdict.Code
	}
	get := func(proofs ...string) [][2]string { return dpopRequest("GET", "/any", "DPoP", token, proofs...) }
	rows := []row{
		{"a good proof", get(proved()), verdict.OK},
		{"scheme in lower case", dpopRequest("GET", "/any", "dpop", token, proved()), verdict.OK},
		{"typ with application/", get(proof(t, jose.ES256, otherKey, "application/dpop+jwt", nil, proofClaims(token))),
			verdict.OK},
		{"the request has a query", dpopRequest("GET", "/any?x=1", "DPoP", token, proved()), verdict.OK},
		{"htu has a query and a fragment", get(proved(claims{"htu": "https://api.example/any?y#z"})), verdict.OK},
		{"htu with scheme and host in capitals, and the scheme's port",
			get(proved(claims{"htu": "HTTPS://API.example:443/any"})), verdict.OK},
		{"htu with an escape", get(proved(claims{"htu": "https://api.example/%61ny"})), verdict.OK},
		{"the oldest that is good", get(proved(claims{"iat": now.Unix() - 89})), verdict.OK},
		{"the latest that is good", get(proved(claims{"iat": now.Unix() + 30})), verdict.OK},
		{"no proof", get(), TokenUnbound},
		{"two proofs", get(proved(), proved()), TokenUnbound},
		{"two proofs in one header", get(proved() + "," + proved()), TokenUnbound},
		{"not a JWS", get("x.y.z"), TokenUnbound},
		{"another typ", get(proof(t, jose.ES256, otherKey, "JWT", nil, proofClaims(token))), TokenUnbound},
		{"no typ", get(proof(t, jose.ES256, otherKey, "", nil, proofClaims(token))), TokenUnbound},
		{"no jwk", get(proof(t, jose.ES256, otherKey, "dpop+jwt", false, proofClaims(token))), TokenUnbound},
		{"signed by another key than jwk", get(proof(t, jose.ES256, ecKey, "dpop+jwt", public, proofClaims(token))),
			TokenUnbound},
		{"jwk with its private half",
			get(proof(t, jose.ES256, otherKey, "dpop+jwt", jose.JSONWebKey{Key: otherKey}, proofClaims(token))), TokenUnbound},
		{"another key than the token's", get(proof(t, jose.ES256, ecKey, "dpop+jwt", nil, proofClaims(token))), TokenUnbound},
		{"a secret as the key", get(proof(t, jose.HS256, []byte(strings.Repeat("k", 32)), "dpop+jwt",
			jose.JSONWebKey{Key: []byte(strings.Repeat("k", 32))}, proofClaims(token))), TokenUnbound},
		{"another method", get(proved(claims{"htm": "POST"})), TokenUnbound},
		{"the method in lower case", get(proved(claims{"htm": "get"})), TokenUnbound},
		{"no method", get(proved(claims{"htm": nil})), TokenUnbound},
		{"another path", get(proved(claims{"htu": "https://api.example/anything"})), TokenUnbound},
		{"another host", get(proved(claims{"htu": "https://api.example.org/any"})), TokenUnbound},
		{"another port", get(proved(claims{"htu": "https://api.example:8443/any"})), TokenUnbound},
		{"another scheme", get(proved(claims{"htu": "http://api.example/any"})), TokenUnbound},
		{"another scheme, with the right port", get(proved(claims{"htu": "http://api.example:443/any"})), TokenUnbound},
		{"only a path", get(proved(claims{"htu": "/any"})), TokenUnbound},
		{"a path that could mean another", get(proved(claims{"htu": "https://api.example/x/../any"})), TokenUnbound},
		{"no htu", get(proved(claims{"htu": nil})), TokenUnbound},
		{"another token's hash", get(proved(claims{"ath": hash(token + "x")})), TokenUnbound},
		{"no token's hash", get(proved(claims{"ath": nil})), TokenUnbound},
		{"no jti", get(proved(claims{"jti": nil})), TokenUnbound},
		{"an empty jti", get(proved(claims{"jti": ""})), TokenUnbound},
		{"a jti that is a number", get(proved(claims{"jti": 7})), TokenUnbound},
		{"a very long jti", get(proved(claims{"jti": strings.Repeat("j", 257)})), TokenUnbound},
		{"no iat", get(proved(claims{"iat": nil})), TokenUnbound},
		{"iat is a text", get(proved(claims{"iat": "1"})), TokenUnbound},
		{"too old by one second", get(proved(claims{"iat": now.Unix() - 90})), TokenUnbound},
		{"from the future", get(proved(claims{"iat": now.Unix() + 31})), TokenUnbound},
		{"a bound token as Bearer (§7.2)", dpopRequest("GET", "/any", "Bearer", token, proved()), TokenUnbound},
		{"a token that is not bound, with the scheme DPoP",
			dpopRequest("GET", "/any", "DPoP", es256(t, good()), proved()), TokenUnbound},
		{"bound to something that is no thumbprint",
			dpopRequest("GET", "/any", "DPoP", es256(t, good(claims{"cnf": claims{"jkt": 1}})), proved()), TokenUnbound},
		{"a token with Bearer and one with DPoP", append(get(proved()), bearerHeader(es256(t, good()))), TokenAmbiguous},
		{"an expired token", dpopRequest("GET", "/any", "DPoP",
			bound(&otherKey.PublicKey, claims{"exp": now.Unix() - 60}), proved()), TokenExpired},
		{"too few rights", dpopRequest("GET", "/staff", "DPoP", bound(&otherKey.PublicKey, claims{"scope": "guest"}),
			""), InsufficientScope},
	}
	last := &rows[len(rows)-1]
	guest := strings.TrimPrefix(last.headers[4][1], "DPoP ")
	last.headers[5][1] = proof(t, jose.ES256, otherKey, "dpop+jwt", nil,
		proofClaims(guest, claims{"htu": "https://api.example/staff"}))
	for _, k := range []struct {
		alg         jose.SignatureAlgorithm
		key, public any
	}{{jose.RS256, rsaKey, &rsaKey.PublicKey}, {jose.PS256, rsaKey, &rsaKey.PublicKey}, {jose.EdDSA, edKey,
		edKey.Public()}} {
		token := bound(k.public)
		good := proof(t, k.alg, k.key, "dpop+jwt", nil, proofClaims(token))
		rows = append(rows, row{"a good proof by " + string(k.alg), dpopRequest("GET", "/any", "DPoP", token, good),
			verdict.OK},
			row{"a tampered proof by " + string(k.alg), dpopRequest("GET", "/any", "DPoP", token, tamper(good)), TokenUnbound})
	}
	rows = append(rows, row{"a tampered proof", get(tamper(proved())), TokenUnbound})
	for _, mode := range []string{"dpop", "whenPresent"} {
		p := constrained(t, mode)
		for _, r := range rows {
			v := (&sender{}).judge(p, now, r.headers...)
			if v.Code != r.want {
				t.Errorf("%s, %s: %s, want %s", mode, r.name, v.Code.Name, r.want.Name)
			}
			wantError := `error="invalid_dpop_proof"`
			if strings.Contains(r.name, "not bound") || strings.Contains(r.name, "no thumbprint") ||
				strings.Contains(r.name, "as Bearer") {
				wantError = `error="invalid_token"`
			}
			if scheme := `DPoP realm="orders", algs="` + proofAlgorithms + `", `; r.want == TokenUnbound &&
				!strings.HasPrefix(v.Challenge, scheme+wantError) {
				t.Errorf("%s, %s: the challenge is %s", mode, r.name, v.Challenge)
			}
		}
	}
	p := constrained(t, "dpop")
	if v := (&sender{}).judge(p, now, request("GET", "/any", bearerHeader(es256(t, good())))...); v.Code != TokenUnbound {
		t.Errorf("a plain bearer token: %s", v.Code.Name)
	}
	if v := (&sender{}).judge(p, now, request("GET", "/corp")...); v.Code != TokenMissing ||
		!strings.HasPrefix(v.Challenge, `DPoP realm="orders", algs="`) {
		t.Errorf("no token: %s %s", v.Code.Name, v.Challenge)
	}
	if v := (&sender{}).judge(p, now, request("GET", "/any")...); v.Challenge[:6] != "Bearer" {
		t.Errorf("no token where other providers are accepted, too: %s", v.Challenge)
	}
}

// A constraint is not met by meeting another.
func TestConstraintsTogether(t *testing.T) {
	const certificate = "not really a certificate"
	sum := sha256.Sum256([]byte(certificate))
	mine := &sender{digest: hex.EncodeToString(sum[:])}
	jkt := thumbprint(t, &otherKey.PublicKey)
	byCert, byKey := es256(t, good(claims{"cnf": claims{"x5t#S256": hash(certificate)}})), es256(t,
		good(claims{"cnf": claims{"jkt": jkt}}))
	both := es256(t, good(claims{"cnf": claims{"x5t#S256": hash(certificate), "jkt": jkt}}))
	proved := func(token string) string { return proof(t, jose.ES256, otherKey, "dpop+jwt", nil, proofClaims(token)) }
	plain := func(token string, more ...[2]string) [][2]string {
		return append(request("GET", "/any", [2]string{":scheme", "https"}, [2]string{"x-token", token}), more...)
	}
	for _, c := range []struct {
		name, mode string
		sender     *sender
		headers    [][2]string
		want       *verdict.Code
	}{
		{"a proof where a certificate is asked for", "mtls", mine, plain(byKey, [2]string{"dpop", proved(byKey)}),
			TokenUnbound},
		{"a certificate where a proof is asked for", "dpop", mine, plain(byCert), TokenUnbound},
		{"a certificate where a proof is asked for, as Bearer", "dpop", mine,
			request("GET", "/any", bearerHeader(byCert)), TokenUnbound},
		{"a certificate, and the scheme of proofs", "whenPresent", mine,
			dpopRequest("GET", "/any", "DPoP", byCert, proved(byCert)), TokenUnbound},
		{"bound twice, with both", "whenPresent", mine, dpopRequest("GET", "/any", "DPoP", both, proved(both)), verdict.OK},
		{"bound twice, with both, in a plain header", "mtls", mine, plain(both, [2]string{"dpop", proved(both)}), verdict.OK},
		{"bound twice, without proof", "whenPresent", mine, dpopRequest("GET", "/any", "DPoP", both), TokenUnbound},
		{"bound twice, without certificate", "whenPresent", &sender{},
			dpopRequest("GET", "/any", "DPoP", both, proved(both)), TokenUnbound},
		{"a plain header with its proof", "dpop", mine, plain(byKey, [2]string{"dpop", proved(byKey)}), verdict.OK},
		{"a plain header without its proof", "dpop", mine, plain(byKey), TokenUnbound},
		{"bound to something unknown, with a proof", "whenPresent", mine,
			plain(es256(t, good(claims{"cnf": claims{"kid": "k"}})), [2]string{"dpop", proved(byKey)}), TokenUnbound},
	} {
		p := parse(t, strings.Replace(testConfig, `"name": "corp",`, `"name": "corp", "senderConstraint": "`+c.mode+
			`", "token": [{"header": "authorization", "scheme": "Bearer"}, {"header": "x-token"}],`, 1))
		if v := c.sender.judge(p, now, c.headers...); v.Code != c.want {
			t.Errorf("%s: %s, want %s", c.name, v.Code.Name, c.want.Name)
		}
	}
}

// In shadow mode a request goes on without proof, but not in the name of whom the token was made for.
func TestUnboundIsNobodyInShadow(t *testing.T) {
	token := es256(t, good(claims{"cnf": claims{"x5t#S256": hash("a certificate")}}))
	p := parse(t, with(strings.Replace(testConfig, `"name": "corp",`, `"name": "corp", "senderConstraint": "mtls",`, 1),
		`"mode": "shadow", `+forwardConfig))
	for _, again := range []string{"the first time", "remembered"} {
		for digest, known := range map[string]bool{"": false,
			hexText(must(base64.RawURLEncoding.DecodeString(hash("a certificate")))): true} {
			var d Decision
			p.Decide(&d, asked(request("GET", "/any", bearerHeader(token)), now))
			peer := ""
			d.Run(&decide.World{Verify: proxycrypto.Verify, PeerDigest: func() (string, error) {
				peer = "read"
				return digest, nil
			}})
			if peer == "" {
				t.Fatalf("%s: nobody asked for the certificate", again)
			}
			var e forward.Effect
			d.Effect(&e)
			if v := d.Verdict(); !v.Admits() || (v.Code == verdict.OK) != known || (e.Identity != "") != known ||
				(len(e.Set) > 0) != known {
				t.Errorf("%s, certificate %q: %s, identity %q, headers %q", again, digest, v.Code.Name, e.Identity, e.Set)
			}
		}
	}
}

// A proof whose alg is not its key's is refused before anybody computes with the two.
func TestProofOfAnotherAlgorithm(t *testing.T) {
	_, edKey, _ := ed25519.GenerateKey(rand.Reader)
	p := constrained(t, "dpop")
	for _, alg := range []string{"PS256", "RS256", "ES256", "HS256", "none", ""} {
		token := es256(t, good(claims{"cnf": claims{"jkt": thumbprint(t, edKey.Public())}}))
		header := must(json.Marshal(claims{"typ": "dpop+jwt", "alg": alg, "jwk": jose.JSONWebKey{Key: edKey.Public()}}))
		text := base64.RawURLEncoding.EncodeToString(header) + "." +
			base64.RawURLEncoding.EncodeToString(must(json.Marshal(proofClaims(token)))) + "." + strings.Repeat("A", 342)
		if v := (&sender{}).judge(p, now, dpopRequest("GET", "/any", "DPoP", token, text)...); v.Code != TokenUnbound {
			t.Errorf("%s with a key for Ed25519: %s", alg, v.Code.Name)
		}
	}
	secret := []byte(strings.Repeat("k", 32))
	token := es256(t, good(claims{
		"cnf": claims{"jkt": hash(`{"k":"` + base64.RawURLEncoding.EncodeToString(secret) + `","kty":"oct"}`)}}))
	text := proof(t, jose.HS256, secret, "dpop+jwt", jose.JSONWebKey{Key: secret}, proofClaims(token))
	if v := (&sender{}).judge(p, now, dpopRequest("GET", "/any", "DPoP", token, text)...); v.Code != TokenUnbound {
		t.Errorf("a token that is bound to a secret: %s", v.Code.Name)
	}
}

// tamper changes a byte in the middle of the signature.
func tamper(token string) string {
	i := len(token) - 20
	c := byte('A')
	if token[i] == c {
		c = 'B'
	}
	return token[:i] + string(c) + token[i+1:]
}

// A proof is good once, until it is too old anyway; a check that fails is no pass.
func TestDPoPReplay(t *testing.T) {
	p := constrained(t, "dpop")
	token := es256(t, good(claims{"cnf": claims{"jkt": thumbprint(t, &otherKey.PublicKey)}}))
	once := dpopRequest("GET", "/any", "DPoP", token, proof(t, jose.ES256, otherKey, "dpop+jwt", nil, proofClaims(token)))
	var s sender
	for _, c := range []struct {
		name    string
		headers [][2]string
		after   int64
		want    *verdict.Code
	}{
		{"the first time", once, 0, verdict.OK},
		{"again", once, 0, TokenUnbound},
		{"again, in the last second", once, 59, TokenUnbound},
		{"another with the same claims but its jti",
			dpopRequest("GET", "/any", "DPoP", token,
				proof(t, jose.ES256, otherKey, "dpop+jwt", nil, proofClaims(token))), 0, verdict.OK},
	} {
		if v := s.judge(p, now.Add(time.Duration(c.after)*time.Second), c.headers...); v.Code != c.want {
			t.Errorf("%s: %s, want %s", c.name, v.Code.Name, c.want.Name)
		}
	}
	// Two senders may choose the same id.
	mine := es256(t, good(claims{"cnf": claims{"jkt": thumbprint(t, &rsaKey.PublicKey)}}))
	for _, headers := range [][][2]string{
		dpopRequest("GET", "/any", "DPoP", token,
			proof(t, jose.ES256, otherKey, "dpop+jwt", nil, proofClaims(token, claims{"jti": "the same"}))),
		dpopRequest("GET", "/any", "DPoP", mine,
			proof(t, jose.RS256, rsaKey, "dpop+jwt", nil, proofClaims(mine, claims{"jti": "the same"}))),
	} {
		if v := s.judge(p, now, headers...); v.Code != verdict.OK {
			t.Errorf("the same id with two keys: %s", v.Code.Name)
		}
	}
	for _, expires := range s.proofs {
		if expires.Before(now.Add(90 * time.Second)) {
			t.Errorf("a proof that is good until %s is forgotten at %s", now.Add(90*time.Second), expires)
		}
	}
	if v := (&sender{fails: true}).judge(p, now, once...); v.Code != verdict.Internal {
		t.Errorf("nobody can tell: %s", v.Code.Name)
	}
	var d Decision
	p.Decide(&d, asked(once, now))
	if d.Verdict().Admits() {
		t.Error("an undecided request is admitted")
	}
	for name, f := range map[string]func(){"PeerRead": func() { d.peerRead("", nil) },
		"ReplayChecked": func() { d.replayChecked(replay.Fresh, nil) }} {
		p.Decide(&d, asked(once, now))
		if f(); d.Verdict().Code != verdict.Internal {
			t.Errorf("%s when nobody has asked: %s", name, d.Verdict().Code.Name)
		}
	}
}

// RFC 9449's own example: the proof of figure 5's form for figure 13's request.
func TestDPoPExample(t *testing.T) {
	var example struct {
		JKT             string `json:"jkt"`
		ResourceRequest struct {
			Method, URI, DPoP string
			AccessToken       string `json:"access_token"`
		} `json:"resource_request"`
	}
	if err := json.Unmarshal(vectors.Read(t, "rfc9449/dpop.json"), &example); err != nil {
		t.Fatal(err)
	}
	r := example.ResourceRequest
	p := constrained(t, "dpop")
	v := &verified{provider: p.providers[0], confirmation: confirmation{present: true, thumbprint: example.JKT}}
	d := Decision{policy: p, now: time.Unix(1562262618, 0), verified: v,
		credential: credential{token: r.AccessToken, at: &location{scheme: dpopScheme}},
		headers:    [][2]string{{":scheme", "https"}, {":authority", "resource.example.org"}, {"dpop", r.DPoP}}}
	if err := d.request.Set(r.Method, "resource.example.org", strings.TrimPrefix(r.URI, "https://resource.example.org"),
		false); err != nil {
		t.Fatal(err)
	}
	if code := d.checkProof(); code != nil || d.Step() != decide.CheckSignature {
		t.Fatalf("%v, step %d", code, d.Step())
	}
	signature := d.trial.Verification()
	if good, err := proxycrypto.Verify(signature); !good || err != nil {
		t.Errorf("the signature: %v, %v", good, err)
	}
	if d.proofID != "e1j3V_bKic8-LAEB" {
		t.Errorf("jti is %q", d.proofID)
	}
}

// A step that nobody does is a refusal, and ends the decision.
func TestNobodyDoesIt(t *testing.T) {
	p := constrained(t, "whenPresent")
	bound := es256(t, good(claims{"cnf": claims{"jkt": thumbprint(t, &otherKey.PublicKey)}}))
	proved := proof(t, jose.ES256, otherKey, "dpop+jwt", nil, proofClaims(bound))
	for _, c := range []struct {
		name    string
		headers [][2]string
		world   *decide.World
	}{
		{"a signature", request("GET", "/any", bearerHeader(es256(t, good()))), &decide.World{}},
		{"a certificate", request("GET", "/any", bearerHeader(es256(t, good(claims{"cnf": claims{"x5t#S256": hash("c")}})))),
			goWorld},
		{"what must not come twice", dpopRequest("GET", "/any", "DPoP", bound, proved), goWorld},
	} {
		var d Decision
		p.Decide(&d, asked(c.headers, now))
		if step := d.Run(c.world); step != decide.Done || d.Verdict().Code != verdict.Internal || d.Verdict().Admits() {
			t.Errorf("%s: step %d, %s", c.name, step, d.Verdict().Reason().Name)
		}
	}
}
