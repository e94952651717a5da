// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package report

import "time"

// Report is all that the page shows. Every part may be empty.
type Report struct {
	Made      time.Time // its location is the one of all times on the page
	Facts     []Fact
	Paths     []Path
	Watch     Watch
	Decisions []Decision
	Limits    Limits
}

// Fact is a line about what ran: a version, a module.
type Fact struct{ Name, Value string }

// Stat is the distribution of N durations.
type Stat struct {
	N        int
	P50, P99 time.Duration
}

// Path is one kind of request: how many were sent, what was answered, and where the time went.
type Path struct {
	Name, Answer string
	Total        Stat // as the client has seen it
	Stations     []Station
	Typical      Typical
	Dropped      int // requests whose times run backwards: the clock was set
}

// Station is a place on the way. There is the time on the way to the upstream, Back that on the way
// to the client; both without the stopwatches.
type Station struct {
	Place
	Reached, Ends bool // Ends: it has answered the request itself
	There, Back   Stat
}

// Typical is the mean of the fifth of the requests that lies around the median of the totals.
// Unlike medians, its parts add up.
type Typical struct {
	Total time.Duration
	There map[Place]time.Duration
	Back  map[Place]time.Duration
	// what is not between the first stopwatch and the last: client, connection, reading and writing HTTP
	Outside time.Duration
	Watches time.Duration // what the stopwatches took themselves
}

// Place is a station's name: a filter of a proxy, the hop between the proxies, or the upstream.
type Place struct{ Proxy, Name string }

// Watch is what one stopwatch takes, as two with nothing between them tell.
type Watch struct{ There, Back Stat }

// Decision is how often a filter has decided so since its proxy was started; During is how often of
// that while the report sent its own requests.
type Decision struct {
	Proxy, Filter, Outcome, Code string
	Count, During                float64
}

// Limits are what a rate limit has let pass and refused over time.
type Limits struct {
	Series []Series
	Own    []Span // when the report sent its own requests
}

// Span is a stretch of time.
type Span struct{ From, To time.Time }

// Series is one outcome of one limit.
type Series struct {
	Limit, Outcome string
	Points         []Point // per second
}

// Point is a value at a time.
type Point struct {
	Time  time.Time
	Value float64
}
