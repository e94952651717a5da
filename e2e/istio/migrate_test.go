// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package istio

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/migrate"
	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/e2e/istio/mesh"
	"github.com/tollgate-wasm/tollgate/e2e/migration"
)

// The policies of the migration notes, in a gateway that istiod has made filters of them for, and
// what tollgate migrate makes of them, in another: whatever is asked, both admit it, or neither
// does. e2e/migration holds the same against filters that were written by hand of what istiod does;
// here it is istiod that does it.
func TestMigrate(t *testing.T) {
	root, err := envoybin.Root()
	if err != nil {
		t.Fatal(err)
	}
	notes, err := migration.Read(string(read(t, filepath.Join(root, migration.File))))
	if err != nil {
		t.Fatal(err)
	}
	partner := mint.New("partner-1", jose.ES256)
	keySets := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			_, _ = w.Write(mint.Set(partner))
			return
		}
		_, _ = w.Write(mint.Set(idp))
	}))
	defer keySets.Close()
	_, keysPort, _ := strings.Cut(keySets.Listener.Addr().String(), ":")

	registry, up := mesh.StartRegistry(t), harness.StartUpstream(t)
	scope := push(t, registry, "jwt-scope")
	var sides [2]lab // of the policies, and of what they are migrated to
	for i := range sides {
		l := lab{t: t, up: up, registry: registry, port: mesh.FreePorts(t, 1)[0]}
		lab := gateway("gateway", l.port, up.Port())
		for _, host := range []string{"idp.example.com", "partner.example.net"} {
			lab += fmt.Sprintf("---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: %s, "+
				"namespace: edge}\nspec:\n  hosts: [%s]\n  location: MESH_EXTERNAL\n  resolution: STATIC\n"+
				"  ports: [{number: 443, name: http, protocol: HTTP}]\n  endpoints: [{address: 127.0.0.1, ports: "+
				"{http: %s}}]\n", strings.ReplaceAll(host, ".", "-"), host, keysPort)
		}
		l.Mesh = mesh.Start(t, mesh.Options{Resources: map[string]string{"lab": lab}})
		l.proxy = l.Proxy(mesh.Workload{Name: "gateway", Namespace: "edge", Gateway: true,
			Labels: map[string]string{"app": "gateway"}})
		sides[i] = l
	}
	forged := bearer(forger.Token(claims()))
	for n, c := range notes.Cases {
		policies := ""
		for _, r := range c.Istio {
			policies += adopted(t, r.JSON) + "\n---\n"
		}
		var m migrate.Migrator
		m.Add(c.Name, []byte(policies))
		result := m.Result()
		if len(result.Configurations) != 1 {
			t.Fatalf("%s: %d configurations; %v", c.Name, len(result.Configurations), result.Findings)
		}
		migrated, err := result.Configurations[0].Resource(scope.Pinned(), n%2 == 1) // a TrafficExtension every other time
		if err != nil {
			t.Fatal(err)
		}
		// A name of its own: until a new configuration is there, Envoy goes on with the last one of that name.
		migrated = strings.Replace(migrated, "\n  name: ", fmt.Sprintf("\n  name: migrated-%d-", n), 1)
		for i, text := range []string{strings.NewReplacer("https://idp.example.com/realms/shop/certs",
			keySets.URL+"/certs", "https://partner.example.net/keys", keySets.URL+"/keys").Replace(policies), migrated} {
			sides[i].until(c.Name+": everything passes", isStatus(200), "GET", "/orders/7", forged)
			sides[i].Apply("policies", text)
			// In another place than the header no policy finds a token in it: then it is as if there were none.
			sides[i].until(c.Name+": there are policies", func(answer) bool {
				return !sides[i].ask("GET", "/admin", forged).is(200) ||
					!sides[i].ask("GET", "/orders/7", forged, [2]string{"X-Assertion", forger.Token(claims())}).is(200)
			}, "GET", "/")
		}
		asked, both := 0, 0
		for _, r := range questions(partner) {
			var admitted [2]bool
			for i := range sides {
				a := sides[i].ask(r.method, r.path, r.headers...)
				if admitted[i] = a.is(200); !admitted[i] && a.status/100 != 4 {
					t.Errorf("%s: %s is answered %d %s", c.Name, r.name, a.status, a.body)
				}
			}
			asked++
			if admitted[0] != admitted[1] {
				t.Errorf("%s: %s: admitted before %t, after %t", c.Name, r.name, admitted[0], admitted[1])
			} else if admitted[0] {
				both++
			}
		}
		measured(t, "migrated policies, %s: of %d requests both admit %d, and refuse the others", c.Name, asked, both)
		if both == 0 || both == asked {
			t.Errorf("%s: both admit %d of %d requests: nothing is tried", c.Name, both, asked)
		}
		for i := range sides {
			sides[i].Delete("policies")
		}
	}
}

