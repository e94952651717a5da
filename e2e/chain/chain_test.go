// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package chain holds chains of filters in one plugin against the same filters in plugins of their own.
package chain

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

type M = bootstrap.M

var (
	idp    = mint.New("idp", jose.ES256)
	forger = mint.New("idp", jose.ES256)
	edge   = mint.New("edge", jose.RS256)
)

// step is one filter of a chain.
type step struct {
	name, filter string
	config       M
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// limits is a rate-limit step whose limits few requests reach; their names are the step's, so that
// counters are told apart.
func limits(r *rand.Rand, name string) step {
	key := pick(r, []M{{"sourceAddress": M{}}}, []M{{"header": "x-client"}}, []M{{"claim": []string{"sub"}}},
		[]M{{"claim": []string{"plan"}}, {"pathTemplate": true}}, nil)
	limit := M{"name": name, "rate": M{"requests": 3 + r.IntN(40), "per": "1h"},
		"onMissingKey": pick(r, "skip", "deny", "shared"), "match": []M{{"paths": []string{"/a/{**}", "/b/{id}"}}}}
	if key != nil {
		limit["key"] = key
	}
	if r.IntN(4) == 0 {
		limit["mode"] = "shadow"
	}
	return step{name, "rate-limit", M{"limits": []M{limit}, "headers": pick(r, "standard", "none", "legacy", "both")}}
}

func tokens(r *rand.Rand) step {
	claims := []M{{"path": []string{"sub"}, "header": "x-user"}}
	if r.IntN(2) == 0 {
		claims = append(claims, M{"path": []string{"plan"}, "header": "x-plan"})
	}
	return step{"who", "jwt-scope", M{
		"providers": []M{{"name": "idp", "issuer": "https://idp", "audiences": []string{"api"},
			"jwks": M{"inline": mint.Set(idp)}, "token": []M{{"header": "authorization", "scheme": "Bearer"},
				{"cookie": "session"}}}},
		"rules": []M{
			{"name": "open", "match": []M{{"paths": []string{"/open"}}}, "access": "public"},
			{"name": "read", "match": []M{{"methods": []string{"GET"}}}, "access": pick(r, "required", "optional")},
			{"name": "write", "require": M{"scopes": M{"any": []string{"write"}}}, "mode": pick(r, "enforce", "shadow")},
		},
		"forward": M{"token": pick(r, "strip", "keep"), "payloadHeader": "x-payload", "claimHeaders": claims},
	}}
}

func stamps(r *rand.Rand) step {
	return step{"stamp", "edge-stamp", M{
		"role": "sign", "issuer": "https://edge", "audience": "mesh",
		"keys": []M{{"kid": "edge", "alg": "RS256", "env": "EDGE"}}, "copyClaims": []string{"sub", "plan"},
		"rules": []M{{"name": "unsigned", "match": []M{{"paths": []string{"/open"}}}, "sign": false},
			{"name": "all", "sign": true,
				"bind": pick(r, []string{"method", "path"}, []string{"method", "authority", "path", "query"})}},
	}}
}

// configuration is a random chain.
func configuration(r *rand.Rand) (steps []step) {
	if r.IntN(2) == 0 {
		steps = append(steps, limits(r, "first"))
	}
	steps = append(steps, tokens(r))
	if r.IntN(3) > 0 {
		steps = append(steps, limits(r, "second"))
	}
	if r.IntN(2) == 0 {
		steps = append(steps, stamps(r))
	}
	if r.IntN(4) == 0 {
		steps = append(steps, limits(r, "third"))
	}
	return steps
}

func request(r *rand.Rand) string {
	method := pick(r, "GET", "GET", "POST", "get")
	path := pick(r, "/a/x", "/b/7", "/open", "/a/../b", "/c?x=1&y=2", "/a/x;v=1", "/b/%2e")
	var headers [][2]string
	token := func() string {
		return pick(r, idp, idp, idp,
			forger).Token(M{"iss": "https://idp", "aud": pick(r, "api", "api", "other"), "sub": pick(r, "ann", "bob"),
			"plan":  pick(r, any("gold"), any(7), any(nil), any([]string{"b", "a"})),
			"scope": pick(r, "read", "read write"), "exp": time.Now().Unix() + int64(pick(r, 300, 300, -300))})
	}
	for range r.IntN(5) {
		headers = append(headers,
			pick(r, [2]string{"authorization", "Bearer " + token()}, [2]string{"authorization", "Bearer " + token()},
				[2]string{"cookie", "a=b; session=" + token()}, [2]string{"x-client", pick(r, "1", "2", "")},
				[2]string{"x-user", "forged"}, [2]string{"x_user", "forged"}, [2]string{"x-edge-stamp", "forged"},
				[2]string{"x-plan", "gold"}, [2]string{"x-other", "1"}, [2]string{"content-type", "application/grpc"}))
	}
	return harness.Request(method, path, headers...)
}

// stable is a message without what differs from one moment to the next.
func stable(t *testing.T, m *harness.Message) (lines []string) {
	t.Helper()
	lines = append(lines, m.Start, m.Body)
	for _, h := range m.Headers {
		value := h[1]
		switch h[0] {
		case "date", "x-request-id", "x-envoy-upstream-service-time", "x-ratelimit-reset", "retry-after":
			value = "…"
		case "ratelimit":
			value = regexp.MustCompile(`;t=\d+`).ReplaceAllString(value, "")
		case "x-edge-stamp":
			if parts := strings.Split(value, "."); len(parts) == 3 {
				payload, err := base64.RawURLEncoding.DecodeString(parts[1])
				var claims M
				if err == nil {
					err = json.Unmarshal(payload, &claims)
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, name := range []string{"iat", "exp", "jti"} {
					delete(claims, name)
				}
				value = fmt.Sprint(claims)
			}
		}
		lines = append(lines, h[0]+": "+value)
	}
	return lines
}

// The same requests, one after the other, to a chain and to its filters apart.
func TestSameAsApart(t *testing.T) {
	const configurations, requests = 24, 220
	harness.Each(t, func(t *testing.T, version string) {
		if version != harness.Versions(t)[0] {
			return // what plugins see of each other is the same in all
		}
		up := harness.StartUpstream(t)
		r := rand.New(rand.NewPCG(16, 1))
		environment := map[string]string{"EDGE": edge.PrivateJWK()}
		var listeners []M
		var chains [][]step
		for i := range configurations {
			steps := configuration(r)
			chains = append(chains, steps)
			var apart, parts []M
			for _, s := range steps {
				text, err := json.Marshal(s.config)
				if err != nil {
					t.Fatal(err)
				}
				name := fmt.Sprintf("apart-%d-%s", i, s.name)
				w := bootstrap.Wasm{Name: s.filter, Module: harness.Module(t, s.filter), Configuration: string(text),
					Env: environment}.Filter()
				w["typed_config"].(M)["config"].(M)["name"] = name
				apart = append(apart, w)
				parts = append(parts, M{"name": fmt.Sprintf("chain-%d-%s", i, s.name), "filter": s.filter, "config": s.config})
			}
			text, err := json.Marshal(M{"chain": parts})
			if err != nil {
				t.Fatal(err)
			}
			whole := bootstrap.Wasm{Name: "tollgate", Module: harness.Module(t, "tollgate"),
				Configuration: string(text), Env: environment}.Filter()
			listeners = append(listeners,
				bootstrap.Listener(fmt.Sprint("apart-", i), 0, apart, bootstrap.To("upstream"), nil),
				bootstrap.Listener(fmt.Sprint("chain-", i), 0, []M{whole}, bootstrap.To("upstream"), nil))
		}
		e := harness.Start(t, harness.Config{Version: version, Listeners: listeners,
			Clusters: []M{bootstrap.Cluster("upstream", up.Port(), false)}})
		statuses, upstream := map[int]int{}, 0
		for i := range configurations {
			apart, whole := harness.NewClient1(t, e.Address(fmt.Sprint("apart-", i))), harness.NewClient1(t,
				e.Address(fmt.Sprint("chain-", i)))
			var list []string
			for range requests {
				list = append(list, request(r))
			}
			send := func(c *harness.Client1) (answers, passed [][]string) {
				for _, text := range list {
					up.Take()
					answer := c.Do(text)
					statuses[answer.Status()]++
					answers = append(answers, stable(t, answer))
					var got []string
					for _, m := range up.Take() {
						upstream++
						got = append(got, stable(t, m)...)
					}
					passed = append(passed, got)
				}
				return answers, passed
			}
			var answers, passed [2][][]string
			var counted [2]map[string]uint64
			counted[0] = e.Change(func() { answers[0], passed[0] = send(apart) })
			counted[1] = e.Change(func() { answers[1], passed[1] = send(whole) })
			for n, text := range list {
				if !reflect.DeepEqual(answers[0][n], answers[1][n]) || !reflect.DeepEqual(passed[0][n], passed[1][n]) {
					t.Fatalf("of %v, request %q:\napart %q\n   to %q\nchain %q\n   to %q", names(chains[i]), text,
						answers[0][n], passed[0][n], answers[1][n], passed[1][n])
				}
			}
			if !maps.Equal(counted[0], counted[1]) {
				t.Errorf("of %v:\napart %v\nchain %v", names(chains[i]), counted[0], counted[1])
			}
		}
		t.Logf("measured: %d requests to %d chains, and as many to their filters apart: %v; %d went upstream",
			configurations*requests, configurations, statuses, upstream)
		for _, status := range []int{200, 400, 401, 403, 429} {
			if statuses[status] < 20 {
				t.Errorf("%d answers are %d", statuses[status], status)
			}
		}
	})
}

func names(steps []step) (list []string) {
	for _, s := range steps {
		list = append(list, s.name)
	}
	return slices.Clip(list)
}
