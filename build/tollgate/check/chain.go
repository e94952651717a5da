// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tollgate-wasm/tollgate/build/filters/yamlnode"
	"github.com/tollgate-wasm/tollgate/shared/forward"
)

// credential is where something stands in a request: "header authorization", "cookie session", "query access_token".
type credential string

func headerAt(n *yaml.Node) credential {
	return credential("header " + forward.Fold(strings.ToLower(yamlnode.Text(n))))
}

// tokens are where jwt-scope looks for them.
func tokens(config *yaml.Node) (list []credential) {
	for _, provider := range yamlnode.Items(yamlnode.Member(config, "providers")) {
		if yamlnode.Member(provider, "trustedPayload") != nil {
			continue
		}
		places := yamlnode.Items(yamlnode.Member(provider, "token"))
		if one := yamlnode.Member(provider, "token"); one != nil && one.Kind == yaml.MappingNode {
			places = []*yaml.Node{one}
		}
		if places == nil {
			list = append(list, "header authorization")
		}
		for _, place := range places {
			list = append(list, placeOf(place)...)
		}
	}
	return list
}

func placeOf(n *yaml.Node) (list []credential) {
	if h := yamlnode.Member(n, "header"); h != nil {
		list = append(list, headerAt(h))
	}
	for _, kind := range []string{"cookie", "query", "subprotocol", "subprotocolPrefix"} {
		if v := yamlnode.Member(n, kind); v != nil {
			list = append(list, credential(kind+" "+yamlnode.Text(v)))
		}
	}
	return list
}

// stamps are where edge-stamp looks for them.
func stamps(f configured) []credential {
	if profile(f) == "rfc9421" {
		return []credential{"header signature", "header signature-input"}
	}
	return []credential{credential("header " + forward.Fold(header(f)))}
}

// strips are what a filter takes out of a request that it lets through.
func (f configured) strips() []credential {
	switch {
	case f.filter == "jwt-scope" && yamlnode.Text(yamlnode.Member(f.node, "forward", "token")) == "strip":
		return tokens(f.node)
	case f.filter == "edge-stamp" && yamlnode.Text(yamlnode.Member(f.node, "role")) == "verify" &&
		yamlnode.Text(yamlnode.Member(f.node, "forward", "stamp")) == "strip":
		return stamps(f)
	}
	return nil
}

// needs are what a filter decides by.
func (f configured) needs() (list []credential) {
	for _, rules := range []string{"rules", "limits"} {
		for _, rule := range yamlnode.Items(yamlnode.Member(f.node, rules)) {
			for _, match := range yamlnode.Items(yamlnode.Member(rule, "match")) {
				for _, h := range yamlnode.Items(yamlnode.Member(match, "headers")) {
					list = append(list, headerAt(yamlnode.Member(h, "name")))
				}
			}
		}
	}
	switch {
	case f.filter == "jwt-scope" && indifferent(f.node):
	case f.filter == "jwt-scope":
		list = append(list, tokens(f.node)...)
	case f.filter == "edge-stamp" && yamlnode.Text(yamlnode.Member(f.node, "role")) == "verify":
		list = append(list, stamps(f)...)
	case f.filter == "rate-limit":
		for _, limit := range yamlnode.Items(yamlnode.Member(f.node, "limits")) {
			for _, part := range yamlnode.Items(yamlnode.Member(limit, "key")) {
				list = append(list, placeOf(part)...)
			}
			list = append(list, placeOf(yamlnode.Member(limit, "cost"))...)
			list = append(list, placeOf(yamlnode.Member(limit, "tiers"))...)
		}
	}
	return list
}

// indifferent reports whether jwt-scope takes every request alike whose token is good or missing,
// and tells nobody what is in it: behind another that has verified the token, it decides nothing.
func indifferent(config *yaml.Node) bool {
	if yamlnode.Member(config, "forward", "payloadHeader") != nil ||
		yamlnode.Member(config, "forward", "claimHeaders") != nil {
		return false
	}
	if slices.ContainsFunc(yamlnode.Items(yamlnode.Member(config, "providers")), func(p *yaml.Node) bool {
		return yamlnode.Member(p, "require") != nil
	}) {
		return false
	}
	return !slices.ContainsFunc(yamlnode.Items(yamlnode.Member(config, "rules")), func(r *yaml.Node) bool {
		access := yamlnode.Text(yamlnode.Member(r, "access"))
		return yamlnode.Member(r, "require") != nil || access != "optional" && access != "public"
	})
}

