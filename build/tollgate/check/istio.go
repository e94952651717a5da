// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"regexp"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"go.yaml.in/yaml/v3"

	"github.com/tollgate-wasm/tollgate/build/filters/yamlnode"
	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
)

// plugin looks at a WasmPlugin, or at a TrafficExtension, which Istio 1.30 makes of it and which
// has the same under wasm.
func (c *Checker) plugin(p place, kind string, n *yaml.Node) {
	spec, path := yamlnode.Member(n, "spec"), "spec"
	outer := spec // has the phase, of either
	if kind == "TrafficExtension" {
		if wasm := yamlnode.Member(spec, "wasm"); wasm != nil {
			spec, path = wasm, "spec.wasm"
		} else if yamlnode.Member(spec, "lua") != nil {
			c.passed++
			return
		}
	}
	if spec == nil || spec.Kind != yaml.MappingNode {
		c.report(p, n, Error, path, "is required")
		return
	}
	config := yamlnode.Member(spec, "pluginConfig")
	url := yamlnode.Text(yamlnode.Member(spec, "url"))
	module := ours(config, []string{url}, yamlnode.Text(yamlnode.Member(spec, "pluginName")),
		yamlnode.Text(yamlnode.Member(n, "metadata", "name")))
	if module == "" {
		c.passed++ // another's
		return
	}
	c.looked++
	steps := stepsOf(module, config)
	p.plugin = outer
	c.url(p, spec, path+".url")
	switch strategy := yamlnode.Member(spec, "failStrategy"); yamlnode.Text(strategy) {
	case "FAIL_OPEN":
		c.failOpen(p, strategy, module, steps, path+".failStrategy")
	case "FAIL_RELOAD":
	default:
		c.report(p, orElse(strategy, spec), Warning, path+".failStrategy",
			"want FAIL_RELOAD: otherwise, after a trap, every request of that worker is answered 503 until the proxy "+
				"is restarted")
	}
	c.phase(p, outer, "spec.phase", steps)
	c.listeners(p, n)
	if config == nil {
		c.report(p, spec, Error, path+".pluginConfig",
			"is required: without a configuration the filter does not start, and every request is answered 403 or 503")
		return
	}
	c.carried(p, config, path+".pluginConfig", url)
	c.environment(p, spec, path, steps)
	if n := boundBody(steps); n != nil {
		c.report(p, n, Error, path+".pluginConfig",
			"binds the body, for which Istio has no field (Envoy's allow_on_headers_stop_iteration): every request "+
				"would run into bodyTimeout; use an EnvoyFilter, as in WasmPlugin/istio/bound-bodies")
	}
	p.prefix, p.root = path+".pluginConfig", config
	c.configuration(p, module, config)
}

func orElse(n, other *yaml.Node) *yaml.Node {
	if n == nil {
		return other
	}
	return n
}

// url holds the image's address against what Istio makes of it (istio/istio, pkg/wasm/cache.go and
// pilot/pkg/model/extensions.go).
func (c *Checker) url(p place, spec *yaml.Node, path string) {
	n := yamlnode.Member(spec, "url")
	url := yamlnode.Text(n)
	scheme, rest, hasScheme := strings.Cut(url, "://")
	host, _, _ := strings.Cut(url, "/")
	switch {
	case url == "":
		c.report(p, orElse(n, spec), Error, path, "is required")
		return
	case !hasScheme && strings.Contains(host, ":"):
		c.report(p, n, Error, path,
			"has no scheme: istiod takes the host for one and discards the plugin, so that requests pass without it; "+
				"write oci://"+url)
		return
	case !hasScheme: // Istio takes it for oci://
		c.report(p, n, Warning, path, "has no scheme: write oci://"+url)
		rest = url
	case scheme != "oci" && scheme != "http" && scheme != "https" && scheme != "file":
		c.report(p, n, Error, path, "has the scheme "+scheme+", which Istio refuses: want oci, http, https or file")
		return
	case scheme == "file":
		return
	}
	sum := yamlnode.Member(spec, "sha256")
	c.digests(p, n, sum, path, hasScheme && scheme != "oci")
	switch {
	case hasScheme && scheme != "oci":
		if sum == nil {
			c.report(p, n, Warning, path, "is not pinned: add sha256, that of the module")
		}
	case !strings.Contains(rest, "@sha256:") && sum == nil:
		c.report(p, n, Warning, path,
			"is not pinned: a tag can be pushed anew; write oci://…@sha256:…, as tollgate image push prints it")
	}
}

