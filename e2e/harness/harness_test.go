// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"slices"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
)

// What a test sends reaches the upstream unmended, and what the proxy says comes back.
func TestWithoutFilters(t *testing.T) {
	Each(t, func(t *testing.T, version string) {
		up := StartUpstream(t)
		envoy := Start(t, Config{Version: version, Upstream: up.Port()})

		answer := HTTP1(t, envoy.Main(),
			Request("GET", "/a//b;x/%2e?q=1", [2]string{"X-A", "1"}, [2]string{"X-B", "2"}, [2]string{"X-A", "3"}))
		if answer.Status() != 200 || answer.Body != "answered by the upstream\n" {
			t.Fatalf("%+v", answer)
		}
		got := up.Take()
		if len(got) != 1 || got[0].Start != "GET /a//b;x/%2e?q=1 HTTP/1.1" ||
			!slices.Equal(got[0].Values("x-a"), []string{"1", "3"}) || got[0].Header("x-b") != "2" {
			t.Fatalf("%+v", got)
		}

		post := HTTP1(t, envoy.Main(),
			"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
		if got := up.Take(); post.Status() != 200 || len(got) != 1 || got[0].Body != "abc" {
			t.Fatalf("%+v, %+v", post, got)
		}

		h2 := HTTP2(t, envoy.Main(), Pseudo("GET", "/h2", [2]string{"x-a", "1"}), "")
		if got := up.Take(); h2.Status() != 200 || h2.Body != "answered by the upstream\n" || len(got) != 1 ||
			got[0].Start != "GET /h2 HTTP/1.1" || got[0].Header("host") != "api.example" {
			t.Fatalf("%+v, %+v", h2, got)
		}
		if n := envoy.Counter("http.main.downstream_rq_total"); n != 3 {
			t.Errorf("Envoy has counted %d requests, want 3", n)
		}
	})
}

func TestGRPC(t *testing.T) {
	envoy := Start(t, Config{Version: "1.40.0", Routes: bootstrap.Answer(503, "no")})
	answer := GRPC(t, envoy.Main(), "/pkg.Service/Method")
	if answer.Status() != 200 || answer.Header("grpc-status") != "14" || answer.Body != "" {
		t.Fatalf("Envoy's own answer is not in the form of gRPC: %+v", answer)
	}
}

func TestStartRefused(t *testing.T) {
	log := StartRefused(t, Config{Version: "1.40.0", Filters: []bootstrap.M{{"name": "no-such-filter"}}})
	if !strings.Contains(log, "no-such-filter") {
		t.Errorf("the log does not tell why: %s", log)
	}
}