// meeting is whether two plugins sit in one proxy.
type meeting int8

const (
	apart   meeting = iota
	perhaps         // where a workload fits both
	always          // wherever the narrower of them is
)

// reach is which proxies a resource of Istio's is for.
type reach struct {
	namespace string
	labels    map[string]string
	targets   []string
	modes     []string
}

func reachOf(namespace string, spec *yaml.Node) reach {
	r := reach{namespace: namespace, labels: map[string]string{}}
	if labels := yamlnode.Member(spec, "selector", "matchLabels"); labels != nil && labels.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(labels.Content); i += 2 {
			r.labels[labels.Content[i].Value] = labels.Content[i+1].Value
		}
	}
	refs := yamlnode.Items(yamlnode.Member(spec, "targetRefs"))
	if ref := yamlnode.Member(spec, "targetRef"); ref != nil {
		refs = append(slices.Clone(refs), ref)
	}
	for _, ref := range refs {
		r.targets = append(r.targets, yamlnode.Text(yamlnode.Member(ref, "kind"))+" "+
			yamlnode.Text(yamlnode.Member(ref, "name")))
	}
	for _, m := range yamlnode.Items(yamlnode.Member(spec, "match")) {
		r.modes = append(r.modes, yamlnode.Text(yamlnode.Member(m, "mode")))
	}
	return r
}

// root is Istio's root namespace.
func (c *Checker) root() string {
	if c.RootNamespace != "" {
		return c.RootNamespace
	}
	return "istio-system"
}

func (c *Checker) meet(a, b reach) meeting {
	in := func(a reach, mode string) bool {
		return len(a.modes) == 0 ||
			slices.ContainsFunc(a.modes, func(m string) bool { return m == mode || m != "SERVER" && m != "CLIENT" })
	}
	switch {
	case a.namespace != b.namespace && a.namespace != c.root() && b.namespace != c.root():
		return apart
	case !(in(a, "SERVER") && in(b, "SERVER")) && !(in(a, "CLIENT") && in(b, "CLIENT")):
		return apart
	case a.targets != nil && b.targets != nil:
		if a.namespace == b.namespace &&
			slices.ContainsFunc(a.targets, func(t string) bool { return slices.Contains(b.targets, t) }) {
			return always
		}
		return apart
	case a.targets != nil || b.targets != nil:
		if len(a.labels)+len(b.labels) > 0 {
			return apart
		}
		return perhaps // a gateway takes what is for its namespace, a waypoint does not
	}
	for name, value := range a.labels {
		if other, ok := b.labels[name]; ok && other != value {
			return apart
		}
	}
	if a.namespace == b.namespace || len(a.labels) == 0 || len(b.labels) == 0 {
		if within(a.labels, b.labels) || within(b.labels, a.labels) {
			return always
		}
	}
	return perhaps
}

func within(a, b map[string]string) bool {
	for name := range maps.Keys(a) {
		if _, ok := b[name]; !ok {
			return false
		}
	}
	return true
}

// phases in the order in which a request meets them (istio/istio, pilot/pkg/networking/core/listener_builder.go).
var phases = []string{"AUTHN", "AUTHZ", "STATS"}

func phaseOf(spec *yaml.Node) int {
	if i := slices.Index(phases, yamlnode.Text(yamlnode.Member(spec, "phase"))); i >= 0 {
		return i
	}
	return len(phases)
}

// mayPrecede reports whether a request may meet a before b. Of one phase and priority, the plugin
// that has been created first is the first (pilot/pkg/model/push_context.go: sortByPriority).
func mayPrecede(a, b place) bool {
	switch {
	case a.chain == b.chain && a.order == b.order: // of one plugin
		return a.at < b.at
	case a.plugin == nil || b.plugin == nil:
		return a.order < b.order
	}
	if pa, pb := phaseOf(a.plugin), phaseOf(b.plugin); pa != pb {
		return pa < pb
	}
	priority := func(n *yaml.Node) int64 {
		if v, err := strconv.ParseInt(yamlnode.Text(yamlnode.Member(n, "priority")), 10, 32); err == nil {
			return v
		}
		return math.MinInt32
	}
	return priority(a.plugin) >= priority(b.plugin)
}

// link is a filter in a chain.
type link struct {
	configured
	reach        reach // where it is a plugin of Istio's
	gone, needed []credential
}

