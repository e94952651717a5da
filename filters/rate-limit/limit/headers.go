// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"strconv"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Headers appends what EachHeader tells.
func (d *Decision) Headers(dst [][2]string) [][2]string {
	d.EachHeader(func(name string, value []byte, _ bool) { dst = append(dst, [2]string{name, string(value)}) })
	return dst
}

// HasHeaders reports whether EachHeader can have anything to tell.
func (d *Decision) HasHeaders() bool {
	return (d.policy.standard || d.policy.legacy || d.refused >= 0) && len(d.list) > 0
}

// EachHeader tells what the answer says about the four tightest limits, be it the upstream's to an
// allowed request or the refusal itself. Limits in shadow mode, and those of which nobody knows how
// much is left, are not mentioned. No number is negative. list: the field is a list, to which
// others may add; any other field has one value. A value is valid until f returns.
func (d *Decision) EachHeader(f func(name string, value []byte, list bool)) {
	if d.early != nil || d.step != decide.Done {
		return
	}
	decisive := d.decisive()
	if d.policy.standard {
		policies, left := d.policies[:0], d.left[:0]
		last := d.lastTold()
		for i := range d.list {
			a := &d.list[i]
			if !a.known() || !last.atLeast(d, i) {
				continue
			}
			if len(left) > 0 {
				policies, left = append(policies, ", "...), append(left, ", "...)
			}
			policies = a.rate.appendPolicy(policies)
			left = strconv.AppendInt(append(append(left, a.rate.item...), ";r="...), a.left(), 10)
			if a.limit.concurrency == nil { // nobody knows when a request ends
				left = strconv.AppendInt(append(left, ";t="...), seconds(a.reset), 10)
			}
		}
		if d.policies, d.left = policies, left; len(left) > 0 {
			f("ratelimit-policy", policies, true)
			f("ratelimit", left, true)
		}
	}
	if decisive < 0 {
		return
	}
	a := &d.list[decisive]
	number := func(name string, n int64) {
		d.left = strconv.AppendInt(d.left[:0], n, 10)
		f(name, d.left, false)
	}
	if d.policy.legacy && a.known() {
		number("x-ratelimit-limit", a.rate.requests)
		number("x-ratelimit-remaining", a.left())
		number("x-ratelimit-reset", seconds(a.reset))
	}
	if d.refused >= 0 && a.code == RateLimited && a.retry > 0 {
		number("retry-after", seconds(a.retry))
	}
}

// maxTold is how many limits the headers tell of: clients want to know what stops them next, and
// proxies bound what headers may have.
const maxTold = 4

// tightness orders the limits of a decision: by what they leave, one that refuses first, and then
// as they are configured.
type tightness struct {
	left  int64
	index int // in list
}

func (d *Decision) tightness(i int) tightness {
	a := &d.list[i]
	if a.code == RateLimited {
		return tightness{-1, i}
	}
	return tightness{a.left(), i}
}

func (t tightness) before(other tightness) bool {
	return t.left < other.left || t.left == other.left && t.index < other.index
}

// lastTold is the least tight of those that are told.
func (d *Decision) lastTold() (last tightness) {
	var told [maxTold]tightness
	n := 0
	for i := range d.list {
		if !d.list[i].known() {
			continue
		}
		t := d.tightness(i)
		at := n
		for at > 0 && t.before(told[at-1]) {
			if at < maxTold {
				told[at] = told[at-1]
			}
			at--
		}
		if at < maxTold {
			told[at] = t
		}
		n = min(n+1, maxTold)
	}
	return told[max(n, 1)-1]
}

// atLeast reports whether a limit of the decision is as tight as that.
func (t tightness) atLeast(d *Decision, i int) bool { return !t.before(d.tightness(i)) }

// known reports whether it is known how much a limit, in force, leaves.
func (a *applied) known() bool {
	return !a.limit.shadow && !a.open && (a.code == RateLimited || a.code == verdict.OK)
}

func (a *applied) left() int64 {
	if a.marked() {
		return 0 // a request like this one is over the limit
	}
	return max(a.remaining, 0)
}

// seconds rounds up.
func seconds(nanoseconds int64) int64 {
	return (max(nanoseconds, 0) + int64(time.Second) - 1) / int64(time.Second)
}
