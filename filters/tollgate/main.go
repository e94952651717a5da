// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command tollgate is the Proxy-Wasm module that carries all filters, alone or in chains.
package main

import (
	"strings"

	edgestamp "github.com/tollgate-wasm/tollgate/filters/edge-stamp/filter"
	jwtscope "github.com/tollgate-wasm/tollgate/filters/jwt-scope/filter"
	ratelimit "github.com/tollgate-wasm/tollgate/filters/rate-limit/filter"
	"github.com/tollgate-wasm/tollgate/filters/tollgate/chain"
	_ "github.com/tollgate-wasm/tollgate/shared/guest/on/tick"
	"github.com/tollgate-wasm/tollgate/shared/host/plugin"
)

func init() {
	filters, names := map[string]plugin.Filter{}, []string(nil)
	for _, f := range [...]plugin.Filter{jwtscope.Filter, edgestamp.Filter, ratelimit.Filter} {
		name := strings.ReplaceAll(f.Name, "_", "-")
		filters[name] = f
		names = append(names, name)
	}
	plugin.RegisterPlan("tollgate", func(text string) (plugin.Plan, error) {
		c, err := chain.Parse(text, names...)
		if err != nil {
			return plugin.Plan{}, err
		}
		plan := plugin.Plan{PublishAfter: c.PublishAfter}
		for _, s := range c.Steps {
			plan.Parts = append(plan.Parts, plugin.Part{Filter: filters[s.Filter], Name: s.Name, Config: s.Config, Path: s.Path})
		}
		return plan, nil
	})
}

func main() {} // never runs: the module is a library to the proxy