// digests looks at the digests of a module's URL and beside it, of whatever resource: file says that the URL is one of
// the module itself, and not of an image. One that is none fits nothing, and the proxy never gets its filter.
func (c *Checker) digests(p place, url, sum *yaml.Node, path string, file bool) {
	at := strings.TrimSuffix(path, "url") + "sha256"
	_, digest, has := strings.Cut(yamlnode.Text(url), "@sha256:")
	has = has && !file
	if has && !digest256.MatchString(digest) {
		c.report(p, url, Error, path, "has no digest of 64 hexadecimal digits behind @sha256:")
	}
	if c.digest(p, sum, at) && has && digest != yamlnode.Text(sum) {
		c.report(p, sum, Error, at, "differs from the digest in url: both are of the image's manifest, not of the module")
	}
	c.placeholder(p, url, path)
}

// digest reports whether there is a digest, and faults what is none.
func (c *Checker) digest(p place, sum *yaml.Node, path string) (ok bool) {
	if sum == nil {
		return false
	}
	ok = sum.Tag == "!!str" && digest256.MatchString(yamlnode.Text(sum))
	if !ok {
		c.report(p, sum, Error, path, "is no text of 64 hexadecimal digits, without sha256: before them: without quotes, "+
			"one of decimal digits only is a number to YAML")
	}
	c.placeholder(p, sum, path)
	return ok
}

// placeholder looks for the digest that samples have: no image has it, so that every request is refused.
func (c *Checker) placeholder(p place, n *yaml.Node, path string) {
	if strings.HasSuffix(yamlnode.Text(n), strings.Repeat("0", 64)) {
		c.report(p, n, Warning, path, "is a placeholder: put the digest that tollgate image push prints")
	}
}

// listeners tells of plugins that also sit where nobody has thought of: Istio puts a plugin without
// a mode into the listeners for what a workload asks of others, and one without a selector into
// gateways, too (istio/istio, pilot/pkg/model/extensions.go, matchMode). Where the selector speaks
// of a gateway, all listeners are meant.
func (c *Checker) listeners(p place, n *yaml.Node) {
	spec := yamlnode.Member(n, "spec")
	if len(yamlnode.Items(yamlnode.Member(spec, "targetRefs"))) > 0 || yamlnode.Member(spec, "targetRef") != nil {
		return
	}
	if labels := yamlnode.Member(spec, "selector", "matchLabels"); labels != nil &&
		slices.ContainsFunc(labels.Content, func(l *yaml.Node) bool { return strings.Contains(l.Value, "gateway") }) {
		return
	}
	match := yamlnode.Items(yamlnode.Member(spec, "match"))
	both := func(m *yaml.Node) bool {
		mode := yamlnode.Text(yamlnode.Member(m, "mode"))
		return mode == "" || mode == "UNDEFINED" || mode == "CLIENT_AND_SERVER"
	}
	if len(match) == 0 || slices.ContainsFunc(match, both) {
		c.report(p, orElse(yamlnode.Member(spec, "match"), spec), Warning, "spec.match",
			"does not say which listeners: the plugin also decides what the workload itself asks of others; say "+
				"mode: SERVER for what comes in, CLIENT for a gateway")
	}
}

var digest256 = regexp.MustCompile("^[0-9a-f]{64}$")

// boundBody is where a configuration of edge-stamp asks for the body to be bound.
func boundBody(steps []step) *yaml.Node {
	var lists []*yaml.Node
	for _, s := range steps {
		if s.filter != "edge-stamp" {
			continue
		}
		lists = append(lists, yamlnode.Member(s.node, "bind"), yamlnode.Member(s.node, "require", "bind"))
		for _, r := range yamlnode.Items(yamlnode.Member(s.node, "rules")) {
			lists = append(lists, yamlnode.Member(r, "bind"), yamlnode.Member(r, "require", "bind"))
		}
	}
	for _, list := range lists {
		for _, part := range yamlnode.Items(list) {
			if yamlnode.Text(part) == "body" {
				return part
			}
		}
	}
	return nil
}

