// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// limits is the service's configuration, as edge-stamp's README has it.
func limits(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../filters/edge-stamp/README.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?ms)^```yaml\n(domain:.*?)^```$").FindSubmatch(b)
	if m == nil {
		t.Fatal("the README has no configuration of the service")
	}
	return string(m[1])
}

var key = mint.New("edge-1", jose.ES256)

// stamp for GET /orders.
func stamp(id string) string {
	now := time.Now().Unix()
	return key.Typed("edge-stamp+jwt", map[string]any{"iss": "https://edge", "aud": "mesh", "iat": now, "exp": now + 30,
		"jti": id, "htm": "GET", "htp": "/orders"})
}

func start(t *testing.T, version string, port int, more string) *harness.Envoy {
	config := fmt.Sprintf(`{"role":"verify","trust":[{"name":"edge","issuer":"https://edge","audiences":["mesh"],"jwks":{"inline":%s}}],"rules":[{"name":"all"}],
	 "require":{"bind":["method","path"],"replay":"onceGlobal"},"replay":{"global":{"cluster":"ratelimit","authority":"ratelimit","domain":"tollgate"%s}}}`, mint.Set(key), more)
	return harness.Start(t, harness.Config{Version: version, Concurrency: 2,
		Filters:  []bootstrap.M{harness.Filter(t, "edge-stamp", config)},
		Clusters: []bootstrap.M{bootstrap.Cluster("ratelimit", port, true)}})
}

func ask(t *testing.T, e *harness.Envoy, stamp string) int {
	t.Helper()
	return harness.HTTP1(t, e.Main(), harness.Request("GET", "/orders", [2]string{"x-edge-stamp", stamp})).Status()
}

// S1 S19: a stamp is admitted by one of two proxies, once, also when both get it at the same
// moment, from many connections.
func TestTwoProxies(t *testing.T) {
	service := harness.StartRateLimit(t, harness.StartRedis(t), map[string]string{"tollgate": limits(t)})
	harness.Each(t, func(t *testing.T, version string) {
		proxies := []*harness.Envoy{start(t, version, service.Port(), `,"timeout":"5s"`),
			start(t, version, service.Port(), `,"timeout":"5s"`)}
		for i := range 4 {
			s := stamp(fmt.Sprint(version, "one by one", i))
			if first, second := ask(t, proxies[i%2], s), ask(t, proxies[1-i%2], s); first != 200 || second != 401 {
				t.Errorf("the first answered %d, the second %d", first, second)
			}
			if again := ask(t, proxies[i%2], s); again != 401 {
				t.Errorf("the first answered %d the second time", again)
			}
		}
		const stamps, times = 50, 6
		var admitted [stamps]atomic.Int32
		var all sync.WaitGroup
		for i := range stamps {
			s := stamp(fmt.Sprint(version, "at once", i))
			for n := range times {
				all.Go(func() {
					if ask(t, proxies[n%2], s) == 200 {
						admitted[i].Add(1)
					}
				})
			}
		}
		all.Wait()
		for i := range admitted {
			if n := admitted[i].Load(); n != 1 {
				t.Errorf("stamp %d was admitted %d times", i, n)
			}
		}
		sum := map[string]uint64{}
		for _, e := range proxies {
			for name, n := range e.Tollgate() {
				sum[name] += n
			}
		}
		if ok, replayed := sum["edge_stamp.rule.all.outcome.allowed.code.ok"],
			sum["edge_stamp.rule.all.outcome.denied.code.stamp_replayed"]; ok != stamps+4 || replayed != stamps*(times-1)+8 {
			t.Errorf("%d admitted, %d replayed: %v", ok, replayed, sum)
		}
	})
}

// A service that does not answer, or not what it should, refuses with 503; with onError: local what
// this proxy has seen decides alone.
func TestServiceFaults(t *testing.T) {
	redis := harness.StartRedis(t)
	service := harness.StartRateLimit(t, redis, map[string]string{"tollgate": limits(t)})
	without := harness.StartRateLimit(t, redis,
		map[string]string{"tollgate": strings.Replace(limits(t), "edge_stamp_", "x_", -1)})
	harness.Each(t, func(t *testing.T, version string) {
		deny, local, missing := start(t, version, service.Port(), `,"timeout":"1s"`), start(t, version, service.Port(),
			`,"timeout":"1s","onError":"local"`), start(t, version, without.Port(), `,"timeout":"1s"`)
		n := 0
		check := func(what string, denied int) {
			t.Helper()
			n++
			s := stamp(fmt.Sprint(version, what, n))
			began := time.Now()
			if got := ask(t, deny, s); got != denied {
				t.Errorf("%s: %d, want %d", what, got, denied)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("%s: the answer took %s", what, took)
			}
			s = stamp(fmt.Sprint(version, what, "local", n))
			if first, second := ask(t, local, s), ask(t, local, s); first != 200 || second != 401 {
				t.Errorf("%s, onError: local: %d and %d", what, first, second)
			}
		}
		check("all is well", 200)
		service.Freeze()
		check("the service hangs", 503)
		service.Thaw()
		if err := deny.Await(func() bool { n++; return ask(t, deny, stamp(fmt.Sprint(version, "thawed", n))) == 200 },
			20*time.Second); err != nil {
			t.Fatal("the service has thawed, and nobody notices")
		}
		redis.Freeze()
		check("Redis hangs", 503)
		redis.Thaw()
		if err := deny.Await(func() bool { n++; return ask(t, deny, stamp(fmt.Sprint(version, "redis", n))) == 200 },
			20*time.Second); err != nil {
			t.Fatal("Redis has thawed, and nobody notices")
		}
		service.Stop()
		check("the service is down", 503)
		service.Restart()
		if err := deny.Await(func() bool {
			n++
			return ask(t, deny, stamp(fmt.Sprint(version, "restarted", n))) == 200
		}, 20*time.Second); err != nil {
			t.Fatal("the service is back, and nobody notices")
		}
		if got := ask(t, missing, stamp(version+"unlimited")); got != 503 {
			t.Errorf("a service without limits for stamps: %d", got)
		}
		missing.WaitLog("the service has no limit of 1 for the descriptor")
		if deny.Tollgate()["edge_stamp.rule.all.outcome.error.code.replay_unavailable"] < 3 {
			t.Errorf("the counters are %v", deny.Tollgate())
		}
	})
}

// A stamp whose client goes away while the service is asked costs nothing but the stamp.
func TestAborted(t *testing.T) {
	service := harness.StartRateLimit(t, harness.StartRedis(t), map[string]string{"tollgate": limits(t)})
	harness.Each(t, func(t *testing.T, version string) {
		e := start(t, version, service.Port(), `,"timeout":"1s"`)
		if got := ask(t, e, stamp(version+"before")); got != 200 {
			t.Fatal(got)
		}
		service.Freeze()
		for i := range 20 {
			c := harness.Dial(t, e.Main())
			c.Send(harness.Request("GET", "/orders", [2]string{"x-edge-stamp", stamp(fmt.Sprint(version, "aborted", i))}))
			if err := e.Await(func() bool { return e.Counter("http.main.downstream_rq_total") >= uint64(i+2) },
				5*time.Second); err != nil {
				t.Fatal(err)
			}
			c.Close()
		}
		service.Thaw()
		if err := e.Await(func() bool { return ask(t, e, stamp(fmt.Sprint(version, "after", time.Now()))) == 200 },
			20*time.Second); err != nil {
			t.Error("requests are no longer served")
		}
		if log := e.Log(); bytes.Contains([]byte(log), []byte("fault in")) {
			t.Error("a fault")
		}
	})
}
