// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package chain reads the configurations of the module that carries all filters: one filter's, or a
// chain of several that decide a request one behind the other. What stands in a filter's own
// configuration it leaves to that filter.
package chain

import (
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

// Step is one filter with its configuration.
type Step struct {
	Name   string // unique in the chain; empty where the configuration is one filter's
	Filter string // one of those that the module carries
	Config string // JSON
	Path   string // of Config in the whole, with a dot behind it; empty where it is the whole
}

// Chain is what a plugin decides by.
type Chain struct {
	Steps []Step

	// PublishAfter is the step after which the verified claims are published for filters of others and access logs: the
	// last that verifies any; -1: they are not.
	PublishAfter int
}

// Parse reads a configuration, or returns conf.Faults. filters are the names of those that the module carries.
func Parse(text string, filters ...string) (Chain, error) {
	r, o := conf.Read(text)
	if _, ok := o.At("chain"); !ok {
		return single(r, o, text, filters)
	}
	c := Chain{PublishAfter: -1}
	list, _ := o.Need("chain")
	for i, item := range list.List() {
		step := item.Object()
		s := Step{Name: step.Name(), Path: "chain[" + strconv.Itoa(i) + "].config."}
		if n, ok := step.Need("filter"); ok {
			s.Filter = n.Enum(filters...)
		}
		if n, ok := step.Need("config"); ok {
			n.Object() // a fault where it is none
			s.Config = n.Raw()
			c.trusts(r, n)
			if verifies(s.Filter, n.Value()) {
				c.PublishAfter = i
			}
		}
		step.End()
		c.Steps = append(c.Steps, s)
	}
	if !o.Bool("publishIdentity", true) {
		c.PublishAfter = -1
	}
	o.End()
	return c, r.Err()
}

// single is a configuration of one filter, which says whose it is.
func single(r *conf.Reader, o *conf.Object, text string, filters []string) (Chain, error) {
	if err := r.Err(); err != nil {
		return Chain{}, err
	}
	n, ok := o.At("filter")
	if !ok {
		o.FaultAt("filter", "is required, or chain: this module carries "+strings.Join(filters, ", "))
		return Chain{}, r.Err()
	}
	filter := n.Enum(filters...)
	return Chain{Steps: []Step{{Filter: filter, Config: text}}}, r.Err()
}

// verifies reports whether a filter with that configuration verifies claims.
func verifies(filter string, config gjson.Result) bool {
	return filter == "jwt-scope" || filter == "edge-stamp" && strictjson.Text(config, "role") == "verify"
}

// trusts looks for a header that a step believes because somebody else is to have written it, and
// that an earlier step of the chain writes: what that has verified reaches later steps by itself,
// and the header would be believed whoever wrote it.
func (c *Chain) trusts(r *conf.Reader, config conf.Node) {
	providers, _ := strictjson.Member(config.Value(), "providers")
	i := -1
	providers.ForEach(func(_, provider gjson.Result) bool {
		i++
		payload, _ := strictjson.Member(provider, "trustedPayload")
		header := forward.Fold(strings.ToLower(strictjson.Text(payload, "header")))
		for _, s := range c.Steps {
			if header != "" && writes(s.Config, header) {
				r.Fault(config.Path()+".providers["+strconv.Itoa(i)+"].trustedPayload.header",
					"is written by the earlier step "+s.Name+": a chain's claims reach limits and "+
						"copyClaims by themselves, and no trustedPayload; let this filter be a plugin of its own")
			}
		}
		return providers.IsArray()
	})
}

// writes reports whether a filter's configuration has it write a header, in any spelling that servers
// confuse with it. header is as forward.Fold gives it.
func writes(config, header string) (found bool) {
	root := gjson.Parse(config)
	claimed, _ := strictjson.Member(root, "forward")
	is := func(n gjson.Result, member string) bool {
		return forward.Fold(strings.ToLower(strictjson.Text(n, member))) == header
	}
	found = is(claimed, "payloadHeader")
	if strictjson.Text(root, "role") == "sign" {
		_, named := strictjson.Member(root, "header")
		found = found || is(root, "header") || !named && header == forward.Fold("x-edge-stamp")
	}
	claims, _ := strictjson.Member(claimed, "claimHeaders")
	claims.ForEach(func(_, claim gjson.Result) bool {
		found = found || is(claim, "header")
		return claims.IsArray()
	})
	return found
}
