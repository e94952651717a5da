// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tollgate-wasm/tollgate/build/filters/yamlnode"
	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
)

// A workload gets the plugins of all selections that it fits, in a chain, where Istio puts all that
// is for it together. What keeps the chain from admitting more:
//   - There is a selection for each set of workloads with the same resources, and its plugin has all of them (closed).
//   - That plugin is the first, by priority: it sees the request as it came. Those behind it can only refuse more.
//   - Where it cannot be written, those behind it are not written either: they would take the token
//     away from policies that have to stay.

// decided is what is to be written for a selection.
type decided struct {
	*plan
	selection     selection
	own           *source // whom findings about it are told of
	sources       []*source
	configuration *Configuration
	failed        bool // it cannot be written, and its policies have to stay
}

// index finds resources by what they are for.
type index[T any] struct {
	all []T
	by  map[string][]int // by key of selection
}

func indexed[T any](all []T, selections func(T) []selection) index[T] {
	x := index[T]{all, map[string][]int{}}
	for i, one := range all {
		for _, s := range selections(one) {
			x.by[s.key()] = append(x.by[s.key()], i)
		}
	}
	return x
}

// maxLabels is to how many labels their subsets are looked up.
const maxLabels = 10

// at are the resources that are for all workloads of a selection, in the order in which they were read.
func at[T any](m *Migrator, x index[T], s selection, selections func(T) []selection) (list []T) {
	var found []int
	names := slices.Sorted(maps.Keys(s.labels))
	switch {
	case s.target != nil:
		found = x.by[s.key()]
	case len(names) > maxLabels:
		for i, one := range x.all {
			if slices.ContainsFunc(selections(one), func(o selection) bool { return m.covers(o, s) }) {
				found = append(found, i)
			}
		}
	default:
		for _, namespace := range unique([]string{m.root(), s.namespace}) {
			for subset := range 1 << len(names) {
				var some []string
				for i, name := range names {
					if subset&(1<<i) != 0 {
						some = append(some, name)
					}
				}
				found = append(found, x.by[keyOf(namespace, some, s.labels)]...)
			}
		}
	}
	slices.Sort(found)
	for _, i := range slices.Compact(found) {
		list = append(list, x.all[i])
	}
	return list
}

func ofAuthentication(a *authentication) []selection { return a.selections }
func ofAuthorization(a *authorization) []selection   { return a.selections }

// workloads decides what is written for Istio's resources.
func (m *Migrator) workloads() (written []*decided) {
	m.setUnplacedAside()
	var stated []selection
	for _, a := range m.authentications {
		stated = append(stated, a.selections...)
	}
	for _, a := range m.authorizations {
		stated = append(stated, a.selections...)
	}
	all, ok := m.closed(stated)
	if !ok {
		m.failed = true
		m.find(check.Finding{Severity: check.Error,
			Problem: fmt.Sprintf("the selectors overlap in more than %d ways: no configuration is written; give the "+
				"workloads one label to select by", maxSelections)})
		return nil
	}
	authentications, authorizations := indexed(m.authentications, ofAuthentication), indexed(m.authorizations,
		ofAuthorization)
	var list []*decided
	for _, s := range all {
		if d := m.decide(s, authentications, authorizations); d != nil {
			list = append(list, d)
		}
	}
	// From the narrowest on.
	slices.SortStableFunc(list, func(a, b *decided) int { return m.priority(b.selection) - m.priority(a.selection) })
	rest := m.around(list)
	for _, d := range list {
		if !d.failed {
			continue
		}
		for _, behind := range rest.behind(d) {
			if !behind.failed {
				behind.failed = true
				behind.own.report(value{path: "spec"}, check.Error, "a plugin for "+behind.selection.String()+
					" would take the token away from the policies for "+d.selection.String()+
					", for which none can be written: neither is written; let the policies stay")
			}
		}
	}
	for _, d := range list {
		if !d.failed {
			written = append(written, d)
		}
	}
	m.chained(written)
	order := map[string]int{}
	for i, s := range all {
		order[s.key()] = i
	}
	slices.SortStableFunc(written,
		func(a, b *decided) int { return cmp.Compare(order[a.selection.key()], order[b.selection.key()]) })
	return grouped(written)
}

// setUnplacedAside sets resources without a namespace aside where others have one: each could be in
// any of theirs. Where none has one, they are all in the same.
func (m *Migrator) setUnplacedAside() {
	without, with := 0, 0
	count := func(s *source) {
		if s.namespace == "" {
			without++
		} else {
			with++
		}
	}
	for _, a := range m.authentications {
		count(a.source)
	}
	for _, a := range m.authorizations {
		count(a.source)
	}
	if without == 0 || with == 0 {
		return
	}
	aside := func(s *source, selections []selection) bool {
		if s.namespace != "" {
			return false
		}
		s.fault(value{node: yamlnode.Member(s.root, "metadata"), path: "metadata.namespace"},
			"is not there, and others have one: it could be for the workloads of any namespace; give its own")
		m.unplaced = append(m.unplaced, selections...)
		return true
	}
	m.authentications = slices.DeleteFunc(m.authentications,
		func(a *authentication) bool { return aside(a.source, a.selections) })
	m.authorizations = slices.DeleteFunc(m.authorizations,
		func(a *authorization) bool { return aside(a.source, a.selections) })
}

