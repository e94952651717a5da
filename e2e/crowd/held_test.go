// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// silent takes connections, and what comes on them, and never answers, until it breaks all of them off.
type silent struct {
	port  int
	mu    sync.Mutex
	conns []net.Conn
}

func startSilent(t *testing.T) *silent {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &silent{port: l.Addr().(*net.TCPAddr).Port}
	t.Cleanup(func() {
		l.Close()
		s.breakOff()
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed with the test
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			go func() {
				for b := make([]byte, 64<<10); err == nil; {
					_, err = c.Read(b)
				}
			}()
		}
	}()
	return s
}

func (s *silent) breakOff() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}

// W1 R11: a crowd waits for the rate-limit service, each request with a call of its own.
func TestService(t *testing.T) {
	redis := harness.StartRedis(t)
	service := harness.StartRateLimit(t, redis,
		map[string]string{"crowd": "domain: crowd\ndescriptors:\n- key: limit\n  value: all\n  descriptors:\n  - " +
			"key: key\n    rate_limit: {unit: hour, requests_per_unit: 1000000}\n"})
	each(t, func(t *testing.T, s shape) {
		if s.http2 != (s.workers == 1) {
			return // how they come is tried with keys
		}
		for _, c := range []struct {
			name    string
			timeout time.Duration
			want    int
			real    bool // the service answers
			release func(s *silent)
		}{
			{"that answers", 10 * time.Second, 200, true, nil},
			{"that hangs", time.Second, 503, false, nil},
			{"whose connection breaks", 10 * time.Second, 503, false, (*silent).breakOff},
			{"and goes away", 10 * time.Second, 0, false, nil},
		} {
			t.Run(c.name, func(t *testing.T) {
				quiet := startSilent(t)
				port := quiet.port
				if c.real {
					port = service.Port()
				}
				cluster := bootstrap.Cluster("ratelimit", port, true)
				cluster["circuit_breakers"] =
					bootstrap.M{"thresholds": []bootstrap.M{{"max_requests": 2 * size, "max_pending_requests": 2 * size}}}
				config := fmt.Sprintf(`{"limits":[{"name":"all","scope":"global","match":[{"paths":["/"]}],"key":[{"header":"x-client"}],"rate":{"requests":1000000,"per":"1h"}}],
				 "global":{"cluster":"ratelimit","authority":"ratelimit","domain":"crowd","timeout":"%dms","onError":"deny"}}`, c.timeout.Milliseconds())
				s.run(t, crowd{
					filters: []bootstrap.M{harness.Filter(t, "rate-limit", config)}, clusters: []bootstrap.M{cluster},
					headers: func(i int) [][2]string { return harness.Pseudo("GET", "/", [2]string{"x-client", fmt.Sprint(i)}) },
					release: func() {
						if c.release != nil {
							c.release(quiet)
						}
					},
					want: c.want, deadline: c.timeout,
				})
			})
		}
	})
}

// W1 S8: a crowd of requests whose bodies are bound, and do not come; a crowd of stamps that the
// rate-limit service is asked for.
func TestStamps(t *testing.T) {
	rsa := mint.New("edge", jose.RS256)
	each(t, func(t *testing.T, s shape) {
		if s.http2 != (s.workers == 1) {
			return // how they come is tried with keys
		}
		filter := func(config string) bootstrap.M {
			return bootstrap.Wasm{Name: "edge-stamp", Module: harness.Module(t, "edge-stamp"), Configuration: config,
				Env: map[string]string{"EDGE": rsa.PrivateJWK()}, StopIteration: true}.Filter()
		}
		body := `{"role":"sign","issuer":"https://edge.example","audience":"mesh","keys":[{"kid":"edge","alg":"RS256","env":"EDGE"}],"bodyTimeout":"2s",
		 "rules":[{"name":"bystander","match":[{"paths":["/bystander","/control"]}],"sign":false},{"name":"all","sign":true,"bind":["method","path","body"]}]}`
		post := func(int) [][2]string { return harness.Pseudo("POST", "/") }
		t.Run("bodies that do not come", func(t *testing.T) {
			s.run(t, crowd{filters: []bootstrap.M{filter(body)}, headers: post, open: true, want: 408,
				deadline: 2 * time.Second})
		})
		t.Run("bodies that do not come of clients that go away", func(t *testing.T) {
			s.run(t, crowd{filters: []bootstrap.M{filter(body)}, headers: post, open: true, want: 0, deadline: 2 * time.Second})
		})
		t.Run("a service that hangs", func(t *testing.T) {
			quiet := startSilent(t)
			cluster := bootstrap.Cluster("ratelimit", quiet.port, true)
			cluster["circuit_breakers"] =
				bootstrap.M{"thresholds": []bootstrap.M{{"max_requests": 2 * size, "max_pending_requests": 2 * size}}}
			config := fmt.Sprintf(`{"role":"verify","trust":[{"name":"edge","issuer":"https://edge.example","audiences":["mesh"],"algorithms":["RS256"],"jwks":{"inline":%s}}],
			 "require":{"bind":["method","path"],"replay":"onceGlobal"},"replay":{"global":{"cluster":"ratelimit","authority":"ratelimit","domain":"crowd","timeout":"1s","onError":"deny"}},
			 "rules":[{"name":"bystander","match":[{"paths":["/bystander","/control"]}],"access":"public"},{"name":"all"}]}`, mint.Set(rsa))
			stamps := make([]string, size)
			now := time.Now().Unix()
			for i := range stamps {
				stamps[i] = rsa.Typed("edge-stamp+jwt",
					map[string]any{"iss": "https://edge.example", "aud": "mesh", "iat": now, "exp": now + 30,
						"jti": fmt.Sprint("crowd-", i), "htm": "GET", "htp": "/"})
			}
			s.run(t, crowd{
				filters: []bootstrap.M{filter(config)}, clusters: []bootstrap.M{cluster}, want: 503, deadline: time.Second,
				headers: func(i int) [][2]string { return harness.Pseudo("GET", "/", [2]string{"x-edge-stamp", stamps[i]}) },
			})
		})
	})
}

// W1: a crowd waits when the proxy sends its clients away (GOAWAY), and is answered all the same.
func TestDrained(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		idp := harness.StartIssuer(t, string(mint.Set(known)))
		release := idp.Hold()
		token := bearer(known)
		var e *harness.Envoy
		shape{version, 1, true, 1}.run(t, crowd{
			filters: []bootstrap.M{tokens(t, "")}, clusters: []bootstrap.M{bootstrap.Cluster("idp", idp.Port, false)}, own: true,
			headers: func(int) [][2]string { return harness.Pseudo("GET", "/", token) },
			begin:   func(started *harness.Envoy) { e = started },
			release: func() {
				if _, err := e.AdminPost("/drain_listeners?graceful&skip_exit"); err != nil {
					t.Error(err)
				}
				release()
			},
			want: 200, deadline: keyTimeout,
		})
	})
}
