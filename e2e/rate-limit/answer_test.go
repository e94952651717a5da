// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// usage is an answer of a language model that says what it has cost.
func usage(n int) string {
	return fmt.Sprintf(`{"choices":[],"usage":{"prompt_tokens":1,"total_tokens":%d}}`, n)
}

// model is an upstream that answers as the path says.
func model(t *testing.T) (port int, arrived *atomic.Int64) {
	t.Helper()
	arrived = &atomic.Int64{}
	var tries sync.Map
	return harness.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		arrived.Add(1)
		part := func(text string) {
			_, _ = io.WriteString(w, text) // who has gone away reads nothing
			w.(http.Flusher).Flush()
		}
		how, number, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		n, _ := strconv.Atoi(number)
		switch how {
		case "json":
			w.Header().Set("content-type", "application/json")
			part(usage(n))
		case "status":
			w.WriteHeader(n)
		case "trailers":
			w.Header().Set("content-type", "application/json")
			w.Header().Set("trailer", "x-done")
			part(usage(n))
			w.Header().Set("x-done", "1")
		case "events", "gone", "hangs":
			w.Header().Set("content-type", "text/event-stream")
			for range 3 {
				part("data: {\"choices\":[{\"delta\":{\"content\":\"word\"}}],\"usage\":null}\n\n")
			}
			if how == "hangs" {
				<-r.Context().Done()
				return
			}
			if how == "gone" {
				panic(http.ErrAbortHandler)
			}
			for _, b := range []byte("data: " + usage(n) + "\n\ndata: [DONE]\n\n") {
				part(string([]byte{b}))
			}
		case "gzip":
			w.Header().Set("content-type", "application/json")
			w.Header().Set("content-encoding", "gzip")
			part(usage(n))
		case "retry":
			if _, again := tries.LoadOrStore(r.Header.Get("x-user"), true); !again {
				w.Header().Set("content-type", "application/json")
				w.WriteHeader(503)
				part(usage(900))
				return
			}
			w.Header().Set("content-type", "application/json")
			part(usage(n))
		case "late":
			time.Sleep(2 * time.Second) // the route's timeout is shorter
		}
	}), arrived
}

// cleartext2 is a client of HTTP/2 without TLS.
func cleartext2() *http.Client {
	return &http.Client{Transport: &http2.Transport{AllowHTTP: true,
		DialTLSContext: func(ctx context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}}}
}

// tokenLimit is a limit of 1,000 for each user, by what answers say.
func tokenLimit(name string) M {
	return limit(name, 1000, M{"key": []M{{"header": "x-user"}}, "cost": M{"response": M{"json": []string{"usage",
		"total_tokens"},
		"stream": "sse", "reserve": 100, "default": 50, "max": 5000}}})
}

