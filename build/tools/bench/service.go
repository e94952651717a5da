// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"text/tabwriter"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/loop/backends"
	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
)

// serviceRate is the default of -rate with -service: low enough that a request finds nobody in its
// way, since what is asked is how long it waits.
const serviceRate = 200

// surroundings are what the rows with -service need: Redis, the rate-limit service, and an
// upstream, since Envoy's own filter leaves requests alone that the proxy answers itself.
type surroundings struct {
	routes, clusters []bootstrap.M
	stop             func()
}

func startSurroundings(rows []row, dir string) (*surroundings, error) {
	redis, err := backends.RunRedis(backends.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	// Nothing is ever refused. Both filters send the same descriptors.
	const limits = "domain: bench\ndescriptors:\n- {key: limit, value: all, descriptors: [{key: key, rate_limit: " +
		"{unit: day, requests_per_unit: 1000000000}}]}\n"
	service, err := backends.RunRateLimit(map[string]string{"bench": limits}, redis.Address(), backends.Options{Dir: dir})
	if err != nil {
		redis.Stop()
		return nil, err
	}
	stop := func() {
		service.Stop()
		redis.Stop()
	}
	introspection, err := startIntrospection(rows, 0)
	if err != nil {
		stop()
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		introspection.stop()
		stop()
		return nil, err
	}
	go func() { // until the listener is closed
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	}()
	routes := bootstrap.To("upstream")
	routes[0]["route"].(bootstrap.M)["rate_limits"] = []bootstrap.M{{"actions": []bootstrap.M{ // of Envoy's own filter
		{"generic_key": bootstrap.M{"descriptor_key": "limit", "descriptor_value": "all"}},
		{"request_headers": bootstrap.M{"header_name": ":authority", "descriptor_key": "key"}}}}}
	return &surroundings{
		routes: routes,
		clusters: []bootstrap.M{bootstrap.Cluster("upstream", l.Addr().(*net.TCPAddr).Port, false),
			bootstrap.Cluster("ratelimit", service.Port(), true), introspection.cluster},
		stop: func() {
			l.Close()
			introspection.stop()
			stop()
		},
	}, nil
}

// serviceRows measure rate-limit's global limits beside Envoy's own ratelimit filter, with the same
// service and the same descriptor; and once more with leases, which it does not have.
func serviceRows(out string) []row {
	ours := func(name, headers, more string) []bootstrap.M {
		config := `{"limits":[{"name":"all","scope":"global","key":[{"host":true}],"rate":{"requests":1000000000,"per":"24h"}}],"headers":"` + headers +
			`","global":{"cluster":"ratelimit","authority":"ratelimit","domain":"bench","timeout":"5s","onError":"deny"` + more + `}}`
		return []bootstrap.M{bootstrap.Wasm{Name: name, Module: filepath.Join(out, "rate-limit.wasm"),
			Configuration: config}.Filter()}
	}
	native := func(headers bool) []bootstrap.M {
		fields := bootstrap.M{"domain": "bench", "timeout": "5s", "failure_mode_deny": true,
			"rate_limit_service": bootstrap.M{"transport_api_version": "V3",
				"grpc_service": bootstrap.M{"envoy_grpc": bootstrap.M{"cluster_name": "ratelimit"}}}}
		if headers {
			fields["enable_x_ratelimit_headers"] = "DRAFT_VERSION_03"
		}
		return []bootstrap.M{bootstrap.Filter("envoy.filters.http.ratelimit",
			"extensions.filters.http.ratelimit.v3.RateLimit", fields)}
	}
	list := []row{
		{name: nothing},
		{name: "ratelimit", filters: native(false)},
		{name: "rate-limit", filters: ours("global", "none", ""), versus: "ratelimit"},
		{name: "ratelimit, headers", filters: native(true)},
		{name: "rate-limit, headers", filters: ours("global-headers", "standard", ""), versus: "ratelimit, headers"},
		{name: "rate-limit, headers, lease of 20",
			filters: ours("global-lease", "standard", `,"lease":{"requests":20,"per":"1s"}`), versus: "ratelimit, headers"},
	}
	for i := range list {
		list[i].request = get("")
	}
	return append(list, introspectionRows(out)...)
}

// introspectionRows are an opaque token that a service is asked about, for each request and once, beside
// Envoy's own filter that asks a service, and a JWT that needs none.
func introspectionRows(out string) []row {
	module := filepath.Join(out, "jwt-scope.wasm")
	opaque := func(name, cache string) []bootstrap.M {
		config := `{"providers":[{"name":"opaque","introspection":{"cluster":"introspection","authority":"introspection","path":"/",` +
			`"clientId":"bench","clientSecretEnv":"SECRET","cache":` + cache + `}}],"rules":[{"name":"read-orders","match":` +
			`[{"paths":["/orders/{**}"],"methods":["GET"]}],"require":{"scopes":{"all":["orders:read"]}}}]}`
		return []bootstrap.M{bootstrap.Wasm{Name: name, Module: module, Configuration: config,
			Env: map[string]string{"SECRET": "bench"}}.Filter()}
	}
	key := mint.New("k", jose.ES256)
	token := get("Authorization: Bearer 2YotnFZFEjr1zCsicMWpAA\r\n")
	return []row{
		{name: "ext_authz", filters: []bootstrap.M{extAuthz("")}, request: token},
		{name: "jwt-scope, introspects each time", filters: opaque("introspects", `{"entries":0}`), request: token,
			versus: "ext_authz"},
		{name: "jwt-scope, introspected before", filters: opaque("introspected", `{"ttl":"1h"}`), request: token,
			versus: "ext_authz"},
		{name: "jwt-scope, a known JWT", filters: []bootstrap.M{jwtScope(module, key, cacheEntries)},
			request: request(key, "orders:read"), versus: "ext_authz"},
	}
}

// printLatency prints what the rows add to the latency of a request: the median over the rounds of
// each round's median, and of its 99th percentile.
func (r *Report) printLatency(w io.Writer) {
	p50, p99 := map[string]float64{}, map[string]float64{}
	for _, row := range r.Rows {
		p50[row.Name], p99[row.Name] = median(row.P50s), median(row.P99s)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\nlatency µs, medians of the rounds\tp50\tadded\tratio\tp99\tadded\tratio\t")
	for _, row := range r.Rows {
		fmt.Fprintf(t, "%s", row.Name)
		for _, p := range []map[string]float64{p50, p99} {
			fmt.Fprintf(t, "\t%.0f\t", p[row.Name])
			if row.Name != nothing {
				fmt.Fprintf(t, "%.0f", p[row.Name]-p[nothing])
			}
			fmt.Fprint(t, "\t")
			if added := p[row.Versus] - p[nothing]; row.Versus != "" && added > 0 {
				fmt.Fprintf(t, "%.2f", (p[row.Name]-p[nothing])/added)
			}
		}
		fmt.Fprintln(t, "\t")
	}
	t.Flush()
	fmt.Fprintln(w, "\nratio: added over that of Envoy's own filter")
}
