// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package wait lets requests wait for something that the proxy has to bring, such as the keys of an
// issuer, and takes them up again.
package wait

import (
	"errors"
	"time"
	"unsafe"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/guest/direct"
	"github.com/tollgate-wasm/tollgate/shared/host"
)

// How often, in milliseconds, a VM is called: seldom while all is well, often while requests wait,
// since another VM may be the one that fetches, and at once where more requests can go on than one
// callback may take.
const (
	Idle    = 10_000
	Calm    = 1000
	Busy    = 10
	AtOnce  = 1
	maxTurn = 5 * time.Millisecond
)

// maxWoken is how many waiting requests one callback may answer or let go on.
//
// Envoy does both when the callback has returned, from a queue. Ending a stream calls the VM again,
// and whenever such a call returns Envoy takes the next from that queue: so the replies of one
// callback run inside one another, some 3 KB of stack each, and V8 traps when its megabyte is used
// up (RATIONALE.md, "Why does a callback wake so few requests?").
const maxWoken = 64

// Turn is what one callback may do for requests that wait.
type Turn struct {
	began time.Time
	woken int
}

// NewTurn begins one.
func NewTurn(now time.Time) Turn { return Turn{began: now} }

// Next reports whether one more request may be taken up in this callback; the others are for the next, AtOnce.
// Requests whose decisions take long end a turn early, for the sake of those that do not wait.
//
//go:noinline
func (t *Turn) Next() bool {
	if t.woken == maxWoken || t.woken > 0 && guest.Now().Sub(t.began) >= maxTurn {
		return false
	}
	t.woken++
	return true
}

// Lead is how long before its timeout a request is given up where others wait for theirs, too. To
// answer each takes some 150 µs of a busy machine, most of them Envoy's: so that all of a crowd
// that came at once have their answers in time, some of them wait less, by a quarter at most.
func Lead(timeout time.Duration, others int) time.Duration {
	return min(time.Duration(others)*150*time.Microsecond, timeout/4)
}

// Pace is how often the proxy calls a plugin's tick.
type Pace struct{ period uint32 }

// Unset reports whether nobody has asked for ticks.
func (p *Pace) Unset() bool { return p.period == 0 }

// Set has the tick come every so many milliseconds.
//
//go:noinline
func (p *Pace) Set(period uint32) error {
	if p.period == period {
		return nil
	}
	p.period = period
	return proxywasm.SetTickPeriodMilliSeconds(period)
}

// AtLeast has the tick come every so many milliseconds, or more often. An error is a panic: nobody would take up again
// what is about to wait.
//
//go:noinline
func (p *Pace) AtLeast(period uint32) {
	if p.period != 0 && p.period <= period {
		return
	}
	if err := p.Set(period); err != nil {
		panic(err)
	}
}

// MaxHeld and maxHeldBytes are what requests that wait may hold of one VM's memory, by
// configuration: whoever makes requests wait chooses their headers.
const (
	MaxHeld      = 4096
	maxHeldBytes = 16 << 20
)

// ErrNoRoom is why a request is not held back that would have to wait.
var ErrNoRoom = errors.New("too many requests wait")

// Room bounds the copies of headers that requests hold while they wait.
type Room struct{ held, bytes int }

// Enter copies a request's headers, which lie in the proxy's memory; false: there is no room for them.
//
//go:noinline
func (r *Room) Enter(headers [][2]string) (copies [][2]string, ok bool) {
	size := sizeOf(headers)
	if r.held == MaxHeld || size > maxHeldBytes-r.bytes {
		return nil, false
	}
	r.held++
	r.bytes += size
	return clone(headers, size), true
}

// clone copies headers into one piece of memory: each text by itself would be an allocation, and
// there are two for each header.
func clone(headers [][2]string, size int) [][2]string {
	copies, text := make([][2]string, len(headers)), make([]byte, 0, size)
	take := func(s string) string {
		start := len(text)
		text = append(text, s...) // within its room: size counts more than the texts
		return unsafe.String(unsafe.SliceData(text[start:]), len(s))
	}
	for i := range headers {
		copies[i] = [2]string{take(headers[i][0]), take(headers[i][1])}
	}
	return copies
}

// Leave gives the room back that Enter's copies took.
func (r *Room) Leave(copies [][2]string) {
	r.held--
	r.bytes -= sizeOf(copies)
}

// sizeOf is what copies of the headers take: their bytes, and two strings each.
func sizeOf(headers [][2]string) (size int) {
	for i := range headers {
		size += len(headers[i][0]) + len(headers[i][1]) + 32
	}
	return size
}

// Resume takes a stream up again that waits: do goes on with it, and where it returns
// types.ActionContinue the request does, too. A panic of do refuses the request, as a fault of
// filter: the one that is running then. Nothing is done for a stream that has ended.
//
//go:noinline
func Resume(filter func() string, stream uint32, do func() types.Action) {
	if proxywasm.SetEffectiveContext(stream) != nil {
		return
	}
	defer func() {
		if fault := recover(); fault != nil {
			host.RefuseFault(filter(), fault)
		}
	}()
	if do() == types.ActionContinue {
		if err := direct.Resume(stream); err != nil {
			panic(err)
		}
	}
}
