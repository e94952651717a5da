// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"github.com/tollgate-wasm/tollgate/shared/condition"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// rule is one of the index: a limit with all of its match, or one entry of its match or except, where
// more has to be known than whether one of them fits.
type rule struct {
	limit   int
	except  bool
	sources []network // nil: any
}

// rules are those of the index, with their conditions: of each limit one behind the other. Without
// rules, those of the index are the limits.
func (c *config) rules() (rules []rule, conditions [][]match.Condition) {
	selects := false
	for i := range c.limits {
		l := &c.limits[i]
		selects = selects || l.selects()
		if l.sources == nil {
			rules, conditions = append(rules, rule{limit: i}), append(conditions, l.conditions)
		}
		for j := range l.sources {
			rules = append(rules, rule{limit: i, sources: l.sources[j]})
			conditions = append(conditions, l.conditions[j:j+1])
		}
		for j := range l.except {
			rules = append(rules, rule{i, true, l.exceptSources[j]})
			conditions = append(conditions, l.except[j:j+1])
		}
	}
	if !selects {
		return nil, conditions
	}
	return rules, conditions
}

// choosing is how far a decision is with telling which limits apply of those that fit.
type choosing struct {
	kept   int  // hits of limits that apply, in front
	chosen bool // all limits have been looked at
	client address
	how    reading
	known  bool // client
}

// selectNext has those limits left in hits that are for the request. What is needed of the proxy for
// that is asked for when a limit fits by all else.
func (d *Decision) selectNext() {
	rules := d.policy.rules
	for d.cursor < len(d.hits) {
		index, end := rules[d.hits[d.cursor].Rule].limit, d.cursor+1
		for end < len(d.hits) && rules[d.hits[end].Rule].limit == index {
			end++
		}
		at, ok := d.choose(index, d.hits[d.cursor:end])
		if !ok || d.phase != selectLimits { // something is needed, or nobody can know it
			return
		}
		if at >= 0 {
			hit := &d.hits[d.kept]
			*hit = d.hits[d.cursor+at]
			hit.Rule = index
			d.kept++
		}
		d.cursor = end
	}
	d.hits, d.chosen = d.hits[:d.kept], true
	d.enter(takeEnforced)
}

// choose returns by which of its hits a limit applies, -1 where it does not. It is not ok where
// something is needed of the proxy.
func (d *Decision) choose(index int, hits []match.Hit) (at int, ok bool) {
	l := &d.policy.limits[index]
	if at, ok = d.chooseEntry(index, hits); at < 0 || !ok {
		return at, ok
	}
	if len(l.claims) > 0 {
		if d.lacksOf(needIdentity) {
			return 0, false
		}
		if d.failed&needIdentity != 0 {
			return d.undecided(index), true
		}
		if !d.meets(l, &hits[at]) {
			return -1, true
		}
	}
	if l.group != "" {
		return d.chooseOfGroup(index, hits, at)
	}
	return at, true
}

// chooseEntry looks at match and except. An address that nobody can read is in all sources of match,
// and in none of except: whoever can spoil it must not get around a limit by that.
func (d *Decision) chooseEntry(index int, hits []match.Hit) (at int, ok bool) {
	at = -1
	rules := d.policy.rules
	for i := range hits {
		r := &rules[hits[i].Rule]
		switch {
		case r.except && r.sources == nil:
			return -1, true
		case r.except || at >= 0:
			continue
		case r.sources != nil:
			if !d.readClient() {
				return 0, false
			}
			if d.failedClient() {
				return d.undecided(index), true
			}
			if d.how == found && !hasAddress(r.sources, d.client) {
				continue
			}
		}
		at = i
	}
	for i := range hits {
		if r := &rules[hits[i].Rule]; r.except && at >= 0 {
			if !d.readClient() {
				return 0, false
			}
			if d.failedClient() {
				return d.undecided(index), true
			}
			if d.how == found && hasAddress(r.sources, d.client) {
				return -1, true
			}
		}
	}
	return at, true
}

// readClient finds the address that sources are compared with; false: the proxy has to tell it first.
func (d *Decision) readClient() bool {
	switch hops := d.policy.sourcesFrom; {
	case d.known:
	case hops > 0:
		d.client, d.how = forwardedFor(d.headers, hops)
		d.known = true
	case d.lacksOf(needSource):
		return false
	default:
		d.client, d.how, d.known = d.source, d.from, true
	}
	return true
}

// failedClient reports whether nobody knows the address.
func (d *Decision) failedClient() bool { return d.policy.sourcesFrom == 0 && d.failed&needSource != 0 }

// undecided has a limit say that nobody knows whether it applies.
func (d *Decision) undecided(index int) (at int) {
	l := &d.policy.limits[index]
	d.list = append(d.list, applied{index: index, limit: l, rate: &l.rate})
	d.say(len(d.list)-1, verdict.Internal)
	return -1
}

// meets holds the verified claims against a limit's conditions.
func (d *Decision) meets(l *limit, hit *match.Hit) bool {
	r := condition.Request{Headers: d.headers, Host: d.request.Host, Hit: hit}
	for i := range l.claims {
		if c := &l.claims[i]; !c.Fits(&r, d.claims) && !c.Unreadable(&r, d.claims) {
			return false
		}
	}
	return true
}

// chooseOfGroup leaves a limit out where one of its group applies before it. Limits in shadow mode are
// a group of their own: none of them may take the place of one in force. A limit that is skipped for
// its key leaves the place to the next.
func (d *Decision) chooseOfGroup(index int, hits []match.Hit, at int) (int, bool) {
	l := &d.policy.limits[index]
	for i := range d.kept {
		if other := &d.policy.limits[d.hits[i].Rule]; other.group == l.group && other.shadow == l.shadow {
			return -1, true
		}
	}
	if l.missing != skip {
		return at, true
	}
	if d.lacks(index) {
		return 0, false
	}
	key, how := d.appendKey(d.key[:0], l, &hits[at])
	d.key = key
	if how == absent && d.policy.needs[index]&d.failed == 0 {
		return -1, true
	}
	return at, true
}

// lacksOf sets the step to what is needed and not there.
func (d *Decision) lacksOf(needed needs) bool {
	switch wanted := needed &^ d.have; {
	case wanted&needIdentity != 0:
		d.step = decide.ReadIdentity
	case wanted&needSource != 0:
		d.step = decide.ReadSource
	case wanted&needPeer != 0:
		d.step = decide.ReadPeer
	default:
		return false
	}
	return true
}
