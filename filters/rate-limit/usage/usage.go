// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package usage finds what a request has cost in the body of its answer, while the body passes.
//
// A body is JSON, several JSON values one after the other (NDJSON), or a stream of server-sent events, each with a
// JSON text. Wanted are a few numbers at fixed places in it, such as usage.total_tokens. They are found without
// keeping the body: a Reader has a fixed size whatever comes, looks at each byte once, and allocates nothing.
//
// The scanner is no validator. It survives any bytes; in what is not JSON it finds a number or it does not. What
// stands at the place of a number and is none is Unreadable and never Missing.
package usage

import "math"

// The bounds of NewPaths.
const (
	MaxPaths = 8
	MaxNames = 16 // of one path
)

// Found is what has become of the numbers of an answer.
type Found uint8

// Missing is an answer without any of the numbers (null is none), Unreadable one that has something else at the place
// of a number: a negative number, a string, a bool, an object, a list, or what is no JSON. Read is one with at least
// one of them.
const (
	Missing Found = iota
	Unreadable
	Read
)

// Paths is which numbers count. Each path is the names that lead from the top of a JSON object to a number. They lead
// through objects only: a number in a list, or behind a text, is not there. Names are compared byte by byte, after
// their escapes are decoded.
//
// The numbers of paths are added. Of paths that end in the same name the highest counts, since some services tell a
// number in two places (Anthropic's input_tokens), and of several numbers at one path the highest counts, since some
// tell a running total in every event (vLLM, Gemini). Paths must not be changed once they are made; all Readers may
// share one.
type Paths struct {
	names   [MaxPaths][]string
	sum     [MaxPaths]uint8 // to which number of Reader.numbers each path adds
	all     uint8           // a bit for each path
	ending  [MaxNames]uint8 // the paths whose last name stands on this level
	further [MaxNames]uint8 // the paths that have names below this level
}

// NewPaths makes Paths of 1 to MaxPaths paths of 1 to MaxNames names, none of them empty. The caller checks that, and
// that no path is the beginning of another: such an answer is always Unreadable or without one of them. NewPaths
// gives nil where it is otherwise, with which every answer is Unreadable.
func NewPaths(paths [][]string) *Paths {
	if len(paths) == 0 || len(paths) > MaxPaths {
		return nil
	}
	p := &Paths{}
	for i, names := range paths {
		if len(names) == 0 || len(names) > MaxNames {
			return nil
		}
		last := len(names) - 1
		for level, name := range names {
			if name == "" {
				return nil
			}
			if level < last {
				p.further[level] |= 1 << i
			}
		}
		p.names[i] = append([]string(nil), names...)
		p.all |= 1 << i
		p.ending[last] |= 1 << i
		p.sum[i] = uint8(i)
		for j, other := range paths[:i] {
			if other[len(other)-1] == names[last] {
				p.sum[i] = uint8(j)
				break
			}
		}
	}
	return p
}

// Reader reads one answer. Its zero value has read nothing and finds everything Unreadable: Reset comes first.
type Reader struct {
	paths   *Paths
	numbers [MaxPaths]int64 // the highest of each sum; math.MaxInt64 is that or more
	read    bool            // one of them has been read
	broken  bool            // something was Unreadable, and nothing undoes that
	events  bool
	stream  stream
	json    scanner
}

// Reset begins a new answer. sse says that its body is text/event-stream; otherwise it is JSON.
func (r *Reader) Reset(p *Paths, sse bool) {
	*r = Reader{paths: p, events: sse}
	r.json.reset()
}

// Write takes the next bytes of the body. They may be cut anywhere; the memory of chunk is not kept.
func (r *Reader) Write(chunk []byte) {
	switch {
	case r.broken || r.paths == nil: // it stays Unreadable
	case r.events:
		r.readEvents(chunk)
	default:
		r.scan(chunk)
	}
}

// Close says that the body has ended, or broken off: a number at its end is complete, and so is an event.
func (r *Reader) Close() {
	r.endText()
}

// Number is what has been found so far: after Close, in the whole body. More than max is max. Where how is not Read,
// n is 0 for Missing and max for Unreadable.
func (r *Reader) Number(max int64) (n int64, how Found) {
	switch {
	case r.broken || r.paths == nil:
		return max, Unreadable
	case !r.read:
		return 0, Missing
	}
	for i := range r.numbers {
		if n > math.MaxInt64-r.numbers[i] {
			return max, Read
		}
		n += r.numbers[i] // 0 where none has been seen
	}
	return min(n, max), Read
}
