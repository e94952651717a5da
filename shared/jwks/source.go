// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwks

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

// Limits of fetching.
const (
	// MaxBody is the most bytes that a published set may have.
	MaxBody = 256 << 10
	// ForcedInterval is how long a proxy waits between fetches that unknown kids ask for: whoever sends made-up kids cannot make it hammer the issuer.
	ForcedInterval = 30 * time.Second
	// maxUnknown bounds the kids that are remembered as unknown, unknownFor for how long.
	maxUnknown = 256
	unknownFor = 2 * ForcedInterval
)

// Why a fetched document is not taken. The keys in use stay.
var (
	ErrBody = errors.New("the answer is empty or over 256 KiB")
	ErrJSON = errors.New("the answer is not JSON that reads in one way only")
)

// ReadDocument takes a published set. Keys that cannot be used are passed over, as RFC 7517 §5 asks for kinds that one does not understand; a secret among them, a repeated kid, or no
// usable key at all, and the whole document is refused.
func ReadDocument(body string) (*Set, error) {
	if len(body) == 0 || len(body) > MaxBody {
		return nil, ErrBody
	}
	doc, err := strictjson.Parse(body, strictjson.Limits{Depth: 16, Members: 4096, Number: 32})
	if err != nil {
		return nil, ErrJSON
	}
	set, faults := Parse(doc, false)
	for _, f := range faults {
		if f.Index < 0 || f.Err == ErrSymmetric || f.Err == ErrRepeatedKID {
			return nil, f.Err
		}
	}
	if set.Len() == 0 {
		return nil, ErrNoKey
	}
	return set, nil
}

// Source is a published key set as one VM knows it. Fetching is somebody else's part; a Source says what may be used and what is worth waiting for.
type Source struct {
	Refresh  time.Duration // between fetches
	MaxStale time.Duration // how long the last good set is used when no other can be had

	set     *Set
	record  Record           // what all VMs of the proxy share
	unknown map[string]int64 // kids that no set had, and when that was found out
}

// Record is what the VMs of a proxy share about a source, beside the document itself. Times are microseconds since the epoch; 0 is never.
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
	for _, v := range [...]uint64{r.Version, uint64(r.Fetched), uint64(r.Tried), uint64(r.Lease), uint64(r.Forced), r.Failures} {
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

// Due reports whether a fetch should begin: the document is older than Refresh less a share that jitter, from 0 to 1, chooses; or there is none; and no other fetch is under way or
// has just failed.
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
	if since, ok := s.unknown[kid]; ok && t-since < unknownFor.Microseconds() {
		return false
	}
	return t-s.record.Forced >= ForcedInterval.Microseconds() || t < s.record.Lease
}

// Unknown remembers that there is no such kid. A token that keeps coming does not prolong that: its key may have been published meanwhile.
func (s *Source) Unknown(kid string, now time.Time) {
	if since, ok := s.unknown[kid]; ok && now.UnixMicro()-since < unknownFor.Microseconds() {
		return
	}
	if s.unknown == nil || len(s.unknown) >= maxUnknown {
		s.unknown = map[string]int64{}
	}
	s.unknown[kid] = now.UnixMicro()
}

// Hopeful reports whether a first set may come soon: none has been had, and none has failed to come.
func (s *Source) Hopeful() bool { return s.set == nil && s.record.Failures == 0 }

// Settled reports whether a fetch that was wanted since began has ended, well or not. One that was under way by then may bring what the issuer published before it, so it
// settles nothing as long as another may be asked for.
func (s *Source) Settled(began, now int64) bool {
	return s.record.Lease == 0 && (s.record.Tried >= began || s.record.Fetched >= began && now-s.record.Forced < ForcedInterval.Microseconds())
}
