// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var ok200 = [][2]string{{":status", "200"}, {"content-type", "application/grpc"}}

var status0 = [][2]string{{"grpc-status", "0"}, {"grpc-message", ""}}

// frame puts the gRPC prefix before a message.
func frame(message string) []byte {
	n := len(message)
	return append([]byte{0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, message...)
}

// nested is a field with that number that holds a message.
func nested(number byte, message string) string {
	return string(appendVarint([]byte{number<<3 | wireBytes}, uint64(len(message)))) + message
}

// number is a field with a varint.
func number(field byte, n uint64) string { return string(appendVarint([]byte{field << 3}, n)) }

const ok, overLimit = "\x08\x01", "\x08\x02"

func TestParseResponse(t *testing.T) {
	status := func(fields ...string) string { return ok + nested(2, ok+strings.Join(fields, "")) }
	tests := []struct {
		name    string
		message string
		want    Response
		err     error
	}{
		{name: "no status at all", message: ok, want: Response{Code: OK}},
		{name: "over the limit", message: overLimit + nested(2, overLimit),
			want: Response{OverLimit, []Status{{Code: OverLimit}}}},
		{
			name:    "a status over the limit under OK, as in the service's shadow mode",
			message: ok + nested(2, overLimit), want: Response{OK, []Status{{Code: OverLimit}}},
		},
		{
			name: "two statuses, everything in them",
			message: overLimit + nested(2,
				ok+nested(2, number(1, 100)+number(2, 3)+nested(3, "per-hour")+nested(4, number(1, 6)))+number(3, 99)+
					nested(4, number(1, 3600)+number(2, 5))) + nested(2, overLimit),
			want: Response{OverLimit, []Status{
				{Code: OK, HasLimit: true, Limit: Limit{"per-hour", 100, Hour, 6}, Remaining: 99, HasReset: true,
					Reset: time.Hour + 5},
				{Code: OverLimit},
			}},
		},
		{name: "a limit of nothing in no unit", message: status(nested(2, "")),
			want: Response{OK, []Status{{Code: OK, HasLimit: true, Limit: Limit{Multiplier: 1}}}}},
		{name: "a unit that is not known yet", message: status(nested(2, number(2, 99))),
			want: Response{OK, []Status{{Code: OK, HasLimit: true, Limit: Limit{Unit: 99, Multiplier: 1}}}}},
		{name: "a reset now", message: status(nested(4, "")), want: Response{OK, []Status{{Code: OK, HasReset: true}}}},
		{name: "unlimited", message: status(number(3, math.MaxUint32)),
			want: Response{OK, []Status{{Code: OK, Remaining: math.MaxUint32}}}},
		{
			name: "unknown fields of every wire type",
			message: number(15, math.MaxUint64) + "\x79\x01\x02\x03\x04\x05\x06\x07\x08" + nested(15, "\xff") +
				"\x7d\x01\x02\x03\x04" + "\xf8\xff\xff\xff\x0f\x00" + ok,
			want: Response{Code: OK},
		},
		{name: "a number with more bytes than it needs", message: "\x88\x00\x81\x80\x00", want: Response{Code: OK}},
		{name: "the longest reset that a duration holds",
			message: status(nested(4, number(1, 9223372035)+number(2, 999_999_999))), want: Response{OK,
				[]Status{{Code: OK, HasReset: true, Reset: 9223372035999999999}}}},

		{name: "an empty message has no code", message: "", err: ErrCode},
		{name: "the code UNKNOWN", message: "\x08\x00", err: ErrCode},
		{name: "the code 3", message: "\x08\x03", err: ErrCode},
		{name: "a code that 32 bits would make OK", message: number(1, 1<<32+1), err: ErrCode},
		{name: "a negative code", message: number(1, math.MaxUint64), err: ErrCode},
		{name: "a code of 65 bits", message: "\x08\x81\x80\x80\x80\x80\x80\x80\x80\x80\x02", err: ErrMessage},
		{name: "a code of eleven bytes", message: "\x08\x81\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", err: ErrMessage},
		{name: "a code that ends early", message: "\x08\x81", err: ErrMessage},
		{name: "a code as bytes", message: nested(1, "\x01"), err: ErrMessage},
		{name: "two codes", message: overLimit + ok, err: ErrMessage},
		{name: "a status without a code", message: ok + nested(2, number(3, 1)), err: ErrCode},
		{name: "a status with the code 0", message: ok + nested(2, "\x08\x00"), err: ErrCode},
		{name: "a status with two codes", message: ok + nested(2, overLimit+ok), err: ErrMessage},
		{name: "a status as a number", message: ok + "\x10\x01", err: ErrMessage},
		{name: "a status longer than the message", message: ok + "\x12\x03\x08\x01", err: ErrMessage},
		{name: "a status with a length beyond 63 bits", message: ok + "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" +
			ok, err: ErrMessage},
		{name: "a field number 0", message: ok + "\x00\x00", err: ErrMessage},
		{name: "a field number beyond 29 bits", message: ok + "\x80\x80\x80\x80\x10\x00", err: ErrMessage},
		{name: "a group", message: ok + "\x7b\x7c", err: ErrMessage},
		{name: "the wire type 7", message: ok + "\x7f", err: ErrMessage},
		{name: "eight bytes that end early", message: ok + "\x79\x01\x02\x03\x04\x05\x06\x07", err: ErrMessage},
		{name: "four bytes that end early", message: ok + "\x7d\x01\x02\x03", err: ErrMessage},
		{name: "a malformed unknown field inside a status", message: status("\x7a\x01"), err: ErrMessage},
		{name: "a limit as a number", message: status("\x10\x01"), err: ErrMessage},
		{name: "two limits", message: status(nested(2, ""), nested(2, "")), err: ErrMessage},
		{name: "more requests than 32 bits", message: status(nested(2, number(1, 1<<32))), err: ErrMessage},
		{name: "a name that is not UTF-8", message: status(nested(2, nested(3, "\xff"))), err: ErrMessage},
		{name: "a name as a number", message: status(nested(2, "\x18\x01")), err: ErrMessage},
		{name: "a multiplier of 0", message: status(nested(2, nested(4, ""))), err: ErrMessage},
		{name: "a multiplier as a number", message: status(nested(2, "\x20\x02")), err: ErrMessage},
		{name: "a multiplier with two values", message: status(nested(2, nested(4, "\x08\x02\x08\x03"))), err: ErrMessage},
		{name: "more remaining than 32 bits", message: status(number(3, 1<<32)), err: ErrMessage},
		{name: "remaining twice", message: status(number(3, 1), number(3, 1)), err: ErrMessage},
		{name: "a reset as a number", message: status("\x20\x01"), err: ErrMessage},
		{name: "two resets", message: status(nested(4, ""), nested(4, "")), err: ErrMessage},
		{name: "a reset before now", message: status(nested(4, number(1, math.MaxUint64))), err: ErrMessage},
		{name: "a reset beyond what a duration holds", message: status(nested(4, number(1, 9223372036))), err: ErrMessage},
		{name: "a whole second of nanoseconds", message: status(nested(4, number(2, 1_000_000_000))), err: ErrMessage},
		{name: "more statuses than any request has", message: ok + strings.Repeat(nested(2, ok), maxStatuses+1),
			err: ErrTooLarge},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := ParseResponse(frame(test.message), ok200, status0)
			if err != test.err || !reflect.DeepEqual(r, test.want) {
				t.Errorf("%+v, %v; want %+v, %v", r, err, test.want, test.err)
			}
		})
	}
}

