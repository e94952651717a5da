// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
)

// M is a JSON object.
type M map[string]any

func with(m M, changes M) M {
	m = maps.Clone(m)
	for name, value := range changes {
		if m[name] = value; value == nil {
			delete(m, name)
		}
	}
	return m
}

func b64(v any) string { return base64.RawURLEncoding.EncodeToString(must(json.Marshal(v))) }

// refusal is a request that a mesh refuses.
type refusal struct {
	name    string
	headers []string
	code    string
	want    []string // lines, or how they begin
	more    []string // flags
}

// refused holds what stamp verify and explain say against what is wanted: the same.
func refused(t *testing.T, mesh, keys string, c *refusal) {
	t.Helper()
	flags := []string{"--config", mesh, "-r", stampedOrder, "--at", noon}
	if keys != "" {
		flags = append(flags, "--jwks", keys)
	}
	for _, h := range c.headers {
		flags = append(flags, "-H", h)
	}
	flags = append(flags, c.more...)
	out, _ := tollgate(t, exitFound, append([]string{"stamp", "verify"}, flags...)...)
	explained, _ := tollgate(t, exitFound, append([]string{"explain"}, flags...)...)
	if !strings.Contains(out, ", "+c.code+"\n") {
		t.Errorf("%s: want %s, got\n%s", c.name, c.code, out)
	}
	var lines []string
	for _, line := range strings.Split(explained, "\n") {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	explained = strings.Join(lines, "\n")
	for _, want := range c.want {
		if !strings.Contains(out, "\n"+want) {
			t.Errorf("%s: stamp verify has no line %s\n%s", c.name, want, out)
		}
		if !strings.Contains(explained, " fails, "+c.code+": "+want) {
			t.Errorf("%s: explain has no line %s\n%s", c.name, want, explained)
		}
	}
	// One line is the verdict, and each of the others one fault: what is not asked for is not said.
	said, _, _ := strings.Cut(out, "the signature base")
	if n := strings.Count(said, "\n") - 1; n != len(c.want) {
		t.Errorf("%s: %d lines, want %d\n%s", c.name, n, len(c.want), out)
	}
}

// 12:00:00Z, in seconds since 1970.
const noonSeconds = 1795780800

// What a stamp that is a JWS is refused for is told with what was expected and what was found.
func TestWhyJWS(t *testing.T) {
	base := M{"iss": "https://edge", "aud": "mesh", "iat": noonSeconds, "exp": noonSeconds + 30, "jti": "j", "htm": "GET",
		"hth": "api.example.com", "htp": "/orders/7", "qsh": orderQuery}
	txn := with(base, M{"txn": "t", "sub": "ann", "scope": "read", "req_wl": "https://edge"})
	for profile, typ := range map[string]string{"jws": "edge-stamp+jwt", "txn-token": "txntoken+jwt"} {
		p := pairOf(t, profile, "", `"maxTtl":"1m",`, "")
		name, claims := "x-edge-stamp", base
		if profile == "txn-token" {
			name, claims = "txn-token", txn
		}
		header := M{"alg": "ES256", "kid": "k", "typ": typ}
		text := func(header, claims M) string { return name + ": " + b64(header) + "." + b64(claims) + ".c2ln" }
		stamp := func(changes M) []string { return []string{text(header, with(claims, changes))} }
		headed := func(changes M) []string { return []string{text(with(header, changes), claims)} }
		const key = `trust edge for ES256: kid "k" (EC P-256, ES256)`
		list := []refusal{
			{"none", nil, "stamp_missing", []string{name + ": expected a compact JWS, found none"}, nil},
			{"twice", append(stamp(nil), stamp(nil)...), "stamp_ambiguous",
				[]string{name + ": expected one stamp, found 2 lines, or a comma in one of them"}, nil},
			{"no JWS", []string{name + ": a.b"}, "stamp_malformed",
				[]string{name + ": expected a compact JWS that reads in one way only, found one with a fault: not three parts"}, nil},
			{"no base64", []string{name + ": a.b.=="}, "stamp_malformed",
				[]string{name + ": expected a compact JWS that reads in one way only, found one with a fault: not canonical"}, nil},
			{"another type", headed(M{"typ": "at+jwt"}), "stamp_malformed",
				[]string{`typ: expected "` + typ + `", found "at+jwt"`}, nil},
			{"another issuer", stamp(M{"iss": "https://other"}), "stamp_issuer",
				[]string{`iss: expected "https://edge", found "https://other"`}, nil},
			{"no issuer", stamp(M{"iss": nil}), "stamp_issuer", []string{`iss: expected "https://edge", found nothing`}, nil},
			{"another audience", stamp(M{"aud": []string{"a", "b"}}), "stamp_audience",
				[]string{`aud: expected "mesh" (trust edge), found ["a","b"]`}, nil},
			{"no audience", stamp(M{"aud": nil}), "stamp_audience", []string{`aud: expected "mesh" (trust edge), found nothing`}, nil},
			{"no iat", stamp(M{"iat": nil}), "stamp_malformed",
				[]string{"iat: expected seconds since 1970, as a number, found nothing"}, nil},
			{"no exp, and an iat that is text", stamp(M{"exp": nil, "iat": "noon"}), "stamp_malformed",
				[]string{`iat: expected seconds since 1970, as a number, found "noon"`,
					"exp: expected seconds since 1970, as a number, found nothing"}, nil},
			{"an nbf that is none", stamp(M{"nbf": M{}}), "stamp_malformed",
				[]string{"nbf: expected seconds since 1970, as a number, found {}"}, nil},
			{"expired", stamp(M{"iat": noonSeconds - 40, "exp": noonSeconds - 10}), "stamp_expired",
				[]string{"exp: expected after 2026-11-27T11:59:55Z (the clock says 2026-11-27T12:00:00Z, clockSkew 5s), found " +
					"2026-11-27T11:59:50Z"}, nil},
			{"an end before the beginning", stamp(M{"exp": noonSeconds - 1}), "stamp_malformed",
				[]string{"exp: expected none before iat, 2026-11-27T12:00:00Z, found 2026-11-27T11:59:59Z"}, nil},
			{"from the future", stamp(M{"iat": noonSeconds + 10}), "stamp_not_yet_valid",
				[]string{"iat: expected at most 2026-11-27T12:00:05Z (the clock says 2026-11-27T12:00:00Z, clockSkew 5s), found " +
					"2026-11-27T12:00:10Z"}, nil},
			{"for later", stamp(M{"nbf": noonSeconds + 6.5}), "stamp_not_yet_valid",
				[]string{"nbf: expected at most 2026-11-27T12:00:05Z (the clock says 2026-11-27T12:00:00Z, clockSkew 5s), found " +
					"2026-11-27T12:00:06.5Z"}, nil},
			{"for too long", stamp(M{"exp": noonSeconds + 61}), "stamp_lifetime",
				[]string{"exp: expected at most 1m0s after iat (maxTtl), found 1m1s after it"}, nil},
			{"too long an id", stamp(M{"jti": strings.Repeat("j", 257)}), "stamp_malformed",
				[]string{`jti: expected a text of 1 to 256 bytes, found "jjj`}, nil},
			{"a body's hash that is none", stamp(M{"bdh": "x"}), "stamp_malformed",
				[]string{`bdh: expected the SHA-256 of the body in base64url, found "x"`}, nil},
			{"a body that cannot be waited for", append(stamp(M{"bdh": "LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ"}),
				"content-type: application/grpc"), "stamp_unbound",
				[]string{"body: expected one that can be waited for, where it is bound, found an upgrade, CONNECT or gRPC"}, nil},
			{"less bound", stamp(M{"htp": nil}), "stamp_unbound",
				[]string{"path: the stamp does not bind it, and the rule demands that"}, nil},
			{"another path", stamp(M{"htp": "/orders/8", "qsh": nil}), "stamp_unbound",
				[]string{"query: the stamp does not bind it, and the rule demands that"}, nil},
			{"another algorithm", headed(M{"alg": "RS256"}), "stamp_algorithm",
				[]string{`alg: expected "ES256" (trust edge), found "RS256"`}, nil},
			{"another key", []string{text(with(header, M{"kid": "other"}), claims)}, "stamp_key_unknown",
				[]string{"kid: expected a key of " + key + `, found "other" with alg ES256`}, nil},
			{"another signature", stamp(nil), "stamp_signature",
				[]string{`signature: expected one by a key of trust edge: kid "k" (EC P-256, ES256), found one that none of them ` +
					`has made`}, nil},
			{"another query", stamp(M{"qsh": "x"}), "stamp_mismatch", []string{`query: expected "x", found "` + orderQuery}, nil},
		}
		if profile == "jws" {
			list = append(list, refusal{"no id", stamp(M{"jti": nil}), "stamp_malformed",
				[]string{"jti: expected a text of 1 to 256 bytes, found nothing"}, nil})
		} else {
			for _, claim := range []string{"txn", "sub", "scope", "req_wl"} {
				list = append(list, refusal{"no " + claim, stamp(M{claim: nil}), "stamp_malformed",
					[]string{claim + ": expected a text that is not empty, found nothing"}, nil},
					refusal{claim + " that is no text", stamp(M{claim: 7}), "stamp_malformed",
						[]string{claim + ": expected a text that is not empty, found 7"}, nil})
			}
			for _, scope := range []string{" ", "a ", "ä", `a"b`} {
				list = append(list, refusal{"the scope " + scope, stamp(M{"scope": scope}), "stamp_malformed",
					[]string{"scope: expected scopes with one space between them (RFC 6749 §3.3), found " +
						string(must(json.Marshal(scope)))}, nil})
			}
			list = append(list, refusal{"contexts that are none", stamp(M{"tctx": "x", "rctx": []int{}}), "stamp_malformed",
				[]string{`tctx: expected an object, found "x"`, "rctx: expected an object, found []"}, nil},
				refusal{"too long a transaction", stamp(M{"jti": nil, "txn": strings.Repeat("t", 257)}), "stamp_malformed",
					[]string{`txn: expected a text of 1 to 256 bytes, found "ttt`}, nil})
		}
		for i := range list {
			list[i].name = profile + ", " + list[i].name
			refused(t, p.mesh, p.keys, &list[i])
		}
	}
}

// orderQuery is the hash of stampedOrder's query.
const orderQuery = "p0a5DN2sPgddsvDHtlql0Jo1S-8VYjUtnasxVtEUKDQ"

// What a stamp of profile rfc9421 is refused for.
func TestWhyMessage(t *testing.T) {
	p := pairOf(t, "rfc9421", "", `"maxTtl":"1m",`, "")
	const covered = `"@method" "@authority" "@path" "@query"`
	params := func(more string) string {
		return fmt.Sprintf(`;created=%d;expires=%d;nonce="n";keyid="k";tag="edge-stamp"`, noonSeconds, noonSeconds+30) + more
	}
	signed := func(covers, params string, more ...string) []string {
		return append([]string{"signature-input: edge=(" + covers + ")" + params, "signature: edge=:AAAA:"}, more...)
	}
	times := func(created, expires int) string {
		return fmt.Sprintf(`;created=%d;expires=%d;nonce="n";keyid="k";tag="edge-stamp"`, noonSeconds+created, noonSeconds+expires)
	}
	claims := func(m M) []string { return signed(covered+` "x-edge-stamp"`, params(""), "x-edge-stamp: "+b64(m)) }
	const want = `expected one signature labelled edge with tag="edge-stamp", found `
	const key = `trust edge for ES256: kid "k" (EC P-256, ES256)`
	for _, c := range []refusal{
		{"none", nil, "stamp_missing", []string{"signature-input: " + want + "no such field"}, nil},
		{"another's", []string{`signature-input: sig1=();created=1;tag="web-bot-auth", b=()`, "signature: sig1=:AAAA:"},
			"stamp_missing", []string{"signature-input: " + want + `sig1 with tag="web-bot-auth", b without a tag`}, nil},
		{"a field that does not read", []string{"signature-input: edge=((", "signature: edge=:AAAA:"}, "stamp_malformed",
			[]string{"signature-input: " + want + "a field with a fault: "}, nil},
		{"the label twice", append(signed(covered, params("")), "signature-input: edge=()"), "stamp_malformed",
			[]string{"signature-input: " + want + "a field with a fault: a label"}, nil},
		{"no signature", signed(covered, params(""))[:1], "stamp_malformed",
			[]string{"signature: expected one member edge, which is bytes between colons, found none"}, nil},
		{"a signature that is text", []string{signed(covered, params(""))[0], `signature: edge="x"`}, "stamp_malformed",
			[]string{"signature: expected one member edge, which is bytes between colons, found a field with a fault: "}, nil},
		{"no input", signed("", "")[1:], "stamp_malformed", []string{"signature-input: " + want + "no such field"}, nil},
		{"another tag", signed(covered, `;created=1;tag="x"`), "stamp_malformed", []string{`tag: expected "edge-stamp", found "x"`},
			nil},
		{"no parameters", signed(covered, `;tag="edge-stamp"`), "stamp_malformed",
			[]string{"created: expected a parameter with seconds since 1970, found none",
				"expires: expected a parameter with seconds since 1970, found none",
				"nonce: expected a parameter with a text, found none", "keyid: expected a parameter with a text, found none"}, nil},
		{"a date too far", signed(covered, `;created=253402300800;expires=253402300801;nonce="n";keyid="k";tag="edge-stamp"`),
			"stamp_malformed", []string{"created: expected a date up to the year 9999, found 253402300800",
				"expires: expected a date up to the year 9999, found 253402300801"}, nil},
		{"another key", signed(covered, strings.Replace(params(""), `"k"`, `"other"`, 1)), "stamp_key_unknown",
			[]string{"keyid: expected a key of " + key + `, found "other"`}, nil},
		{"another algorithm", signed(covered, params(`;alg="ed25519"`)), "stamp_algorithm",
			[]string{`alg: expected "ecdsa-p256-sha256" (of the key), or no such parameter, found "ed25519"`}, nil},
		{"expired", signed(covered, times(-40, -10)), "stamp_expired",
			[]string{"expires: expected after 2026-11-27T11:59:55Z (the clock says 2026-11-27T12:00:00Z, clockSkew 5s), found " +
				"2026-11-27T11:59:50Z"}, nil},
		{"an end before the beginning", signed(covered, times(0, -1)), "stamp_malformed",
			[]string{"expires: expected none before created, 2026-11-27T12:00:00Z, found 2026-11-27T11:59:59Z"}, nil},
		{"from the future", signed(covered, times(10, 30)), "stamp_not_yet_valid",
			[]string{"created: expected at most 2026-11-27T12:00:05Z (the clock says 2026-11-27T12:00:00Z, clockSkew 5s), found " +
				"2026-11-27T12:00:10Z"}, nil},
		{"for too long", signed(covered, times(0, 61)), "stamp_lifetime",
			[]string{"expires: expected at most 1m0s after created (maxTtl), found 1m1s after it"}, nil},
		{"claims of another", claims(M{"iss": "https://other", "aud": "mesh"}), "stamp_issuer",
			[]string{`iss: expected "https://edge" (trust edge), whose key has signed, found "https://other"`}, nil},
		{"claims for another", claims(M{"iss": "https://edge", "aud": "a"}), "stamp_audience",
			[]string{`aud: expected "mesh" (trust edge), found "a"`}, nil},
		{"claims that are none", signed(covered+` "x-edge-stamp"`, params(""), "x-edge-stamp: ="), "stamp_malformed",
			[]string{"x-edge-stamp: expected a JSON object in base64url that reads in one way only, found one with a fault: "}, nil},
		{"claims that are not covered", signed(covered, params(""), "x-edge-stamp: e30"), "stamp_unbound",
			[]string{"x-edge-stamp: expected nothing, or what the signature covers, found claims that it does not cover"}, nil},
		{"less covered", signed(`"@method" "@authority"`, params("")), "stamp_unbound",
			[]string{"path: the stamp does not bind it, and the rule demands that",
				"query: the stamp does not bind it, and the rule demands that"}, nil},
		{"no digest", signed(covered+` "content-digest"`, params(""), "content-digest: md5=:AAAA:"), "stamp_unbound",
			[]string{`content-digest: expected one sha-256 that is covered, of 32 bytes, found "md5=:AAAA:"`}, nil},
		{"a body that cannot be waited for", signed(covered+` "content-digest"`, params(""), "upgrade: websocket",
			"content-digest: sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"), "stamp_unbound",
			[]string{"body: expected one that can be waited for, where it is bound, found an upgrade, CONNECT or gRPC"}, nil},
		{"a header that is gone", signed(covered+` "x-a"`, params("")), "stamp_mismatch",
			[]string{"x-a: expected a value that is covered: a covered component is not in the message, found nothing"}, nil},
		{"a component of which nobody knows a parameter", signed(covered+` "x-a";tr`, params("")), "stamp_unbound",
			[]string{`"x-a";tr: expected a value that is covered: a covered component or one of its parameters is not known here`}, nil},
		{"another signature", signed(covered, params("")), "stamp_signature",
			[]string{`signature: expected one by the key "k" of trust edge over the base below, found one of another key, or over ` +
				`another request`}, nil},
	} {
		refused(t, p.mesh, p.keys, &c)
	}
	// A part that proxies change is found by both commands.
	c := refusal{"another method", strings.Split(strings.TrimSpace(p.sign(t)), "\n"), "stamp_signature",
		[]string{`method: expected "GET", found "PUT"`, `signature: expected one by the key "k" of trust edge`},
		[]string{"-r", strings.Replace(stampedOrder, "GET", "PUT", 1)}}
	refused(t, p.mesh, p.keys, &c)
}

// What another's signature is refused for.
func TestWhyForeign(t *testing.T) {
	mesh := func(trust string) string {
		return write(t, "mesh.json", `{"role":"verify","trust":[{"name":"bots","signature":{`+trust+`},"jwks":{"inline":{"keys":
			[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs"}]}}}],"rules":[{"name":"all"}]}`)
	}
	const thumbprint = "poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U"
	params := func(created int, more string) string {
		return fmt.Sprintf(`;created=%d;keyid="k";tag="web-bot-auth"`, noonSeconds+created) + more
	}
	signed := func(covers, params string, more ...string) []string {
		return append([]string{"signature-input: sig1=(" + covers + ")" + params, "signature: sig1=:AAAA:"}, more...)
	}
	const host = `"@authority"`
	const want = `expected a signature with tag="web-bot-auth" (trust bots), found `
	for _, c := range []struct {
		trust string
		refusal
	}{
		{"", refusal{"none", nil, "stamp_missing", []string{"signature-input: " + want + "no such field"}, nil}},
		{`"label":"bot","tag":false`, refusal{"another's", signed(host, params(0, "")), "stamp_missing",
			[]string{"signature-input: expected a signature labelled bot without a tag (trust bots), found sig1 with " +
				`tag="web-bot-auth"`}, nil}},
		{"", refusal{"a field that does not read", []string{"signature-input: (("}, "stamp_malformed",
			[]string{"signature-input: " + want + "a field with a fault: "}, nil}},
		{"", refusal{"no keyid", signed(host, `;created=1;tag="web-bot-auth"`), "stamp_malformed",
			[]string{"keyid: expected a parameter with a text, of sig1, found none"}, nil}},
		{"", refusal{"no created", signed(host, `;keyid="k";tag="web-bot-auth"`), "stamp_malformed",
			[]string{"created: expected a parameter with seconds since 1970, found none"}, nil}},
		{"", refusal{"no signature", signed(host, params(0, ""))[:1], "stamp_malformed",
			[]string{"signature: expected one member sig1, which is bytes between colons, found none"}, nil}},
		{"", refusal{"an end before the beginning", signed(host, params(0, fmt.Sprintf(";expires=%d", noonSeconds-1))),
			"stamp_malformed",
			[]string{"expires: expected none before created, 2026-11-27T12:00:00Z, found 2026-11-27T11:59:59Z"}, nil}},
		{`"nonce":"once"`, refusal{"no nonce", signed(host, params(0, "")), "stamp_malformed",
			[]string{"nonce: expected a parameter with a text of 1 to 256 bytes (nonce: once), found none"}, nil}},
		{`"nonce":"once"`, refusal{"too long a nonce", signed(host, params(0, `;nonce="`+strings.Repeat("n", 257)+`"`)),
			"stamp_malformed",
			[]string{"nonce: expected a parameter with a text of 1 to 256 bytes (nonce: once), found one of 257 bytes"}, nil}},
		{"", refusal{"too many", strings.Split(strings.Repeat(`signature-input: sigN=();created=1;keyid="k";tag="web-bot-auth"`+
			"\n", 9), "\n"), "stamp_ambiguous",
			[]string{"signature-input: expected at most 8 signatures with the tag of one trust, found more"}, nil}},
		{"", refusal{"another key", signed(host, strings.Replace(params(0, ""), `"k"`, `"other"`, 1)), "stamp_key_unknown",
			[]string{`keyid: expected a key of trust bots for EdDSA: kid "k" (OKP Ed25519) with the thumbprint ` + thumbprint +
				`, found "other"`}, nil}},
		{"", refusal{"another algorithm", signed(host, params(0, `;alg="rsa-pss-sha512"`)), "stamp_algorithm",
			[]string{`alg: expected "ed25519" (of the key), or no such parameter, found "rsa-pss-sha512"`}, nil}},
		{`"maxAge":"1m"`, refusal{"too old", signed(host, params(-65, "")), "stamp_expired",
			[]string{"created: expected after 2026-11-27T11:58:55Z (maxAge 1m0s, the clock says 2026-11-27T12:00:00Z, clockSkew 5s), " +
				"found 2026-11-27T11:58:55Z"}, nil}},
		{"", refusal{"expired", signed(host, params(-20, fmt.Sprintf(";expires=%d", noonSeconds-5))), "stamp_expired",
			[]string{"expires: expected after 2026-11-27T11:59:55Z (the clock says 2026-11-27T12:00:00Z, clockSkew 5s), found " +
				"2026-11-27T11:59:55Z"}, nil}},
		{"", refusal{"from the future", signed(host, params(6, "")), "stamp_not_yet_valid",
			[]string{"created: expected at most 2026-11-27T12:00:05Z (the clock says 2026-11-27T12:00:00Z, clockSkew 5s), found " +
				"2026-11-27T12:00:06Z"}, nil}},
		{`"components":["@authority","@path"]`, refusal{"less covered", signed(host, params(0, "")), "stamp_unbound",
			[]string{"@path: the signature does not cover it, and the trust demands that"}, nil}},
		{"", refusal{"a digest of another algorithm", signed(host+` "content-digest";key="sha-512"`, params(0, ""),
			"content-digest: sha-512=:AAAA:"), "stamp_unbound",
			[]string{`content-digest: expected one sha-256 that is covered, of 32 bytes, found "sha-512=:AAAA:"`}, nil}},
		{"", refusal{"a header that is gone", signed(host+` "x-a"`, params(0, "")), "stamp_mismatch",
			[]string{"x-a: expected a value that is covered: a covered component is not in the message, found nothing"}, nil}},
		{"", refusal{"another signature", signed(host, params(0, "")), "stamp_signature",
			[]string{`signature: expected one by the key "k" of trust bots over the base below, found one of another key, or over ` +
				`another request`}, nil}},
	} {
		for i := range c.headers {
			c.headers[i] = strings.Replace(c.headers[i], "sigN", fmt.Sprintf("sig%d", i), 1)
		}
		if last := len(c.headers) - 1; last >= 0 && c.headers[last] == "" {
			c.headers = c.headers[:last]
		}
		refused(t, mesh(c.trust), "", &c.refusal)
	}
}

// What both sides know is told by its name only, and what else there is to say besides a stamp's faults.
func TestWhySecrets(t *testing.T) {
	const secret = "a secret of the edge, of 32 bytes and more"
	t.Setenv("EDGE_SECRET", secret)
	mesh := write(t, "mesh.json", strings.Replace(forRole("verify"), `{"name":"all"}`,
		`{"name":"all","peers":["spiffe://a/edge","spiffe://b/edge"]}`, 1))
	stamp := func(kid string) []string {
		return []string{"x-edge-stamp: " + b64(M{"alg": "HS256", "kid": kid, "typ": "edge-stamp+jwt"}) + "." +
			b64(M{"iss": "https://edge", "aud": "mesh", "iat": noonSeconds, "exp": noonSeconds + 30, "jti": "j", "htm": "GET",
				"hth": "api.example.com", "htp": "/orders/7", "qsh": orderQuery}) + ".c2ln"}
	}
	peer := []string{"--peer", "spiffe://b/edge"}
	for _, c := range []refusal{
		{"another peer", nil, "peer_untrusted", []string{`peer: expected one of "spiffe://a/edge", "spiffe://b/edge", found ` +
			"another client, or one whose certificate has no SPIFFE ID"}, nil},
		{"another key", stamp("other"), "stamp_key_unknown",
			[]string{`kid: expected a key of trust edge for HS256: kid "k" (oct, HS256), found "other" with alg HS256`}, peer},
		{"another signature", stamp("k"), "stamp_signature",
			[]string{`signature: expected one by a key of trust edge: kid "k" (oct, HS256), found one that none of them`}, peer},
	} {
		refused(t, mesh, "", &c)
		for _, command := range [][]string{{"stamp", "verify"}, {"explain"}} {
			flags := append(command, "--config", mesh, "-r", stampedOrder, "--at", noon)
			for _, h := range c.headers {
				flags = append(flags, "-H", h)
			}
			out, progress := tollgate(t, exitFound, append(flags, c.more...)...)
			if strings.Contains(out+progress, secret) || strings.Contains(out+progress,
				base64.RawURLEncoding.EncodeToString([]byte(secret))) {
				t.Errorf("%s: %v prints the secret", c.name, command)
			}
		}
	}
	// Another's credential stands where an identity provider's token is looked for.
	idp := write(t, "idp.json", `{"role":"verify","header":"authorization","trust":[{"name":"idp","issuer":"https://idp","anyAudience":true,
		"forwardIdp":true,"require":{"bind":[],"replay":"off"},"keys":[{"kid":"k","alg":"HS256","env":"EDGE_SECRET"}]}],"rules":[{"name":"all"}]}`)
	c := refusal{"a password", []string{"authorization: Basic czNjcjN0"}, "stamp_missing",
		[]string{"authorization: expected Bearer and a compact JWS, found none\n"}, nil}
	refused(t, idp, "", &c)
	c = refusal{"a stamp for an identity provider's token", []string{"authorization: Bearer " +
		b64(M{"alg": "HS256", "kid": "k", "typ": "edge-stamp+jwt"}) + "." + b64(M{"iss": "https://idp"}) + ".c2ln"},
		"stamp_malformed", []string{`typ: expected any but those of stamps, found "edge-stamp+jwt"`,
			"exp: expected seconds since 1970, as a number, found nothing"}, nil}
	refused(t, idp, "", &c)
	short := write(t, "short.json", strings.Replace(string(must(os.ReadFile(idp))), `"forwardIdp"`,
		`"maxTtl":"1m","forwardIdp"`, 1))
	token := b64(M{"alg": "HS256", "kid": "k"}) + "." + b64(M{"iss": "https://idp", "exp": noonSeconds + 30}) + ".c2ln"
	c = refusal{"a token that does not say for how long", []string{"authorization: Bearer " + token}, "stamp_lifetime",
		[]string{"exp: expected at most 1m0s after iat (maxTtl), found no iat"}, nil}
	refused(t, short, "", &c)
}

// What is asked once a stamp is genuine: its body, and the service that remembers it.
func TestWhyGenuine(t *testing.T) {
	for _, profile := range []string{"jws", "rfc9421"} {
		p := pairOf(t, profile, `"bind":["method","authority","path","query","body"],`, "",
			`"bodyBytes":4,"require":{"replay":"onceGlobal"},`+
				`"replay":{"global":{"cluster":"c","authority":"a","domain":"d"}},`)
		body := []string{"--body", write(t, "body", "hello")}
		stamp := strings.TrimSpace(p.sign(t, body...))
		for _, c := range []refusal{
			{"a service that does not tell", []string{stamp}, "replay_unavailable",
				[]string{"replay: expected the answer of the rate-limit service (onceGlobal), found none; nothing else is wrong " +
					"with the stamp"}, body},
			{"another body", []string{stamp}, "stamp_mismatch",
				[]string{`body: expected "LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ", found "`}, []string{"--body", write(t, "body", "hallo")}},
			{"too long a body", []string{stamp, "content-length: 5"}, "body_too_large",
				[]string{"content-length: expected at most 4 (bodyBytes), found 5"}, body},
		} {
			c.name = profile + ", " + c.name
			refused(t, p.mesh, p.keys, &c)
		}
	}
}
