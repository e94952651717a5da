// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package edgestamp

import (
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

// others is an edge and a mesh between clients and a service that have signatures of their own.
type others struct {
	up, raw    *harness.Upstream
	edge, mesh *harness.Envoy
	root       *harness.Authority
}

const unreadable = "edge_stamp.signatures.outcome.unreadable"

var everyPart = []string{"method", "authority", "path", "query", "body"}

func startOthers(t *testing.T, version string) *others {
	t.Helper()
	w := &others{up: harness.StartUpstream(t), raw: harness.StartUpstream(t), root: harness.NewAuthority(t)}
	mesh := harness.Config{Version: version, Clusters: []M{bootstrap.Cluster("upstream", w.up.Port(), false)}}
	strip := M{"forward": M{"stamp": "strip"}}
	for _, profile := range profiles {
		listen := func(name string, fields M, more ...M) {
			filter := stampFilter(t, verify(append([]M{strip, {"profile": profile}}, more...)...))
			mesh.Listeners = append(mesh.Listeners,
				bootstrap.Listener(profile+name, 0, []M{filter}, bootstrap.To("upstream"), fields))
		}
		listen("", nil)
		listen("-body", nil, M{"require": M{"bind": everyPart}})
		listen("-plain", M{"use_remote_address": true})
		listen("-stripped", M{"use_remote_address": true, "strip_any_host_port": true, "strip_trailing_host_dot": true})
	}
	w.mesh = harness.Start(t, mesh)

	edge := harness.Config{Version: version, Clusters: []M{bootstrap.Cluster("raw", w.raw.Port(), false)}}
	k := signers(version)[0]
	for _, listener := range []string{"", "-body", "-plain", "-stripped"} {
		for _, profile := range profiles {
			edge.Clusters = append(edge.Clusters,
				bootstrap.Cluster(profile+listener, portOf(t, w.mesh, profile+listener), false))
		}
	}
	unsigned := M{"rules": []M{{"name": "all", "sign": false}}}
	tokens := harness.Filter(t, "jwt-scope",
		text(M{"limits": M{"tokenBytes": 65536},
			"providers": []M{{"name": "idp", "issuer": idpIssuer, "audiences": []string{"shop"},
				"jwks": M{"inline": mint.Set(idp)}}}, "rules": []M{{"name": "anyone"}}}))
	for _, profile := range profiles {
		listen := func(name, cluster string, config M, before ...M) M {
			filter := stampFilter(t, with(config, M{"profile": profile}))
			l := bootstrap.Listener(profile+name, 0, append(before, filter), bootstrap.To(cluster), nil)
			edge.Listeners = append(edge.Listeners, l)
			return l
		}
		listen("", profile, sign(k))
		listen("-unsigned", profile, sign(k, unsigned))
		listen("-body", profile+"-body", sign(k, M{"bind": everyPart}))
		listen("-raw", "raw", sign(k))
		listen("-groups", profile, sign(k, M{"copyClaims": []string{"groups"}}), tokens)
		w.root.Issue("").Listen(listen("-plain", profile+"-plain", sign(k)))
		w.root.Issue("").Listen(listen("-stripped", profile+"-stripped", sign(k)))
	}
	w.edge = harness.Start(t, edge)
	return w
}

func TestOthersSignatures(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		w := startOthers(t, version)
		t.Run("kept", w.kept)
		t.Run("smuggled", w.smuggled)
		t.Run("authority", w.authorities)
		t.Run("size", w.sizes)
	})
}

