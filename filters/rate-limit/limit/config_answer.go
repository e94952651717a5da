// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"strconv"
	"time"

	"github.com/tollgate-wasm/tollgate/filters/rate-limit/usage"
	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/inflight"
)

// statuses are those of answers that count: a bit for each from 100 to 599.
type statuses [8]uint64

func (s *statuses) add(status int) { s[(status-100)/64] |= 1 << ((status - 100) % 64) }

func (s *statuses) has(status int) bool {
	return status >= 100 && status <= 599 && s[(status-100)/64]>>((status-100)%64)&1 == 1
}

// responseCost is how a cost is found in the answer.
type responseCost struct {
	header string       // its name; empty: paths
	paths  *usage.Paths // in a body of JSON
	events bool         // in server-sent events, too

	reserve, ownCost, mostTold int64 // reserve, default, max
}

// readCounts reads which answers a limit counts.
func (l *limit) readCounts(o *conf.Object) {
	n, ok := o.At("counts")
	if !ok {
		return
	}
	c := n.Object()
	l.counts = &statuses{}
	if n, ok := c.Need("status"); ok {
		for _, item := range n.List() {
			text := item.Text()
			switch {
			case len(text) == 3 && text[0] >= '1' && text[0] <= '5' && text[1:] == "xx":
				for i := range 100 {
					l.counts.add(int(text[0]-'0')*100 + i)
				}
			default:
				status, err := strconv.Atoi(text)
				if err != nil || len(text) != 3 || status < 100 || status > 599 {
					item.Fault(`want the status of an answer, such as "401", or a class of them, such as "5xx"`)
					continue
				}
				l.counts.add(status)
			}
		}
	}
	c.End()
}

// readResponseCost reads what stands at cost.response, beside which the rest of cost has no effect.
func (l *limit) readResponseCost(cost *conf.Object, n conf.Node) {
	o := n.Object()
	r := &responseCost{reserve: int64(o.Int("reserve", 1, 0, maxRequests))}
	r.ownCost = int64(o.Int("default", int(r.reserve), 0, maxRequests))
	if n, ok := o.Need("max"); ok {
		r.mostTold = int64(n.Int(1, maxRequests))
		if r.mostTold < max(r.reserve, r.ownCost) {
			n.Fault("is less than reserve or default")
		}
	}
	if n, ok := o.At("header"); ok {
		r.header = forward.ReadHeaderName(n)
	}
	if n, ok := o.At("json"); ok {
		if o.Has("header") {
			n.Fault("stands beside header: a limit has its cost from one place")
		}
		r.paths = readUsage(n)
	} else if r.header == "" && !o.Has("header") {
		o.Fault("needs header or json: where the answer tells what it has cost")
	}
	if n, ok := o.At("stream"); ok {
		r.events = n.Enum("sse") == "sse"
		if o.Has("header") {
			n.Warn("has no effect: the header of an answer comes before its events")
		}
	}
	o.End()
	for _, name := range []string{"header", "default", "max"} {
		if n, ok := cost.At(name); ok {
			n.Warn("has no effect beside response: a request takes its reserve, and is settled when it was answered")
		}
	}
	l.response = r
	if r.reserve > 0 {
		l.reserves = &inflight.Limit{Most: maxReserved, MaxAge: int64(time.Minute)}
	}
	l.cost.ownCost, l.cost.mostAsked = r.reserve, r.reserve
}

// readUsage reads a path, or a list of paths.
func readUsage(n conf.Node) *usage.Paths {
	var paths [][]string
	if first := n.Value().Get("0"); first.IsArray() {
		items := n.List()
		if len(items) > usage.MaxPaths {
			n.Fault("has more than 8 paths")
			return nil
		}
		for _, item := range items {
			paths = append(paths, readPath(item))
		}
	} else {
		paths = append(paths, readPath(n))
	}
	for i, path := range paths {
		if len(path) > usage.MaxNames {
			n.Fault("has a path of more than 16 names")
			return nil
		}
		for j, other := range paths {
			if i != j && begins(path, other) {
				n.Fault("has a path that another begins with: where one finds a number, the other finds nothing")
				return nil
			}
		}
	}
	return usage.NewPaths(paths) // nil where a name is empty, which has its fault
}

// begins reports whether a path is where another begins, or is that.
func begins(path, other []string) bool {
	if len(path) > len(other) {
		return false
	}
	for i := range path {
		if path[i] != other[i] {
			return false
		}
	}
	return true
}

// readConcurrency reads a limit of requests at once.
func (l *limit) readConcurrency(o *conf.Object, n conf.Node) {
	c := n.Object()
	most := int64(0)
	if n, ok := c.Need("requests"); ok {
		most = int64(n.Int(1, 1_000_000))
	}
	maxAge := c.Duration("maxAge", time.Minute, time.Second, 24*time.Hour)
	l.concurrency = &inflight.Limit{Most: most, MaxAge: int64(maxAge)}
	c.End()
	for _, name := range []string{"rate", "tiers"} {
		if n, ok := o.At(name); ok {
			n.Fault("stands beside concurrency: a limit is of requests in a time, or of requests at once")
		}
	}
	if o.Has("counts") {
		o.FaultAt("counts", "stands beside concurrency: which requests are on their way is known before they are answered")
	}
	if o.Has("cost") {
		o.WarnAt("cost", "has no effect beside concurrency: each request that is on its way counts as one")
	}
	if l.global {
		o.FaultAt("scope", "is global: Envoy's rate-limit service cannot count requests at once; concurrency is of this proxy")
	}
	l.rate = rate{requests: most}
	l.rate.item, l.rate.policy = policyItem(l.name, most, "concurrent-requests", 0)
}

// lasting is how many requests of one key are thought to be on their way at once beside those that a
// burst lets through: for so many a debt is kept.
const lasting = 1024

// debt is how much more than a burst a limit may have to charge, where each of the requests on their way
// costs the most. What more of them cost is lost, and said to be.
func (l *limit) debt(burst int64) int64 {
	switch {
	case l.response != nil:
		return (burst/max(l.response.reserve, 1) + lasting) * l.response.mostTold
	case l.counts != nil:
		return (burst + lasting) * l.cost.mostAsked
	}
	return 0
}

// maxReserved is more than any burst: whether there is room is for the table of rates to say.
const maxReserved = 1 << 50

// places is where the limit counts what is on its way; nil: it does not.
func (l *limit) places() *inflight.Limit {
	if l.concurrency != nil {
		return l.concurrency
	}
	return l.reserves
}

// looks reports whether requests of the limit take nothing before they are answered.
func (l *limit) looks() bool {
	if l.response != nil {
		return l.response.reserve == 0
	}
	return l.counts != nil
}

// settles reports whether requests of the limit are settled when they were answered, or are no more.
func (l *limit) settles() bool { return l.response != nil || l.counts != nil || l.concurrency != nil }