// chains looks for a filter that takes away what one behind it decides by: that one then takes a
// request for one without.
func (c *Checker) chains() {
	var links, strippers []link
	for _, f := range c.configs {
		l := link{configured: f, gone: f.strips(), needed: f.needs()}
		if f.plugin != nil {
			l.reach = reachOf(f.place.namespace, f.plugin)
		}
		links = append(links, l)
		if l.gone != nil {
			strippers = append(strippers, l)
		}
	}
	c.unverified(links)
	for _, f := range links {
		for _, first := range strippers {
			if f.needed == nil || first.node == f.node {
				continue
			}
			if how := c.meetLinks(first, f); how != apart && mayPrecede(first.place, f.place) {
				c.stripped(first, f, how)
			}
		}
		if f.filter == "jwt-scope" && f.plugin != nil && phaseOf(f.plugin) == 0 && f.gone != nil {
			c.blinds(f)
		}
	}
}

// verifies reports whether a filter brings verified claims to those behind it.
func (f configured) verifies() bool {
	return f.filter == "jwt-scope" ||
		f.filter == "edge-stamp" && yamlnode.Text(yamlnode.Member(f.node, "role")) == "verify"
}

// claims is where a filter decides by verified claims, or writes them, with its path; nil: it does neither.
func (f configured) claims() (n *yaml.Node, path string) {
	switch f.filter {
	case "rate-limit":
		for i, limit := range yamlnode.Items(yamlnode.Member(f.node, "limits")) {
			if hasClaim(limit) {
				return limit, "limits[" + strconv.Itoa(i) + "]"
			}
		}
	case "edge-stamp":
		if n := yamlnode.Member(f.node, "copyClaims"); n != nil && len(n.Content) > 0 {
			return n, "copyClaims"
		}
		if profile(f) == "txn-token" && yamlnode.Text(yamlnode.Member(f.node, "role")) == "sign" {
			return yamlnode.Member(f.node, "profile"), "profile"
		}
	}
	return nil, ""
}

// hasClaim looks for a claim in a limit, wherever it stands: in the key, the tiers, the conditions or the rate.
func hasClaim(n *yaml.Node) bool {
	if n.Kind == yaml.MappingNode && (yamlnode.Member(n, "claim") != nil || yamlnode.Member(n, "claims") != nil) {
		return true
	}
	return slices.ContainsFunc(n.Content, hasClaim)
}

// unverified looks for filters that go by claims which only a filter behind them verifies, and, in chains, for those
// that go by claims which nobody verifies.
func (c *Checker) unverified(links []link) {
	var verifiers []link
	for _, l := range links {
		if l.verifies() {
			verifiers = append(verifiers, l)
		}
	}
	for _, f := range links {
		n, path := f.claims()
		if n == nil || c.faulty[f.chain] { // what verifies may be what could not be read
			continue
		}
		before, behind, how := false, link{}, apart
		for _, v := range verifiers {
			meets := c.meetLinks(v, f)
			if meets == apart {
				continue
			}
			if mayPrecede(v.place, f.place) {
				before = true
				break
			}
			if meets > how {
				behind, how = v, meets
			}
		}
		at := strings.TrimPrefix(f.prefix+"."+path, ".")
		switch {
		case before || how == apart && f.step == "":
		case how == apart:
			c.report(f.place, n, Warning, at, "goes by verified claims, and no step before it verifies any: unless a "+
				"plugin before this one does, they are missing; put jwt-scope, or edge-stamp with role: verify, before it")
		default:
			severity := Error
			if how == perhaps {
				severity = Warning
			}
			c.report(f.place, n, severity, at, "goes by verified claims, and "+behind.called(behind.filter)+
				", which verifies them, comes behind it: they are missing here; put "+behind.called(behind.filter)+" before it")
		}
	}
}

// meetLinks is whether two filters sit in one proxy.
func (c *Checker) meetLinks(a, b link) meeting {
	switch {
	case a.chain == b.chain:
		return always
	case a.plugin != nil && b.plugin != nil:
		return c.meet(a.reach, b.reach)
	}
	return apart
}

// stripped tells of what first takes away and f needs.
func (c *Checker) stripped(first, f link, how meeting) {
	for _, one := range first.gone {
		if !slices.Contains(f.needed, one) {
			continue
		}
		severity, when := Error, ""
		if how == perhaps {
			severity, when = Warning, ", where a workload has both"
		}
		what := "forward.token: strip"
		if first.filter == "edge-stamp" {
			what = "forward.stamp: strip"
		}
		consequence := "a request then looks as if it had none, and what lets such requests pass lets all pass"
		if f.filter == "rate-limit" {
			severity, consequence = Warning, "that part of the key is then missing"
		}
		at, mend := orElse(f.plugin, f.node), "and give the others a higher priority"
		if f.step != "" {
			at = f.node
		}
		if first.chain == f.chain {
			mend = "and put the others before it"
		}
		c.report(f.place, at, severity, f.prefix, "decides by the "+string(one)+", which "+
			first.place.called(first.filter)+" before it takes away ("+what+")"+when+": "+consequence+
			"; let the last one strip it, "+mend)
		return
	}
}

