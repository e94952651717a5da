// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"strings"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/host"
)

// How often, in milliseconds, a VM looks after its key sets: seldom while all is well, often while requests wait, since another VM may be the one that fetches.
const (
	calmPeriod = 1000
	busyPeriod = 10
)

// maxWaiters bounds the requests of one VM that wait: each holds a copy of its headers.
const maxWaiters = 1024

// keys are the key sets that a plugin has fetched, and the requests that wait for them.
type keys struct {
	remotes  []*scope.RemoteKeys
	fetchers []*host.KeyFetcher
	waiters  []waiter
	period   uint32
}

// waiter is a request that is decided when its keys are there, or when it has waited long enough.
type waiter struct {
	stream   uint32
	remote   *scope.RemoteKeys
	version  uint64      // of the document that did not do
	headers  [][2]string // a copy: the proxy's memory is used again
	began    time.Time
	deadline time.Time
}

func (k *keys) start(remotes []*scope.RemoteKeys) error {
	k.remotes = remotes
	for _, r := range remotes {
		f, err := host.NewKeyFetcher(Name, r.Cluster, r.Authority, r.Path, r.Timeout, &r.Source, guest.Now())
		if err != nil {
			return err
		}
		k.fetchers = append(k.fetchers, f)
	}
	if len(remotes) == 0 {
		return k.tickEvery(calmPeriod) // for the gauge of its memory
	}
	return k.tickEvery(busyPeriod) // until the first set is there
}

func (k *keys) tickEvery(period uint32) error {
	if k.period == period {
		return nil
	}
	k.period = period
	return proxywasm.SetTickPeriodMilliSeconds(period)
}

// full reports whether no further request may wait.
func (k *keys) full() bool { return len(k.waiters) >= maxWaiters }

// wait keeps a request for a later tick: the fetch itself must not belong to a stream, which may end before the answer comes.
func (k *keys) wait(stream uint32, remote *scope.RemoteKeys, headers [][2]string, now time.Time) {
	if err := k.tickEvery(busyPeriod); err != nil {
		panic(err) // without a tick nobody would wake the request
	}
	copies := make([][2]string, len(headers))
	for i, h := range headers {
		copies[i] = [2]string{strings.Clone(h[0]), strings.Clone(h[1])}
	}
	k.waiters = append(k.waiters, waiter{stream, remote, remote.Source.Version(), copies, now, now.Add(remote.Timeout)})
}

// forget drops a request that has ended while it waited.
func (k *keys) forget(stream uint32) {
	for i := range k.waiters {
		if k.waiters[i].stream == stream {
			k.waiters = append(k.waiters[:i], k.waiters[i+1:]...)
			return
		}
	}
}

// over reports whether the request has waited long enough: a fetch that it asked for has ended, well or not, or its time is up.
func (w *waiter) over(now time.Time) bool {
	return w.remote.Source.Settled(w.began.UnixMicro(), now.UnixMicro()) || !now.Before(w.deadline)
}

// wanted reports whether requests wait for a fetch that has not ended yet. One for which there is another document to look at is not among them: it may need none.
func (k *keys) wanted(remote *scope.RemoteKeys, now time.Time) bool {
	for i := range k.waiters {
		if w := &k.waiters[i]; w.remote == remote && !w.over(now) && w.version == remote.Source.Version() {
			return true
		}
	}
	return false
}

// tick fetches what is due and decides the requests whose waiting is over.
func (s *state) tick() {
	k := &s.keys
	now := guest.Now()
	if err := s.memory.Tick(now); err != nil {
		panic(err)
	}
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
			s.wake(w, now)
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
func (s *state) wake(w *waiter, now time.Time) {
	if proxywasm.SetEffectiveContext(w.stream) != nil {
		return // the stream has ended
	}
	defer func() {
		if fault := recover(); fault != nil {
			host.Refuse(Name, fault)
		}
	}()
	if w.over(now) {
		s.policy.DecideAfterWait(&s.decision, w.headers, now)
	} else if s.policy.Decide(&s.decision, w.headers, now); s.decision.KeysWanted() == w.remote {
		w.version = w.remote.Source.Version()
		s.keys.waiters = append(s.keys.waiters, *w)
		return
	}
	if s.finish(w.headers) == types.ActionContinue {
		if err := proxywasm.ResumeHttpRequest(); err != nil {
			panic(err)
		}
	}
}
