// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/shared/guest/probetest"
)

// held is an upstream whose answers wait until they are let go: /held, and /stream, which has sent its
// headers and a first part. /refused is reset, /upgrade becomes a tunnel.
type held struct {
	port    int
	arrived atomic.Int64
	release chan struct{}
}

func startHeld(t *testing.T) *held {
	h := &held{release: make(chan struct{})}
	h.port = harness.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		h.arrived.Add(1)
		switch {
		case strings.HasPrefix(r.URL.Path, "/stream"):
			fmt.Fprint(w, "first")
			w.(http.Flusher).Flush()
		case strings.HasPrefix(r.URL.Path, "/reset"):
			panic(http.ErrAbortHandler)
		case strings.HasPrefix(r.URL.Path, "/upgrade"):
			w.Header().Set("connection", "upgrade")
			w.Header().Set("upgrade", "websocket")
			w.WriteHeader(http.StatusSwitchingProtocols)
			c, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				defer c.Close()
			}
		}
		select {
		case <-h.release:
		case <-r.Context().Done():
		}
	})
	return h
}

func atOnce(name string, most int, more ...M) M {
	return with(M{"name": name, "key": []M{{"header": "x-key"}}, "concurrency": M{"requests": most}}, more...)
}

// R35: each way in which a request can end gives its place back, at once, and none does before.
func TestEveryEnd(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		up := startHeld(t)
		late := bootstrap.M{"name": "late", "typed_config": M{
			"@type":                            "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
			"abort":                            M{"percentage": M{"numerator": 100}, "http_status": 403},
			"headers":                          []M{{"name": "x-abort", "present_match": true}},
			"disable_downstream_cluster_stats": true}}
		listener := bootstrap.Listener("main", 0, []M{limiter(t, limits(atOnce("places", 1))).Filter(), late}, []M{
			{"match": M{"prefix": "/local"}, "direct_response": M{"status": 404}},
			{"match": M{"prefix": "/slow"}, "route": M{"cluster": "upstream", "timeout": "0.3s"}},
			{"match": M{"prefix": "/idle"}, "route": M{"cluster": "upstream", "timeout": "0s", "idle_timeout": "0.3s"}},
			{"match": M{"prefix": "/nobody"}, "route": M{"cluster": "nobody"}},
			{"match": M{"prefix": "/"}, "route": M{"cluster": "upstream", "timeout": "0s",
				"upgrade_configs": []M{{"upgrade_type": "websocket"}}}},
		}, M{"upgrade_configs": []M{{"upgrade_type": "websocket"}}})
		envoy := harness.Start(t, harness.Config{Version: version, Own: true, Concurrency: 2, Listeners: []M{listener},
			Clusters: []M{bootstrap.Cluster("upstream", up.port, false), bootstrap.Cluster("nobody", 1, false)}})
		request := func(path, user string, more ...[2]string) string {
			return harness.Request("GET", path, append([][2]string{key(user)}, more...)...)
		}
		// other is a second request of the same key: refused for as long as the first one has its place.
		other := func(user string) int {
			return harness.HTTP1(t, envoy.Main(), request("/local", user)).Status()
		}
		free := func(what, user string) {
			t.Helper()
			if err := envoy.Await(func() bool { return other(user) == 404 }, 10*time.Second); err != nil {
				t.Errorf("%s: the place is never free: %v", what, err)
			}
		}
		arrives := func(send func()) {
			t.Helper()
			before := up.arrived.Load()
			send()
			if err := envoy.Await(func() bool { return up.arrived.Load() > before }, 10*time.Second); err != nil {
				t.Fatalf("the upstream has had no request: %v", err)
			}
		}
		// Those that end by themselves.
		for _, path := range []string{"/local", "/nobody", "/reset", "/slow", "/idle/held"} {
			m := harness.HTTP1(t, envoy.Main(), request(path, path))
			if m.Status() == 429 || m.Status() < 400 {
				t.Errorf("%s: %s", path, m.Start)
			}
			free(path, path)
		}
		if m := harness.HTTP1(t, envoy.Main(), request("/held", "abort", [2]string{"x-abort", "1"})); m.Status() != 403 {
			t.Errorf("a later filter: %s", m.Start)
		}
		free("answered by a later filter", "abort")
		// Those that last until somebody ends them.
		for what, end := range map[string]func(net.Conn){
			"the client closes":    func(c net.Conn) { c.Close() },
			"the client resets":    func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0); c.Close() },
			"the upstream answers": func(net.Conn) { close(up.release); up.release = make(chan struct{}) },
		} {
			for _, path := range []string{"/held", "/stream", "/upgrade"} {
				user := strings.ReplaceAll(what, " ", "-") + path[1:]
				c, err := net.Dial("tcp", envoy.Main())
				if err != nil {
					t.Fatal(err)
				}
				arrives(func() {
					var more [][2]string
					if path == "/upgrade" {
						more = [][2]string{{"connection", "upgrade"}, {"upgrade", "websocket"}}
					}
					if _, err := c.Write([]byte(request(path, user, more...))); err != nil {
						t.Fatal(err)
					}
				})
				for range 3 {
					if got := other(user); got != 429 {
						t.Errorf("%s: while %s lasts: %d", what, path, got)
					}
				}
				if path == "/upgrade" && what == "the upstream answers" {
					c.Close() // a tunnel has no end of its own
				} else {
					end(c)
				}
				free(what+", "+path, user)
				c.Close()
			}
		}
		// HTTP/2: a stream is reset, the connection stays.
		client := cleartext2()
		defer client.CloseIdleConnections()
		ctx, reset := context.WithCancel(context.Background())
		ended := make(chan error)
		arrives(func() {
			r, err := http.NewRequestWithContext(ctx, "GET", "http://"+envoy.Main()+"/held", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("x-key", "h2")
			go func() {
				m, err := client.Do(r)
				if err == nil {
					m.Body.Close()
				}
				ended <- err
			}()
		})
		if got := other("h2"); got != 429 {
			t.Errorf("while a stream lasts: %d", got)
		}
		reset()
		if err := <-ended; err == nil {
			t.Error("an answer that nobody has sent")
		}
		free("a stream that is reset", "h2")
	})
}

