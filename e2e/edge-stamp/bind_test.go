// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package edgestamp

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

const stampedPath = "/orders/7?a=1&b=2"

// pair is an edge whose upstream keeps what it stamps, and a mesh that is asked directly, both with
// a listener for each profile.
type pair struct {
	profile    string
	up         *harness.Upstream
	edge, mesh *harness.Envoy
}

func startPairs(t *testing.T, version string) []*pair {
	t.Helper()
	up := harness.StartUpstream(t)
	config := harness.Config{Version: version, Clusters: []M{bootstrap.Cluster("upstream", up.Port(), false)}}
	edge, mesh := config, config
	mesh.Concurrency = 4
	k := signers(version)[0]
	for _, profile := range profiles {
		client := tokenFilter(t, M{"issuer": idpIssuer, "aud": "shop", "jwks": M{"inline": mint.Set(idp)}},
			M{"name": "anyone"})
		signing, verifying := sign(k, M{"profile": profile, "ttl": "5m", "copyClaims": []string{"sub", "scope"}}),
			verify(M{"profile": profile})
		edge.Listeners = append(edge.Listeners,
			bootstrap.Listener(profile, 0, []M{client, stampFilter(t, signing)}, bootstrap.To("upstream"), nil))
		mesh.Listeners = append(mesh.Listeners,
			bootstrap.Listener(profile, 0, []M{stampFilter(t, verifying)}, bootstrap.To("upstream"), nil))
	}
	signer, verifier := harness.Start(t, edge), harness.Start(t, mesh)
	var pairs []*pair
	for _, profile := range profiles {
		pairs = append(pairs, &pair{profile, up, signer, verifier})
	}
	return pairs
}

// capture has the edge stamp a request.
func (p *pair) capture(t *testing.T, client *harness.Client1) [][2]string {
	t.Helper()
	if answer := client.Do(harness.Request("GET", stampedPath, bearer(token()))); answer.Status() != 200 {
		t.Fatalf("the edge: %+v", answer)
	}
	reached := p.up.Take()
	if len(reached) != 1 {
		t.Fatalf("the edge sent %d requests", len(reached))
	}
	return pick(reached[0])
}

// replace is headers with another value in one of them.
func replace(headers [][2]string, i int, value string) [][2]string {
	headers = slices.Clone(headers)
	headers[i][1] = value
	return headers
}

// A stamp is good for the request that it was made for, as it was made, once.
func TestBinding(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		for _, p := range startPairs(t, version) {
			t.Run(p.profile, func(t *testing.T) {
				t.Run("S3 other requests", p.otherRequests)
				t.Run("S2 every byte", p.everyByte)
				t.Run("S1 S16 S19 replays", p.replays)
			})
		}
	})
}

func (p *pair) otherRequests(t *testing.T) {
	stamp := p.capture(t, harness.NewClient1(t, p.edge.Address(p.profile)))
	differs, twice, same := "stamp_mismatch", "stamp_ambiguous", "API.Example"
	if p.profile == "rfc9421" {
		differs = "stamp_signature" // what is covered is nowhere but in the signature
		twice = "stamp_malformed"   // a dictionary that has the label twice
		same = "API.Example:80"     // the scheme's own port is none (RFC 9421 §2.2.3)
	}
	host := func(name string) [][2]string { return append(slices.Clone(stamp), [2]string{"Host", name}) }
	for _, c := range []struct {
		name, method, path string
		headers            [][2]string
		code               string
	}{
		{"S3 another path", "GET", "/orders/8?a=1&b=2", stamp, differs},
		{"S3 the path in another case", "GET", "/Orders/7?a=1&b=2", stamp, differs},
		{"S3 a slash more", "GET", "/orders/7/?a=1&b=2", stamp, differs},
		{"S3 the path with an escape", "GET", "/orders/%37?a=1&b=2", stamp, differs},
		{"S3 a path parameter", "GET", "/orders/7;v=1?a=1&b=2", stamp, differs},
		{"S3 another method", "POST", stampedPath, append(slices.Clone(stamp), [2]string{"Content-Length", "0"}), differs},
		{"S3 HEAD", "HEAD", stampedPath, stamp, differs},
		{"S3 another host", "GET", stampedPath, host("other.example"), differs},
		{"S3 the host with a port", "GET", stampedPath, host("api.example:8080"), differs},
		{"S3 another query", "GET", "/orders/7?a=1&b=3", stamp, differs},
		{"S3 no query", "GET", "/orders/7", stamp, differs},
		{"S3 the query in another order", "GET", "/orders/7?b=2&a=1", stamp, differs},
		{"S3 the query with an escape", "GET", "/orders/7?a=%31&b=2", stamp, differs},
		{"S7 the stamp twice", "GET", stampedPath, append(slices.Clone(stamp), stamp...), twice},
		{"S10 no stamp", "GET", stampedPath, nil, "stamp_missing"},
		{"as it was made, the host in another spelling", "GET", stampedPath, host(same), ""},
		{"S1 again", "GET", stampedPath, stamp, "stamp_replayed"},
		{"S1 again on another path", "GET", "/orders/8", stamp, differs},
	} {
		want, reached := map[string]uint64{denied("all", c.code): 1}, 0
		if c.code == "" {
			want, reached = map[string]uint64{allowed("all"): 1}, 1
		}
		wantChange(t, c.name, p.mesh.Change(func() {
			answer := harness.NewClient1(t, p.mesh.Address(p.profile)).Do(harness.Request(c.method, c.path, c.headers...))
			if c.code == "" && answer.Status() != 200 || c.code != "" &&
				(answer.Status() != 401 || answer.Body != refusal && c.method != "HEAD") {
				t.Errorf("%s: %s %s", c.name, answer.Start, answer.Body)
			}
		}), want)
		if n := len(p.up.Take()); n != reached {
			t.Errorf("%s: %d requests reached the upstream, want %d", c.name, n, reached)
		}
	}
}

