// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

var update = flag.Bool("update", false, "write the table of filters/rate-limit/README.md")

// load is one way to want more than a limit allows.
type load struct {
	name    string
	path    string // that only its limit fits
	keys    int
	rate    int // of each key, in a second
	offered int // requests in a second; 0: as many as there can be
	window  time.Duration
	always  bool // also in the older versions of Envoy
}

// burst is what a limit allows in half a second.
func (l *load) burst() int { return l.rate / 2 }

var loads = []load{
	{"one key, as many requests as there can be", "/one", 1, 500, 0, 1500 * time.Millisecond, true},
	{"eight keys, as many requests as there can be", "/eight", 8, 100, 0, 1500 * time.Millisecond, false},
	{"one key, twice the limit", "/twice", 1, 500, 1000, 2 * time.Second, false},
}

// patience is how long a load goes on where the machine is so slow that the limit has not been met.
const patience = 20 * time.Second

var workerCounts = []int{1, 2, 4, 8, 16}

// exchange is a request for which the decision fell somewhere between the two times.
type exchange struct {
	sent, answered time.Time
	admitted       bool
}

// tally is what became of the requests of one key.
type tally []exchange

func (n tally) admitted() (count int) {
	for _, e := range n {
		if e.admitted {
			count++
		}
	}
	return count
}

// bounds of how many the limit admits. The upper one is for the time from the first request to the
// last admitted answer, the lower one for that from the first answer to the last refusal, when less
// than one was left in the bucket. A bucket that is full gains nothing: what it has lost so, on a
// machine that stood still, is found by going through the answers.
func (n tally) bounds(l *load) (least, most, lost float64) {
	slices.SortFunc(n, func(a, b exchange) int { return a.answered.Compare(b.answered) })
	rate, burst := float64(l.rate), float64(l.burst())
	firstSent, lastAdmitted, lastRefused := n[0].sent, n[0].answered, n[0].answered
	level := burst
	for i, e := range n {
		if i > 0 {
			level += rate * e.answered.Sub(n[i-1].answered).Seconds()
			lost += max(0, level-burst)
			level = min(level, burst)
		}
		if e.sent.Before(firstSent) {
			firstSent = e.sent
		}
		if e.admitted {
			level--
			lastAdmitted = e.answered
		} else if e.sent.After(lastRefused) {
			lastRefused = e.sent
		}
	}
	return burst + rate*lastRefused.Sub(n[0].answered).Seconds() - lost - 1, burst +
		rate*lastAdmitted.Sub(firstSent).Seconds(), lost
}

