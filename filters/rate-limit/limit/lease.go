// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

// leases are hits that a VM has taken ahead of requests: the service has counted them, and requests
// spend them without a call. What is not spent within lease.per, or until the service's window
// ends, is lost: so what all proxies let through in a window is never more than the service has
// counted in it.
type leases struct{ slots []lease }

type lease struct {
	tag       uint64
	left      int64 // hits
	remaining int64 // in the service's window, as it last said
	from      int64 // when it last said so, in nanoseconds since the epoch
	expires   int64 // of what is left
	ends      int64 // of the window
}

// at returns the lease of a key; nil: there is none.
func (l *leases) at(tag uint64, now int64) *lease {
	if l.slots == nil {
		return nil
	}
	s := &l.slots[tag%remembered]
	if s.tag != tag || now >= s.ends || now < s.from-clockGap {
		return nil
	}
	return s
}

// spend takes a cost from what has been taken ahead, and tells what remains in the window, and for
// how many nanoseconds that lasts. ok is false where there is not enough.
func (l *leases) spend(tag uint64, cost, now int64) (remaining, reset int64, ok bool) {
	s := l.at(tag, now)
	if s == nil || now >= s.expires || s.left < cost || cost == 0 {
		return 0, 0, false
	}
	s.left -= cost
	return s.remaining + s.left, s.ends - now, true
}

// ask is how many hits to ask for when a request costs so many: the service refuses, and counts all
// the same, more than there are. So nothing is taken ahead of a key of which nothing is known, and
// never more than half of this proxy's share of what remains; towards the end of a limit each
// request is a call of its own.
func (l *leases) ask(g *Global, tag uint64, cost, now int64) int64 {
	s := l.at(tag, now)
	if s == nil || cost == 0 {
		return cost
	}
	return max(cost, min(g.lease, s.remaining/(2*g.replicas)))
}

// grant notes what the service has said of a key within its limit: extra hits are taken ahead, and
// so many remain for reset nanoseconds.
func (l *leases) grant(g *Global, tag uint64, extra, remaining, now, reset int64) {
	if g.lease == 0 {
		return
	}
	if l.slots == nil {
		l.slots = make([]lease, remembered)
	}
	s := &l.slots[tag%remembered]
	expires, ends := now+int64(g.leasePer), now+reset
	switch {
	case l.at(tag, now) == s:
		s.ends = min(s.ends, ends)
		if s.left > 0 && now < s.expires {
			extra, expires = extra+s.left, min(s.expires, expires)
		}
		*s = lease{tag, extra, remaining, now, expires, s.ends}
	case s.tag != tag && s.left > 0 && now < s.expires && now >= s.from-clockGap:
		// Another key has something there. ask knows nothing of this one, then, and takes nothing ahead.
	default:
		*s = lease{tag, extra, remaining, now, expires, ends}
	}
}

// giveBack undoes spend, or puts what the service has counted for a request that is refused by
// another limit to what is taken ahead.
func (l *leases) giveBack(tag uint64, cost, now int64) {
	if s := l.at(tag, now); s != nil && now < s.expires {
		s.left += cost
	}
}