// decide makes the configuration of a selection out of all that applies to it; nil: there is nothing to be decided.
func (m *Migrator) decide(s selection, authentications index[*authentication],
	authorizations index[*authorization]) *decided {
	d := &decided{plan: &plan{}, selection: s}
	use := func(src *source, selections []selection) {
		d.sources = append(d.sources, src)
		if d.own == nil && slices.ContainsFunc(selections, func(o selection) bool { return o.key() == s.key() }) {
			d.own = src
		}
	}
	var issuers []issuer
	for _, a := range at(m, authentications, s, ofAuthentication) {
		use(a.source, a.selections)
		issuers = append(issuers, a.issuers...)
	}
	policies := at(m, authorizations, s, ofAuthorization)
	for _, a := range policies {
		use(a.source, a.selections)
	}
	stated := d.own != nil
	if !stated { // where two others meet
		d.own = d.sources[0]
	}
	var perhaps []*authorization
	broken := false
	if s.target != nil {
		issuers = append(issuers, m.perhapsIssuers(s)...)
		perhaps = m.perhapsPolicies(s)
		broken = slices.ContainsFunc(issuers, func(one issuer) bool { return one.from.broken }) ||
			slices.ContainsFunc(perhaps, func(a *authorization) bool { return a.broken })
	}
	d.take(issuers)
	if len(d.issuers) == 0 {
		if !stated {
			return nil // the others tell
		}
		d.own.report(value{path: "spec"}, check.Error, "no RequestAuthentication with jwtRules is for "+s.String()+
			": there are no tokens to decide by, and no configuration is written; let the policies stay")
		return nil
	}
	d.refuseTheUncertain()
	d.mindAuthorizers(perhaps)
	d.add(policies)
	m.perhaps(d, perhaps)
	d.configuration = m.finish(d.plan, s, d.sources, s.resourceName())
	d.failed = d.configuration == nil || broken ||
		slices.ContainsFunc(m.unplaced, func(o selection) bool { return mayMeet(o, s) })
	if !d.failed {
		d.configuration.priority = m.priority(s)
		if s.target != nil {
			d.configuration.targets = []*target{s.target}
		}
	}
	return d
}

func (m *Migrator) perhapsPolicies(s selection) (list []*authorization) {
	for _, a := range m.authorizations {
		if m.only(s, a.selections) && !a.dryRun && a.action.text != "AUDIT" {
			list = append(list, a)
		}
	}
	return list
}

func (m *Migrator) perhapsIssuers(s selection) (list []issuer) {
	for _, a := range m.authentications {
		if m.only(s, a.selections) {
			for _, one := range a.issuers {
				one.uncertain = true
				list = append(list, one)
			}
		}
	}
	return list
}

// only reports whether a resource may be for a target, and is not for it by name.
func (m *Migrator) only(s selection, selections []selection) bool {
	may := false
	for _, o := range selections {
		if o.key() == s.key() {
			return false
		}
		may = may || m.mayApply(s, o)
	}
	return may
}

// perhaps minds what Istio may or may not apply to the target of a targetRef. What refuses is
// taken, what admits is not.
func (m *Migrator) perhaps(d *decided, list []*authorization) {
	if len(list) == 0 {
		return
	}
	admits := false
	var names []string
	var refuse []*authorization
	for _, a := range list {
		names = append(names, a.id())
		if a.action.text == "" || a.action.text == "ALLOW" {
			admits = true
		} else {
			refuse = append(refuse, a)
		}
	}
	d.own.report(value{path: "spec.targetRefs"}, check.Error, few(names)+" may apply to "+d.selection.String()+
		" or not: a gateway takes what is for its namespace, for the root namespace and for its labels, a waypoint "+
		"does not, and which this is cannot be seen here. "+
		"What they refuse is refused, and what they admit is not admitted; give the files of this target alone if "+
		"they do not")
	allow, wasAdmitting := d.allowDefault && !admits, d.admits
	clauses := d.clauses
	d.clauses = nil
	d.add(refuse)
	d.clauses = append(d.clauses, clauses...)
	d.allowDefault, d.admits = allow, wasAdmitting || admits
}

// few is a list of names that people can read.
func few(names []string) string {
	names = unique(names)
	if len(names) > 3 {
		return strings.Join(names[:3], ", ") + fmt.Sprintf(" and %d more", len(names)-3)
	}
	return strings.Join(names, ", ")
}

// surroundings finds, for a selection, those whose plugins its workloads may have besides.
type surroundings struct {
	m       *Migrator
	by      map[string]*decided // those without a target
	without []*decided
	targets []*decided
}

func (m *Migrator) around(list []*decided) *surroundings {
	r := &surroundings{m: m, by: map[string]*decided{}}
	for _, d := range list {
		if d.selection.target != nil {
			r.targets = append(r.targets, d)
		} else {
			r.without = append(r.without, d)
			r.by[d.selection.key()] = d
		}
	}
	return r
}

