// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package descriptors writes the configuration that Envoy's rate-limit service
// (envoyproxy/ratelimit) needs for one of the rate-limit filter: who writes both by hand has two
// places to keep in step, and a limit that the service does not have is no limit.
package descriptors

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/tidwall/gjson"
	"sigs.k8s.io/yaml"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/filters/rate-limit/limit"
	"github.com/tollgate-wasm/tollgate/filters/tollgate/chain"
	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

// Write turns the filter's configuration, JSON or YAML, into the service's YAML, or a chain that
// has the filter, with the limits of all its steps. The error is conf.Faults where the filter would
// refuse the configuration, or the service cannot count what it says.
func Write(config []byte) ([]byte, error) {
	// JSON is read by Parse alone: it knows the line of a fault
	if !bytes.HasPrefix(bytes.TrimSpace(config), []byte("{")) {
		var err error
		if config, err = yaml.YAMLToJSONStrict(config); err != nil {
			return nil, err
		}
	}
	if !gjson.ValidBytes(config) { // the reader says where
		_, err := limit.Parse(string(config))
		return nil, err
	}
	if _, ok := strictjson.Member(gjson.ParseBytes(config), "chain"); ok {
		return ofChain(string(config))
	}
	p, err := limit.Parse(string(config))
	if err != nil {
		return nil, err
	}
	rates, err := p.ServiceRates()
	if err != nil {
		return nil, err
	}
	return write(p.Global().Domain, rates), nil
}

// ofChain writes the limits of all steps. The service knows a limit by the domain and its name, not
// by the step: two of one name would be one to it.
func ofChain(config string) ([]byte, error) {
	c, err := chain.Parse(config, filters.Names()...)
	if err != nil {
		return nil, err
	}
	var faults conf.Faults
	add := func(s chain.Step, err error) {
		var list conf.Faults
		if !errors.As(err, &list) {
			list = conf.Faults{{Problem: err.Error()}}
		}
		faults = append(faults, list.Under(s.Path)...)
	}
	var rates []limit.ServiceRate
	var first chain.Step // that has such limits
	domain, limits, of := "", 0, map[string]chain.Step{}
	for _, s := range c.Steps {
		if s.Filter != "rate-limit" {
			continue
		}
		limits++
		p, err := limit.Parse(s.Config)
		if err != nil {
			add(s, err)
			continue
		}
		if p.Global() == nil {
			continue // it counts by itself
		}
		list, err := p.ServiceRates()
		if err != nil {
			add(s, err)
			continue
		}
		if domain == "" {
			domain, first = p.Global().Domain, s
		} else if other := p.Global().Domain; other != domain {
			add(s, conf.Faults{{Path: "global.domain", Problem: "is " + other + ", and that of the step " + first.Name + " is " +
				domain + ": the service wants a file for each domain; give both one domain"}})
		}
		for _, r := range list {
			if other, ok := of[r.Limit]; ok && other.Name != s.Name {
				add(s, conf.Faults{{Path: "limits", Problem: "has " + r.Limit + ", as the step " + other.Name +
					" has: the service would count both as one; give one of them another name"}})
				break
			}
			of[r.Limit] = s
		}
		rates = append(rates, list...)
	}
	switch {
	case len(faults) > 0:
		return nil, faults
	case limits == 0:
		return nil, conf.Faults{
			{Path: "chain", Problem: "no step is rate-limit, so there is nothing for the service to know"}}
	case domain == "":
		return nil, conf.Faults{
			{Path: "chain", Problem: "no limit has scope: global, so there is nothing for the service to know"}}
	}
	return write(domain, rates), nil
}

// write writes the service's YAML. Text stands in quotes: a limit may be called null, and a tier
// anything. What strconv escapes, YAML escapes the same way (YAML 1.2, 5.7).
func write(domain string, rates []limit.ServiceRate) []byte {
	var b bytes.Buffer
	b.WriteString("# Of envoyproxy/ratelimit, for the limits of scope: global of the rate-limit filter. Written by " +
		"tollgate descriptors; write it anew when they change.\n")
	fmt.Fprintf(&b, "domain: %s\ndescriptors:\n", strconv.QuoteToASCII(domain))
	for i, r := range rates {
		if r.Tier == "" {
			fmt.Fprintf(&b, "- key: limit\n  value: %q\n", r.Limit)
			if r.Shadow {
				b.WriteString("  # In shadow mode in the filter, which counts what it would refuse. Not so here " +
					"(shadow_mode): the filter would be told that nothing ever is over the limit.\n")
			}
			b.WriteString("  descriptors:\n  - key: key\n")
			writeRate(&b, "    ", &r)
			if tiered := rates[i+1:]; len(tiered) > 0 && tiered[0].Tier != "" {
				b.WriteString("    descriptors:\n")
			}
			continue
		}
		fmt.Fprintf(&b, "    - key: tier\n      value: %s\n", strconv.QuoteToASCII(r.Tier))
		writeRate(&b, "      ", &r)
	}
	return b.Bytes()
}

func writeRate(b *bytes.Buffer, indent string, r *limit.ServiceRate) {
	switch {
	case r.Brought:
		fmt.Fprintf(b, "%s# rate.requests.claim: each request brings its own rate_limit.\n", indent)
		return
	case r.Requests == 0:
		fmt.Fprintf(b, "%s# unlimited: the filter does not ask.\n", indent)
		return
	case r.Burst != r.Requests:
		fmt.Fprintf(b, "%s# burst: %d is for a proxy that limits alone (onError: local). The service counts in fixed "+
			"windows and has none.\n", indent, r.Burst)
	}
	fmt.Fprintf(b, "%srate_limit: {unit: %s, requests_per_unit: %d}\n", indent, r.Unit, r.Requests)
}
