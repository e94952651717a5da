// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package descriptors writes the configuration that Envoy's rate-limit service
// (envoyproxy/ratelimit) needs for one of the rate-limit filter: who writes both by hand has two
// places to keep in step, and a limit that the service does not have is no limit.
package descriptors

import (
	"bytes"
	"fmt"
	"strconv"

	"sigs.k8s.io/yaml"

	"github.com/tollgate-wasm/tollgate/filters/rate-limit/limit"
)

// Write turns the filter's configuration, JSON or YAML, into the service's YAML. The error is
// conf.Faults where the filter would refuse the configuration, or the service cannot count what it
// says.
func Write(config []byte) ([]byte, error) {
	// JSON is read by Parse alone: it knows the line of a fault
	if !bytes.HasPrefix(bytes.TrimSpace(config), []byte("{")) {
		var err error
		if config, err = yaml.YAMLToJSONStrict(config); err != nil {
			return nil, err
		}
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
			if i+1 < len(rates) && rates[i+1].Tier != "" {
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
	if r.Burst != r.Requests {
		fmt.Fprintf(b, "%s# burst: %d is for a proxy that limits alone (onError: local). The service counts in fixed "+
			"windows and has none.\n", indent, r.Burst)
	}
	fmt.Fprintf(b, "%srate_limit: {unit: %s, requests_per_unit: %d}\n", indent, r.Unit, r.Requests)
}
