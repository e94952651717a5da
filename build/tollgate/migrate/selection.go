// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// selection is which workloads a resource is for: all of a namespace, those with labels, or one
// target of its targetRefs.
type selection struct {
	namespace string
	labels    map[string]string
	target    *target
	parts     []part // of Envoy Gateway: as they were written
	gateway   bool   // of Envoy Gateway: nothing is merged
	name      string
}

type part struct {
	name string
	node *yaml.Node
}

// target is an item of targetRefs. The core group has two spellings, "" and "core" (istio/istio,
// pkg/config: CanonicalGroup).
type target struct{ group, kind, name, namespace string }

const gatewayGroup = "gateway.networking.k8s.io"

func (t *target) is(group, kind string) bool { return t != nil && t.group == group && t.kind == kind }

func (t *target) isGateway() bool { return t.is(gatewayGroup, "Gateway") }
func (t *target) isClass() bool   { return t.is(gatewayGroup, "GatewayClass") }
func (t *target) isService() bool {
	return t.is("core", "Service") || t.is("networking.istio.io", "ServiceEntry")
}

func (t *target) node() *yaml.Node {
	m := mapping()
	if t.group != "" && t.group != "core" {
		m = with(m, entryOf("group", t.group))
	}
	m = with(m, entryOf("kind", t.kind), entryOf("name", t.name))
	if t.namespace != "" {
		m = with(m, entryOf("namespace", t.namespace))
	}
	return flow(m)
}

// selections reads what a resource is for. Each item of targetRefs is by itself: another resource
// may have some of them, and one alone.
func (s *source) selections(spec *object) (list []selection) {
	sel := selection{namespace: s.namespace, labels: map[string]string{}}
	if v := spec.at("selector"); v.node != nil {
		o := s.object(v)
		labels := o.object("matchLabels")
		if labels.node != nil && labels.node.Kind == yaml.MappingNode {
			for i := 0; i+1 < len(labels.node.Content); i += 2 {
				name := labels.node.Content[i].Value
				sel.labels[name] = labels.text(name).text
			}
		}
		o.end()
	}
	refs := spec.objects("targetRefs")
	single := spec.has("targetRef")
	switch {
	case len(refs) > 0 && single, (len(refs) > 0 || single) && len(sel.labels) > 0:
		s.fault(spec.value, "has more than one of selector, targetRef and targetRefs")
	case single:
		refs = append(refs, spec.object("targetRef"))
	}
	for _, ref := range refs {
		t := target{ref.text("group").text, ref.text("kind").text, ref.text("name").text, ref.text("namespace").text}
		ref.end()
		if t.group == "" {
			t.group = "core"
		}
		if t.namespace == s.namespace {
			t.namespace = ""
		}
		list = append(list, selection{namespace: s.namespace, target: &t})
	}
	if list == nil {
		list = []selection{sel}
	}
	s.m.failed = s.m.failed || s.broken // it could be for any workload
	return list
}

// key is the same for the same workloads.
func (s selection) key() string {
	if t := s.target; t != nil {
		return strings.Join([]string{s.namespace, "\x02", t.group, t.kind, t.name, t.namespace}, "\x00")
	}
	return keyOf(s.namespace, slices.Sorted(maps.Keys(s.labels)), s.labels)
}

func keyOf(namespace string, names []string, labels map[string]string) string {
	key := namespace
	for _, name := range names {
		key += "\x00" + name + "\x01" + labels[name]
	}
	return key
}

// covers reports whether all workloads of o are among those of s.
func (m *Migrator) covers(s, o selection) bool {
	if s.target != nil || o.target != nil {
		return s.key() == o.key()
	}
	if s.namespace != o.namespace && s.namespace != m.root() {
		return false
	}
	for name, value := range s.labels {
		if other, ok := o.labels[name]; !ok || other != value {
			return false
		}
	}
	return true
}

// mayApply reports whether Istio may apply what is for o to the target of s, too, which cannot be
// told from the resources (istio/istio, pilot/pkg/model/policyattachment.go): a gateway takes what
// is for its labels and for all, a waypoint does not; a service's requests meet what is for its
// waypoint.
func (m *Migrator) mayApply(s, o selection) bool {
	t := s.target
	switch {
	case t == nil || s.key() == o.key() || t.isClass():
		return false
	case t.isGateway():
		return o.target == nil && (o.namespace == s.namespace || o.namespace == m.root()) || o.target.isClass()
	case t.isService():
		return o.target.isGateway() || o.target.isClass()
	}
	return o.namespace == s.namespace || o.namespace == m.root() // of a kind that nobody has heard of
}

// behind reports whether a workload that has the plugin of o may have that of s as well, and o's is the narrower.
func (m *Migrator) behind(s, o selection) bool {
	return s.key() != o.key() && m.covers(s, o) || m.mayApply(o, s)
}

