// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
)

// limitRows measure rate-limit's local limits beside Envoy's local_ratelimit: one bucket for all,
// without and with headers, and a bucket for each address. No request is refused.
func limitRows(out string) []row {
	ours := func(name, limit, headers string) bootstrap.M {
		config := `{"limits":[{"name":"all"` + limit + `,"rate":{"requests":1000000,"per":"1s"}}],"headers":"` +
			headers + `"}`
		return bootstrap.Wasm{Name: name, Module: filepath.Join(out, "rate-limit.wasm"), Configuration: config}.Filter()
	}
	list := []row{
		{name: "local_ratelimit", filters: []bootstrap.M{localRateLimit(false, false)}},
		{name: "rate-limit", filters: []bootstrap.M{ours("limit", "", "none")}, versus: "local_ratelimit"},
		{name: "local_ratelimit, headers", filters: []bootstrap.M{localRateLimit(true, false)}},
		{name: "rate-limit, headers", filters: []bootstrap.M{ours("limit-headers", "", "standard")},
			versus: "local_ratelimit, headers"},
		{name: "local_ratelimit, per address, headers", filters: []bootstrap.M{localRateLimit(true, true)}},
		{name: "rate-limit, per address, headers",
			filters: []bootstrap.M{ours("limit-address", `,"key":[{"sourceAddress":{}}]`, "standard")},
			versus:  "local_ratelimit, per address, headers"},
	}
	for i := range list {
		list[i].request = get("")
	}
	return list
}

// localRateLimit is Envoy's own way to limit within one proxy.
func localRateLimit(headers, perAddress bool) bootstrap.M {
	all := bootstrap.M{"default_value": bootstrap.M{"numerator": 100, "denominator": "HUNDRED"}}
	bucket := bootstrap.M{"max_tokens": 1000000, "tokens_per_fill": 1000000, "fill_interval": "1s"}
	fields := bootstrap.M{"stat_prefix": "local", "token_bucket": bucket, "filter_enabled": all, "filter_enforced": all}
	if headers {
		fields["enable_x_ratelimit_headers"] = "DRAFT_VERSION_03"
	}
	if perAddress {
		fields["rate_limits"] = []bootstrap.M{{"actions": []bootstrap.M{{"remote_address": bootstrap.M{}}}}}
		fields["descriptors"] = []bootstrap.M{{"entries": []bootstrap.M{{"key": "remote_address"}}, "token_bucket": bucket}}
		fields["max_dynamic_descriptors"] = 10000
	}
	return bootstrap.Filter("envoy.filters.http.local_ratelimit",
		"extensions.filters.http.local_ratelimit.v3.LocalRateLimit", fields)
}
