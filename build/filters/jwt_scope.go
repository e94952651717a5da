// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"

	"go.yaml.in/yaml/v3"

	"github.com/tollgate-wasm/tollgate/build/filters/yamlnode"
	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
)

var jwtScope = Filter{
	Name:       "jwt-scope",
	Core:       "scope",
	Rule:       "rule",
	Decide:     decideScopes,
	Credential: credential,
	Parse: func(config string, env Env) (Policy, error) {
		return scope.Parse(config, scope.Surroundings{Env: anySecret(env)})
	},
	Keys: []string{"filter", "mode", "default", "ambiguousPath", "limits", "errors", "cache", "dpop", "forward",
		"providers", "resources", "rules"},
	Distinct: func(config *yaml.Node) bool { return yamlnode.Member(config, "providers") != nil },
	Whole: func(config *yaml.Node) bool {
		has := func(list string) bool { return len(yamlnode.Items(yamlnode.Member(config, list))) > 0 }
		return has("providers") && has("rules")
	},
	Smallest: `{"providers": [{"name": "smallest", "issuer": "https://smallest.example", "audiences": ["smallest"], ` +
		`"jwks": {"inline": ` + key + `}}], "rules": [{"name": "smallest"}]}`,
	Codes:   scope.Codes,
	Samples: jwtScopeSamples,
	Places:  []string{"gateway", "mesh", "namespace", "waypoint", "workload"},
	Code:    2_600_000,
}

//go:embed samples/jwt-scope.yaml
var jwtScopeSamples string

// credential puts the key into the configuration, or writes the claims where the provider trusts them.
func credential(config, claims string, signer *mint.Key) (changed string, header [2]string, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(config), &members); err != nil {
		return "", header, err
	}
	var providers []map[string]any
	if err := json.Unmarshal(members["providers"], &providers); err != nil {
		return "", header, fmt.Errorf("providers: %w", err)
	}
	var c map[string]any
	if err := json.Unmarshal([]byte(claims), &c); err != nil {
		return "", header, err
	}
	i := slices.IndexFunc(providers, func(p map[string]any) bool {
		return p["introspection"] == nil && issues(p["issuer"], c["iss"])
	})
	if i < 0 {
		return "", header, fmt.Errorf("no provider has keys and the issuer %v", c["iss"])
	}
	p := providers[i]
	if trusted, _ := p["trustedPayload"].(map[string]any); trusted != nil {
		name, _ := trusted["header"].(string)
		header = [2]string{strings.ToLower(name), base64.RawURLEncoding.EncodeToString([]byte(claims))}
	} else {
		typ := "JWT"
		if types, _ := p["types"].([]any); len(types) > 0 {
			typ, _ = types[0].(string)
		}
		p["jwks"], p["algorithms"] = map[string]any{"inline": mint.Set(signer)}, []string{"ES256"}
		header = [2]string{"authorization", "Bearer " + signer.Typed(typ, json.RawMessage(claims))}
	}
	list, err := json.Marshal(providers)
	if err != nil {
		return "", header, err
	}
	members["providers"] = list
	text, err := json.Marshal(members)
	return string(text), header, err
}

// issues reports whether an issuer of the configuration may write iss into its tokens.
func issues(issuer, iss any) bool {
	template, _ := issuer.(map[string]any)
	if template == nil {
		return issuer == iss
	}
	before, rest, _ := strings.Cut(fmt.Sprint(template["template"]), "{")
	_, after, _ := strings.Cut(rest, "}")
	text, _ := iss.(string)
	return strings.HasPrefix(text, before) && strings.HasSuffix(text, after)
}

// anySecret has a value for every variable that is not there: outside of a proxy nothing is asked and
// no nonce made, so that no decision depends on which it is.
func anySecret(env Env) Env {
	return func(name string) (value string, ok bool) {
		if env != nil {
			value, ok = env(name)
		}
		if !ok {
			value = "a secret that nobody needs here, and long enough"
		}
		return value, true
	}
}
