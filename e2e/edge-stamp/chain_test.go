// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package edgestamp

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

const (
	edgeID = "spiffe://shop.example/ns/edge/sa/gateway"
	meshID = "spiffe://shop.example/ns/shop/sa/orders"
)

// chain is an edge, a mesh that fetches the edge's keys, and an upstream, with mTLS between the two, in one profile.
type chain struct {
	profile         string
	key             *mint.Key // that the edge signs with
	up              *harness.Upstream
	edge, mesh      *harness.Envoy
	root, edgeCA    *harness.Authority
	edgeCertificate *harness.Certificate
}

var (
	scopes = M{"scopes": M{"all": []string{"orders:read"}}}
	// How the mesh authorizes: by the claims of the stamp, or by the client's own token.
	authorizers = []string{"payload", "token"}
	hops        = []string{"h1", "h2"}
)

// startChain starts one for each profile, in one pair of Envoys. In profile rfc9421 the claims have
// no exp of their own: the signature has.
func startChain(t *testing.T, version string) (chains []*chain) {
	t.Helper()
	up, root, stranger, keys := harness.StartUpstream(t), harness.NewAuthority(t), harness.NewAuthority(t),
		harness.StartRelay(t, nil)
	edgeCA, meshCA := root.Intermediate(), root.Intermediate()
	edge, server := edgeCA.Issue(edgeID), meshCA.Issue(meshID)
	upstream := bootstrap.Cluster("upstream", up.Port(), false)
	all := signers(version)
	k := map[string]*mint.Key{"jws": all[0], "rfc9421": all[len(all)-1]}

	listeners := []M{server.ListenTo(bootstrap.Listener("stranger", 0, nil, bootstrap.To("upstream"), nil), stranger)}
	for _, profile := range profiles {
		admit := stampFilter(t, verify(M{
			"profile": profile,
			"trust": []M{trust(M{"remote": M{"cluster": "edge", "authority": "edge.example", "path": keysPath,
				"timeout": "30s"}})},
			"rules":   []M{{"name": "everything", "access": "stamped", "peers": []string{edgeID}}},
			"forward": M{"payloadHeader": "x-jwt-payload", "stamp": "strip"},
		}))
		for how, provider := range map[string]M{
			"payload": {"issuer": edgeIssuer, "aud": "mesh.internal", "trustedPayload": M{"header": "x-jwt-payload"}},
			"token":   {"issuer": idpIssuer, "aud": "shop", "jwks": M{"inline": mint.Set(idp)}},
		} {
			listeners = append(listeners,
				server.Listen(bootstrap.Listener(profile+"-"+how, 0,
					[]M{admit, tokenFilter(t, provider, M{"name": "orders", "require": scopes})}, bootstrap.To("upstream"), nil)))
		}
	}
	mesh := harness.Start(t,
		harness.Config{Version: version, Clusters: []M{upstream, bootstrap.Cluster("edge", keys.Port(), false)},
			Listeners: listeners})

	failures := M{"access_log": bootstrap.AccessLog(map[string]string{"flags": "%RESPONSE_FLAGS%",
		"to": "%UPSTREAM_CLUSTER%", "reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%"})}
	var variables []string
	for _, k := range k {
		t.Setenv(variable(k), k.PrivateJWK())
		variables = append(variables, variable(k))
	}
	slices.Sort(variables)
	listeners = nil
	clusters := []M{upstream}
	for i, profile := range profiles {
		own, other := k[profile], k[profiles[1-i]]
		stamp := stamper(t, sign(own, M{
			"profile": profile, "copyClaims": []string{"sub", "scope"}, "publish": keysPath,
			"keys": []M{key(own), {"kid": other.ID, "alg": other.Algorithm, "publicOnly": json.RawMessage(other.PublicJWK())}},
			"rules": []M{{"name": "plain", "match": []M{{"paths": []string{"/unsigned/{**}"}}}, "sign": false},
				{"name": "all", "sign": true}},
		}))
		stamp.Env, stamp.HostEnv = nil, variables
		front := []M{tokenFilter(t, M{"issuer": idpIssuer, "aud": "shop", "jwks": M{"inline": mint.Set(idp)}},
			M{"name": "keys", "match": []M{{"paths": []string{keysPath}}}, "access": "public"}, M{"name": "anyone"}),
			stamp.Filter()}
		listeners = append(listeners, bootstrap.Listener(profile+"-capture", 0, front, bootstrap.To("upstream"), nil))
		to := func(name, listener string, http2 bool, servers *harness.Authority) {
			name = profile + "-" + name
			listeners = append(listeners, bootstrap.Listener(name, 0, front, bootstrap.To(name), failures))
			clusters = append(clusters, edge.Connect(bootstrap.Cluster(name, portOf(t, mesh, listener), http2), servers, meshID))
		}
		for _, how := range authorizers {
			for _, hop := range hops {
				to(how+"-"+hop, profile+"-"+how, hop == "h2", root)
			}
		}
		to("stranger-mesh", profile+"-payload", false, stranger) // the edge does not know the mesh's root
		to("stranger-edge", "stranger", false, root)             // the mesh does not know the edge's
		chains = append(chains, &chain{profile: profile, key: own, up: up, mesh: mesh, root: root, edgeCA: edgeCA,
			edgeCertificate: edge})
	}
	front := harness.Start(t, harness.Config{Version: version, Listeners: listeners, Clusters: clusters})
	keys.To(front.Address("jws-capture"))
	for _, c := range chains {
		c.edge = front
		for _, how := range authorizers {
			if err := mesh.Await(func() bool {
				return exchange(t, "h1", c.enter(how+"-h1"), "GET", "/orders/7", bearer(token())).Status() == 200
			}, 20*time.Second); err != nil {
				t.Fatalf("the mesh never had the edge's keys: %v", err)
			}
		}
	}
	up.Take()
	return chains
}