// everyByte flips a bit of each byte of a stamp that is good before and after.
func (p *pair) everyByte(t *testing.T) {
	stamp := p.capture(t, harness.NewClient1(t, p.edge.Address(p.profile)))
	client := harness.NewClient1(t, p.mesh.Address(p.profile))
	tried := 0
	added := p.mesh.Change(func() {
		for i, h := range stamp {
			for at := range len(h[1]) {
				altered := []byte(h[1])
				altered[at] ^= 1
				answer := client.Do(harness.Request("GET", stampedPath, replace(stamp, i, string(altered))...))
				if tried++; answer.Status() != 401 || answer.Body != refusal {
					t.Errorf("%s with byte %d changed from %q to %q: %s %s", h[0], at, h[1][at], altered[at],
						answer.Start, answer.Body)
				}
			}
		}
	})
	if n := len(p.up.Take()); n != 0 || added[allowed("all")] != 0 {
		t.Errorf("%d altered stamps were admitted, %d requests reached the upstream", added[allowed("all")], n)
	}
	refused := uint64(0)
	for _, n := range added {
		refused += n
	}
	if refused != uint64(tried) || tried < 300 {
		t.Errorf("%d requests were refused, %d were sent", refused, tried)
	}
	t.Logf("%d altered stamps: %v", tried, added)
	if answer := client.Do(harness.Request("GET", stampedPath, stamp...)); answer.Status() != 200 ||
		len(p.up.Take()) != 1 {
		t.Errorf("the stamp itself: %+v", answer)
	}
}

// replays sends each stamp several times at once, over connections that four workers share.
func (p *pair) replays(t *testing.T) {
	const stamps, times, groups = 200, 8, 4
	edge := harness.NewClient1(t, p.edge.Address(p.profile))
	var all [][][2]string
	for range stamps {
		all = append(all, p.capture(t, edge))
	}
	var admitted, refused atomic.Int64
	added := p.mesh.Change(func() {
		var wg sync.WaitGroup
		for group := range groups {
			var clients []*harness.Client1
			for range times {
				clients = append(clients, harness.NewClient1(t, p.mesh.Address(p.profile)))
			}
			wg.Go(func() {
				for i := group; i < stamps; i += groups {
					var good atomic.Int64
					var once sync.WaitGroup
					for _, client := range clients {
						once.Go(func() {
							switch answer := client.Do(harness.Request("GET", stampedPath, all[i]...)); answer.Status() {
							case 200:
								good.Add(1)
							case 401:
								refused.Add(1)
							default:
								t.Errorf("%+v", answer)
							}
						})
					}
					if once.Wait(); good.Load() != 1 {
						t.Errorf("stamp %d was admitted %d times", i, good.Load())
					}
					admitted.Add(good.Load())
				}
			})
		}
		wg.Wait()
	})
	if n := len(p.up.Take()); n != stamps || admitted.Load() != stamps || refused.Load() != stamps*(times-1) {
		t.Errorf("%d admitted, %d refused, %d reached the upstream", admitted.Load(), refused.Load(), n)
	}
	wantChange(t, "replays", added,
		map[string]uint64{allowed("all"): stamps, denied("all", "stamp_replayed"): stamps * (times - 1)})
	if workers := p.workers(t); workers < 2 {
		t.Errorf("only %d workers have had connections", workers)
	}
}

// workers is how many of the mesh's workers have had connections.
func (p *pair) workers(t *testing.T) (n int) {
	t.Helper()
	counters, err := p.mesh.Counters()
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range counters {
		for worker := range 4 {
			if name == fmt.Sprintf("listener.127.0.0.1_0.worker_%d.downstream_cx_total", worker) && value > 0 {
				n++
			}
		}
	}
	return n
}