// kept: what others sign goes through edge and mesh byte for byte, in as many fields as it came, in
// both profiles, with a stamp and without; and the request is admitted by the stamp beside it.
func (w *others) kept(t *testing.T) {
	sha512 := "sha-512=:" + strings.Repeat("A", 85) + "w==:"
	for _, c := range []struct {
		name       string
		fields     [][2]string
		unreadable bool
	}{
		{"none", nil, false},
		{"an older scheme", [][2]string{{"signature", `keyId="a",algorithm="rsa-sha256",signature="eA=="`}}, true},
		{"a webhook", [][2]string{{"signature", "t=1,v1=ab"}}, false},
		{"another webhook", [][2]string{{"signature", "sha256=0123456789abcdef"}}, true},
		{"base64", [][2]string{{"signature", "dGV4dA=="}}, true},
		{"a label that does not parse",
			[][2]string{{"signature-input", `sig1=("@method");created="161";keyid=k`}, {"signature", ":AAAA:;v=1"}}, true},
		{"two fields", [][2]string{{"signature-input", `sig1=( "@method"   "@path" );created=1`},
			{"signature-input", `sig2=("@authority"),  sig3=()`}, {"signature", "sig1=:AAAA:"}, {"signature",
				"sig2=:AAAB:, sig3=:AAAC:"}}, false},
		{"our tag", [][2]string{{"signature-input", `sig1=("@method");tag="edge-stamp"`}, {"signature", "sig1=:AAAA:"}},
			false},
		{"a digest", [][2]string{{"content-digest", sha512},
			{"signature-input", `sig1=("content-digest";key="sha-512")`}, {"signature", "sig1=:AAAA:"}}, false},
	} {
		for _, listener := range []string{"jws", "jws-unsigned", "jws-body", "rfc9421", "rfc9421-unsigned", "rfc9421-body"} {
			what := c.name + ", " + listener
			var answer *harness.Message
			var edge map[string]uint64
			mesh := w.mesh.Change(func() {
				edge = w.edge.Change(func() {
					answer = harness.HTTP1(t, w.edge.Address(listener),
						harness.Request("POST", "/orders/7", append([][2]string{{"content-length", "4"}}, c.fields...)...)+"text")
				})
			})
			got := w.up.Take()
			wantEdge, wantMesh := map[string]uint64{allowed("all"): 1}, map[string]uint64{allowed("all"): 1}
			if c.unreadable && strings.HasPrefix(listener, "rfc9421") {
				wantEdge[unreadable] = 1
				wantMesh[unreadable] = 1
			}
			if strings.HasSuffix(listener, "-unsigned") {
				wantChange(t, what+": the edge", edge, wantEdge)
				wantChange(t, what+": the mesh", mesh, map[string]uint64{denied("all", "stamp_missing"): 1})
				if answer.Status() != 401 || len(got) != 0 {
					t.Errorf("%s: %s", what, answer.Start)
				}
				continue
			}
			wantChange(t, what+": the edge", edge, wantEdge)
			wantChange(t, what+": the mesh", mesh, wantMesh)
			if answer.Status() != 200 || len(got) != 1 {
				t.Errorf("%s: %s %s", what, answer.Start, answer.Body)
				continue
			}
			left := pick(got[0])
			if listener == "rfc9421-body" { // our digest stays: somebody else may have covered the field since
				i := slices.IndexFunc(left,
					func(h [2]string) bool { return h[0] == "content-digest" && strings.HasPrefix(h[1], "sha-256=:") })
				if i < 0 {
					t.Errorf("%s: no digest of ours: %q", what, left)
					continue
				}
				left = slices.Delete(left, i, i+1)
			}
			for _, name := range []string{"signature", "signature-input", "content-digest", "x-edge-stamp"} {
				only := func(list [][2]string) (values []string) {
					for _, h := range list {
						if h[0] == name {
							values = append(values, h[1])
						}
					}
					return values
				}
				if !slices.Equal(only(left), only(c.fields)) {
					t.Errorf("%s: %s was %q and is %q", what, name, only(c.fields), only(left))
				}
			}
		}
	}
}

