// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package advice

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tollgate-wasm/tollgate/build/yamlnode"
)

// Attachment is what a policy of Envoy Gateway is attached to. Of one kind of policy, a proxy applies one to a request: the one that is attached to the narrowest, unless that has a mergeType, and of two that are attached to
// the same the older one (Gateway API, GEP-713; envoyproxy/gateway, internal/gatewayapi/envoyextensionpolicy.go).
type Attachment struct {
	Namespace, Kind string
	Name            string // empty: a selector's, which may be any
	Section         string // a listener of a Gateway, a rule of a route
}

// Attachments reads targetRef, targetRefs and targetSelectors of a policy.
func Attachments(policy *yaml.Node) (list []Attachment) {
	namespace, spec := yamlnode.Text(yamlnode.Member(policy, "metadata", "namespace")), yamlnode.Member(policy, "spec")
	add := func(ref *yaml.Node, name string) {
		if kind := yamlnode.Text(yamlnode.Member(ref, "kind")); kind != "" {
			list = append(list, Attachment{namespace, kind, name, yamlnode.Text(yamlnode.Member(ref, "sectionName"))})
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

func (a Attachment) named(o Attachment) bool {
	return a.Kind == o.Kind && a.Namespace == o.Namespace && (a.Name == o.Name || a.Name == "" || o.Name == "")
}

// Same reports whether two policies may be attached to the same.
func (a Attachment) Same(o Attachment) bool { return a.named(o) && a.Section == o.Section }

// Displaces reports whether a policy that is attached to a may take the place of one that is attached to o: which Gateway a route belongs to, and in which namespace that is, cannot be seen here.
func (a Attachment) Displaces(o Attachment) bool {
	if a.named(o) {
		return a.Section != "" && o.Section == ""
	}
	return o.Kind == "Gateway" && strings.HasSuffix(a.Kind, "Route")
}

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