// phase holds a plugin's place in the chain against what it needs of the others.
func (c *Checker) phase(p place, spec *yaml.Node, path string, steps []step) {
	n := yamlnode.Member(spec, "phase")
	trusted := false
	for _, s := range steps {
		for _, provider := range yamlnode.Items(yamlnode.Member(s.node, "providers")) {
			trusted = trusted || s.filter == "jwt-scope" && yamlnode.Member(provider, "trustedPayload") != nil
		}
	}
	switch phase := yamlnode.Text(n); {
	case phase == "":
		c.report(p, orElse(n, spec), Warning, path,
			"is not set: the filter then stands right before the router, behind Istio's own authorization; say "+
				"AUTHN, AUTHZ or STATS")
	case trusted && phase == "AUTHN":
		c.report(p, n, Error, path,
			"is AUTHN: the payload that trustedPayload believes is set by RequestAuthentication, which comes after "+
				"that phase; want AUTHZ")
	}
}

// environment sees to the variables that the configuration reads.
func (c *Checker) environment(p place, spec *yaml.Node, path string, steps []step) {
	given := map[string]*yaml.Node{}
	for _, e := range yamlnode.Items(yamlnode.Member(spec, "vmConfig", "env")) {
		given[yamlnode.Text(yamlnode.Member(e, "name"))] = e
	}
	var variables []*yaml.Node
	for _, s := range steps {
		variables = append(variables, s.variables()...)
	}
	for _, n := range variables {
		name := yamlnode.Text(n)
		switch e := given[name]; {
		case e == nil:
			c.report(p, n, Error, path+".vmConfig.env",
				"has no "+name+", which a secret is read from: add {name: "+name+", valueFrom: HOST}, and set it in the proxy's pod")
		case yamlnode.Text(yamlnode.Member(e, "valueFrom")) != "HOST":
			c.report(p, e, Warning, path+".vmConfig.env",
				"gives "+name+" by value: whoever may read the resource, or the proxy's config_dump, reads the "+
					"secret; want valueFrom: HOST")
		}
	}
}

// variables are those of the environment that the configuration reads secrets from.
func (s step) variables() (names []*yaml.Node) {
	add := func(n *yaml.Node) {
		if yamlnode.Text(n) != "" {
			names = append(names, n)
		}
	}
	for _, k := range keyEntries(s) {
		add(yamlnode.Member(k, "env"))
	}
	if s.filter == "jwt-scope" {
		for _, provider := range yamlnode.Items(yamlnode.Member(s.node, "providers")) {
			add(yamlnode.Member(provider, "introspection", "clientSecretEnv"))
		}
		add(yamlnode.Member(s.node, "dpop", "nonceKeyEnv"))
	}
	return names
}

// keyEntries are all that edge-stamp's configuration says of keys of its own.
func keyEntries(s step) (list []*yaml.Node) {
	if s.filter != "edge-stamp" {
		return nil
	}
	list = yamlnode.Items(yamlnode.Member(s.node, "keys"))
	for _, t := range yamlnode.Items(yamlnode.Member(s.node, "trust")) {
		list = append(slices.Clone(list), yamlnode.Items(yamlnode.Member(t, "keys"))...)
	}
	return list
}

// standIns is an environment with a key for each variable, of the algorithm and the kid that the
// configuration wants of it.
func standIns(filter string, config *yaml.Node) func(string) (string, bool) {
	values := map[string]string{}
	for _, k := range keyEntries(step{filter: filter, node: config}) {
		name, alg := yamlnode.Text(yamlnode.Member(k, "env")),
			jose.SignatureAlgorithm(yamlnode.Text(yamlnode.Member(k, "alg")))
		if name != "" && slices.Contains(mint.Algorithms, alg) && values[name] == "" {
			values[name] = mint.New(yamlnode.Text(yamlnode.Member(k, "kid")), alg).PrivateJWK()
		}
	}
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}

func (c *Checker) requestAuthentication(p place, n *yaml.Node) {
	for _, r := range yamlnode.Items(yamlnode.Member(n, "spec", "jwtRules")) {
		c.rewrites = append(c.rewrites,
			authentication{p, r, yamlnode.Text(yamlnode.Member(r, "issuer")),
				yamlnode.Texts(yamlnode.Member(r, "audiences")),
				strings.ToLower(yamlnode.Text(yamlnode.Member(r, "outputPayloadToHeader")))})
	}
}
