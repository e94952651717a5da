// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package module makes the plugins of the module that carries all filters.
package module

import (
	"strings"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	edgestamp "github.com/tollgate-wasm/tollgate/filters/edge-stamp/filter"
	jwtscope "github.com/tollgate-wasm/tollgate/filters/jwt-scope/filter"
	ratelimit "github.com/tollgate-wasm/tollgate/filters/rate-limit/filter"
	"github.com/tollgate-wasm/tollgate/filters/tollgate/chain"
	"github.com/tollgate-wasm/tollgate/shared/host/plugin"
)

// Register has the module's plugins made as their configurations say. To be called in init: main does
// not run.
func Register() types.VMContext {
	filters, names := map[string]plugin.Filter{}, []string(nil)
	for _, f := range [...]plugin.Filter{jwtscope.Filter, edgestamp.Filter, ratelimit.Filter} {
		name := strings.ReplaceAll(f.Name, "_", "-")
		filters[name] = f
		names = append(names, name)
	}
	return plugin.RegisterPlan("tollgate", func(text string) (plugin.Plan, error) {
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
