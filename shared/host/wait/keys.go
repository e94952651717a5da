// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package wait

import (
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
)

// How often, in milliseconds, a VM looks after its key sets: seldom while all is well, often while requests wait, since another VM may be the one that fetches.
const (
	calmPeriod = 1000
	busyPeriod = 10
)

// maxWaiters bounds the requests of one VM that wait: each holds a copy of its headers.
const maxWaiters = 1024

// Keys are the key sets that a plugin has fetched, and the requests that wait for them.
type Keys struct {
	filter   string
	decide   func(stream uint32, headers [][2]string, now time.Time, last bool) (wanted *jwks.Remote)
	finish   func(stream uint32, headers [][2]string) types.Action
	remotes  []*jwks.Remote
	fetchers []*KeyFetcher
	waiters  []waiter
	period   uint32
}

// waiter is a request that is decided when its keys are there, or when it has waited long enough.
type waiter struct {
	stream   uint32
	remote   *jwks.Remote
	version  uint64      // of the document that did not do
	headers  [][2]string // a copy: the proxy's memory is used again
	began    time.Time
	deadline time.Time
}

// Start has the sets fetched. decide decides a request again that has waited, for the last time where last is set, and returns the set that it has to wait for still; finish acts on
// what was decided, and the request goes on where it returns types.ActionContinue.
func (k *Keys) Start(filter string, remotes []*jwks.Remote, decide func(stream uint32, headers [][2]string, now time.Time, last bool) *jwks.Remote, finish func(stream uint32, headers [][2]string) types.Action) error {
	k.filter, k.remotes, k.decide, k.finish = filter, remotes, decide, finish
	for _, r := range remotes {
		f, err := NewKeyFetcher(filter, r, guest.Now())
		if err != nil {
			return err
		}
		k.fetchers = append(k.fetchers, f)
	}
	if len(remotes) == 0 {
		return k.tickEvery(calmPeriod) // for whatever else is done on a tick
	}
	return k.tickEvery(busyPeriod) // until the first set is there
}

//go:noinline
func (k *Keys) tickEvery(period uint32) error {
	if k.period == period {
		return nil
	}
	k.period = period
	return proxywasm.SetTickPeriodMilliSeconds(period)
}

// Wait puts a request off until remote has been fetched: to a later tick, since the fetch itself must not belong to a stream, which may end before the answer comes. false: it has been decided,
// because another VM had fetched what it needs, or because there is no set and none is about to come, or without one where too many are put off already.
//
//go:noinline
func (k *Keys) Wait(stream uint32, remote *jwks.Remote, headers [][2]string, now time.Time) bool {
	if remote.Source.Keys(now) == nil {
		k.look(remote)
		none := remote.Source.Keys(now) == nil
		if (!none || !remote.Source.Hopeful()) && k.decide(stream, headers, now, none) == nil {
			return false
		}
	}
	if len(k.waiters) >= maxWaiters {
		k.decide(stream, headers, now, true)
		return false
	}
	if err := k.tickEvery(busyPeriod); err != nil {
		panic(err) // without a tick nobody would wake the request
	}
	k.waiters = append(k.waiters, waiter{stream, remote, remote.Source.Version(), CopyHeaders(headers), now, now.Add(remote.Timeout)})
	return true
}

// look takes what other VMs have fetched.
func (k *Keys) look(remote *jwks.Remote) {
	for i, f := range k.fetchers {
		if k.remotes[i] == remote {
			if r, _, ok := f.read(); ok {
				f.take(r)
			}
		}
	}
}

// Forget drops a request that has ended while it waited.
func (k *Keys) Forget(stream uint32) {
	for i := range k.waiters {
		if k.waiters[i].stream == stream {
			k.waiters = append(k.waiters[:i], k.waiters[i+1:]...)
			return
		}
	}
}

// over reports whether the request has waited long enough: a fetch that it asked for has ended, well or not, or its time is up.
//
//go:noinline
func (w *waiter) over(now time.Time) bool {
	return w.remote.Source.Settled(w.began.UnixMicro(), now.UnixMicro()) || !now.Before(w.deadline)
}

// wanted reports whether requests wait for a fetch that has not ended yet. One for which there is another document to look at is not among them: it may need none.
//
//go:noinline
func (k *Keys) wanted(remote *jwks.Remote, now time.Time) bool {
	for i := range k.waiters {
		if w := &k.waiters[i]; w.remote == remote && !w.over(now) && w.version == remote.Source.Version() {
			return true
		}
	}
	return false
}

// Tick fetches what is due and decides the requests whose waiting is over.
func (k *Keys) Tick(now time.Time) {
	calm := true
	for i, f := range k.fetchers {
		remote := k.remotes[i]
		f.Tick(now, func() bool { return k.wanted(remote, now) })
		calm = calm && !remote.Source.Hopeful()
	}
	waiting := k.waiters
	k.waiters = nil
	for i := range waiting {
		w := &waiting[i]
		if w.over(now) || w.version != w.remote.Source.Version() {
			k.wake(w, now)
		} else {
			k.waiters = append(k.waiters, *w)
		}
	}
	period := uint32(calmPeriod)
	if !calm || len(k.waiters) > 0 {
		period = busyPeriod
	}
	if err := k.tickEvery(period); err != nil {
		panic(err)
	}
}

// wake decides a request that has waited. A fault is its own: the others are still to be woken.
//
//go:noinline
func (k *Keys) wake(w *waiter, now time.Time) {
	Resume(k.filter, w.stream, func() types.Action {
		last := w.over(now)
		if k.decide(w.stream, w.headers, now, last) == w.remote && !last {
			w.version = w.remote.Source.Version()
			k.waiters = append(k.waiters, *w)
			return types.ActionPause
		}
		return k.finish(w.stream, w.headers)
	})
}
