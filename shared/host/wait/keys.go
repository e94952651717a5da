// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package wait

import (
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
)

// maxWaiters bounds the requests of one configuration in one VM that wait for keys: 80 bytes each.
// Their headers stay with the proxy, which is asked for them again.
const maxWaiters = MaxHeld

// Keys are the key sets that a plugin has fetched, and the requests that wait for them.
type Keys struct {
	Filter string
	Pace   *Pace

	// Resume takes a stream up again, and has do go on with it.
	Resume func(stream uint32, do func() types.Action)

	// Decide decides the current request again, for the last time where last is set, and returns the
	// set that it has to wait for still.
	Decide func(last bool) (wanted *jwks.Remote)

	// Finish acts on what was decided, and the request goes on where it returns types.ActionContinue.
	Finish func(stream uint32) types.Action

	remotes  []*jwks.Remote
	fetchers []*KeyFetcher
	waiters  []waiter
	looked   time.Time // at the sets, last
}

// waiter is a request that is decided when its keys are there, or when it has waited long enough.
type waiter struct {
	stream   uint32
	remote   *jwks.Remote
	version  uint64 // of the document that did not do
	began    time.Time
	deadline time.Time
}

// Start has sets fetched.
func (k *Keys) Start(remotes []*jwks.Remote) error {
	k.remotes = remotes
	for _, r := range remotes {
		f, err := NewKeyFetcher(k.Filter, r, guest.Now())
		if err != nil {
			return err
		}
		k.fetchers = append(k.fetchers, f)
	}
	if len(remotes) > 0 {
		k.Pace.AtLeast(Busy) // until the first set is there
	}
	return nil
}

// Wait puts a request off until remote has been fetched: to a later tick, since the fetch itself
// must not belong to a stream, which may end before the answer comes. false: it has been decided,
// because another VM had fetched what it needs, or because there is no set and none is about to
// come, or without one where too many are put off already.
//
//go:noinline
func (k *Keys) Wait(stream uint32, remote *jwks.Remote, now time.Time) bool {
	if remote.Source.Keys(now) == nil {
		k.look(remote)
		none := remote.Source.Keys(now) == nil
		if (!none || !remote.Source.Hopeful()) && k.Decide(none) == nil {
			return false
		}
	}
	if len(k.waiters) >= maxWaiters {
		k.Decide(true)
		return false
	}
	k.Pace.AtLeast(Busy)
	deadline := now.Add(remote.Timeout - Lead(remote.Timeout, len(k.waiters)))
	k.waiters = append(k.waiters, waiter{stream, remote, remote.Source.Version(), now, deadline})
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

// over reports whether the request has waited long enough: a fetch that it asked for has ended,
// well or not, or its time is up.
//
//go:noinline
func (w *waiter) over(now time.Time) bool {
	return w.remote.Source.Settled(w.began.UnixMicro(), now.UnixMicro()) || !now.Before(w.deadline)
}

// wanted reports whether requests wait for a fetch that has not ended yet. One for which there is
// another document to look at is not among them: it may need none.
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

// Tick fetches what is due and decides requests whose waiting is over, as many as the turn has room for. It returns how
// soon, in milliseconds, the next tick has to come.
func (k *Keys) Tick(now time.Time, turn *Turn) (next uint32) {
	next = k.fetch(now)
	read, write := 0, 0
	defer func() { k.waiters = append(k.waiters[:write], k.waiters[read:]...) }() // also where a reply cannot be sent
	for read < len(k.waiters) {
		w := &k.waiters[read]
		if w.over(now) || w.version != w.remote.Source.Version() {
			if !turn.Next() {
				return AtOnce
			}
			read++
			if !k.wake(w, now) {
				continue
			}
		} else {
			read++
		}
		k.waiters[write] = *w
		write++
	}
	if write > 0 {
		next = Busy
	}
	return next
}

// fetch looks after the sets, unless it has just done so: ticks that come at once are for those who wait.
func (k *Keys) fetch(now time.Time) (next uint32) {
	if since := now.Sub(k.looked); since < 0 || since >= Busy*time.Millisecond/2 {
		k.looked = now
		for i, f := range k.fetchers {
			remote := k.remotes[i]
			f.Tick(now, func() bool { return k.wanted(remote, now) })
		}
	}
	for _, remote := range k.remotes {
		if remote.Source.Hopeful() {
			return Busy
		}
	}
	return Calm
}

// wake decides a request that has waited, and reports whether it waits on. A fault is its own: the
// others are still to be woken.
//
//go:noinline
func (k *Keys) wake(w *waiter, now time.Time) (waits bool) {
	k.Resume(w.stream, func() types.Action {
		last := w.over(now)
		if k.Decide(last) == w.remote && !last {
			// It has been decided by what there is now, and a fetch that ended before will not help it.
			w.version, w.began = w.remote.Source.Version(), now
			waits = true
			return types.ActionPause
		}
		return k.Finish(w.stream)
	})
	return waits
}