// enter is the address of the edge's listener of this profile.
func (c *chain) enter(name string) string { return c.edge.Address(c.profile + "-" + name) }

// direct goes around the edge, straight to the mesh.
func (c *chain) direct(t *testing.T, certificate *harness.Certificate, listener string,
	headers ...[2]string) (answer *http.Response, body string) {
	t.Helper()
	req, err := http.NewRequest("GET", "https://"+c.mesh.Address(c.profile+"-"+listener)+"/orders/7?a=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "api.example"
	for _, h := range headers {
		req.Header.Add(h[0], h[1])
	}
	answer, err = c.root.Client(certificate).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(b)
}

// exchange sends a request in one of the protocols over a connection of its own.
func exchange(t *testing.T, protocol, address, method, path string, headers ...[2]string) *harness.Message {
	t.Helper()
	if protocol == "h2" {
		return harness.HTTP2(t, address, harness.Pseudo(method, path, headers...), "")
	}
	return harness.HTTP1(t, address, harness.Request(method, path, headers...))
}

// What the project is for: the edge authenticates and signs, the mesh admits by the stamp and
// authorizes by what it says.
func TestChain(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		for _, c := range startChain(t, version) {
			k := c.key
			t.Run(c.profile+" "+k.ID, func(t *testing.T) {
				t.Run("good requests", c.good)
				t.Run("refused by the edge", c.refusedByEdge)
				t.Run("S10 unsigned", c.unsigned)
				t.Run("around the edge", c.around)
				t.Run("unrelated roots", c.unrelated)
				for _, envoy := range []*harness.Envoy{c.edge, c.mesh} {
					if log := envoy.Log(); strings.Contains(log, "PRIVATE KEY") ||
						strings.Contains(log, k.PrivateJWK()) || strings.Contains(log, "ann@example.com") {
						t.Error("S14: a key or a claim is in the log")
					}
				}
				// S14: config_dump has variables that the configuration itself sets, as the mesh's
				// does here, but of Envoy's own only the names, as the edge's has it.
				for name, x := range map[string]struct {
					envoy *harness.Envoy
					shown bool
				}{"edge": {c.edge, false}, "mesh": {c.mesh, true}} {
					dump, err := x.envoy.Admin("/config_dump")
					if err != nil {
						t.Fatal(err)
					}
					if !strings.Contains(dump, variable(k)) || strings.Contains(dump, secret(k)) != x.shown {
						t.Errorf("S14: the %s's config_dump has the key: %v, want %v", name, !x.shown, x.shown)
					}
				}
			})
		}
	})
}