func TestParseResponseFrame(t *testing.T) {
	with := func(pairs ...[2]string) [][2]string { return pairs }
	tests := []struct {
		name              string
		body              []byte
		headers, trailers [][2]string
		want              error
	}{
		{"an answer", frame(ok), ok200, status0, nil},
		{"no body", nil, ok200, status0, ErrFrame},
		{"half a prefix", []byte{0, 0, 0, 0}, ok200, status0, ErrFrame},
		{"a body shorter than its length", frame(ok)[:6], ok200, status0, ErrFrame},
		{"a byte behind the message", append(frame(ok), 0), ok200, status0, ErrFrame},
		{"two messages", append(frame(ok), frame(ok)...), ok200, status0, ErrFrame},
		{"a length of four bytes", []byte{0, 1, 0, 0, 2, 8, 1}, ok200, status0, ErrFrame},
		{"a compressed message", append([]byte{1}, frame(ok)[1:]...), ok200, status0, ErrCompressed},
		{"another flag", append([]byte{2}, frame(ok)[1:]...), ok200, status0, ErrFrame},
		{"the largest body", frame(ok + nested(15, strings.Repeat("x", maxBytes-prefixSize-len(ok)-4))), ok200, status0, nil},
		{"a body one byte larger", frame(ok + nested(15, strings.Repeat("x", maxBytes-prefixSize-len(ok)-3))), ok200,
			status0, ErrTooLarge},

		{"no headers, as after a timeout", nil, nil, nil, ErrHTTPStatus},
		{"no :status", frame(ok), with(), status0, ErrHTTPStatus},
		{"the status 503 with an answer", frame(ok), with([2]string{":status", "503"}), status0, ErrHTTPStatus},
		{"two statuses", frame(ok), with([2]string{":status", "200"}, [2]string{":status", "200"}), status0, ErrHTTPStatus},
		{"the status 200 among the trailers", frame(ok), nil, append(with([2]string{":status", "200"}), status0...),
			ErrHTTPStatus},

		{"no trailers", frame(ok), ok200, nil, ErrNoStatus},
		{"trailers without a status", frame(ok), ok200, with([2]string{"grpc-message", "0"}), ErrNoStatus},
		{"two equal grpc-statuses", frame(ok), ok200, append(with([2]string{"grpc-status", "0"}), status0...), ErrNoStatus},
		{"a grpc-status in the headers and one in the trailers", frame(ok),
			append(with([2]string{"grpc-status", "0"}), ok200...), status0, ErrNoStatus},
		{"an empty grpc-status", frame(ok), ok200, with([2]string{"grpc-status", ""}), ErrNoStatus},
		{"a grpc-status with a sign", frame(ok), ok200, with([2]string{"grpc-status", "+0"}), ErrNoStatus},
		{"a grpc-status with a space", frame(ok), ok200, with([2]string{"grpc-status", " 0"}), ErrNoStatus},
		{"a grpc-status of two zeros", frame(ok), ok200, with([2]string{"grpc-status", "00"}), ErrNoStatus},
		{"a grpc-status that 32 bits would make 0", frame(ok), ok200, with([2]string{"grpc-status", "4294967296"}),
			ErrNoStatus},
		{"the grpc-status 14 in the trailers, with a message", frame(ok), ok200, with([2]string{"grpc-status", "14"}),
			StatusError(14)},
		{"the grpc-status 14 in the headers", nil, append(with([2]string{"grpc-status", "14"}), ok200...), nil,
			StatusError(14)},
		{"the grpc-status 0 in the headers, without a message", nil,
			append(with([2]string{"grpc-status", "0"}), ok200...), nil, ErrFrame},
		{"the grpc-status 0 in the headers, with a message", frame(ok),
			append(with([2]string{"grpc-status", "0"}), ok200...), nil, ErrFrame},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := ParseResponse(test.body, test.headers, test.trailers)
			if err != test.want || err == nil && r.Code != OK || err != nil && !reflect.DeepEqual(r, Response{}) {
				t.Errorf("%+v, %v; want %v", r, err, test.want)
			}
		})
	}
}

