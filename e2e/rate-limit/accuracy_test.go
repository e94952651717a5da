// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/envoybin"
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

// The burst is what a limit allows in half a second: only a machine that stands still for longer loses anything to a bucket that is full.
func (l *load) burst() int { return l.rate / 2 }

var loads = []load{
	{"one key, as many requests as there can be", "/one", 1, 1000, 0, 1500 * time.Millisecond, true},
	{"eight keys, as many requests as there can be", "/eight", 8, 200, 0, 1500 * time.Millisecond, false},
	{"one key, twice the limit", "/twice", 1, 600, 1200, 2 * time.Second, false},
}

var workerCounts = []int{1, 2, 4, 8, 16}

// tally is what became of the requests of one key.
type tally struct {
	admitted, refused         int
	firstSent, firstAdmitted  time.Time // the latter when its answer was there
	lastRefused, lastAdmitted time.Time // the former when it was sent
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (a *tally) add(b tally) {
	a.admitted, a.refused = a.admitted+b.admitted, a.refused+b.refused
	a.firstSent, a.firstAdmitted = earlier(a.firstSent, b.firstSent), earlier(a.firstAdmitted, b.firstAdmitted)
	a.lastRefused, a.lastAdmitted = later(a.lastRefused, b.lastRefused), later(a.lastAdmitted, b.lastAdmitted)
}

// offer sends requests of a load over as many connections and tells, by the key, what became of them.
func (l *load) offer(t *testing.T, address string, connections int) []tally {
	t.Helper()
	all := make([]tally, l.keys)
	var mu sync.Mutex
	var ready, done sync.WaitGroup
	start := make(chan struct{})
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
				if sent.Sub(began) > l.window {
					break
				}
				m := client.Do(harness.Request("GET", l.path, [2]string{"x-key", fmt.Sprint(key)}))
				one := tally{firstSent: sent}
				switch m.Status() {
				case 200:
					one.admitted, one.firstAdmitted, one.lastAdmitted = 1, time.Now(), time.Now()
				case 429:
					one.refused, one.lastRefused = 1, sent
				default:
					t.Errorf("%s %s", m.Start, m.Body)
				}
				mine[key].add(one)
			}
			mu.Lock()
			defer mu.Unlock()
			for k := range mine {
				all[k].add(mine[k])
			}
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
	return all
}

// share is what of a limit was admitted: the worst of its keys. It holds each against what can be said for sure: the first and the last decision fell between a request and its answer.
func (l *load) share(t *testing.T, what string, keys []tally) float64 {
	t.Helper()
	worst := 1.0
	offered := 0
	for k, n := range keys {
		offered += n.admitted + n.refused
		if n.admitted == 0 || n.refused == 0 {
			t.Errorf("%s: key %d: %d admitted, %d refused: that is no load", what, k, n.admitted, n.refused)
			continue
		}
		longest, shortest := n.lastAdmitted.Sub(n.firstSent).Seconds(), n.lastRefused.Sub(n.firstAdmitted).Seconds()
		// One more: the proxy's clock is not ours, and is made to run faster or slower by up to a two-thousandth.
		if most := float64(l.burst()) + float64(l.rate)*longest + 1; float64(n.admitted) > most {
			t.Errorf("%s: key %d: %d admitted, at most %.1f may be", what, k, n.admitted, most)
		}
		if least := 0.99 * (float64(l.burst()) + float64(l.rate)*shortest - 1); float64(n.admitted) < least {
			t.Errorf("%s: key %d: %d admitted, at least %.1f should be", what, k, n.admitted, least)
		}
		if s := float64(n.admitted) / (float64(l.burst()) + float64(l.rate)*longest); math.Abs(s-1) >= math.Abs(worst-1) {
			worst = s
		}
	}
	t.Logf("%s: %d requests in %v, %.2f %% of the limit admitted", what, offered, l.window, 100*worst)
	return worst
}

// accuracy measures one version with one number of workers: a line of the table.
func accuracy(t *testing.T, version string, workers int, loads []load) string {
	t.Helper()
	var list []M
	for i := range loads {
		l := &loads[i]
		list = append(list, M{"name": l.path[1:], "match": []M{{"paths": []string{l.path}}}, "key": []M{{"header": "x-key"}}, "rate": M{"requests": l.rate, "per": "1s", "burst": l.burst()}})
	}
	listener := spread(bootstrap.Listener("main", 0, []M{limiter(t, limits(list...)).Filter()}, bootstrap.Answer(200, "ok"), nil))
	envoy := harness.Start(t, harness.Config{Version: version, Concurrency: workers, LogLevel: "error", Listeners: []M{listener}})
	defer envoy.Stop() // the next one is to have the machine for itself
	row := fmt.Sprintf("| %d |", workers)
	for i := range loads {
		l := &loads[i]
		what := fmt.Sprintf("%d workers, %s", workers, l.name)
		added := change(envoy, func() {
			row += fmt.Sprintf(" %.1f %% |", 100*l.share(t, what, l.offer(t, envoy.Main(), max(8, 4*workers))))
		})
		for name := range added {
			if !strings.HasPrefix(name, "rate_limit.rule."+l.path[1:]+".outcome.") && name != "rate_limit.rule.-.outcome.allowed.code.ok" || strings.Contains(name, ".code.internal") {
				t.Errorf("%s: counted %v", what, added)
			}
		}
	}
	wantWorkers(t, envoy, workers)
	return row + "\n"
}

// accuracyTable is the table in rate-limit's README.
var accuracyTable = regexp.MustCompile(`(?s)(<!-- accuracy -->\n)(.*?)(<!-- /accuracy -->)`)

// R3: what is admitted is within one percent of the limit, and never more than it, with 1 to 16 workers that share it.
func TestAccuracy(t *testing.T) {
	root, err := envoybin.Root()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "filters", "rate-limit", "README.md")
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
		for _, workers := range workerCounts {
			measured += accuracy(t, version, workers, ours)
		}
		if version != newest {
			return
		}
		t.Logf("admitted, of what the limits allow:\n%s", measured)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if *update && !t.Failed() {
			text = accuracyTable.ReplaceAll(text, []byte("${1}"+measured+"${3}"))
			if err := os.WriteFile(file, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		kept := accuracyTable.FindSubmatch(text)
		if kept == nil || shape(kept[2]) != shape([]byte(measured)) {
			t.Errorf("the README has not the rows and columns that are measured; -update writes this:\n%s", measured)
		}
	})
}

// shape is a table without its figures, which no two runs share.
func shape(table []byte) string {
	return string(regexp.MustCompile(`\d+\.\d %`).ReplaceAll(bytes.TrimSpace(table), []byte("%")))
}
