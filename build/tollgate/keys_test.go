// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A key of every algorithm, in every form, signs tokens that go-jose verifies with the set that was
// printed, and which jwt-scope takes.
func TestKeysAndTokens(t *testing.T) {
	for _, alg := range mint.Algorithms {
		for _, format := range []string{"pem", "jwk"} {
			file := filepath.Join(t.TempDir(), "key")
			set, progress := tollgate(t, 0, "keys", "new", "--alg", string(alg), "--kid", "dev", "--format", format, "-o", file)
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 || !strings.Contains(progress, file) {
				t.Errorf("%s: %v %v %s", alg, info, err, progress)
			}
			named := "dev:" + string(alg) + ":" + file
			secret := strings.HasPrefix(string(alg), "HS")
			var verifier any
			if secret {
				if set != "" {
					t.Errorf("%s: something of the secret is printed", alg)
				}
				if _, progress := tollgate(t, exitFound, "keys", "jwks", named); !strings.Contains(progress,
					"a secret has no public half") {
					t.Errorf("%s: %s", alg, progress)
				}
				b, err := os.ReadFile(file)
				var k jose.JSONWebKey
				if err != nil || json.Unmarshal(b, &k) != nil {
					t.Fatal(err)
				}
				verifier = k.Key
			} else {
				again, _ := tollgate(t, 0, "keys", "jwks", named)
				var a, b jose.JSONWebKeySet
				if json.Unmarshal([]byte(set), &a) != nil || json.Unmarshal([]byte(again), &b) != nil ||
					len(a.Keys) != 1 || len(b.Keys) != 1 || !a.Keys[0].IsPublic() || strings.Contains(set+again, `"d"`) {
					t.Fatalf("%s: %s\n%s", alg, set, again)
				}
				if x, err := json.Marshal(a.Keys[0]); err != nil || string(x) != string(must(json.Marshal(b.Keys[0]))) {
					t.Errorf("%s: keys new and keys jwks tell of two keys", alg)
				}
				verifier = a.Keys[0].Key
			}
			token, progress := tollgate(t, 0, "token", "mint", "--key", named, "--issuer", "https://idp", "--audience",
				"api", "--scope", "a b", "--claims", write(t, "claims", `{"sub":null,"plan":"gold"}`), "--ttl", "10m")
			if !strings.Contains(progress, "for development only") {
				t.Errorf("no warning: %s", progress)
			}
			jws, err := jose.ParseSignedCompact(strings.TrimSpace(token), []jose.SignatureAlgorithm{alg})
			if err != nil {
				t.Fatal(err)
			}
			payload, err := jws.Verify(verifier)
			var claims map[string]any
			if err != nil || json.Unmarshal(payload, &claims) != nil || claims["plan"] != "gold" ||
				claims["scope"] != "a b" || claims["sub"] != nil || claims["exp"].(float64)-claims["iat"].(float64) != 600 {
				t.Errorf("%s %s: %v, %s", alg, format, err, payload)
			}
		}
	}
	if _, progress := tollgate(t, exitFound, "keys", "new", "--kid", "dev", "-o",
		write(t, "there", "x")); !strings.Contains(progress, "exists") {
		t.Errorf("a file is overwritten: %s", progress)
	}
	for _, line := range []string{"keys new --alg none --kid a -o b", "keys new", "keys new --kid a -o b --format der",
		"keys jwks", "keys jwks a", "keys jwks a:none:b", "token mint", "token mint --key a"} {
		tollgate(t, exitUsage, strings.Fields(line)...)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// What the edge's configuration signs the mesh's takes, and no other request; the keys go through a rotation.
func TestStamps(t *testing.T) {
	dir := t.TempDir()
	var sets []string
	for i, name := range []string{"OLD", "NEW"} {
		file := filepath.Join(dir, name)
		set, _ := tollgate(t, 0, "keys", "new", "--kid", strings.ToLower(name), "--alg", []string{"ES256", "EdDSA"}[i],
			"-o", file)
		t.Setenv("EDGE_"+name, string(must(os.ReadFile(file))))
		sets = append(sets, set)
	}
	edge := write(t, "edge.json", `{"role":"sign","issuer":"https://edge","audience":"mesh","keys":[{"kid":"old","alg":"ES256","env":"EDGE_OLD"}],"bind":["method","authority","path","query","body"],"copyClaims":["sub"],
		"rules":[{"name":"open","match":[{"paths":["/healthz"]}],"sign":false},{"name":"all","match":[{"paths":["/{**}"],"methods":["GET","POST"]}],"sign":true}]}`)
	mesh := func(set string) string {
		return write(t, "mesh.json",
			`{"role":"verify","trust":[{"name":"edge","issuer":"https://edge","audiences":["mesh"],"algorithms":["ES256","EdDSA"],"jwks":{"inline":`+set+`}}],"rules":[{"name":"all","peers":["spiffe://a/edge"]}]}`)
	}
	body, at := write(t, "body", "hello"), time.Now().UTC().Format(time.RFC3339)
	flags := []string{"--request", "POST https://api/orders?a=1", "--body", body, "--at", at}
	stamp, _ := tollgate(t, 0,
		append([]string{"stamp", "sign", "--config", edge, "--claims", write(t, "claims", `{"sub":"ann"}`)}, flags...)...)
	verify := func(code int, more ...string) (string, string) {
		return tollgate(t, code,
			append(append([]string{"stamp", "verify", "--config", mesh(sets[0]), "--peer", "spiffe://a/edge", "-H",
				strings.TrimSpace(stamp)}, flags...), more...)...)
	}
	if out, _ := verify(0); out != "rule all: allowed, ok\n" {
		t.Errorf("%s", out)
	}
	later := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for want, more := range map[string][]string{"stamp_mismatch": {"-r", "GET https://api/orders?a=1"},
		"stamp_expired": {"--at", later}, "peer_untrusted": {"--peer", "spiffe://a/other"}} {
		if out, _ := verify(exitFound, more...); !strings.Contains(out, want) {
			t.Errorf("%s: %s", want, out)
		}
	}
	_, text, _ := strings.Cut(strings.TrimSpace(stamp), ": ")
	out, _ := tollgate(t, 0, "stamp", "inspect", text, "--at", at)
	for _, want := range []string{`"kid": "old"`, `"sub": "ann"`, "iat is " + at + ", in 0s", "exp is ", ", in 30s",
		"not verified"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in %s", want, out)
		}
	}
	for _, line := range []string{stamp, "authorization: Bearer " + text} { // as stamp sign prints it, as clients send one
		if again, _ := tollgate(t, 0, "stamp", "inspect", line, "--at", at); again != out {
			t.Errorf("inspected %s: %s", line, again)
		}
	}
	lacking := write(t, "lacking.json", `{"role":"sign","issuer":"https://edge","audience":"mesh","profile":"txn-token",
		"keys":[{"kid":"old","alg":"ES256","env":"EDGE_OLD"}],"rules":[{"name":"all","sign":true}]}`)
	if _, progress := tollgate(t, exitFound, append([]string{"stamp", "sign", "--config", lacking, "--claims",
		write(t, "claims", `{"sub":"ann"}`)}, flags...)...); !strings.Contains(progress, "rule all: claims_missing: "+
		"no earlier filter has verified a scope that a Txn-Token can have; give them with --claims") {
		t.Errorf("%s", progress)
	}
	if _, progress := tollgate(t, exitFound, "stamp", "sign", "--config", edge, "-r",
		"GET https://api/healthz"); !strings.Contains(progress, "rule open does not sign") {
		t.Errorf("%s", progress)
	}
	if _, progress := tollgate(t, exitFound, "stamp", "sign", "--config", edge, "-r",
		"PUT https://api/x"); !strings.Contains(progress, "no_rule") {
		t.Errorf("%s", progress)
	}
	remote := write(t, "remote.json",
		`{"role":"verify","trust":[{"name":"edge","issuer":"https://edge","audiences":["mesh"],"jwks":{"remote":{"cluster":"edge","authority":"edge","path":"/keys"}}}],"rules":[{"name":"all"}]}`)
	if _, progress := tollgate(t, exitFound,
		append([]string{"stamp", "verify", "--config", remote, "-H", strings.TrimSpace(stamp)},
			flags...)...); !strings.Contains(progress, "the keys are at edge/keys") {
		t.Errorf("%s", progress)
	}
	kids := func(stage string) (list []string) {
		next, _ := tollgate(t, 0, "keys", "rotate", edge, "old", `{"kid":"new","alg":"EdDSA","env":"EDGE_NEW"}`,
			"--stage", stage)
		edge = write(t, "edge.json", next)
		var c struct{ Keys []struct{ Kid string } }
		if err := json.Unmarshal([]byte(next), &c); err != nil {
			t.Fatal(err)
		}
		for _, k := range c.Keys {
			list = append(list, k.Kid)
		}
		return list
	}
	for i, stage := range []string{"publish", "sign", "retire"} {
		if got, want := kids(stage), [][]string{{"old", "new"}, {"new", "old"}, {"new"}}[i]; !slices.Equal(got, want) {
			t.Errorf("%s: %v", stage, got)
		}
		stamp, _ = tollgate(t, 0, append([]string{"stamp", "sign", "--config", edge}, flags...)...)
		both := fmt.Sprintf(`{"keys":[%s,%s]}`, firstKey(sets[0]), firstKey(sets[1]))
		tollgate(t, 0, append([]string{"stamp", "verify", "--config", mesh(both), "--peer", "spiffe://a/edge", "-H",
			strings.TrimSpace(stamp)}, flags...)...)
	}
	for _, line := range [][]string{{"stamp", "sign"}, {"stamp", "sign", "--config", edge},
		{"stamp", "sign", "--config", edge, "-r", "GET /x"}, {"stamp", "sign", "--config", edge, "-r", "GET https://a/",
			"-H", "x"},
		{"stamp", "inspect", "a", "b"}, {"stamp", "verify", "--config", edge, "-r", "GET https://a/", "--at", "noon"},
		{"keys", "rotate", edge, "new", "{}", "--stage", "sign"}, {"keys", "rotate", edge, "new", `{"kid":"x"}`}} {
		tollgate(t, exitUsage, line...)
	}
	tollgate(t, exitFound, "keys", "rotate", edge, "gone", `{"kid":"x"}`, "--stage", "sign")
	tollgate(t, exitFound, "stamp", "inspect", "a.b")
}

// Whoever debugs a stamp is told which part of the request differs, and in profile rfc9421 what the
// signature has to fit.
func TestStampDifferences(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	set, _ := tollgate(t, 0, "keys", "new", "--kid", "k", "--alg", "ES256", "-o", file)
	t.Setenv("EDGE_KEY", string(must(os.ReadFile(file))))
	body, other := write(t, "body", "hello"), write(t, "other", "hallo")
	claims := write(t, "claims", `{"sub":"ann"}`)
	at := "2026-11-27T12:00:00Z"
	for _, profile := range []string{"jws", "rfc9421"} {
		edge := write(t, "edge.json", `{"role":"sign","issuer":"https://edge","audience":"mesh","profile":"`+profile+
			`","keys":[{"kid":"k","alg":"ES256","env":"EDGE_KEY"}],"bind":["method","authority","path","query","body"],"copyClaims":["sub"],"rules":[{"name":"all","sign":true}]}`)
		mesh := write(t, "mesh.json", `{"role":"verify","profile":"`+profile+
			`","trust":[{"name":"edge","issuer":"https://edge","audiences":["mesh"],"algorithms":["ES256"],"jwks":{"inline":`+set+`}}],"rules":[{"name":"all"}]}`)
		const asked = "POST https://api.example.com/orders/7?b=2&a=1"
		stamp, _ := tollgate(t, 0, "stamp", "sign", "--config", edge, "--claims", claims, "-r", asked, "--body", body,
			"--at", at)
		var lines []string
		for _, line := range strings.Split(strings.TrimSpace(stamp), "\n") {
			lines = append(lines, "-H", line)
		}
		for _, c := range []struct {
			name, request, body string
			more                []string
			jws, message        string
		}{
			{"the method", strings.Replace(asked, "POST", "PUT", 1), body, nil, `method: expected "POST", found "PUT"`,
				`method: expected "POST", found "PUT"`},
			{"the port", strings.Replace(asked, ".com/", ".com:8443/", 1), body, nil,
				`authority: expected "api.example.com", found "api.example.com:8443"`,
				`authority: expected "api.example.com", found "api.example.com:8443"`},
			{"the host", strings.Replace(asked, "api.", "orders.", 1), body,
				[]string{"-H", "x-forwarded-host: api.example.com"},
				`authority: expected "api.example.com", found "orders.example.com"`,
				`authority: expected "api.example.com", found "orders.example.com"`},
			{"the path", strings.Replace(asked, "/7", "/7/", 1), body, nil,
				`path: expected "/orders/7", found "/orders/7/"`, `path: expected "/orders/7?b=2&a=1", found "/orders/7/?b=2&a=1"`},
			{"the query", strings.Replace(asked, "b=2&a=1", "a=1&b=2", 1), body, nil, `query: expected "`,
				`query: expected "/orders/7?b=2&a=1", found "/orders/7?a=1&b=2"`},
			{"the body", asked, other, nil, `body: expected "LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ", found "`,
				`body: expected "LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ", found "`},
			{"what nobody can guess", "POST https://api.example.com/other", body, nil,
				`path: expected "/orders/7", found "/other"`, `  "@path": /other`},
		} {
			out, _ := tollgate(t, exitFound,
				append(append([]string{"stamp", "verify", "--config", mesh, "-r", c.request, "--body", c.body, "--at",
					at}, lines...), c.more...)...)
			want := c.jws
			if profile == "rfc9421" {
				want = c.message
				if !strings.Contains(out, "the signature base, of this request:\n  \"@method\": ") ||
					!strings.Contains(out, `"@signature-params": ("@method" "@authority" "@path" "@query" "content-digest" "x-edge-stamp");created=`) {
					t.Errorf("%s: no signature base in\n%s", c.name, out)
				}
			}
			if !strings.Contains(out, want) {
				t.Errorf("%s, %s: no %s in\n%s", profile, c.name, want, out)
			}
		}
		bare := write(t, "edge.json", `{"role":"sign","issuer":"https://edge","audience":"mesh","profile":"`+profile+
			`","keys":[{"kid":"k","alg":"ES256","env":"EDGE_KEY"}],"bind":["method","authority","path"],"rules":[{"name":"all","sign":true}]}`)
		stamp, _ = tollgate(t, 0, "stamp", "sign", "--config", bare, "-r", asked, "--at", at)
		line := []string{"stamp", "verify", "--config", mesh, "-r", asked, "--at", at}
		for _, h := range strings.Split(strings.TrimSpace(stamp), "\n") {
			line = append(line, "-H", h)
		}
		if out, _ := tollgate(t, exitFound, line...); !strings.Contains(out,
			"query: the stamp does not bind it, and the rule demands that") {
			t.Errorf("%s, unbound: %s", profile, out)
		}
	}
}

// A stamp of profile rfc9421 is read from its header lines, whatever else is in them.
func TestInspectMessage(t *testing.T) {
	lines := `Signature-Input: edge=("@method" "@path" "x-edge-stamp");created=1800000000;expires=1800000030;nonce="n";keyid="k";tag="edge-stamp", sig1="x"
signature: edge=:AAAA:
X-Edge-Stamp: eyJzdWIiOiJhbm4ifQ`
	out, _ := tollgate(t, 0, "stamp", "inspect", lines, "--at", "2027-01-15T08:00:10Z")
	for _, want := range []string{"label edge\ncovers \"@method\" \"@path\" \"x-edge-stamp\"\ncreated is " +
		"2027-01-15T08:00:00Z, 10s ago\nexpires is 2027-01-15T08:00:30Z, in 20s\nnonce is \"n\"\nkeyid is \"k\"\ntag " +
		"is \"edge-stamp\"\nthe signature has 3 bytes\n",
		"label sig1\nis no signature: ", "claims in x-edge-stamp {\n  \"sub\": \"ann\"\n}", "not verified"} {
		if !strings.Contains(out, want) {
			t.Errorf("no\n%s\nin\n%s", want, out)
		}
	}
	if out, _ := tollgate(t, 0, "stamp", "inspect", `sig1=();created=1`); !strings.Contains(out,
		"label sig1\ncovers \n") || !strings.Contains(out, "Signature has the label 0 times") {
		t.Errorf("%s", out)
	}
	for _, text := range []string{"signature: a=:AAAA:", "signature-input: ((", "x: y"} {
		tollgate(t, exitFound, "stamp", "inspect", text)
	}
}

// What is no stamp of the first two profiles is called what it is, and a signature of another is told
// what it lacks.
func TestInspectOthers(t *testing.T) {
	token := func(header string) string {
		b64 := base64.RawURLEncoding.EncodeToString
		return b64([]byte(header)) + "." + b64([]byte(`{"txn":"t"}`)) + ".c2ln"
	}
	lines := func(tag string) string {
		return "signature-input: sig1=(\"@authority\");keyid=\"k\"" + tag + "\nsignature: sig1=:AAAA:\n" +
			"signature-agent: sig1=\"https://bot.example\""
	}
	for text, want := range map[string]string{
		token(`{"typ":"edge-stamp+jwt"}`):                       "the header says: a stamp of profile jws\n",
		token(`{"typ":"application/txntoken+jwt"}`):             "the header says: a Transaction Token, of profile txn-token\n",
		token(`{"typ":"at+jwt"}`):                               `the header says: no stamp, but a JWS of type "at+jwt"`,
		lines(`;tag="web-bot-auth"`):                            "it says that it is a signature of Web Bot Auth (trust[].signature)\nkeys are said to be at sig1=",
		lines(`;tag="orders"`):                                  "it says that it is no stamp, but a signature of another",
		lines(""):                                               "it does not say what it is for",
		`edge=();tag="edge-stamp"` + "\nsignature: edge=:AAAA:": "it says that it is a stamp of profile rfc9421\n",
	} {
		if out, _ := tollgate(t, 0, "stamp", "inspect", text); !strings.Contains(out, want) {
			t.Errorf("no\n%s\nin\n%s", want, out)
		}
	}
	mesh := write(t, "mesh.json", `{"role":"verify","trust":[{"name":"bots","signature":{"components":["@authority","@path"]},
		"jwks":{"inline":{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs"}]}}}],
		"rules":[{"name":"all"}]}`)
	const at = "2027-01-15T08:00:00Z"
	verify := func(covers string) string {
		out, _ := tollgate(t, exitFound, "stamp", "verify", "--config", mesh, "-r", "GET https://api/orders/7", "--at", at,
			"-H", `signature-input: sig1=(`+covers+`);created=1800000000;keyid="k";tag="web-bot-auth"`, "-H", "signature: sig1=:AAAA:")
		return out
	}
	if out := verify(`"@authority"`); !strings.Contains(out, "stamp_unbound") ||
		!strings.Contains(out, "@path: the signature does not cover it, and the trust demands that\n") {
		t.Errorf("%s", out)
	}
	const base = "the signature base, of this request:\n  \"@authority\": api\n  \"@path\": /orders/7\n  \"@signature-params\": "
	if out := verify(`"@authority" "@path"`); !strings.Contains(out, "stamp_signature") || !strings.Contains(out, base) {
		t.Errorf("%s", out)
	}
	out, _ := tollgate(t, exitFound, "explain", "--config", mesh, "-r", "GET https://api/orders/7", "--at", at, "-H",
		`signature-input: sig1=("@authority" "@path");created=1800000000;keyid="k";tag="web-bot-auth"`, "-H",
		"signature: sig1=:AAAA:")
	if !strings.Contains(out, `"@path": /orders/7`) {
		t.Errorf("%s", out)
	}
}

func firstKey(set string) string {
	var s struct{ Keys []json.RawMessage }
	if err := json.Unmarshal([]byte(set), &s); err != nil {
		panic(err)
	}
	return string(s.Keys[0])
}

// A printed set is one that jwt-scope takes.
func TestSetsAreTaken(t *testing.T) {
	set, _ := tollgate(t, 0, "keys", "new", "--kid", "dev", "-o", filepath.Join(t.TempDir(), "key"))
	if _, err := scope.Parse(
		`{"providers":[{"name":"idp","issuer":"https://idp","audiences":["api"],"algorithms":["ES256"],"jwks":{"inline":`+set+`}}],"rules":[{"name":"all","match":[]}]}`, scope.Surroundings{}); err != nil {
		t.Error(err)
	}
}