// Every byte that is not an OK or over the limit is no code: also none of 255 others.
func TestCodes(t *testing.T) {
	for c := range 256 {
		r, err := ParseResponse(frame(number(1, uint64(c))), ok200, status0)
		if good := c == 1 || c == 2; (err == nil) != good || good && r.Code != Code(c) || !good && err != ErrCode {
			t.Errorf("%d: %+v, %v", c, r, err)
		}
	}
}

// No answer that was cut off anywhere is an answer.
func TestParseResponseCut(t *testing.T) {
	body := frame(ok + nested(2, ok+nested(2, number(1, 100)+number(2, 3))+number(3, 99)+nested(4, number(1, 3600))))
	for n := range body {
		if r, err := ParseResponse(body[:n], ok200, status0); err == nil {
			t.Errorf("%d of %d bytes: %+v", n, len(body), r)
		}
	}
}

func TestStatusError(t *testing.T) {
	if err := error(StatusError(14)); !errors.Is(err, ErrStatus) || errors.Is(err, ErrNoStatus) ||
		err.Error() != "the rate-limit service reports an error: grpc-status 14" {
		t.Error(err)
	}
}

func TestAppendHeaders(t *testing.T) {
	tests := []struct {
		timeout time.Duration
		want    string
	}{
		{20 * time.Millisecond, "20m"},
		{time.Second, "1000m"},
		{1500 * time.Microsecond, "1500u"},
		{1500*time.Microsecond + 1, "1501u"},
		{1, "1u"},
		{0, "1u"},
		{-time.Second, "1u"},
		{99*time.Second + time.Microsecond, "99000001u"},
		{100*time.Second + time.Microsecond, "100001m"},
		{99_999_999 * time.Millisecond, "99999999m"},
		{99_999_999*time.Millisecond + 1, "99999999m"},
		{math.MaxInt64, "99999999m"},
	}
	before := [2]string{"x-before", "1"}
	for _, test := range tests {
		got := AppendHeaders([][2]string{before}, "ratelimit", test.timeout)
		want := [][2]string{before, {":method", "POST"}, {":path", Path}, {":authority", "ratelimit"},
			{"content-type", "application/grpc"}, {"te", "trailers"}, {"grpc-timeout", test.want}}
		if !slices.Equal(got, want) {
			t.Errorf("%v: %q, want %q", test.timeout, got, want)
		}
	}
}

