// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"math"
	"time"
	"unicode/utf8"
)

// Code is a decision.
type Code uint8

// The decisions. The zero Code is none of them, and no Response that was read has it.
const (
	OK        Code = 1
	OverLimit Code = 2
)

// Unit of a limit's window, with Envoy's numbers. Others may come: they are kept.
type Unit uint32

// The units.
const (
	Second Unit = 1
	Minute Unit = 2
	Hour   Unit = 3
	Day    Unit = 4
	Month  Unit = 5
	Year   Unit = 6
	Week   Unit = 7
)

// Seconds of the unit as envoyproxy/ratelimit counts them, a month as 30 days and a year as 365; 0
// for a unit that is not known here.
func (u Unit) Seconds() int64 {
	const day = 24 * 60 * 60
	switch u {
	case Second:
		return 1
	case Minute:
		return 60
	case Hour:
		return 60 * 60
	case Day:
		return day
	case Week:
		return 7 * day
	case Month:
		return 30 * day
	case Year:
		return 365 * day
	}
	return 0
}

// Limit is the one that the service applied to a descriptor: Requests in each window of Multiplier units.
type Limit struct {
	Name       string // of the service's configuration; often empty
	Requests   uint32
	Unit       Unit
	Multiplier uint32 // at least 1
}

// Status is the answer for one descriptor.
type Status struct {
	Code     Code
	HasLimit bool // false: the service has no limit for this descriptor, or it is configured as unlimited
	Limit    Limit
	// Remaining are the hits left in the window. Of an unlimited descriptor it is the largest
	// number; of one without a limit, 0.
	Remaining uint32
	HasReset  bool
	Reset     time.Duration // until the window ends, never negative; envoyproxy/ratelimit counts whole seconds, at least 1
}

// Unlimited reports whether the service has the descriptor as unlimited: it has looked it up, and has
// nothing to count.
func (s *Status) Unlimited() bool {
	return s.Code == OK && !s.HasLimit && s.Remaining == math.MaxUint32
}

// Response is an answer that was read.
type Response struct {
	// Code is the service's decision over all descriptors. It may be OK where a status is
	// OverLimit: that is the service's shadow mode.
	Code Code
	// Statuses are as many as came: who asked compares their number with that of the descriptors, whose order they have.
	Statuses []Status
}

// What an answer may have. envoyproxy/ratelimit sends some 30 bytes for a descriptor.
const (
	maxBytes    = 64 << 10
	maxStatuses = 1024
)

// ParseResponse reads an answer, whose names of headers are in lower case, as HTTP/2 has them. With
// an error the Response is empty and nothing is decided; StatusError is the service's own word for
// that, the others mean that the answer is not one.
func ParseResponse(body []byte, headers, trailers [][2]string) (Response, error) {
	if status, n := find(headers, ":status"); n != 1 || status != "200" {
		return Response{}, ErrHTTPStatus
	}
	status, n := find(trailers, "grpc-status")
	inHeaders, m := find(headers, "grpc-status")
	switch {
	case n+m != 1:
		return Response{}, ErrNoStatus
	case m == 1:
		status = inHeaders
	}
	code, ok := parseStatus(status)
	switch {
	case !ok:
		return Response{}, ErrNoStatus
	case code != 0:
		return Response{}, StatusError(code)
	case m == 1:
		// A status among the headers is that of an answer that consists of headers only
		// ("Trailers-Only"), and so has no message.
		return Response{}, ErrFrame
	}
	switch {
	case len(body) > maxBytes:
		return Response{}, ErrTooLarge
	case len(body) < prefixSize:
		return Response{}, ErrFrame
	case body[0] == 1:
		return Response{}, ErrCompressed
	case body[0] != 0 || uint64(body[1])<<24|uint64(body[2])<<16|uint64(body[3])<<8|uint64(body[4]) != uint64(
		len(body)-prefixSize):
		return Response{}, ErrFrame
	}
	r, err := parseResponse(body[prefixSize:])
	if err != nil {
		return Response{}, err
	}
	return r, nil
}