// A slow endpoint that is asked for ten times as much as it takes at once never has more at once than its
// limit, over all workers, and is never idle for long.
func TestOverload(t *testing.T) {
	const workers, most, clients, slow = 8, 10, 100, 20 * time.Millisecond
	harness.Each(t, func(t *testing.T, version string) {
		var now, highest, served atomic.Int64
		port := harness.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
			n := now.Add(1)
			for h := highest.Load(); n > h && !highest.CompareAndSwap(h, n); h = highest.Load() {
			}
			time.Sleep(slow) // what the endpoint takes for an answer
			served.Add(1)
			now.Add(-1)
		})
		envoy := harness.Start(t, harness.Config{Version: version, Own: true, Concurrency: workers,
			Listeners: []M{spread(bootstrap.Listener("main", 0,
				[]M{limiter(t, limits(M{"name": "slow", "concurrency": M{"requests": most}})).Filter()},
				bootstrap.To("upstream"), nil))},
			Clusters: []M{bootstrap.Cluster("upstream", port, false)}})
		var wg sync.WaitGroup
		var admitted, refused atomic.Int64
		begin := time.Now()
		for range clients {
			wg.Add(1)
			go func() {
				defer wg.Done()
				client := harness.NewClient1(t, envoy.Main())
				for range 100 {
					switch m := client.Do(harness.Request("GET", "/")); m.Status() {
					case 200:
						admitted.Add(1)
					case 429:
						refused.Add(1)
						if got := m.Header("retry-after"); got != "" {
							t.Errorf("retry-after: %s, which nobody knows", got)
						}
					default:
						t.Errorf("%s", m.Start)
					}
				}
			}()
		}
		wg.Wait()
		t.Logf("measured: %d requests at once of %d allowed, %d admitted and %d refused in %v", highest.Load(), most,
			admitted.Load(), refused.Load(), time.Since(begin).Round(time.Millisecond))
		if highest.Load() > most {
			t.Errorf("%d requests at once", highest.Load())
		}
		if highest.Load() < most || admitted.Load() != served.Load() || refused.Load() == 0 {
			t.Errorf("%d at once, %d admitted, %d served, %d refused", highest.Load(), admitted.Load(), served.Load(), refused.Load())
		}
		wantWorkers(t, envoy, workers)
		const gauge = "rate_limit.rule.slow.in_flight: 0\n"
		if err := envoy.Await(func() bool {
			text, err := envoy.Admin("/stats?filter=slow.in_flight")
			return err == nil && strings.HasSuffix(text, gauge)
		}, 10*time.Second); err != nil {
			t.Errorf("the gauge never says that nothing is in flight: %v", err)
		}
	})
}