// adopted is a policy for the tests' gateway.
func adopted(t *testing.T, text []byte) string {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	o["metadata"].(map[string]any)["namespace"] = "edge"
	spec, _ := o["spec"].(map[string]any)
	spec["selector"] = map[string]any{"matchLabels": map[string]any{"app": "gateway"}}
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

type question struct {
	name, method, path string
	headers            [][2]string
}

// questions are every token with every path and method, in the header and, some, in other places.
func questions(partner *mint.Key) (list []question) {
	with := func(changes ...any) string { return idp.Token(claims(changes...)) }
	tokens := []struct{ name, token string }{
		{"no token", ""},
		{"a reader", with()},
		{"a writer", with("scope", "orders:read orders:write")},
		{"an administrator", with("scope", "orders:admin", "realm_access", map[string]any{"roles": []string{"admin"}},
			"account", "acct-7")},
		{"a clerk", with("realm_access", map[string]any{"roles": []string{"clerk"}}, "account", "acct-7", "status",
			"active")},
		{"a suspended clerk", with("realm_access", map[string]any{"roles": []string{"clerk"}}, "account", "acct-7",
			"status", "suspended")},
		{"a robot", with("client_kind", "robot")},
		{"a token with an organisation",
			with("level", 3, "org", map[string]any{"name": "acme"}, "groups", []string{"finance"}, "department", "finance")},
		{"a reader of reports", with("scope", "reports:read")},
		{"the partner", partner.Token(claims("iss", "https://partner.example.net"))},
		{"the partner's key for the other issuer", partner.Token(claims())},
		{"a forged token", forger.Token(claims())},
		{"an expired token", with("exp", 1)},
		{"a token for others", with("aud", "billing")},
	}
	for _, token := range tokens {
		for _, method := range []string{"GET", "POST"} {
			for _, path := range []string{"/", "/healthz", "/orders", "/orders/7", "/orders/7/items", "/ordersx",
				"/admin", "/admin/users", "/partner/7", "/reports", "/reports/7", "/tenants/acme/invoices", "/files/a/b"} {
				q := question{token.name + ": " + method + " " + path, method, path, [][2]string{{"Host", "api.example.com"}}}
				if token.token != "" {
					q.headers = append(q.headers, bearer(token.token))
				}
				list = append(list, q)
			}
		}
		for _, headers := range [][][2]string{{{"X-Channel", "web"}}, {{"X-Channel", "app-7"}, {"X-Region", "eu"}},
			{{"X-Channel", "other"}}, {{"X-Channel", "web"}, {"X-Region", "test"}}, {{"X-Channel", "web"}, {"X-Debug", ""}}} {
			q := question{fmt.Sprint(token.name, ": GET /orders/7 with ", headers), "GET", "/orders/7",
				append([][2]string{{"Host", "api.example.com"}}, headers...)}
			if token.token != "" {
				q.headers = append(q.headers, bearer(token.token))
			}
			list = append(list, q)
		}
		if token.token != "" {
			for _, place := range [][2]string{{"X-Assertion", token.token}, {"Cookie", "session=" + token.token},
				{"Authorization", "Token " + token.token}} {
				list = append(list, question{token.name + " in " + place[0], "GET", "/orders/7",
					[][2]string{{"Host", "api.example.com"}, place}})
			}
		}
	}
	return list
}