// find returns the first value of a header and how often it is there.
func find(pairs [][2]string, name string) (value string, n int) {
	for i := range pairs {
		if pairs[i][0] == name {
			if n++; n == 1 {
				value = pairs[i][1]
			}
		}
	}
	return value, n
}

// parseStatus reads a grpc-status. Zero, which alone lets an answer through, is written in one way only.
func parseStatus(s string) (uint32, bool) {
	if s == "" || len(s) > 9 || s[0] == '0' && s != "0" {
		return 0, false
	}
	n := uint32(0)
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + uint32(s[i]-'0')
	}
	return n, true
}

func parseResponse(b []byte) (r Response, err error) {
	var seen fields
	for m := (message{b}); len(m.rest) > 0; {
		f, err := m.next()
		if err != nil {
			return r, err
		}
		switch f.number {
		case 1:
			if r.Code, err = f.code(&seen); err != nil {
				return r, err
			}
		case 2:
			if f.wire != wireBytes {
				return r, ErrMessage
			}
			if len(r.Statuses) == maxStatuses {
				return r, ErrTooLarge
			}
			s, err := parseDescriptorStatus(f.bytes)
			if err != nil {
				return r, err
			}
			r.Statuses = append(r.Statuses, s)
		}
	}
	if r.Code == 0 {
		return r, ErrCode
	}
	return r, nil
}

func parseDescriptorStatus(b []byte) (s Status, err error) {
	var seen fields
	for m := (message{b}); len(m.rest) > 0; {
		f, err := m.next()
		if err != nil {
			return s, err
		}
		switch f.number {
		case 1:
			s.Code, err = f.code(&seen)
		case 2:
			if err = f.message(&seen); err == nil {
				s.HasLimit = true
				s.Limit, err = parseLimit(f.bytes)
			}
		case 3:
			s.Remaining, err = f.uint32(&seen)
		case 4:
			if err = f.message(&seen); err == nil {
				s.HasReset = true
				s.Reset, err = parseDuration(f.bytes)
			}
		}
		if err != nil {
			return s, err
		}
	}
	if s.Code == 0 {
		return s, ErrCode
	}
	return s, nil
}

func parseLimit(b []byte) (l Limit, err error) {
	l.Multiplier = 1
	var seen fields
	for m := (message{b}); len(m.rest) > 0; {
		f, err := m.next()
		if err != nil {
			return l, err
		}
		switch f.number {
		case 1:
			l.Requests, err = f.uint32(&seen)
		case 2:
			var unit uint32
			unit, err = f.uint32(&seen)
			l.Unit = Unit(unit)
		case 3:
			if err = f.message(&seen); err == nil && !utf8.Valid(f.bytes) {
				err = ErrMessage
			}
			l.Name = string(f.bytes)
		case 4:
			if err = f.message(&seen); err == nil {
				l.Multiplier, err = parseWrapper(f.bytes)
			}
			if err == nil && l.Multiplier == 0 {
				err = ErrMessage
			}
		}
		if err != nil {
			return l, err
		}
	}
	return l, nil
}

// parseWrapper reads a google.protobuf.UInt32Value.
func parseWrapper(b []byte) (value uint32, err error) {
	var seen fields
	for m := (message{b}); len(m.rest) > 0; {
		f, err := m.next()
		if err != nil {
			return 0, err
		}
		if f.number == 1 {
			if value, err = f.uint32(&seen); err != nil {
				return 0, err
			}
		}
	}
	return value, nil
}

// parseDuration reads a google.protobuf.Duration. A time until something is not negative: as an
// unsigned number, every negative one is out of range.
func parseDuration(b []byte) (time.Duration, error) {
	var seconds, nanos uint64
	var seen fields
	for m := (message{b}); len(m.rest) > 0; {
		f, err := m.next()
		if err != nil {
			return 0, err
		}
		switch f.number {
		case 1:
			seconds, err = f.varint(&seen)
		case 2:
			nanos, err = f.varint(&seen)
		}
		if err != nil {
			return 0, err
		}
	}
	if seconds >= math.MaxInt64/uint64(time.Second) || nanos >= uint64(time.Second) {
		return 0, ErrMessage
	}
	return time.Duration(seconds)*time.Second + time.Duration(nanos), nil
}
