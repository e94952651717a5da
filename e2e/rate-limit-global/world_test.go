// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimitglobal

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tollgate/descriptors"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

var update = flag.Bool("update", false, "write the tables of filters/rate-limit/README.md")

type M = bootstrap.M

const (
	day   = 24 * time.Hour
	quiet = "5s" // a timeout that only a fault exceeds, however busy the machine is
)

// config is one with these limits, under a domain of the service of its own.
func config(domain string, more M, limits ...M) M {
	g := M{"cluster": "ratelimit", "authority": "ratelimit", "domain": domain, "timeout": quiet, "onError": "deny"}
	maps.Copy(g, more)
	return M{"global": g, "limits": limits}
}

func domain(config M) string { return config["global"].(M)["domain"].(string) }

// limit is a global one by the header x-client.
func limit(name string, requests int, per string, more ...M) M {
	l := M{"name": name, "scope": "global", "key": []M{{"header": "x-client"}},
		"rate": M{"requests": requests, "per": per}}
	for _, m := range more {
		maps.Copy(l, m)
	}
	return l
}

func text(config M) string {
	b, err := json.Marshal(config)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// startService runs Redis and the service as the configurations need it.
func startService(t testing.TB, configs []M) (*harness.Redis, *harness.RateLimit) {
	t.Helper()
	redis := harness.StartRedis(t)
	files := map[string]string{}
	for _, c := range configs {
		yaml, err := descriptors.Write([]byte(text(c)))
		if err != nil {
			t.Fatal(err)
		}
		files[domain(c)] = string(yaml)
	}
	return redis, harness.StartRateLimit(t, redis, files)
}

// listener is one for a configuration, called as its domain is, with other filters in front.
func listener(t testing.TB, config M, before ...M) M {
	t.Helper()
	return bootstrap.Listener(domain(config), 0, append(before, harness.Filter(t, "rate-limit", text(config))),
		bootstrap.Answer(200, "ok"), nil)
}

// world is some proxies that share the service. Each has a listener for each configuration: an
// Envoy takes seconds to start, a listener does not.
type world struct {
	version string
	redis   *harness.Redis
	service *harness.RateLimit
	proxies []*harness.Envoy
}

// dial opens a connection to a proxy's listener of a domain.
func (w *world) dial(t testing.TB, proxy int, domain string) *harness.Conn {
	t.Helper()
	return harness.Dial(t, w.proxies[proxy].Address(domain))
}

// Limits of all proxies, when all is well.
func TestShared(t *testing.T) {
	configs := []M{perClient, tiers, several, costs, refusals, hashed, plain, remembered, rechecked, dear, edge, capped,
		leased, unleased, scarce, answering}
	redis, service := startService(t, configs)
	harness.Each(t, func(t *testing.T, version string) {
		w := &world{version: version, redis: redis, service: service}
		var listeners []M
		for _, c := range configs {
			switch domain(c) {
			case "tiers": // below
			case "answering":
				listeners = append(listeners, answeringListener(t))
			default:
				listeners = append(listeners, listener(t, c))
			}
		}
		w.proxies = make([]*harness.Envoy, 4)
		var all sync.WaitGroup
		for i := range w.proxies {
			c := harness.Config{Version: version, Concurrency: 2, Listeners: listeners,
				Clusters: []M{bootstrap.Cluster("ratelimit", service.Port(), true)}}
			if i == 0 { // a second module doubles the time that an Envoy takes to start
				c.Listeners = append(listeners[:len(listeners):len(listeners)],
					listener(t, tiers, harness.Filter(t, "jwt-scope", tokens())))
			}
			all.Go(func() { w.proxies[i] = harness.Start(t, c) })
		}
		if all.Wait(); t.Failed() {
			return // an Envoy does not serve
		}
		t.Run("two proxies", w.twoProxies)
		t.Run("tiers", w.tiers)
		t.Run("several limits", w.severalLimits)
		t.Run("costs", w.costs)
		t.Run("refusals", w.refusals)
		t.Run("keys in Redis", w.keysInRedis)
		t.Run("remembered", w.remembered)
		t.Run("asked again", w.rechecked)
		t.Run("refused costs", w.refusedCosts)
		t.Run("the edge of a window", w.windowEdge)
		t.Run("leases", w.leases)
		t.Run("answers", w.answers)
	})
}

// client is the header that limit counts by.
func client(name string) [2]string { return [2]string{"x-client", name} }

func get(headers ...[2]string) string { return harness.Request("GET", "/orders", headers...) }

// code is that of a refusal.
func code(m *harness.Message) string {
	var problem struct{ Code string }
	_ = json.Unmarshal([]byte(m.Body), &problem) // an answer of the upstream has none
	return problem.Code
}

// verdictOf is an answer in a word or two.
func verdictOf(m *harness.Message) string {
	if c := code(m); c != "" {
		return strconv.Itoa(m.Status()) + " " + c
	}
	return strconv.Itoa(m.Status())
}

// within waits, where a window of the service is about to end, for the next: what follows takes no
// longer than need. The windows are aligned to the clock.
func within(t testing.TB, window, need time.Duration) {
	t.Helper()
	if left := window - time.Duration(time.Now().UnixNano())%window; left < need {
		time.Sleep(left + 10*time.Millisecond)
	}
}

const (
	answered = "rate_limit.service.outcome.answered"
	failed   = "rate_limit.service.outcome.failed"
)

func outcome(rule, outcome, code string) string {
	return "rate_limit.rule." + rule + ".outcome." + outcome + ".code." + code
}

func wantCounts(t testing.TB, what string, got, want map[string]uint64) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("%s: counted %v, want %v", what, got, want)
	}
}

// readmeTable is what stands in the filter's README between two marks. With -update it becomes measured first.
func readmeTable(t testing.TB, mark, measured string, write bool) string {
	t.Helper()
	root, err := envoybin.Root()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "filters", "rate-limit", "README.md")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	between := regexp.MustCompile(`(?s)<!-- ` + mark + ` -->\n(.*)<!-- /` + mark + ` -->`)
	m := between.FindSubmatchIndex(b)
	if m == nil {
		t.Fatalf("%s has no <!-- %s -->", file, mark)
	}
	if write && *update && !t.Failed() {
		b = bytes.Join([][]byte{b[:m[2]], []byte(measured), b[m[3]:]}, nil)
		if err := os.WriteFile(file, b, 0o644); err != nil {
			t.Fatal(err)
		}
		return measured
	}
	return string(b[m[2]:m[3]])
}
