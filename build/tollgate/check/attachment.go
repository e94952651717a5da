// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tollgate-wasm/tollgate/build/filters/yamlnode"
)

// Attachment is what a policy of Envoy Gateway is attached to. Of one kind of policy, a proxy
// applies one to a request: the one that is attached to the narrowest, unless that has a mergeType,
// and of two that are attached to the same the older one (Gateway API, GEP-713; envoyproxy/gateway,
// internal/gatewayapi/envoyextensionpolicy.go).
type Attachment struct {
	Namespace, Kind string
	Name            string // empty: a selector's, which may be any
	Section         string // a listener of a Gateway, a rule of a route
}

// Attachments reads targetRef, targetRefs and targetSelectors of a policy.
func Attachments(policy *yaml.Node) (list []Attachment) {
	namespace, spec := yamlnode.Text(yamlnode.Member(policy, "metadata", "namespace")), yamlnode.Member(policy, "spec")
	add := func(ref *yaml.Node, name string) {
		if ref.Kind == yaml.MappingNode {
			list = append(list, Attachment{namespace, yamlnode.Text(yamlnode.Member(ref, "kind")), name,
				yamlnode.Text(yamlnode.Member(ref, "sectionName"))})
		}
	}
	if ref := yamlnode.Member(spec, "targetRef"); ref != nil {
		add(ref, yamlnode.Text(yamlnode.Member(ref, "name")))
	}
	for _, ref := range yamlnode.Items(yamlnode.Member(spec, "targetRefs")) {
		add(ref, yamlnode.Text(yamlnode.Member(ref, "name")))
	}
	for _, selector := range yamlnode.Items(yamlnode.Member(spec, "targetSelectors")) {
		add(selector, "")
	}
	return list
}

// named reports whether both may be attached to one of that name. A policy without a namespace could be in any.
func (a Attachment) named(o Attachment) bool {
	return a.Kind == o.Kind && (a.Namespace == o.Namespace || a.Namespace == "" || o.Namespace == "") &&
		(a.Name == o.Name || a.Name == "" || o.Name == "")
}

// Same reports whether two policies may be attached to the same.
func (a Attachment) Same(o Attachment) bool { return a.named(o) && a.Section == o.Section }

// Displaces reports whether a policy that is attached to a may take the place of one that is
// attached to o: which Gateway a route or a ListenerSet belongs to, and in which namespace that is,
// cannot be seen here, and a kind that nobody has heard of may belong to any.
func (a Attachment) Displaces(o Attachment) bool {
	if a.Kind == o.Kind {
		return a.named(o) && a.Section != "" && o.Section == ""
	}
	narrow, wide := a.width(), o.width()
	return narrow == 0 || wide == 0 || narrow > wide
}

// width is the place of a kind in the order of Envoy Gateway, from the widest on, each with its
// sections; 0: it is not known.
func (a Attachment) width() int {
	switch {
	case a.Kind == "Gateway":
		return 1
	case a.Kind == "ListenerSet":
		return 2
	case a.isRoute():
		return 3
	}
	return 0
}

func (a Attachment) isRoute() bool { return strings.HasSuffix(a.Kind, "Route") }

// Merges reports whether an EnvoyExtensionPolicy leaves the wasm filters of a wider one in force,
// and if it does not, whether mergeType could see to that. Envoy Gateway merges what is attached to
// routes, by two words, and replaces lists: those of wasm have no key to be merged by.
func Merges(policy *yaml.Node) (merges, could bool) {
	could = yamlnode.Member(policy, "spec", "wasm") == nil
	for _, a := range Attachments(policy) {
		could = could && a.isRoute()
	}
	return could && slices.Contains(MergeTypes, yamlnode.Text(yamlnode.Member(policy, "spec", "mergeType"))), could
}

// MergeTypes are Envoy Gateway's.
var MergeTypes = []string{"StrategicMerge", "JSONMerge"}

// Attached compares what two policies are attached to.
func Attached(a, b []Attachment, how func(a, b Attachment) bool) bool {
	for _, one := range a {
		for _, other := range b {
			if how(one, other) {
				return true
			}
		}
	}
	return false
}
