// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command descriptors prints the configuration that Envoy's rate-limit service (envoyproxy/ratelimit) needs for a configuration of the rate-limit filter: who writes both by hand has two
// places to keep in step, and a limit that the service does not have is no limit.
//
//	go run ./build/descriptors CONFIG
//
// CONFIG is the filter's configuration in JSON or YAML; without it, standard input. What the service cannot be told is listed with its path, and the exit code is 1.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"sigs.k8s.io/yaml"

	"github.com/tollgate-wasm/tollgate/filters/rate-limit/limit"
)

func main() {
	text, err := read(os.Args[1:])
	if err == nil {
		text, err = descriptors(text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Stdout.Write(text)
}

func read(args []string) ([]byte, error) {
	switch len(args) {
	case 0:
		return io.ReadAll(os.Stdin)
	case 1:
		return os.ReadFile(args[0])
	}
	return nil, errors.New("usage: go run ./build/descriptors [CONFIG]")
}

// descriptors turns the filter's configuration into the service's.
func descriptors(config []byte) ([]byte, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(config), []byte("{")) { // JSON is read by Parse alone: it knows the line of a fault
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

// write writes the service's YAML. Text stands in quotes: a limit may be called null, and a tier anything. What strconv escapes, YAML escapes the same way (YAML 1.2, 5.7).
func write(domain string, rates []limit.ServiceRate) []byte {
	var b bytes.Buffer
	b.WriteString("# Of envoyproxy/ratelimit, for the limits of scope: global of the rate-limit filter. Written by build/descriptors; write it anew when they change.\n")
	fmt.Fprintf(&b, "domain: %s\ndescriptors:\n", strconv.QuoteToASCII(domain))
	for i, r := range rates {
		if r.Tier == "" {
			fmt.Fprintf(&b, "- key: limit\n  value: %q\n", r.Limit)
			if r.Shadow {
				b.WriteString("  # In shadow mode in the filter, which counts what it would refuse. Not so here (shadow_mode): the filter would be told that nothing ever is over the limit.\n")
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
		fmt.Fprintf(b, "%s# burst: %d is for a proxy that limits alone (onError: local). The service counts in fixed windows and has none.\n", indent, r.Burst)
	}
	fmt.Fprintf(b, "%srate_limit: {unit: %s, requests_per_unit: %d}\n", indent, r.Unit, r.Requests)
}
