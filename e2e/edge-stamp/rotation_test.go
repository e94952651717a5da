// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package edgestamp

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// S13: the edge's key is exchanged by the script that operators have, while requests run: the new
// key is published, then it signs, then the old one goes. No request is refused, and a stamp of the
// old key is good until its key is gone and no longer.
func TestRotation(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		up, front := harness.StartUpstream(t), harness.NewWatched(t, "edge-stamp")
		a, b := edgeEd, edgeRSA
		push := func(keys ...M) {
			front.Push(stamper(t, sign(a, M{"keys": keys, "publish": keysPath, "ttl": "5m"})))
		}
		push(key(a))
		relay := harness.StartRelay(t, nil)
		remote := trust(M{"remote": M{"cluster": "edge", "authority": "edge.example", "path": keysPath,
			"timeout": "30s", "refresh": "1s"}})
		mesh := harness.Start(t,
			harness.Config{Version: version, Concurrency: 4, Upstream: up.Port(),
				Filters:  []M{stampFilter(t, verify(M{"trust": []M{remote}}))},
				Clusters: []M{bootstrap.Cluster("edge", relay.Port(), false)}})
		edge := harness.Start(t,
			harness.Config{Version: version, Concurrency: 2,
				Clusters: []M{bootstrap.Cluster("mesh", portOf(t, mesh, "main"), false),
					bootstrap.Cluster("upstream", up.Port(), false)},
				Listeners: []M{bootstrap.Listener("main", 0, []M{front.Filter()}, []M{
					// past the mesh
					{"match": M{"prefix": "/capture"}, "route": M{"cluster": "upstream", "prefix_rewrite": "/capture"}},
					{"match": M{"prefix": "/"}, "route": M{"cluster": "mesh"}},
				}, nil)}})
		relay.To(edge.Main())
		if err := edge.Await(func() bool {
			return harness.HTTP1(t, edge.Main(), harness.Request("GET", "/orders/7")).Status() == 200
		}, 20*time.Second); err != nil {
			t.Fatal(err)
		}
		up.Take()

		// published waits until the mesh has fetched what the edge publishes now, and again so
		// often that each worker has taken it over: they look every second, as the fetches come.
		published := func(kids ...string) {
			t.Helper()
			if err := mesh.Await(func() bool {
				document := harness.HTTP1(t, edge.Main(), harness.Request("GET", keysPath)).Body
				return strings.Count(document, `"kid"`) == len(kids) && !strings.Contains(document, `"d"`) && func() bool {
					for _, kid := range kids {
						if !strings.Contains(document, `"`+kid+`"`) {
							return false
						}
					}
					return true
				}()
			}, 20*time.Second); err != nil {
				t.Fatalf("the edge never published %v: %v", kids, err)
			}
			fetched := mesh.Counter("cluster.edge.upstream_rq_completed")
			if err := mesh.Await(func() bool { return mesh.Counter("cluster.edge.upstream_rq_completed") >= fetched+4 },
				20*time.Second); err != nil {
				t.Fatalf("the mesh never fetched %v: %v", kids, err)
			}
		}
		// signing waits until the edge signs with a key, in each of its workers, and returns that many stamps of it.
		signing := func(k *mint.Key, n int) (stamps [][][2]string) {
			t.Helper()
			if err := edge.Await(func() bool {
				for stamps = nil; len(stamps) < n; {
					answer := harness.HTTP1(t, edge.Main(), harness.Request("GET", "/capture"))
					if answer.Status() != 200 {
						t.Fatalf("capturing: %+v", answer)
					}
					for _, m := range up.Take() {
						if !strings.HasPrefix(m.Start, "GET /capture ") {
							continue
						}
						stamp := pick(m)
						header, _, _ := strings.Cut(stamp[0][1], ".")
						if !strings.Contains(decoded(t, header), `"kid":"`+k.ID+`"`) {
							return false
						}
						stamps = append(stamps, stamp)
					}
				}
				return true
			}, 20*time.Second); err != nil {
				t.Fatalf("the edge never signed with %s: %v", k.ID, err)
			}
			return stamps
		}
		send := func(stamp [][2]string) *harness.Message {
			return harness.HTTP1(t, mesh.Main(), harness.Request("GET", "/capture", stamp...))
		}

		var stop atomic.Bool
		var served atomic.Int64
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				client := harness.NewClient1(t, edge.Main())
				for !stop.Load() {
					if answer := client.Do(harness.Request("GET", "/orders/7")); answer.Status() != 200 {
						t.Errorf("a request during the rotation: %s %s", answer.Start, answer.Body)
						return
					}
					served.Add(1)
				}
			})
		}
		// What the script applies comes here, and the script goes on when that is in force and the mesh knows it.
		applied, inForce := make(chan []M), make(chan struct{})
		control := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var keys []M
			if err := json.NewDecoder(r.Body).Decode(&keys); err != nil {
				w.WriteHeader(400)
				return
			}
			applied <- keys
			<-inForce
		}))
		defer control.Close()
		published(a.ID)
		old := signing(a, 20)
		script := exec.Command("../../filters/edge-stamp/rotate.sh", text(key(a)), text(key(b)))
		script.Env = append(os.Environ(), "APPLY=curl -sSf --data-binary @- "+control.URL, "PUBLISH_WAIT=0", "EXPIRE_WAIT=0")
		var said bytes.Buffer // read when the script has ended
		script.Stdout, script.Stderr = &said, &said
		if err := script.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- script.Wait() }()
		defer script.Process.Kill()
		for i, want := range [][]*mint.Key{{a, b}, {b, a}, {b}} {
			var keys []M
			select {
			case keys = <-applied:
			case err := <-ended:
				t.Fatalf("the script has ended before its step %d: %v\n%s", i+1, err, said.String())
			}
			var kids, wanted []string
			for _, k := range keys {
				kids = append(kids, k["kid"].(string))
			}
			for _, k := range want {
				wanted = append(wanted, k.ID)
			}
			if !slices.Equal(kids, wanted) {
				t.Fatalf("step %d: the keys are %v, want %v", i+1, kids, wanted)
			}
			push(keys...)
			published(kids...)
			signing(want[0], 8)
			if i == 1 {
				for _, stamp := range old[:10] {
					if answer := send(stamp); answer.Status() != 200 {
						t.Errorf("a stamp of the old key, which is still published: %s %s", answer.Start, answer.Body)
					}
				}
			}
			t.Logf("step %d: %d requests so far", i+1, served.Load())
			inForce <- struct{}{}
		}
		if err := <-ended; err != nil || !strings.Contains(said.String(), "done: destroy the old key") {
			t.Errorf("the script: %v\n%s", err, said.String())
		}
		fresh := signing(b, 8)
		stop.Store(true)
		wg.Wait()
		if n := served.Load(); n < 300 {
			t.Errorf("only %d requests were served meanwhile", n)
		}
		up.Take()
		wantChange(t, "S13 stamps of the old key, which is gone", mesh.Change(func() {
			for _, stamp := range old[10:] {
				if answer := send(stamp); answer.Status() != 401 || answer.Body != refusal {
					t.Errorf("S13 a stamp of the old key, which is gone: %s %s", answer.Start, answer.Body)
				}
			}
		}), map[string]uint64{denied("all", "stamp_key_unknown"): 10})
		if n := len(up.Take()); n != 0 {
			t.Errorf("%d refused requests reached the upstream", n)
		}
		for _, stamp := range fresh {
			if answer := send(stamp); answer.Status() != 200 {
				t.Errorf("a stamp of the new key: %s %s", answer.Start, answer.Body)
			}
		}
		if n := mesh.Tollgate()[denied("all", "stamp_key_unknown")]; n != 10 {
			t.Errorf("%d stamps had no key, want 10", n)
		}
	})
}
