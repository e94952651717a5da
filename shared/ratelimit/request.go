// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Path of the call.
const Path = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"

// Request asks whether some hits are within the limits of its descriptors, and counts them: also
// those that turn out to be over a limit.
//
// Every string is to be UTF-8, as protobuf's are. Where one is not, each run of bad bytes is
// written as U+FFFD: the service cannot read such a message at all, and a client that can put a
// byte into a key must not be the one who decides that there is no answer. Keys that differ in such
// bytes only are then one key.
type Request struct {
	Domain      string // of the service's configuration; the service refuses an empty one
	Descriptors []Descriptor
	Hits        uint32 // for every descriptor without hits of its own; 0 counts as 1
}

// Descriptor is looked up in the service's configuration by its entries, in their order. One that
// is not there has no limit.
type Descriptor struct {
	Entries  []Entry
	Override Override
	Hits     Hits
}

// Override is a limit that the service is to apply to a descriptor, whatever it is configured with, as
// long as it knows the domain. The zero value is none.
//
// envoyproxy/ratelimit takes the unit as it is, and has no multiples of it.
type Override struct {
	Requests uint32
	Unit     Unit // up to Year: the request, unlike the answer, has no week
}

// Entry of a descriptor.
type Entry struct{ Key, Value string }

// Hits are a descriptor's own, instead of the request's. The zero value is no hits of its own,
// which is not the same as HitsOf(0).
type Hits struct {
	n   uint64
	own bool
}

// maxHits is the most that Envoy's API allows a descriptor. envoyproxy/ratelimit does not check it:
// it hands those of 64 bits to Redis as negative ones, which take the count back.
const maxHits = 1_000_000_000

// HitsOf has a descriptor count n hits; more than 1,000,000,000 are counted as that. With 0 it asks and counts nothing.
func HitsOf(n uint64) Hits { return Hits{min(n, maxHits), true} }

// The numbers of the fields, each with its wire type. All numbers are below 16: a tag is one byte.
const (
	requestDomain      = 1<<3 | wireBytes
	requestDescriptors = 2<<3 | wireBytes
	requestHits        = 3<<3 | wireVarint
	descriptorEntries  = 1<<3 | wireBytes
	descriptorOverride = 2<<3 | wireBytes
	descriptorHits     = 3<<3 | wireBytes // a google.protobuf.UInt64Value
	entryKey           = 1<<3 | wireBytes
	entryValue         = 2<<3 | wireBytes
	overrideRequests   = 1<<3 | wireVarint
	overrideUnit       = 2<<3 | wireVarint
	wrapperValue       = 1<<3 | wireVarint // of google.protobuf.UInt64Value and UInt32Value
)

// prefixSize is that of a message in a gRPC body: a byte that tells whether it is compressed, and
// its length in four, big-endian.
const prefixSize = 5

// AppendRequest appends the body of the call, the message with its gRPC prefix, uncompressed. It
// allocates once at most, unless a string is not UTF-8.
func AppendRequest(dst []byte, r *Request) []byte {
	size := r.size()
	dst = slices.Grow(dst, prefixSize+size)
	dst = append(dst, 0, byte(size>>24), byte(size>>16), byte(size>>8), byte(size))
	dst = appendString(dst, requestDomain, r.Domain)
	for i := range r.Descriptors {
		d := &r.Descriptors[i]
		dst = appendVarint(append(dst, requestDescriptors), uint64(d.size()))
		for j := range d.Entries {
			e := &d.Entries[j]
			dst = appendVarint(append(dst, descriptorEntries), uint64(e.size()))
			dst = appendString(dst, entryKey, e.Key)
			dst = appendString(dst, entryValue, e.Value)
		}
		if d.Override != (Override{}) {
			dst = appendVarint(append(dst, descriptorOverride), uint64(d.Override.size()))
			dst = appendNumber(dst, overrideRequests, uint64(d.Override.Requests))
			dst = appendNumber(dst, overrideUnit, uint64(d.Override.Unit))
		}
		if d.Hits.own {
			dst = appendVarint(append(dst, descriptorHits), uint64(numberSize(d.Hits.n)))
			dst = appendNumber(dst, wrapperValue, d.Hits.n)
		}
	}
	return appendNumber(dst, requestHits, uint64(r.Hits))
}

func (r *Request) size() int {
	n := stringSize(r.Domain) + numberSize(uint64(r.Hits))
	for i := range r.Descriptors {
		n += fieldSize(r.Descriptors[i].size())
	}
	return n
}

func (d *Descriptor) size() int {
	n := 0
	for i := range d.Entries {
		n += fieldSize(d.Entries[i].size())
	}
	if d.Override != (Override{}) {
		n += fieldSize(d.Override.size())
	}
	if d.Hits.own {
		n += fieldSize(numberSize(d.Hits.n))
	}
	return n
}

func (o *Override) size() int { return numberSize(uint64(o.Requests)) + numberSize(uint64(o.Unit)) }

func (e *Entry) size() int { return stringSize(e.Key) + stringSize(e.Value) }

// fieldSize is that of a field with so many bytes.
func fieldSize(n int) int { return 1 + varintSize(uint64(n)) + n }

// Proto3 leaves out what is empty or 0.
func stringSize(s string) int {
	if s == "" {
		return 0
	}
	return fieldSize(len(readable(s)))
}

func appendString(dst []byte, tag byte, s string) []byte {
	if s == "" {
		return dst
	}
	s = readable(s)
	return append(appendVarint(append(dst, tag), uint64(len(s))), s...)
}

func numberSize(n uint64) int {
	if n == 0 {
		return 0
	}
	return 1 + varintSize(n)
}

func appendNumber(dst []byte, tag byte, n uint64) []byte {
	if n == 0 {
		return dst
	}
	return appendVarint(append(dst, tag), n)
}

func varintSize(n uint64) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

func appendVarint(dst []byte, n uint64) []byte {
	for ; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}

// readable copies nothing where s is UTF-8.
func readable(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// maxTimeout is what eight digits, the most that grpc-timeout may have, say in milliseconds: 27 hours.
const maxTimeout = 99_999_999 * time.Millisecond

// AppendHeaders appends the request's headers. The service stops working for a call after timeout;
// who waits still needs a timer of its own. It is written in whole milliseconds, or, where it is
// not, in microseconds, rounded up; it is never less than one and never more than 27 hours.
func AppendHeaders(dst [][2]string, authority string, timeout time.Duration) [][2]string {
	return append(dst,
		[2]string{":method", "POST"},
		[2]string{":path", Path},
		[2]string{":authority", authority},
		[2]string{"content-type", "application/grpc"},
		[2]string{"te", "trailers"}, // without it some servers and proxies drop the trailers, and with them the status
		[2]string{"grpc-timeout", grpcTimeout(timeout)},
	)
}

func grpcTimeout(d time.Duration) string {
	d = min(max(d, time.Microsecond), maxTimeout)
	if micro := (d + time.Microsecond - 1) / time.Microsecond; micro%1000 != 0 && micro < 100_000_000 {
		return strconv.FormatInt(int64(micro), 10) + "u"
	}
	return strconv.FormatInt(int64((d+time.Millisecond-1)/time.Millisecond), 10) + "m"
}
