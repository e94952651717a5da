// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
	"github.com/tollgate-wasm/tollgate/build/tollgate/migrate/policytest"
	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/jose/proxycrypto"
)

var keys = []*mint.Key{mint.New("one", jose.ES256), mint.New("two", jose.ES256)}

var now = time.Unix(1_800_000_000, 0)

// ask is a request, and what is known of it besides.
type ask struct {
	host, method, path string
	headers            [][2]string
	issuer             int // from 1; 0: without a token
	claims             map[string]any
	inside             bool // where jwt-scope does not look: its address is one of the blocks
}

var issuerURL = policytest.IssuerURL

// tokens are signed once.
var tokens = map[string]string{}

func (a ask) token() string {
	all := map[string]any{"iss": issuerURL(a.issuer), "exp": now.Unix() + 60}
	for name, v := range a.claims {
		all[name] = v
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic(err) // claims of these tests marshal
	}
	if tokens[string(text)] == "" {
		tokens[string(text)] = keys[a.issuer-1].Token(json.RawMessage(text))
	}
	return tokens[string(text)]
}

// admits is what jwt-scope decides.
func admits(t testing.TB, p *scope.Policy, a ask) bool {
	t.Helper()
	headers := append([][2]string{{":method", a.method}, {":authority", a.host}, {":path", a.path}}, a.headers...)
	if a.issuer > 0 {
		headers = append(headers, [2]string{"authorization", "Bearer " + a.token()})
	}
	d := &scope.Decision{}
	p.Decide(d, &decide.Request{Headers: headers, Now: now})
	if step := d.Run(&decide.World{Verify: proxycrypto.Verify}); step != decide.Done && step != decide.FetchKeys {
		t.Fatalf("the decision waits for step %d", step)
	}
	return d.Verdict().Admits()
}

func (a ask) public() policytest.Ask {
	return policytest.Ask{Host: a.host, Method: a.method, Path: a.path, Issuer: a.issuer, Claims: a.claims,
		Inside: a.inside, Headers: a.headers}
}

func private(a policytest.Ask) ask {
	return ask{host: a.Host, method: a.Method, path: a.Path, issuer: a.Issuer, claims: a.Claims, inside: a.Inside,
		headers: a.Headers}
}

func asks() (list []ask) {
	for _, a := range policytest.Asks() {
		list = append(list, private(a))
	}
	return list
}

// Whatever the policies: what the migrated configuration admits, Istio admits. Where nothing is
// said to be lost, it admits as much.
func TestNeverLessStrict(t *testing.T) {
	list := asks()
	made, exactly, stricter, asked := 0, 0, 0, 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		policies := policytest.RandomPolicies(r, seed%2 == 0)
		text := authenticationWithKeys(t)
		splits := seed%4 > 1 // the second issuer's roles at spaces
		if splits {
			text = strings.Replace(text, "}]}}\n", ", spaceDelimitedClaims: [role]}]}}\n", 1)
		}
		for i, p := range policies {
			spec, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			text += fmt.Sprintf("---\n{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: "+
				"p%d, namespace: shop}, spec: %s}\n", i, spec)
		}
		m := &Migrator{}
		m.Add("p.yaml", []byte(text))
		result := m.Result()
		if len(result.Configurations) != 1 {
			t.Fatalf("seed %d: %d configurations: %v", seed, len(result.Configurations), result.Findings)
		}
		made++
		p, err := scope.Parse(result.Configurations[0].JSON, scope.Surroundings{})
		if err != nil {
			t.Fatal(err)
		}
		lost := slices.ContainsFunc(result.Findings, func(f check.Finding) bool {
			return f.Severity == check.Error || strings.Contains(f.Problem, "without a letter in it")
		})
		if !lost {
			exactly++
		}
		for i, a := range list {
			a.headers = list[(i+int(seed))%len(list)].headers
			asked++
			ours, istios := admits(t, p, a), policytest.Admits(policies, a.split(splits).public())
			if ours && !istios {
				t.Fatalf("seed %d: %+v is admitted, and Istio refuses it:\n%s\n%s\n%v", seed, a, text,
					result.Configurations[0].JSON, result.Findings)
			}
			if istios && !ours {
				stricter++
				if !lost && !a.public().Ambiguous() {
					t.Fatalf("seed %d: %+v is refused, Istio admits it, and no finding says so:\n%s\n%s\n%v", seed, a,
						text, result.Configurations[0].JSON, result.Findings)
				}
			}
		}
	}
	t.Logf("%d configurations, %d without a loss; of %d requests %d refused that Istio admits", made, exactly, asked,
		stricter)
	if exactly < made/3 || stricter == 0 || asked < 100_000 {
		t.Error("the policies show too little")
	}
}

// split has the second issuer's role split at spaces.
func (a ask) split(splits bool) ask {
	if role, ok := a.claims["role"].(string); ok && splits && a.issuer == 2 {
		a.claims = maps.Clone(a.claims)
		a.claims["role"] = strings.Fields(role)
	}
	return a
}

func authenticationWithKeys(t testing.TB) string {
	t.Helper()
	var rules []string
	for i, k := range keys {
		rules = append(rules, fmt.Sprintf("{issuer: %q, audiences: [any], jwks: %q}", issuerURL(i+1), mint.Set(k)))
	}
	text := "{apiVersion: security.istio.io/v1, kind: RequestAuthentication, metadata: {name: idp, namespace: shop}, " +
		"spec: {jwtRules: [" + strings.Join(rules, ", ") + "]}}\n"
	return strings.ReplaceAll(text, ", audiences: [any]", "")
}
