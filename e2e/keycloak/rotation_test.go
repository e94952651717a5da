// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build keycloak

package keycloak

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// J25: the administrator rotates the signing key while clients ask for tokens and use them. Nobody
// is refused as long as the old key is published; once it is not, and the proxy has fetched the set
// anew, the old tokens are.
//
// Two proxies see the same traffic. The one with the shortest refresh may learn of the new key by
// itself; the other one can only by fetching for the unknown kid.
func TestRotation(t *testing.T) {
	s := running(t)
	harness.Each(t, func(t *testing.T, version string) {
		quick, calm := start(t, s, version, 0, `,"refresh":"1s"`), start(t, s, version, 0, "")
		oldKey, err := s.SigningKey()
		if err != nil {
			t.Fatal(err)
		}
		old := issue(t, s, "shop-web")
		if id, err := kid(old); id != oldKey.ID {
			t.Fatalf("the token's kid is %q, the realm's key %q (%v)", id, oldKey.ID, err)
		}
		traffic := newTraffic(t, s, old, quick, calm)
		await := func(what string, condition func() bool) {
			t.Helper()
			if err := s.Await(condition, time.Minute); err != nil {
				traffic.stop()
				t.Fatalf("%s: %v; %s", what, err, traffic)
			}
		}
		await("tokens of the old key", func() bool { return traffic.issued(oldKey.ID) >= 20 && traffic.total() >= 500 })
		if err := s.AddKey(oldKey); err != nil {
			t.Fatal(err)
		}
		newKey, err := s.SigningKey()
		if err != nil || newKey.ID == oldKey.ID {
			t.Fatalf("the key was not rotated: %v", err)
		}
		before := traffic.total()
		await("tokens of both keys",
			func() bool { return traffic.issued(newKey.ID) >= 100 && traffic.total() >= before+1000 })
		traffic.stop()
		t.Log(traffic)
		if traffic.refusals() != 0 {
			t.Error("requests were refused while both keys were published")
		}
		if n := calm.Counter("cluster.keycloak.upstream_rq_total"); n != 2 {
			t.Errorf("the calm proxy has fetched %d times, want the first time and once for the new kid", n)
		}

		fresh := issue(t, s, "shop-web")
		p := dial(t, quick)
		if err := s.DisableKey(oldKey); err != nil {
			t.Fatal(err)
		}
		await("the old key is published no more, and its token still admitted",
			func() bool { return p.only(get(old), "401 token_key_unknown") })
		if got := p.answers(get(fresh)); got["200"] != connections {
			t.Errorf("a token of the new key, after the old one was taken away: %v", got)
		}
		// What the other proxy knows is at most as old as its refresh, five minutes, and nothing has told it of a change.
		if got := dial(t, calm).answers(get(old)); got["200"] != connections {
			t.Errorf("the old token, before the refresh: %v", got)
		}
	})
}

// traffic are clients that use an old token over and over, and one that asks for a new token each
// time and uses it once on each proxy.
type traffic struct {
	done chan struct{}
	wg   sync.WaitGroup

	mu       sync.Mutex
	outcomes map[string]int // by kind of token and outcome
	kids     map[string]int // tokens issued, and since used everywhere
}

func newTraffic(t *testing.T, s *Server, old string, proxies ...*harness.Envoy) *traffic {
	t.Helper()
	tr := &traffic{done: make(chan struct{}), outcomes: map[string]int{}, kids: map[string]int{}}
	t.Cleanup(tr.stop)
	var fresh []pool
	for _, e := range proxies {
		for range 2 {
			p := dial(t, e)
			tr.every(10*time.Millisecond, func(i int) {
				tr.count("old", p[i%len(p)].Do(get(old)))
			})
		}
		fresh = append(fresh, dial(t, e))
	}
	tr.every(10*time.Millisecond, func(i int) {
		token, err := s.Token("shop-web")
		if err != nil {
			t.Errorf("no token: %v", err)
			return
		}
		id, err := kid(token)
		if err != nil {
			t.Error(err)
			return
		}
		for _, p := range fresh {
			tr.count("fresh", p[i%len(p)].Do(get(token)))
		}
		tr.mu.Lock()
		defer tr.mu.Unlock()
		tr.kids[id]++
	})
	return tr
}

// every calls f, one call after the other and no more often than that, until the traffic stops.
func (tr *traffic) every(period time.Duration, f func(i int)) {
	tr.wg.Go(func() {
		tick := time.NewTicker(period)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-tr.done:
				return
			case <-tick.C:
				f(i)
			}
		}
	})
}

// stop ends the traffic, when what is under way has been answered. It may be called again.
func (tr *traffic) stop() {
	tr.mu.Lock()
	select {
	case <-tr.done:
	default:
		close(tr.done)
	}
	tr.mu.Unlock()
	tr.wg.Wait()
}

func (tr *traffic) count(kind string, m *harness.Message) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.outcomes[kind+" "+outcome(m)]++
}

func (tr *traffic) issued(kid string) int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.kids[kid]
}

func (tr *traffic) total() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	sum := 0
	for _, n := range tr.outcomes {
		sum += n
	}
	return sum
}

func (tr *traffic) refusals() int {
	n := tr.total()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return n - tr.outcomes["old 200"] - tr.outcomes["fresh 200"]
}

func (tr *traffic) String() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return fmt.Sprintf("requests by token and outcome: %v; tokens by key: %v", tr.outcomes, tr.kids)
}
