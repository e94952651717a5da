// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwks

import (
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

// Limits of fetching.
const (
	// MaxBody is the most bytes that a published set may have.
	MaxBody = 256 << 10
	// ForcedInterval is how long a proxy waits between fetches that unknown kids ask for: whoever
	// sends made-up kids cannot make it hammer the issuer.
	ForcedInterval = 10 * time.Second
	// maxUnknown bounds the kids that are remembered as unknown, for as long.
	maxUnknown = 256
)

// Why a fetched document is not taken. The keys in use stay.
var (
	ErrBody = errors.New("the answer is empty or over 256 KiB")
	ErrGzip = errors.New("the answer is compressed (gzip) although nobody has asked for that: have the issuer, " +
		"or what stands before it, send it as it is")
	ErrKeysTwice = errors.New("the answer has a member \"keys\" twice")
)

// ErrJSON is what every answer is refused with that is no JSON; it says where.
type ErrJSON struct{ At *strictjson.Error }

func (e ErrJSON) Error() string { return "the answer cannot be read: " + e.At.Error() }

// documentLimits bound a published set. A name that is repeated makes the key useless that has it,
// and nothing else; what stands in members that nobody reads is nobody's business.
var documentLimits = strictjson.Limits{Depth: 64, Members: 8192, Number: MaxBody, RepeatedNames: true, AnyValues: true}

// mark is a byte order mark, which RFC 8259 §8.1 has readers pass over.
const mark = "\ufeff"

// ReadDocument reads a published JWK Set, which must be the issuer's answer as it is. passed are
// the keys that cannot be used beside those that can. The set is refused where none can, where a
// secret or a private key is among them, and where one token could mean two of them.
func ReadDocument(body string) (set *Set, passed []Fault, err error) {
	body = strings.TrimPrefix(body, mark)
	switch {
	case body == "" || len(body) > MaxBody:
		return nil, nil, ErrBody
	case strings.HasPrefix(body, "\x1f\x8b"):
		return nil, nil, ErrGzip
	}
	doc, err := strictjson.Parse(body, documentLimits)
	if err != nil {
		at, _ := err.(*strictjson.Error)
		return nil, nil, ErrJSON{at}
	}
	lists := 0
	doc.ForEach(func(name, _ gjson.Result) bool {
		if doc.IsObject() && name.Str == "keys" {
			lists++
		}
		return true
	})
	if lists > 1 {
		return nil, nil, ErrKeysTwice
	}
	set, passed = Parse(doc, false)
	for i := range passed {
		if passed[i].fatal() {
			return nil, passed, passed[i].Err
		}
	}
	return set, passed, nil
}

// Source is a published key set as one VM knows it. Fetching is somebody else's part; a Source says
// what may be used and what is worth waiting for.
type Source struct {
	Refresh  time.Duration // between fetches
	MaxStale time.Duration // how long the last good set is used when no other can be had

	set     *Set
	record  Record           // what all VMs of the proxy share
	unknown map[string]int64 // kids that no set had, and when that was found out
}

// Record is what the VMs of a proxy share about a source, beside the document itself. Times are
// microseconds since the epoch; 0 is never.
type Record struct {
	Version  uint64 // counts the documents taken; 0: none yet
	Fetched  int64  // when the document was last confirmed
	Tried    int64  // when the last fetch began
	Lease    int64  // until when nobody else begins one
	Forced   int64  // when an unknown kid last asked for one
	Failures uint64 // fetches that failed since the last good one
}

const recordSize = 6 * 8

// Encode writes the record for shared data.
//
//go:noinline
func (r *Record) Encode() []byte {
	b := make([]byte, 0, recordSize)
	for _, v := range [...]uint64{r.Version, uint64(r.Fetched), uint64(r.Tried), uint64(r.Lease), uint64(r.Forced),
		r.Failures} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

// DecodeRecord reads one. What is no record is as good as none.
func DecodeRecord(b []byte) (r Record, ok bool) {
	if len(b) != recordSize {
		return Record{}, false
	}
	at := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8*i:]) }
	return Record{at(0), int64(at(1)), int64(at(2)), int64(at(3)), int64(at(4)), at(5)}, true
}

// Keys are the keys to use now; nil where there are none, or none that are not too old.
func (s *Source) Keys(now time.Time) *Set {
	if s.set == nil || now.UnixMicro()-s.record.Fetched > s.MaxStale.Microseconds() {
		return nil
	}
	return s.set
}

// Version of the document that the source knows of; it changes when there may be other keys.
func (s *Source) Version() uint64 { return s.record.Version }

// Update takes what the VMs share. A nil set keeps the one in use: the document is the same, or could not be read.
func (s *Source) Update(r Record, set *Set) {
	s.record = r
	if set != nil {
		s.set = set
	}
}

// Due reports whether a fetch should begin: the document is older than Refresh less a share that
// jitter, from 0 to 1, chooses; or there is none; and no other fetch is under way or has just
// failed.
func (s *Source) Due(r *Record, now time.Time, jitter float64) bool {
	t := now.UnixMicro()
	if t < r.Lease || t < r.Tried+backoff(r.Failures).Microseconds() {
		return false
	}
	age := float64(s.Refresh.Microseconds()) * (1 - jitter/10)
	return r.Fetched == 0 || t-r.Fetched >= int64(age) || r.Forced > r.Tried
}

// backoff is how long a source rests after failures in a row: a second, doubled each time, up to half a minute.
func backoff(failures uint64) time.Duration {
	if failures == 0 {
		return 0
	}
	return min(time.Second<<min(failures-1, 5), 30*time.Second)
}

// MayForce reports whether an unknown kid may ask for a fetch now, or wait for one that is under way.
func (s *Source) MayForce(kid string, now time.Time) bool {
	t := now.UnixMicro()
	if since, ok := s.unknown[kid]; ok && within(t-since) {
		return false
	}
	return s.record.MayForce(t) || t < s.record.Lease
}

// LastForced is when an unknown kid last asked for a fetch, in microseconds since the epoch; 0: never.
func (s *Source) LastForced() int64 { return s.record.Forced }

// MayForce reports whether an unknown kid may ask for a fetch at t, in microseconds.
func (r *Record) MayForce(t int64) bool { return !within(t - r.Forced) }

// within reports whether so many microseconds are less than ForcedInterval. A clock that has been
// set back proves nothing.
func within(passed int64) bool { return passed >= 0 && passed < ForcedInterval.Microseconds() }

// Unknown remembers that there is no such kid. A token that keeps coming does not prolong that: its
// key may have been published meanwhile.
func (s *Source) Unknown(kid string, now time.Time) {
	if since, ok := s.unknown[kid]; ok && within(now.UnixMicro()-since) {
		return
	}
	if s.unknown == nil || len(s.unknown) >= maxUnknown {
		s.unknown = map[string]int64{}
	}
	s.unknown[kid] = now.UnixMicro()
}

// Hopeful reports whether a first set may come soon: none has been had, and none has failed to come.
func (s *Source) Hopeful() bool { return s.set == nil && s.record.Failures == 0 }

// Settled reports whether a fetch that was wanted since began has ended, well or not, or cannot be
// had: no kid may ask for one so soon. One that was under way by then may bring what the issuer
// published before it, so it settles nothing as long as another may be asked for.
func (s *Source) Settled(began, now int64) bool {
	return s.record.Lease == 0 && (s.record.Tried >= began || !s.record.MayForce(now))
}
