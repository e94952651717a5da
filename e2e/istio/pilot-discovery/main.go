// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command pilot-discovery is Istio's, for proxies with Envoy's own release. Waypoints get two filters for metrics,
// and waypoints and HBONE get a kind of filter state, that only Istio's build of Envoy has, and there is no option
// against them. In place of the former stands a filter that does nothing without a policy of its own, in place of the
// latter what Istio sends to its proxies before 1.29.2. All else is pilot-discovery as it ships.
package main

import (
	"os"

	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"istio.io/istio/pilot/cmd/pilot-discovery/app"
	"istio.io/istio/pilot/pkg/xds/filters"
	"istio.io/istio/pkg/log"
)

func main() {
	for _, f := range []*hcm.HttpFilter{filters.WaypointDownstreamMetadataFilter, filters.WaypointUpstreamMetadataFilter} {
		f.ConfigType = filters.Cors.ConfigType
	}
	filters.RequestSourceFilter.ConfigType = filters.RequestSourceFilterPre1_29_2.ConfigType
	filters.ConnectAuthorityFilter.ConfigType = filters.ConnectAuthorityFilterPre1_29_2.ConfigType
	log.EnableKlogWithCobra()
	if err := app.NewRootCommand().Execute(); err != nil {
		log.Error(err)
		os.Exit(1)
	}
}