func (p place) called(filter string) string {
	if name := p.step; name != "" {
		if p.step = ""; p.resource == "" {
			return "the step " + name
		}
		return "the step " + name + " of " + p.called(filter)
	}
	switch {
	case p.resource != "":
		return p.resource
	case p.name != "":
		return p.name
	}
	return filter
}

// asking is an AuthorizationPolicy with conditions on what RequestAuthentication has verified.
type asking struct {
	place
	node *yaml.Node
}

func (c *Checker) authorizationPolicy(p place, n *yaml.Node) {
	if asksTokens(yamlnode.Member(n, "spec")) {
		c.asking = append(c.asking, asking{p, n})
	}
}

func asksTokens(n *yaml.Node) bool {
	if n == nil {
		return false
	}
	if n.Kind == yaml.ScalarNode {
		return n.Value == "requestPrincipals" || n.Value == "notRequestPrincipals" ||
			strings.HasPrefix(n.Value, "request.auth.")
	}
	return slices.ContainsFunc(n.Content, asksTokens)
}

// blinds tells of policies of Istio's that are asked behind a plugin that has taken the token away.
func (c *Checker) blinds(f link) {
	for _, a := range c.asking {
		spec := yamlnode.Member(a.node, "spec")
		how := c.meet(f.reach, reachOf(a.namespace, spec))
		if how == apart {
			continue
		}
		severity, problem := Warning, "admits nobody by it"
		if yamlnode.Text(yamlnode.Member(spec, "action")) == "DENY" {
			severity, problem = Error, "refuses nobody by it"
		}
		if how == perhaps {
			severity = Warning
		}
		c.report(a.place, a.node, severity, "spec", "has conditions on the token, which "+f.place.called(f.filter)+
			" takes away before RequestAuthentication looks for it (forward.token: strip, in phase AUTHN): the policy "+
			problem+"; take it out, or let the plugin keep the token")
	}
}

// extensionPolicy is one of Envoy Gateway's EnvoyExtensionPolicies.
type extensionPolicy struct {
	place
	node     *yaml.Node
	filters  []string
	attached []Attachment
}

// displaced looks for EnvoyExtensionPolicies that keep others from being applied.
func (c *Checker) displaced() {
	told := map[[2]*yaml.Node]bool{}
	for _, first := range c.policies {
		for _, filter := range first.filters {
			severity, consequence := Error, "requests there go on unchecked"
			if filter == "rate-limit" {
				severity, consequence = Warning, "requests there are not limited"
			}
			for _, other := range c.policies {
				switch {
				case other.node == first.node || slices.Contains(other.filters, filter):
				case Attached(first.attached, other.attached, Attachment.Same):
					if told[[2]*yaml.Node{other.node, first.node}] {
						continue // from the other side
					}
					told[[2]*yaml.Node{first.node, other.node}] = true
					c.report(other.place, other.node, severity, "spec.targetRefs", "has a target that "+first.resource+
						" has as well, and Envoy Gateway applies the older of the two alone: without "+filter+", "+
						consequence+"; put both into one")
				case Attached(other.attached, first.attached, Attachment.Displaces):
					merges, could := Merges(other.node)
					if merges {
						continue
					}
					severity := severity
					// it has some of ours, so it was thought of
					if len(other.filters) > 0 && yamlnode.Text(yamlnode.Member(other.node, "spec", "mergeType")) == "" {
						severity = Warning
					}
					mend := "unless it has " + filter + " as well: its own wasm replaces the list, whatever its mergeType"
					if could {
						mend = "unless it is merged (mergeType: " + strings.Join(MergeTypes, " or ") +
							", since Envoy Gateway 1.9) or has " + filter + " as well"
					} else if yamlnode.Member(other.node, "spec", "wasm") == nil {
						mend = "unless it has " + filter + " as well: what is attached to other than routes is not merged"
					}
					c.report(other.place, other.node, severity, "spec.targetRefs", "takes the place of "+first.resource+
						", which is attached to more and runs "+filter+": "+consequence+", "+mend)
				}
			}
		}
	}
}