// offer sends requests of a load over as many connections and tells, by the key, what became of them.
func (l *load) offer(t *testing.T, address string, connections int) []tally {
	t.Helper()
	all := make([]tally, l.keys)
	var everyKey []int
	for k := range l.keys {
		everyKey = append(everyKey, k)
	}
	var mu sync.Mutex
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	met := make([]atomic.Bool, l.keys) // whose limit has refused something
	ready.Add(connections)
	for c := range connections {
		done.Go(func() {
			client := harness.NewClient1(t, address)
			warm := client.Do(harness.Request("GET", "/free")) // so that the connection is there
			ready.Done()
			if warm.Status() != 200 {
				t.Errorf("a request without a limit: %+v", warm)
				return
			}
			mine := make([]tally, l.keys)
			<-start
			began := time.Now()
			for i := 0; ; i++ {
				if l.offered > 0 {
					time.Sleep(time.Until(began.Add(time.Duration(i*connections+c) * time.Second / time.Duration(l.offered))))
				}
				key := (c + i) % l.keys
				sent := time.Now()
				if took := sent.Sub(began); took > l.window &&
					(took > patience || !slices.ContainsFunc(everyKey, func(k int) bool { return !met[k].Load() })) {
					break
				}
				m := client.Do(harness.Request("GET", l.path, [2]string{"x-key", fmt.Sprint(key)}))
				if m.Status() != 200 && m.Status() != 429 {
					t.Errorf("%s %s", m.Start, m.Body)
				}
				mine[key] = append(mine[key], exchange{sent, time.Now(), m.Status() == 200})
				if m.Status() == 429 && !met[key].Load() {
					met[key].Store(true)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for k := range mine {
				all[k] = append(all[k], mine[k]...)
			}
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
	return all
}

// share is what was admitted, in percent, of what the limit allows for requests that come when
// these came, for its keys together. It holds each key against what can be said for sure.
func (l *load) share(t *testing.T, what string, keys []tally) float64 {
	t.Helper()
	offered, admitted, allowed := 0, 0, 0.0
	for k, n := range keys {
		got := n.admitted()
		if offered += len(n); got == 0 || got == len(n) {
			t.Errorf("%s: key %d: %d of %d admitted in %v: that is no load", what, k, got, len(n), patience)
			continue
		}
		least, most, lost := n.bounds(l)
		// One more: the proxy's clock is not ours, and is made to run faster or slower by up to a two-thousandth.
		if float64(got) > most+1 {
			t.Errorf("%s: key %d: %d admitted, at most %.1f may be", what, k, got, most)
		}
		if float64(got) < 0.99*least {
			t.Errorf("%s: key %d: %d admitted, %.1f should be", what, k, got, least)
		}
		admitted, allowed = admitted+got, allowed+most-lost
	}
	share := 100 * float64(admitted) / max(allowed, 1)
	t.Logf("%s: %d requests, %d admitted, %.2f %% of the limit", what, offered, admitted, share)
	return share
}

// accuracy measures one version with one number of workers: a line of the table.
func accuracy(t *testing.T, version string, workers int, loads []load) string {
	t.Helper()
	var list []M
	for i := range loads {
		l := &loads[i]
		list = append(list, M{"name": l.path[1:], "match": []M{{"paths": []string{l.path}}},
			"key": []M{{"header": "x-key"}}, "rate": M{"requests": l.rate, "per": "1s", "burst": l.burst()}})
	}
	listener := spread(bootstrap.Listener("main", 0, []M{limiter(t, limits(list...)).Filter()},
		bootstrap.Answer(200, "ok"), nil))
	envoy := harness.Start(t, harness.Config{Version: version, Own: true, Concurrency: workers, LogLevel: "error",
		Listeners: []M{listener}})
	defer envoy.Stop() // the next one is to have the machine for itself
	row := fmt.Sprintf("| %d |", workers)
	for i := range loads {
		l := &loads[i]
		what := fmt.Sprintf("%d workers, %s", workers, l.name)
		added := envoy.Change(func() {
			row += fmt.Sprintf(" %.1f %% |", l.share(t, what, l.offer(t, envoy.Main(), max(8, 4*workers))))
		})
		for name := range added {
			if !strings.HasPrefix(name, "rate_limit.rule."+l.path[1:]+".outcome.") &&
				name != "rate_limit.rule.-.outcome.allowed.code.ok" || strings.Contains(name, ".code.internal") {
				t.Errorf("%s: counted %v", what, added)
			}
		}
	}
	wantWorkers(t, envoy, workers)
	return row + "\n"
}

// R3: what is admitted is within one percent of the limit, and never more than it, with 1 to 16 workers that share it.
func TestAccuracy(t *testing.T) {
	head := "| workers |"
	rule := "\n|---|"
	for i := range loads {
		head, rule = head+" "+loads[i].name+" |", rule+"---|"
	}
	head += rule + "\n"
	newest := harness.Versions(t)[0]
	harness.Each(t, func(t *testing.T, version string) {
		ours := loads
		if version != newest {
			ours = nil
			for _, l := range loads {
				if l.always {
					ours = append(ours, l)
				}
			}
		}
		measured := head
		for i, workers := range workerCounts {
			if version != newest && i%2 == 1 {
				continue
			}
			measured += accuracy(t, version, workers, ours)
		}
		if version != newest {
			return
		}
		t.Logf("admitted, of what the limits allow:\n%s", measured)
		holdTable(t, "accuracy", measured)
	})
}

// holdTable holds a table of rate-limit's README, between two comments of that name, against what was
// measured; with -update it is written.
func holdTable(t *testing.T, name, measured string) {
	t.Helper()
	root, err := envoybin.Root()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "filters", "rate-limit", "README.md")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	table := regexp.MustCompile(`(?s)(<!-- ` + name + ` -->\n)(.*?)(<!-- /` + name + ` -->)`)
	if *update && !t.Failed() {
		text = table.ReplaceAll(text, []byte("${1}"+measured+"${3}"))
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept := table.FindSubmatch(text)
	if kept == nil || shape(kept[2]) != shape([]byte(measured)) {
		t.Errorf("the README has not the rows and columns that are measured; -update writes this:\n%s", measured)
	}
}

// shape is a table without its figures, which no two runs share.
func shape(table []byte) string {
	return string(regexp.MustCompile(`\d+\.\d|\d{3,}`).ReplaceAll(bytes.TrimSpace(table), []byte("0")))
}
