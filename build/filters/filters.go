// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package filters is the one list of the filters that there are: what the command, the checks, the
// tests and the tools have to know of each. A new filter is its folder under filters/, a file here,
// and its place in All.
//
// What runs inside the proxy knows nothing of this package, and no filter knows of another.
package filters

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// All are the filters, in the order in which they are listed for people, and asked whose a configuration is.
var All = []Filter{jwtScope, edgeStamp, rateLimit}

// Filter is what others have to know of one.
type Filter struct {
	// Name is that of the folder under filters/, of the module and the image, and what a configuration says under filter.
	Name string

	// Core is the folder below it with the package that decides, which knows neither the SDK, nor
	// the clock, nor the network.
	Core string

	// Parse reads a configuration with the filter's own reader.
	Parse func(config string, env Env) (Policy, error)

	// Decide decides a request as the filter does. The error is that of a configuration that cannot be
	// read, or of keys that would have to be fetched.
	Decide func(config string, r *decide.Request, o *Outside) (*Decided, error)

	// Credential makes a header with claims that the filter takes for genuine, signed by a key that it
	// puts into the configuration. nil: the filter looks for none.
	Credential func(config, claims string, key *mint.Key) (changed string, header [2]string, err error)

	// Rule is what the filter calls what it looks for that fits a request: "rule", "limit".
	Rule string

	// Codes are the filter's own, beside verdict.Common.
	Codes verdict.Codes

	// Keys are those at the top of a configuration, as the reader knows them.
	Keys []string

	// Distinct reports whether a configuration has what only this filter's has.
	Distinct func(config *yaml.Node) bool

	// Whole reports whether a configuration is this filter's without doubt, where nothing else says so: other plugins have
	// rules and limits, too.
	Whole func(config *yaml.Node) bool

	// Smallest is a configuration with as little as the reader takes. It needs no key and nothing
	// else of its surroundings.
	Smallest string

	// Samples are YAML documents that have every key, all together: the schema is made of what the
	// reader asks for in them.
	Samples string

	// Places are the folders that the filter has under WasmPlugin/, sorted: where in a mesh it makes sense.
	Places []string

	// Code is how many bytes of code its module may have. An empty Go module has 1,140,000.
	Code int

	// OfResponses is true for a filter that adds headers to responses: its module has the callback for them.
	OfResponses bool
}

// Env looks up a variable of the proxy's environment, as os.LookupEnv does.
type Env func(name string) (value string, ok bool)

// Policy is a configuration that has been read without a fault.
type Policy interface {
	// Warnings are what the reader takes, and is probably not meant.
	Warnings() []conf.Fault
}

// Codes are those of all filters.
func Codes() verdict.Codes {
	all := slices.Clone(verdict.Common)
	for _, f := range All {
		all = append(all, f.Codes...)
	}
	return all
}

// Names are those of all filters.
func Names() []string {
	names := make([]string, len(All))
	for i, f := range All {
		names[i] = f.Name
	}
	return names
}

// Named returns the filter of a name. The error lists those that there are.
func Named(name string) (Filter, error) {
	if i := slices.IndexFunc(All, func(f Filter) bool { return f.Name == name }); i >= 0 {
		return All[i], nil
	}
	return Filter{}, fmt.Errorf("there is no filter %s: want one of %s", name, strings.Join(Names(), ", "))
}

// Metric is the filter's part of its metrics' names and of what its module exports, where a hyphen
// cannot stand: jwt_scope.
func (f Filter) Metric() string { return strings.ReplaceAll(f.Name, "-", "_") }

// Module is the file name of the compiled filter.
func (f Filter) Module() string { return f.Name + ".wasm" }

// key is the set with the key of RFC 7517, A.1, for the smallest configurations.
const key = `{"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "1", ` +
	`"x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`