// smuggled: S11: a stamp that a client has from elsewhere, still good and not used, does not get
// through the edge, however it is wrapped.
func (w *others) smuggled(t *testing.T) {
	for name, wrap := range map[string]func(member string) []string{
		"as it is":                                    func(m string) []string { return []string{m} },
		"behind another":                              func(m string) []string { return []string{"a=(), " + m} },
		"twice":                                       func(m string) []string { return []string{m, m} },
		"behind what cannot be read":                  func(m string) []string { return []string{"((, " + m} },
		"in front of what cannot be read":             func(m string) []string { return []string{m + ", (("} },
		"beside a line that cannot be read":           func(m string) []string { return []string{`keyId="a`, m} },
		"behind a String that does not end":           func(m string) []string { return []string{`a="x, ` + m} },
		"where a String ends that another line began": func(m string) []string { return []string{`a="x`, `y", ` + m} },
		"in many members": func(m string) []string {
			return []string{strings.Repeat("a=1,", 1000) + m}
		},
	} {
		harness.HTTP1(t, w.edge.Address("rfc9421-raw"), harness.Request("GET", "/orders/7"))
		stolen := w.raw.Take()
		if len(stolen) != 1 {
			t.Fatal("no stamp")
		}
		headers := [][2]string{}
		for _, field := range []string{"signature-input", "signature"} {
			for _, line := range wrap(stolen[0].Header(field)) {
				headers = append(headers, [2]string{field, line})
			}
		}
		counts := w.mesh.Change(func() {
			if m := harness.HTTP1(t, w.edge.Address("rfc9421-unsigned"),
				harness.Request("GET", "/orders/7", headers...)); m.Status() != 401 {
				t.Errorf("%s: %s", name, m.Start)
			}
		})
		wantChange(t, name, counts, map[string]uint64{denied("all", "stamp_missing"): 1})
		if n := len(w.up.Take()); n != 0 {
			t.Errorf("%s: it has reached the upstream", name)
		}
		// Beside a stamp of the edge's own, theirs is gone, too.
		if m := harness.HTTP1(t, w.edge.Address("rfc9421"),
			harness.Request("GET", "/orders/7", headers...)); m.Status() != 200 {
			t.Errorf("%s, on a route that is signed: %s", name, m.Start)
		}
		if got := w.up.Take(); len(got) != 1 || strings.Contains(fmt.Sprint(pick(got[0])), "edge=") {
			t.Errorf("%s, on a route that is signed: %v", name, got)
		}
	}
}

// authorities: a client that writes the default port, or a trailing dot, is admitted, although the
// edge has the request by TLS and the mesh without, and although the mesh takes both off.
func (w *others) authorities(t *testing.T) {
	client := w.root.Client(nil)
	for _, profile := range profiles {
		for _, listener := range []string{"-plain", "-stripped"} {
			for _, host := range []string{"api.example", "api.example:443", "API.example:80", "api.example.",
				"api.example.:443"} {
				what := profile + listener + ", " + host
				wantChange(t, what, w.mesh.Change(func() {
					request, err := http.NewRequest("GET", "https://"+w.edge.Address(profile+listener)+"/orders/7?a=1", nil)
					if err != nil {
						t.Fatal(err)
					}
					request.Host = host
					answer, err := client.Do(request)
					if err != nil {
						t.Fatal(err)
					}
					defer answer.Body.Close()
					if _, err := io.Copy(io.Discard, answer.Body); err != nil {
						t.Fatal(err)
					}
					if answer.StatusCode != 200 {
						t.Errorf("%s: %s", what, answer.Status)
					}
				}), map[string]uint64{allowed("all"): 1})
			}
		}
	}
	w.up.Take()
}