func (c *chain) good(t *testing.T) {
	for _, client := range hops {
		for _, how := range authorizers {
			for _, hop := range hops {
				name := client + " to the edge, " + hop + " to the mesh, by " + how
				var answer *harness.Message
				forged := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"` + edgeIssuer + `","sub":"root"}`))
				added := c.mesh.Change(func() {
					answer = exchange(t, client, c.enter(how+"-"+hop), "GET", "/orders/7?a=1", bearer(token()),
						[2]string{"x-jwt-payload", forged}, [2]string{"x_jwt_payload", forged},
						[2]string{"x-edge-stamp", "forged"}, [2]string{"x_edge_stamp", "forged"})
				})
				reached := c.up.Take()
				if answer.Status() != 200 || len(reached) != 1 || reached[0].Start != "GET /orders/7?a=1 HTTP/1.1" {
					t.Errorf("%s: %s %s, the upstream has %+v", name, answer.Start, answer.Body, reached)
					continue
				}
				wantChange(t, name, added, map[string]uint64{allowed("everything"): 1, scopeOK("orders"): 1})
				var claims map[string]any
				payload, err := base64.RawURLEncoding.DecodeString(reached[0].Header("x-jwt-payload"))
				if err == nil {
					err = json.Unmarshal(payload, &claims)
				}
				if err != nil || claims["iss"] != edgeIssuer || claims["sub"] != "ann" ||
					claims["scope"] != "orders:read" || claims["email"] != nil {
					t.Errorf("P9 %s: the upstream's claims: %s %v", name, payload, err)
				}
				for _, h := range reached[0].Headers {
					if strings.Contains(h[1], "forged") || h[1] == forged || h[0] == "x-edge-stamp" ||
						h[0] == "signature" || h[0] == "signature-input" {
						t.Errorf("S11 P9 %s: the upstream got %s", name, h[0])
					}
				}
			}
		}
	}
	if n := c.mesh.Counter("cluster.edge.upstream_rq_200"); n != 1 {
		t.Errorf("the edge's keys were fetched %d times, want once for all listeners", n)
	}
	for _, how := range authorizers {
		if n := c.mesh.Counter("http." + c.profile + "-" + how + ".downstream_cx_http2_total"); n == 0 {
			t.Errorf("no HTTP/2 came from the edge for %s", how)
		}
	}
	// The stamp says that the edge knows the client; what the client may do is decided by the claims that came with it.
	for _, how := range authorizers {
		added := c.mesh.Change(func() {
			answer := exchange(t, "h2", c.enter(how+"-h2"), "GET", "/orders/7", bearer(token(M{"scope": "billing"})))
			if answer.Status() != 403 || !strings.Contains(answer.Body, `"insufficient_scope"`) {
				t.Errorf("another scope, by %s: %s %s", how, answer.Start, answer.Body)
			}
		})
		wantChange(t, "another scope", added,
			map[string]uint64{allowed("everything"): 1, scopeNo("orders", "insufficient_scope"): 1})
	}
	if n := len(c.up.Take()); n != 0 {
		t.Errorf("%d refused requests reached the upstream", n)
	}
}

func (c *chain) refusedByEdge(t *testing.T) {
	for _, client := range hops {
		added := c.mesh.Change(func() {
			edge := c.edge.Change(func() {
				answer := exchange(t, client, c.enter("payload-h2"), "GET", "/orders/7")
				if answer.Status() != 401 || !strings.Contains(answer.Body, `"token_missing"`) {
					t.Errorf("no token: %s %s", answer.Start, answer.Body)
				}
			})
			wantChange(t, "no token", edge, map[string]uint64{scopeNo("anyone", "token_missing"): 1})
		})
		wantChange(t, "no token, in the mesh", added, map[string]uint64{})
	}
	if n := len(c.up.Take()); n != 0 {
		t.Errorf("%d refused requests reached the upstream", n)
	}
}

// unsigned sends what the edge lets through without a stamp; P18: gRPC gets its own form.
func (c *chain) unsigned(t *testing.T) {
	added := c.mesh.Change(func() {
		for _, hop := range hops {
			address := c.enter("payload-" + hop)
			for _, client := range hops {
				answer := exchange(t, client, address, "GET", "/unsigned/7", bearer(token()), [2]string{"x-edge-stamp", "forged"})
				if answer.Status() != 401 || answer.Body != refusal || answer.Header("content-type") != "application/problem+json" {
					t.Errorf("%s: %+v", client, answer)
				}
			}
			rpc := harness.GRPC(t, address, "/unsigned/Service/Method", bearer(token()))
			if rpc.Status() != 200 || rpc.Header("grpc-status") != "16" ||
				rpc.Header("grpc-message") != "stamp_rejected" || rpc.Body != "" ||
				rpc.Header("content-type") != "application/grpc" {
				t.Errorf("P18 gRPC: %+v", rpc)
			}
		}
	})
	wantChange(t, "unsigned", added, map[string]uint64{denied("everything", "stamp_missing"): 6})
	if n := len(c.up.Take()); n != 0 {
		t.Errorf("%d refused requests reached the upstream", n)
	}
}

func (c *chain) around(t *testing.T) {
	right, other := c.edgeCertificate, c.edgeCA.Issue("spiffe://shop.example/ns/edge/sa/other")
	prefix, deeper := c.edgeCA.Issue(edgeID+"-2"), c.edgeCA.Issue(edgeID+"/x")
	mesh := c.root.Intermediate().Issue(meshID)
	if answer := exchange(t, "h1", c.enter("capture"), "GET", "/orders/7?a=1", bearer(token())); answer.Status() != 200 {
		t.Fatalf("capturing a stamp: %+v", answer)
	}
	stamp := pick(c.up.Take()[0])
	claims := [2]string{"x-jwt-payload",
		base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil,
			`{"iss":%q,"aud":"mesh.internal","sub":"root","scope":"orders:read","exp":%d}`, edgeIssuer, time.Now().Unix()+300))}
	for _, x := range []struct {
		name        string
		certificate *harness.Certificate
		headers     [][2]string
		code        string // empty: admitted
	}{
		{"S10 the right ID, no stamp", right, [][2]string{bearer(token())}, "stamp_missing"},
		{"P9 the right ID, no stamp, its own claims", right, [][2]string{bearer(token()), claims}, "stamp_missing"},
		{"another ID of the same root, no stamp", other, nil, "peer_untrusted"},
		{"S1 another ID of the same root, a good stamp", other, stamp, "peer_untrusted"},
		{"an ID that begins like the right one", prefix, stamp, "peer_untrusted"},
		{"an ID below the right one", deeper, stamp, "peer_untrusted"},
		{"the mesh's own ID", mesh, stamp, "peer_untrusted"},
		{"no certificate, a good stamp", nil, stamp, "peer_untrusted"},
		{"the right ID, the stamp: refusals have not used it up", right, stamp, ""},
		{"S1 the right ID, the stamp again", right, stamp, "stamp_replayed"},
	} {
		for _, grpc := range []bool{true, false} {
			if grpc && x.code == "" {
				continue
			}
			headers := append([][2]string{}, x.headers...)
			if grpc {
				headers = append(headers, [2]string{"content-type", "application/grpc"})
			}
			want := map[string]uint64{allowed("everything"): 1, scopeOK("orders"): 1}
			if x.code != "" {
				want = map[string]uint64{denied("everything", x.code): 1}
			}
			wantChange(t, x.name, c.mesh.Change(func() {
				answer, body := c.direct(t, x.certificate, "payload", headers...)
				switch {
				case x.code == "":
					if answer.StatusCode != 200 {
						t.Errorf("%s: %s %s", x.name, answer.Status, body)
					}
				case grpc:
					if answer.StatusCode != 200 || answer.Header.Get("grpc-status") != "16" ||
						answer.Header.Get("grpc-message") != "stamp_rejected" || body != "" {
						t.Errorf("P18 %s, gRPC: %s %v %s", x.name, answer.Status, answer.Header, body)
					}
				case answer.StatusCode != 401 || body != refusal:
					t.Errorf("%s: %s %s", x.name, answer.Status, body)
				}
			}), want)
			reached := 0
			if x.code == "" {
				reached = 1
			}
			if n := len(c.up.Take()); n != reached {
				t.Errorf("%s: %d requests reached the upstream, want %d", x.name, n, reached)
			}
		}
	}
}

// unrelated: two roots that do not know each other. Whichever side does not know the other, the
// edge's access log has it, and on the other side a counter.
func (c *chain) unrelated(t *testing.T) {
	for _, x := range []struct{ name, reason, counter string }{
		{"stranger-mesh", "CERTIFICATE_VERIFY_FAILED", "ssl.fail_verify_error"},
		{"stranger-edge", "TLSV1_ALERT_UNKNOWN_CA", "ssl.connection_error"},
	} {
		name := c.profile + "-" + x.name
		answer := exchange(t, "h1", c.edge.Address(name), "GET", "/orders/7", bearer(token()))
		if answer.Status() != 503 ||
			!strings.HasPrefix(answer.Body,
				"upstream connect error or disconnect/reset before headers. reset reason: remote connection failure") {
			t.Errorf("%s: %s %s", x.name, answer.Start, answer.Body)
		}
		// Envoy 1.36 tells the client, too; 1.40 does not.
		t.Logf("%s: %s", x.name, answer.Body)
		c.edge.WaitLog(`"to":"` + name + `"`)
		for line := range strings.Lines(c.edge.Log()) {
			if strings.Contains(line, `"to":"`+name+`"`) &&
				(!strings.Contains(line, `"flags":"UF"`) || !strings.Contains(line, `"reason":"TLS_error:|`) ||
					!strings.Contains(line, ":OPENSSL_internal:"+x.reason+":")) {
				t.Errorf("%s: the edge's access log: %s", x.name, line)
			}
		}
		if c.edge.Counter("cluster."+name+"."+x.counter) == 0 {
			t.Errorf("%s: the edge has not counted %s", x.name, x.counter)
		}
	}
	failed := uint64(0)
	counters, err := c.mesh.Counters()
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range counters {
		if strings.HasPrefix(name, "listener.") && strings.HasSuffix(name, ".ssl.fail_verify_error") {
			failed += value
		}
	}
	if failed == 0 {
		t.Error("the mesh counts no certificate that it does not know")
	}
	if n := len(c.up.Take()); n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
}

func portOf(t testing.TB, envoy *harness.Envoy, listener string) int {
	t.Helper()
	_, port, _ := strings.Cut(envoy.Address(listener), ":")
	n := 0
	if _, err := fmt.Sscan(port, &n); err != nil {
		t.Fatal(err)
	}
	return n
}