// priority of a plugin: where a workload has several, the one that has all that is for it comes
// first, and sees the request as it came.
func (m *Migrator) priority(s selection) int {
	switch {
	case s.target.isClass():
		return 1000
	case s.target.isGateway():
		return 1010
	case s.target != nil:
		return 1020
	}
	n := len(s.labels)
	if s.namespace != m.root() {
		n++
	}
	return 10 * min(n, 99)
}

// meet is the selection of the workloads that are in both; ok is false where there are none.
func (m *Migrator) meet(s, o selection) (both selection, ok bool) {
	both.namespace = s.namespace
	switch {
	case s.target != nil || o.target != nil:
		return both, false
	case s.namespace == m.root():
		both.namespace = o.namespace
	case s.namespace != o.namespace && o.namespace != m.root():
		return both, false
	}
	both.labels = maps.Clone(s.labels)
	for name, value := range o.labels {
		if other, ok := both.labels[name]; ok && other != value {
			return both, false
		}
		both.labels[name] = value
	}
	return both, true
}

// mayMeet reports whether a workload may be in both, in whatever namespace it is.
func mayMeet(s, o selection) bool {
	if s.target != nil || o.target != nil {
		return true
	}
	for name, value := range s.labels {
		if other, ok := o.labels[name]; ok && other != value {
			return false
		}
	}
	return true
}

// String is how findings speak of a selection.
func (s selection) String() string {
	switch {
	case s.target != nil:
		return s.target.kind + " " + s.target.name + " in " + s.namespace
	case len(s.labels) > 0:
		var list []string
		for _, name := range slices.Sorted(maps.Keys(s.labels)) {
			list = append(list, name+"="+s.labels[name])
		}
		return strings.Join(list, ",") + " in " + s.namespace
	}
	return s.namespace
}

// resourceName is what the plugin is called.
func (s selection) resourceName() string {
	parts := []string{"jwt-scope"}
	for _, label := range slices.Sorted(maps.Keys(s.labels)) {
		parts = append(parts, s.labels[label])
	}
	if s.target != nil {
		parts = append(parts, s.target.name)
	}
	return strings.Join(parts, "-")
}

// shape is the names of a selection's labels: of two with one shape, no workload has both.
func (s selection) shape() string {
	return s.namespace + "\x00" + strings.Join(slices.Sorted(maps.Keys(s.labels)), "\x00")
}

// maxSelections is how many selections may come of those that meet. More is nothing that people write.
const maxSelections = 1 << 12

// closed adds the selections of the workloads that fit several, so that each workload has one with
// all that is for it. Those of one shape cannot meet, and those of two are looked up by the values
// that they share: thousands of workloads with a label each are no work. ok is false where there
// are too many.
func (m *Migrator) closed(list []selection) (all []selection, ok bool) {
	type group struct {
		names   []string // of labels
		members []selection
		by      map[string]map[string][]selection // by names of labels, and their values
	}
	groups, seen := map[string]*group{}, map[string]bool{}
	var order []*group
	inNamespace := map[string][]*group{}
	limit := len(list) + maxSelections
	for i := 0; i < len(list); i++ {
		s := list[i]
		if s.target != nil || seen[s.key()] {
			continue
		}
		seen[s.key()] = true
		names := slices.Sorted(maps.Keys(s.labels))
		g := groups[s.shape()]
		if g == nil {
			g = &group{names: names, by: map[string]map[string][]selection{}}
			groups[s.shape()] = g
			order = append(order, g)
			inNamespace[s.namespace] = append(inNamespace[s.namespace], g)
		}
		others := order
		if s.namespace != m.root() {
			others = slices.Concat(inNamespace[s.namespace], inNamespace[m.root()])
		}
		for _, other := range others {
			if other == g {
				continue
			}
			var shared []string
			for _, name := range names {
				if slices.Contains(other.names, name) {
					shared = append(shared, name)
				}
			}
			joined := strings.Join(shared, "\x00")
			if other.by[joined] == nil {
				other.by[joined] = map[string][]selection{}
				for _, o := range other.members {
					other.by[joined][keyOf("", shared, o.labels)] = append(other.by[joined][keyOf("", shared, o.labels)], o)
				}
			}
			for _, o := range other.by[joined][keyOf("", shared, s.labels)] {
				both, ok := m.meet(s, o)
				if !ok || seen[both.key()] {
					continue
				}
				if list = append(list, both); len(list) > limit {
					return nil, false
				}
			}
		}
		g.members = append(g.members, s)
		for joined, index := range g.by {
			var shared []string
			if joined != "" {
				shared = strings.Split(joined, "\x00")
			}
			index[keyOf("", shared, s.labels)] = append(index[keyOf("", shared, s.labels)], s)
		}
	}
	keys := map[string]bool{}
	for _, s := range list {
		if !keys[s.key()] {
			keys[s.key()] = true
			all = append(all, s)
		}
	}
	return all, true
}
