// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// J26: a decision waits for a published key set once, and without one it is a refusal.
func TestRemoteKeys(t *testing.T) {
	p := parse(t, `{"providers": [{"name": "p", "issuer": "https://idp.example", "anyAudience": true, "jwks": {"remote": {"cluster": "c", "authority": "a", "path": "/"}}}], "rules": [{"name": "r"}]}`)
	remote := p.Remotes()[0]
	set, _, err := jwks.ReadDocument(
		string(must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &ecKey.PublicKey, KeyID: "a"}}}))))
	if err != nil {
		t.Fatal(err)
	}
	fetched := func(age time.Duration) jwks.Record {
		return jwks.Record{Version: 1, Fetched: now.Add(-age).UnixMicro()}
	}
	for _, c := range []struct {
		name   string
		record jwks.Record
		set    *jwks.Set
		kid    string
		want   *verdict.Code // after the wait
	}{
		{"no set yet", jwks.Record{}, nil, "a", verdict.KeysUnavailable},
		{"no set, and a fetch that failed", jwks.Record{Failures: 1}, nil, "a", verdict.KeysUnavailable},
		{"a set that is too old", fetched(24*time.Hour + time.Second), set, "a", verdict.KeysUnavailable},
		{"a kid that the set does not have", fetched(time.Minute), set, "b", TokenKeyUnknown},
	} {
		remote.Source = jwks.Source{Refresh: remote.Source.Refresh, MaxStale: remote.Source.MaxStale}
		remote.Source.Update(c.record, c.set)
		headers := request("GET", "/", bearerHeader(sign(t, jose.ES256, ecKey, c.kid, good())))
		var d Decision
		if p.Decide(&d, asked(headers, now)); d.KeysWanted() != remote || d.Verdict().Admits() {
			t.Errorf("%s: it does not wait: %s", c.name, d.Verdict().Reason().Name)
		}
		if p.DecideAfterWait(&d, asked(headers, now)); d.KeysWanted() != nil || d.Step() != decide.Done ||
			d.Verdict().Reason() != c.want {
			t.Errorf("%s, after the wait: %s, want %s", c.name, d.Verdict().Reason().Name, c.want.Name)
		}
	}
	// What the wait has brought is used, at the last moment of its age, too.
	remote.Source.Update(fetched(24*time.Hour), set)
	v := judge(p, now, request("GET", "/", bearerHeader(sign(t, jose.ES256, ecKey, "a", good())))...)
	if v.Reason() != verdict.OK {
		t.Errorf("with the set: %s", v.Reason().Name)
	}
}
