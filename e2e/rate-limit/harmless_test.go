// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// Who turns one key in an outage, onError say, is not refused because another has no effect any
// more: each filter starts, says so in the log, and decides.
func TestHarmless(t *testing.T) {
	edge := mint.New("edge", jose.RS256)
	service := M{"cluster": "ratelimit", "authority": "ratelimit", "domain": "d"}
	trust := []M{{"name": "edge", "issuer": "https://edge", "audiences": []string{"mesh"},
		"jwks": M{"inline": mint.Set(edge)}}}
	rows := []struct {
		name, filter string
		config       M
		warning      string
		status       int
	}{
		{"replicas", "rate-limit",
			M{"limits": []M{limit("replicas", 1, M{"scope": "global"})},
				"global": with(service, M{"onError": "deny", "replicas": 4})},
			"rate_limit: global.replicas: has no effect: it is used by onError: local and by lease only", 503},
		{"unasked", "rate-limit", M{"limits": []M{limit("unasked", 1)}, "global": service},
			"rate_limit: global: has no effect: no limit has scope: global", 200},
		{"missing", "rate-limit", limits(limit("missing", 1, M{"onMissingKey": "deny"})),
			"rate_limit: limits[0].onMissingKey: has no effect: no part of the key can be missing", 200},
		{"once", "jwt-scope", M{
			"providers": []M{{"name": "idp", "issuer": issuer, "audiences": []string{"shop", "shop"},
				"algorithms": []string{"ES256"}, "jwks": M{"inline": mint.Set(idp)}}}, "rules": []M{{"name": "anyone"}}},
			"jwt_scope: providers[0].audiences[1]: is in the list already: once is enough", 401},
		{"globally", "edge-stamp",
			M{"role": "verify", "trust": trust, "replay": M{"global": service}, "rules": []M{{"name": "all"}}},
			"edge_stamp: replay: global has no effect: no rule requires replay: onceGlobal", 401},
		{"unsigned", "edge-stamp",
			M{"role": "sign", "issuer": "https://edge", "audience": "mesh",
				"keys":  []M{{"kid": "edge", "alg": "RS256", "pem": edge.PrivatePEM()}},
				"rules": []M{{"name": "all", "sign": false, "bind": []string{"path"}}}},
			"edge_stamp: rules[0].bind: has no effect beside sign: false", 200},
	}
	var listeners []M
	for _, r := range rows {
		listeners = append(listeners,
			bootstrap.Listener(r.name, 0, []M{harness.Filter(t, r.filter, text(r.config))}, bootstrap.Answer(200, "ok"), nil))
	}
	envoy := harness.Start(t, harness.Config{Version: harness.Versions(t)[0], Listeners: listeners})
	for _, r := range rows {
		envoy.WaitLog(r.warning)
		if m := harness.HTTP1(t, envoy.Address(r.name), harness.Request("GET", "/")); m.Status() != r.status {
			t.Errorf("%s: %s, want %d", r.name, m.Start, r.status)
		}
	}
}