// behind are those behind one, the narrowest first.
func (r *surroundings) behind(d *decided) (list []*decided) {
	s := d.selection
	if s.target == nil {
		for _, namespace := range unique([]string{r.m.root(), s.namespace}) {
			names := slices.Sorted(maps.Keys(s.labels))
			if len(names) > maxLabels {
				for _, o := range r.without {
					if r.m.behind(o.selection, s) {
						list = append(list, o)
					}
				}
				break
			}
			for subset := range 1 << len(names) {
				var some []string
				for i, name := range names {
					if subset&(1<<i) != 0 {
						some = append(some, name)
					}
				}
				if o := r.by[keyOf(namespace, some, s.labels)]; o != nil && o != d {
					list = append(list, o)
				}
			}
		}
	} else {
		for _, o := range slices.Concat(r.targets, r.without) {
			if o != d && r.m.behind(o.selection, s) {
				list = append(list, o)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b *decided) int { return r.m.priority(b.selection) - r.m.priority(a.selection) })
	return list
}

// chained sees to the plugins that workloads have several of: where one of them decides by it, the
// token stays until the last one that takes it away; what those behind the first refuse besides is
// told.
func (m *Migrator) chained(list []*decided) {
	rest := m.around(list)
	before := map[*decided][]string{} // whose plugins come first, and admit what this one may refuse
	lines := map[*decided][]string{}
	for _, d := range list {
		for _, o := range rest.behind(d) {
			if d.selection.target == nil && d.strips() && o.strips() && d.sameTokens(o.plan) && !o.admits && !o.indifferent() {
				d.configuration.keeps = o.configuration // the last of them
			}
		}
	}
	for _, d := range list {
		stripped := d.strips() && d.configuration.keeps == nil
		for _, o := range rest.behind(d) {
			switch {
			case !d.sameTokens(o.plan), o.admits, stripped && !o.indifferent():
				before[o] = append(before[o], d.selection.String())
			default:
				lines[o] = append(lines[o], d.selection.String())
			}
			stripped = stripped || o.strips() && o.configuration.keeps == nil
		}
	}
	for _, d := range list {
		if d.configuration.keeps != nil {
			d.configuration.keep()
		}
		if names := before[d]; names != nil {
			d.own.report(value{path: "spec"}, check.Error, "the workloads of "+few(names)+
				" get a plugin of their own with all that is for them, and the one for "+d.selection.String()+
				" behind it: both have to admit a request, "+
				"and what only the narrower policies admit is refused. Give this plugin a selector that those "+
				"workloads do not fit, or leave it out where there are no others")
		}
		if names := lines[d]; names != nil {
			d.own.report(value{path: "spec"}, check.Note, "the workloads of "+few(names)+
				" get a plugin of their own with all that is for them, which comes before the one for "+
				d.selection.String()+": apply both, with their priorities")
		}
	}
}

// sameTokens reports whether two plans take the same tokens from the same places.
func (p *plan) sameTokens(o *plan) bool {
	says := func(p *plan) (list []string) {
		for _, one := range p.issuers {
			list = append(list, one.says()+fmt.Sprint(one.uncertain))
		}
		for _, one := range p.blocked {
			list = append(list, "blocked "+one.says())
		}
		slices.Sort(list)
		return append(list, fmt.Sprint(p.needToken))
	}
	return slices.Equal(says(p), says(o))
}

// strips reports whether the plugin takes the token away.
func (d *decided) strips() bool {
	return yamlnode.Text(yamlnode.Member(d.configuration.node, "forward", "token")) == "strip"
}

// indifferent reports whether the plugin does nothing but verify a token that is there: behind
// another that has done so, it lets everything pass.
func (d *decided) indifferent() bool {
	rules, forward := yamlnode.Items(yamlnode.Member(d.configuration.node, "rules")),
		yamlnode.Member(d.configuration.node, "forward")
	for _, name := range []string{"match", "require"} {
		if yamlnode.Member(rules[0], name) != nil {
			return false
		}
	}
	return len(rules) == 1 && yamlnode.Text(yamlnode.Member(rules[0], "access")) == "optional" && len(forward.Content) == 2
}

// keep leaves the token to the plugin behind.
func (c *Configuration) keep() {
	yamlnode.Member(c.node, "forward", "token").Value = "keep"
	if json, err := check.ToJSON(c.node); err == nil {
		c.JSON = string(json)
	}
}

// grouped puts targets that have the same into one plugin.
func grouped(list []*decided) (result []*decided) {
	first := map[string]*decided{}
	for _, d := range list {
		c := d.configuration
		if d.selection.target == nil {
			result = append(result, d)
			continue
		}
		key := fmt.Sprintf("%q %d %q %s", d.selection.namespace, c.priority, c.From, c.JSON)
		if o := first[key]; o != nil {
			o.configuration.targets = append(o.configuration.targets, d.selection.target)
			o.configuration.name += "-" + d.selection.target.name
			continue
		}
		first[key] = d
		result = append(result, d)
	}
	return result
}