// sizes: a stamp that its own format forbids is not sent; the edge says so, in its counter and in its log.
func (w *others) sizes(t *testing.T) {
	groups := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("%08d-0000-4000-8000-000000000000", i))
		}
		return list
	}
	for _, profile := range profiles {
		get := func(n int) *harness.Message {
			token := idp.Token(M{"iss": idpIssuer, "aud": "shop", "sub": "ann", "exp": time.Now().Unix() + 300,
				"groups": groups(n)})
			return harness.HTTP1(t, w.edge.Address(profile+"-groups"), harness.Request("GET", "/orders/7", bearer(token)))
		}
		if m := get(150); m.Status() != 200 || len(w.up.Take()) != 1 {
			t.Errorf("%s: 150 groups: %s %s", profile, m.Start, m.Body)
		}
		wantChange(t, profile, w.edge.Change(func() {
			if m := get(400); m.Status() != 500 ||
				m.Body != `{"type":"about:blank","title":"Internal Server Error","status":500,"code":"stamp_too_large"}` {
				t.Errorf("%s: 400 groups: %s %s", profile, m.Start, m.Body)
			}
		}), map[string]uint64{"edge_stamp.rule.all.outcome.error.code.stamp_too_large": 1, scopeOK("anyone"): 1})
		if n := len(w.up.Take()); n != 0 {
			t.Errorf("%s: %d requests have reached the upstream", profile, n)
		}
	}
	w.edge.WaitLog("edge_stamp: stamp_too_large: the stamp would have ")
	w.edge.WaitLog("; it may have 16384 bytes")
}

// A route that mirrors sends the stamp of what was signed as it arrived twice, and the mesh admits
// whichever comes first. Signed as it leaves, the copy has a stamp of its own.
func TestMirror(t *testing.T) {
	const requests = 40
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		mesh := harness.Config{Version: version, Clusters: []M{bootstrap.Cluster("upstream", up.Port(), false)}}
		k := signers(version)[0]
		for _, where := range []string{arriving, leaving} {
			mesh.Listeners = append(mesh.Listeners,
				bootstrap.Listener(where, 0, []M{stampFilter(t, verify(M{"rules": []M{{"name": where}}}))},
					bootstrap.To("upstream"), nil))
		}
		behind := harness.Start(t, mesh)
		edge := harness.Config{Version: version}
		for _, where := range []string{arriving, leaving} {
			signer, filters := stampFilter(t, sign(k)), []M{}
			for _, name := range []string{where, where + "-copies"} {
				cluster := bootstrap.Cluster(name, portOf(t, behind, where), false)
				if where == leaving {
					bootstrap.Leaving(cluster, signer)
				}
				edge.Clusters = append(edge.Clusters, cluster)
			}
			if where == arriving {
				filters = append(filters, signer)
			}
			routes := []M{{"match": M{"prefix": "/"},
				"route": M{"cluster": where,
					"request_mirror_policies": []M{{"cluster": where + "-copies", "disable_shadow_host_suffix_append": true}}}}}
			edge.Listeners = append(edge.Listeners, bootstrap.Listener(where, 0, filters, routes, nil))
		}
		front := harness.Start(t, edge)
		for where, want := range map[string]map[string]uint64{
			arriving: {allowed(arriving): requests, denied(arriving, "stamp_replayed"): requests},
			leaving:  {allowed(leaving): 2 * requests},
		} {
			client, refused := harness.NewClient1(t, front.Address(where)), 0
			got := behind.Change(func() {
				for range requests {
					if client.Do(harness.Request("GET", "/orders/7")).Status() != 200 {
						refused++
					}
				}
				// Copies come when they come.
				if err := behind.Await(func() bool {
					total := uint64(0)
					for name, n := range behind.Tollgate() {
						if strings.Contains(name, ".rule."+where+".") {
							total += n
						}
					}
					return total == 2*requests
				}, 10*time.Second); err != nil {
					t.Errorf("%s: %v", where, err)
				}
			})
			wantChange(t, where, got, want)
			if t.Logf("%s: %d of %d requests refused", where, refused, requests); where == leaving && refused > 0 {
				t.Errorf("%d requests refused that are signed as they leave", refused)
			}
		}
	})
}
