// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package wycheproof

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/e2e/vectors/wycheproof"
	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	tollgate "github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jose/proxycrypto"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
	"github.com/tollgate-wasm/tollgate/shared/wasmhost"
)

// The vectors' payloads are "foo" and the like, which jwt-scope refuses as no claims before it
// looks at a signature. So each vector runs twice: as it is, and with claims in the payload's place
// and the signature made anew by the vector's own private key, with the vector's own defect.

// token is one for jwt-scope.
type token struct {
	name  string
	text  string
	valid bool // what must be accepted; all others must not
}

func issuer(group int) string { return fmt.Sprint("https://wycheproof.example/", group) }

// payload is claims that jwt-scope accepts from a group's issuer.
func payload(group int, sub string) string {
	return encode([]byte(fmt.Sprintf(`{"iss":"%s","aud":"a","exp":4102444800,"sub":"%s"}`, issuer(group), sub)))
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// configuration has a provider for each group whose key jwt-scope takes.
func configuration(t *testing.T, vectors []wycheproof.Token) (config string, usable map[int]bool) {
	t.Helper()
	usable = map[int]bool{}
	seen := map[int]bool{}
	var providers []bootstrap.M
	for _, v := range vectors {
		if seen[v.Group] {
			continue
		}
		seen[v.Group] = true
		key := v.Key
		if _, err := tollgate.ParseKey(gjson.ParseBytes(key)); err != nil {
			continue
		}
		usable[v.Group] = true
		providers = append(providers,
			bootstrap.M{"name": fmt.Sprint("group-", v.Group), "issuer": issuer(v.Group), "audiences": []string{"a"},
				"algorithms": []string{gjson.GetBytes(key, "alg").Str},
				"jwks":       bootstrap.M{"inline": bootstrap.M{"keys": []json.RawMessage{key}}}})
	}
	b, err := json.Marshal(bootstrap.M{"providers": providers, "rules": []bootstrap.M{{"name": "all"}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(b), usable
}

// graft gives a vector claims. ok is false where the defect is in the payload itself, or in a shape that has none.
func graft(t *testing.T, v, valid *wycheproof.Token) (text string, ok bool) {
	t.Helper()
	parts, good := strings.Split(v.JWS, "."), strings.Split(valid.JWS, ".")
	if len(parts) != 3 || strings.Contains(v.Comment, "Payload") && strings.HasPrefix(v.Comment, "base64") {
		return "", false
	}
	claims := payload(v.Group, "ann")
	if v.Valid {
		text := parts[0] + "." + claims
		return text + "." + encode(sign(t, v, text)), true
	}
	// What was signed for the vector is the good header with the good payload.
	text = good[0] + "." + claims
	signature := parts[2]
	switch raw, err := base64.RawURLEncoding.DecodeString(parts[2]); {
	case parts[2] == good[2]:
		signature = encode(sign(t, v, text))
	case err == nil && gjson.GetBytes(v.Key, "alg").Str == "RS256":
		signature = encode(regraft(t, v, raw, text))
		// A signature without defect must come out good.
		whole, err := base64.RawURLEncoding.DecodeString(good[2])
		if err != nil || !bytes.Equal(regraft(t, valid, whole, text), sign(t, v, text)) {
			t.Fatal("carrying a signature over to another text does not work")
		}
	}
	switch parts[1] {
	case good[1]:
	case "":
		claims = ""
	default:
		claims = payload(v.Group, "another")
	}
	return parts[0] + "." + claims + "." + signature, true
}

func sign(t *testing.T, v *wycheproof.Token, text string) []byte {
	t.Helper()
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(v.Private); err != nil {
		t.Fatal(err)
	}
	signature, err := jwt.GetSigningMethod(gjson.GetBytes(v.Private, "alg").Str).Sign(text, key.Key)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// regraft carries a faulty PKCS #1 encoding over to another text: it opens the signature, puts the
// text's hash in the place of the old one and signs the rest as it stands.
func regraft(t *testing.T, v *wycheproof.Token, signature []byte, text string) []byte {
	t.Helper()
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(v.Private); err != nil {
		t.Fatal(err)
	}
	k := key.Key.(*rsa.PrivateKey)
	encoded := new(big.Int).Exp(new(big.Int).SetBytes(signature), big.NewInt(int64(k.E)),
		k.N).FillBytes(make([]byte, k.Size()))
	before, after := sha256.Sum256([]byte(v.JWS[:strings.LastIndexByte(v.JWS, '.')])), sha256.Sum256([]byte(text))
	if len(signature) != k.Size() || !bytes.Contains(encoded, before[:]) {
		return signature // not a hash of this text at all
	}
	encoded = bytes.Replace(encoded, before[:], after[:], 1)
	return new(big.Int).Exp(new(big.Int).SetBytes(encoded), k.D, k.N).FillBytes(make([]byte, k.Size()))
}

// tokens are the vectors as they are and grafted.
func tokens(t *testing.T) (config string, all []token) {
	t.Helper()
	vectors := wycheproof.Tokens(t)
	config, usable := configuration(t, vectors)
	valid := map[int]*wycheproof.Token{}
	for i := range vectors {
		if v := &vectors[i]; v.Valid && valid[v.Group] == nil {
			valid[v.Group] = v
		}
	}
	grafts, good := 0, 0
	for i := range vectors {
		v := &vectors[i]
		all = append(all, token{fmt.Sprintf("WP %d %s", v.ID, v.Comment), v.JWS, false})
		if !usable[v.Group] || valid[v.Group] == nil {
			continue
		}
		if text, ok := graft(t, v, valid[v.Group]); ok {
			all = append(all, token{fmt.Sprintf("WP %d %s, with claims", v.ID, v.Comment), text, v.Valid})
			grafts++
			if v.Valid {
				good++
			}
		}
	}
	if grafts != 369 || good != 41 {
		t.Fatalf("%d vectors were given claims, %d of them to be accepted; want 369 and 41", grafts, good)
	}
	return config, all
}

// native are the codes that the core gives natively.
func native(t *testing.T, config string, all []token) []string {
	t.Helper()
	policy, err := scope.Parse(config, scope.Surroundings{})
	if err != nil {
		t.Fatal(err)
	}
	codes := make([]string, len(all))
	counts := map[string]int{}
	for i, c := range all {
		var d scope.Decision
		policy.Decide(&d, &decide.Request{Headers: request(c.text), Now: time.Now()})
		d.Run(&decide.World{Verify: proxycrypto.Verify})
		code := d.Verdict().Code
		if (code == verdict.OK) != c.valid || code == verdict.Internal {
			t.Errorf("%s: natively %s, want accepted %v", c.name, code.Name, c.valid)
		}
		codes[i] = code.Name
		counts[code.Name]++
	}
	t.Logf("%d tokens: %v", len(all), counts)
	return codes
}

func request(text string) [][2]string {
	return [][2]string{{":method", "GET"}, {":authority", "api"}, {":path", "/"}, {":scheme", "http"},
		{"authorization", "Bearer " + text}}
}

var codePattern = regexp.MustCompile(`"code":"([a-z_]+)"}$`)

func TestFilterInWasmhost(t *testing.T) {
	config, all := tokens(t)
	want := native(t, config, all)
	m, err := wasmhost.LoadFile(harness.Module(t, "jwt-scope"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := wasmhost.NewProxy(m, wasmhost.Options{}).Worker(config)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range all {
		s := w.Request(request(c.text), true)
		got := verdict.OK.Name
		if s.Reply != nil {
			got = ""
			if code := codePattern.FindStringSubmatch(s.Reply.Body); code != nil {
				got = code[1]
			}
		}
		if got != want[i] || (s.Reply == nil) != (s.Action == wasmhost.Continue) {
			t.Errorf("%s: %q in the module, %q natively", c.name, got, want[i])
		}
		s.Close()
	}
}

func TestFilterInEnvoy(t *testing.T) {
	config, all := tokens(t)
	want := native(t, config, all)
	harness.Each(t, func(t *testing.T, version string) {
		envoy := harness.Start(t,
			harness.Config{Version: version, Filters: []bootstrap.M{harness.Filter(t, "jwt-scope", config)}})
		client := harness.NewClient1(t, envoy.Main())
		for i, c := range all {
			m := client.Do(harness.Request("GET", "/", [2]string{"Authorization", "Bearer " + c.text}))
			got := verdict.OK.Name
			if m.Status() != 200 {
				got = ""
				if code := codePattern.FindStringSubmatch(m.Body); code != nil {
					got = code[1]
				}
			}
			if got != want[i] {
				t.Errorf("%s: %q in Envoy, %q natively", c.name, got, want[i])
			}
		}
	})
}