// R35: what a VM that traps had on its way is let go after maxAge, and counts until then; requests of other VMs are
// not let go by that.
func TestTrapWhileInFlight(t *testing.T) {
	faulty := probetest.Build(t, "e2e/rate-limit/faulty")
	harness.Each(t, func(t *testing.T, version string) {
		up := startHeld(t)
		defer close(up.release)
		filter := bootstrap.Wasm{Name: "rate-limit", Module: faulty,
			Configuration: text(limits(atOnce("places", 1, M{"concurrency": M{"requests": 1, "maxAge": "2s"}})))}.Filter()
		envoy := harness.Start(t, harness.Config{Version: version, Own: true, Filters: []M{filter}, Routes: []M{
			{"match": M{"prefix": "/held"}, "route": M{"cluster": "upstream", "timeout": "0s"}},
			{"match": M{"prefix": "/"}, "direct_response": M{"status": 404}}},
			Clusters: []M{bootstrap.Cluster("upstream", up.port, false)}})
		c, err := net.Dial("tcp", envoy.Main())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte(harness.Request("GET", "/held", key("one")))); err != nil {
			t.Fatal(err)
		}
		if err := envoy.Await(func() bool { return up.arrived.Load() == 1 }, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		ask := func(more ...[2]string) int {
			return harness.HTTP1(t, envoy.Main(), harness.Request("GET", "/", append(more, key("one"))...)).Status()
		}
		begin := time.Now()
		for time.Since(begin) < 3*time.Second { // longer than maxAge: its VM lives, and says so
			if got := ask(); got != 429 {
				t.Fatalf("after %v: %d", time.Since(begin), got)
			}
			time.Sleep(100 * time.Millisecond) // as often as somebody would ask
		}
		if got := ask([2]string{"x-trap", "now"}); got != 503 {
			t.Fatalf("a request whose VM traps: %d", got)
		}
		trapped, counted := time.Now(), 0
		if err := envoy.Await(func() bool {
			got := ask()
			if got == 429 {
				counted++
			}
			return got == 404
		}, time.Minute); err != nil {
			t.Fatalf("what a dead VM had is never let go: %v", err)
		}
		// Its VM had last written it up to a third of maxAge and a tick before.
		if after := time.Since(trapped); counted == 0 || after > 20*time.Second {
			t.Errorf("let go after %v, refused %d times until then", after, counted)
		}
	})
}

// A configuration is exchanged while requests are on their way: they count for the new one, and are given
// back when they end.
func TestSwapWhileInFlight(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		up := startHeld(t)
		watched := harness.NewWatched(t, "rate-limit")
		push := func(most int) {
			watched.Push(bootstrap.Wasm{Name: "rate-limit", Module: harness.Module(t, "rate-limit"),
				Configuration: text(limits(atOnce("places", most)))})
		}
		push(1)
		envoy := harness.Start(t, harness.Config{Version: version, Own: true, Concurrency: 2, LogLevel: "info",
			Upstream: up.port,
			Filters:  []M{watched.Filter()}})
		hold := func() net.Conn {
			t.Helper()
			c, err := net.Dial("tcp", envoy.Main())
			if err != nil {
				t.Fatal(err)
			}
			before := up.arrived.Load()
			if _, err := c.Write([]byte(harness.Request("GET", "/held", key("one")))); err != nil {
				t.Fatal(err)
			}
			if err := envoy.Await(func() bool { return up.arrived.Load() > before }, 10*time.Second); err != nil {
				t.Fatal(err)
			}
			return c
		}
		policy := func() string {
			return harness.HTTP1(t, envoy.Main(), harness.Request("GET", "/reset", key("other"))).Header("ratelimit-policy")
		}
		first := hold()
		push(2)
		if err := envoy.Await(func() bool { return strings.Contains(policy(), "q=2;") }, 20*time.Second); err != nil {
			t.Fatalf("the new configuration never counts: %v", err)
		}
		second := hold()
		over := harness.Request("GET", "/held", key("one"))
		for range 4 {
			if m := harness.HTTP1(t, envoy.Main(), over); m.Status() != 429 {
				t.Errorf("one before the exchange, one behind it: %s", m.Start)
			}
		}
		first.Close()
		free := harness.Request("GET", "/reset", key("one"))
		if err := envoy.Await(func() bool { return harness.HTTP1(t, envoy.Main(), free).Status() != 429 },
			10*time.Second); err != nil {
			t.Fatalf("the place of the old configuration is never free: %v", err)
		}
		third := hold()
		second.Close()
		inFlight := func(n string) {
			t.Helper()
			if err := envoy.Await(func() bool {
				text, err := envoy.Admin("/stats?filter=places.in_flight")
				return err == nil && strings.HasSuffix(text, ": "+n+"\n")
			}, 10*time.Second); err != nil {
				t.Errorf("never %s in flight: %v", n, err)
			}
		}
		inFlight("1")
		// The listener is drained: nobody comes any more, and who is there keeps the place until it ends.
		if _, err := envoy.AdminPost("/drain_listeners"); err != nil {
			t.Fatal(err)
		}
		if err := envoy.Await(func() bool {
			c, err := net.Dial("tcp", envoy.Main())
			if err == nil {
				c.Close()
			}
			return err != nil
		}, 10*time.Second); err != nil {
			t.Fatalf("the listener takes connections while it is drained: %v", err)
		}
		inFlight("1")
		third.Close()
		inFlight("0")
	})
}