func TestUnits(t *testing.T) {
	want := map[Unit]int64{0: 0, Second: 1, Minute: 60, Hour: 3600, Day: 86400, Week: 604800, Month: 2592000,
		Year: 31536000, 8: 0}
	for unit, seconds := range want {
		if got := unit.Seconds(); got != seconds {
			t.Errorf("unit %d has %d seconds, want %d", unit, got, seconds)
		}
	}
}

var request = Request{Domain: "tollgate", Hits: 2, Descriptors: []Descriptor{
	{Entries: []Entry{{"limit", "per-user"}, {"key", "n4bQgYhMfWWaL-qgxVrQFQ"}}},
	{Entries: []Entry{{"limit", "per-user"}, {"key", "n4bQgYhMfWWaL-qgxVrQFQ"}, {"tier", "gold"}}, Hits: HitsOf(20)},
}}

func TestAppendRequestAllocatesOnce(t *testing.T) {
	// under the race detector slices.Grow takes two
	if n := testing.AllocsPerRun(100, func() { AppendRequest(nil, &request) }); n < 1 || n > 2 {
		t.Errorf("%v allocations, want 1", n)
	}
	buffer := make([]byte, 0, 512)
	if n := testing.AllocsPerRun(100, func() { AppendRequest(buffer, &request) }); n != 0 {
		t.Errorf("%v allocations with room, want 0", n)
	}
}

// A key is whatever a client sends. The call must be readable all the same: that there is no answer
// may mean that there is no limit.
func TestAppendRequestMendsText(t *testing.T) {
	bad := Request{Domain: "d", Descriptors: []Descriptor{{Entries: []Entry{{"key", "a\xff\xfeb\xc3"}}}}}
	good := Request{Domain: "d", Descriptors: []Descriptor{{Entries: []Entry{{"key", "a\uFFFDb\uFFFD"}}}}}
	if got, want := AppendRequest(nil, &bad), AppendRequest(nil, &good); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func BenchmarkAppendRequest(b *testing.B) {
	buffer := make([]byte, 0, 512)
	for b.Loop() {
		AppendRequest(buffer, &request)
	}
}

func BenchmarkParseResponse(b *testing.B) {
	body := frame(ok + nested(2, ok+nested(2, number(1, 100)+number(2, 3))+number(3, 99)+nested(4, number(1, 3600))))
	for b.Loop() {
		if _, err := ParseResponse(body, ok200, status0); err != nil {
			b.Fatal(err)
		}
	}
}

// What a service says that has a descriptor as unlimited, and one that does not know it.
func TestUnlimited(t *testing.T) {
	for _, c := range []struct {
		status Status
		want   bool
	}{
		{Status{Code: OK, Remaining: 1<<32 - 1}, true}, {Status{Code: OK}, false},
		{Status{Code: OK, Remaining: 1<<32 - 2}, false},
		{Status{Code: OverLimit, Remaining: 1<<32 - 1}, false}, {Status{Remaining: 1<<32 - 1}, false},
		{Status{Code: OK, HasLimit: true, Remaining: 1<<32 - 1}, false},
	} {
		if got := c.status.Unlimited(); got != c.want {
			t.Errorf("%+v: %v", c.status, got)
		}
	}
}