// R31 R32: what an answer says that it has cost is settled, however it comes, in HTTP/1.1 and HTTP/2; what never
// comes costs what was reserved.
func TestAnswers(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		port, _ := model(t)
		listener := bootstrap.Listener("main", 0, []M{limiter(t, limits(tokenLimit("tokens"))).Filter()}, []M{
			{"match": M{"prefix": "/local"}, "direct_response": M{"status": 404, "body": M{"inline_string": "nothing here"}}},
			{"match": M{"prefix": "/retry"}, "route": M{"cluster": "upstream", "retry_policy": M{"retry_on": "5xx",
				"num_retries": 2}}},
			{"match": M{"prefix": "/late"}, "route": M{"cluster": "upstream", "timeout": "0.2s"}},
			{"match": M{"prefix": "/"}, "route": M{"cluster": "upstream", "timeout": "0s"}},
		}, nil)
		envoy := harness.Start(t, harness.Config{Version: version, Listeners: []M{listener},
			Clusters: []M{bootstrap.Cluster("upstream", port, false)}})
		h1 := &http.Client{Transport: &http.Transport{}}
		h2 := cleartext2()
		for protocol, client := range map[string]*http.Client{"1": h1, "2": h2} {
			for _, c := range []struct {
				path   string
				status int
				goes   string // how the client behaves; empty: it reads all
				cost   int
			}{
				{"/json/42", 200, "", 42}, {"/json/640", 200, "", 640}, {"/json/100", 200, "", 100}, {"/trailers/7", 200, "", 7},
				{"/events/31", 200, "", 31}, {"/gzip/7", 200, "", 100}, {"/status/204", 204, "", 50}, {"/status/500", 500, "", 50},
				{"/local", 404, "", 50}, {"/retry/12", 200, "", 12}, {"/late", 504, "", 50}, {"/gone/1", 200, "", 100},
				{"/hangs/1", 200, "closes", 100},
			} {
				user := "h" + protocol + strings.ReplaceAll(c.path, "/", "-")
				ctx, cancel := context.WithCancel(context.Background())
				ask := func(path string) *http.Response {
					r, err := http.NewRequestWithContext(ctx, "GET", "http://"+envoy.Main()+path, nil)
					if err != nil {
						t.Fatal(err)
					}
					r.Header.Set("x-user", user)
					r.Header.Set("accept-encoding", "identity")
					m, err := client.Do(r)
					if err != nil {
						t.Fatalf("HTTP/%s %s: %v", protocol, path, err)
					}
					return m
				}
				m := ask(c.path)
				if m.StatusCode != c.status {
					t.Errorf("HTTP/%s %s: %s", protocol, c.path, m.Status)
				}
				if got := m.Header.Get("ratelimit"); !strings.HasPrefix(got, `"tokens";r=900;`) {
					t.Errorf("HTTP/%s %s: %s before the cost is known", protocol, c.path, got)
				}
				if c.goes == "closes" {
					if _, err := io.ReadFull(m.Body, make([]byte, 10)); err != nil {
						t.Fatal(err)
					}
				} else {
					_, _ = io.Copy(io.Discard, m.Body) // one that breaks off is read as far as it goes
				}
				m.Body.Close()
				cancel()
				ctx = context.Background()
				// Who closes is gone for the proxy a little later.
				want, got := fmt.Sprintf(`"tokens";r=%d;`, 1000-c.cost), ""
				if err := envoy.Await(func() bool {
					m := ask("/json/0") // which gives back what it takes
					_, _ = io.Copy(io.Discard, m.Body)
					m.Body.Close()
					got = m.Header.Get("ratelimit")
					var left int
					_, _ = fmt.Sscanf(got, `"tokens";r=%d`, &left)
					got = fmt.Sprintf(`"tokens";r=%d;`, left+100)
					return got == want || c.goes == ""
				}, 10*time.Second); err != nil || got != want {
					t.Errorf("HTTP/%s %s: %s, want %s (%v)", protocol, c.path, got, want, err)
				}
			}
		}
		h1.CloseIdleConnections()
		h2.CloseIdleConnections()
	})
}

// R37: guessing passwords: only failed logins count, for each address and each user, over 16 workers. As many
// as are on their way when the limit is reached are let through more, which a limit of requests at
// once bounds.
func TestBruteForce(t *testing.T) {
	const workers, guessers, fails, atOnce = 16, 64, 20, 4
	harness.Each(t, func(t *testing.T, version string) {
		var failed atomic.Int64
		port := harness.Serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("x-password") == "right" {
				return
			}
			failed.Add(1)
			w.WriteHeader(401)
		})
		config := limits(
			limit("guesses", fails, M{"key": []M{{"header": "x-user"}}, "counts": M{"status": []string{"401", "403"}}}),
			M{"name": "logins", "key": []M{{"header": "x-user"}}, "concurrency": M{"requests": atOnce}})
		envoy := harness.Start(t, harness.Config{Version: version, Concurrency: workers,
			Listeners: []M{spread(bootstrap.Listener("main", 0, []M{limiter(t, config).Filter()},
				bootstrap.To("upstream"), nil))},
			Clusters: []M{bootstrap.Cluster("upstream", port, false)}})
		right := harness.Request("GET", "/login", [2]string{"x-user", "bob"}, [2]string{"x-password", "right"})
		var wg sync.WaitGroup
		var admitted, refused atomic.Int64
		for range guessers {
			wg.Add(1)
			go func() {
				defer wg.Done()
				client := harness.NewClient1(t, envoy.Main())
				for range 50 {
					switch m := client.Do(harness.Request("GET", "/login", [2]string{"x-user", "ann"})); m.Status() {
					case 401:
						admitted.Add(1)
					case 429:
						refused.Add(1)
					default:
						t.Errorf("%s", m.Start)
					}
				}
			}()
		}
		wg.Wait()
		t.Logf("measured: %d of %d guesses answered, by %d workers, where %d may fail and %d may be on their way",
			admitted.Load(), guessers*50, workers, fails, atOnce)
		if n := admitted.Load(); n < fails || n > fails+atOnce-1 || n != failed.Load() {
			t.Errorf("%d guesses were answered, and %d have reached the upstream: want %d to %d", n, failed.Load(), fails,
				fails+atOnce-1)
		}
		one := harness.NewClient1(t, envoy.Main())
		for range 2 * fails {
			if m := one.Do(right); m.Status() != 200 {
				t.Fatalf("a good login: %s", m.Start)
			}
		}
		wantWorkers(t, envoy, workers)
	})
}
