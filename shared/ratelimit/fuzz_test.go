// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
)

// What we accept, Google's library accepts as the same; what was refused leaves nothing behind; and
// no answer is one without its status.
func FuzzParseResponse(f *testing.F) {
	e := loadEnvoyTypes(f)
	for _, seed := range []string{
		ok, overLimit + nested(2, overLimit+nested(2, number(1, 1)+number(2, 3)+nested(3, "n")+nested(4, number(1, 2)))+
			number(3, 9)+nested(4, number(1, 3600)+number(2, 1))), "", ok + ok, number(1, 1<<32+1),
		ok + nested(2, ok+nested(4, number(1, 1<<63)+number(2, 1<<31))), ok + nested(2, ok) + nested(2, ""), ok +
			"\x7b\x7c", "\x88\x00\x81\x80\x00", ok + "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		ok + nested(2, ok+nested(2, nested(3, "\xc3"))), ok + nested(3, nested(1, "x")) +
			nested(6, nested(1, nested(1, "k"))), ok + nested(2, ok+nested(2, number(2, 1<<31))),
	} {
		f.Add(frame(seed))
		f.Add(append(frame(seed), 0))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := ParseResponse(body, ok200, status0)
		if err != nil {
			if !reflect.DeepEqual(got, Response{}) {
				t.Fatalf("%+v with %v", got, err)
			}
			return
		}
		m := e.message(t, "RateLimitResponse")
		if err := proto.Unmarshal(body[prefixSize:], m); err != nil {
			// Some fields of other messages are not read here, only skipped: their insides may be anything.
			if !skipsUnread(body[prefixSize:]) {
				t.Fatalf("we read %+v where protobuf says %v", got, err)
			}
			return
		}
		if want := fromProtobuf(m); !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v, protobuf reads %+v", got, want)
		}
		for _, s := range got.Statuses {
			if s.Reset < 0 || s.HasLimit && s.Limit.Multiplier == 0 || s.Code != OK && s.Code != OverLimit {
				t.Fatalf("%+v", s)
			}
		}
		for _, trailers := range [][][2]string{nil, {{"grpc-status", "13"}}, append(status0[:1:1], status0...)} {
			if r, err := ParseResponse(body, ok200, trailers); err == nil {
				t.Fatalf("%+v with the trailers %v", r, trailers)
			}
		}
	})
}

// skipsUnread tells whether a message has a field with a message, or text, that Envoy knows and we
// do not read: dynamic_metadata and quota.
func skipsUnread(b []byte) bool {
	for m := (message{b}); len(m.rest) > 0; {
		f, err := m.next()
		if err != nil {
			return false
		}
		if f.number == 6 || f.number == 7 || f.number == 2 && skipsQuota(f.bytes) {
			return true
		}
	}
	return false
}

func skipsQuota(b []byte) bool {
	for m := (message{b}); len(m.rest) > 0; {
		f, err := m.next()
		if err != nil || f.number == 5 {
			return err == nil
		}
	}
	return false
}

// Whatever the keys and hits are, Google's library reads what we write as what was meant.
func FuzzAppendRequest(f *testing.F) {
	e := loadEnvoyTypes(f)
	f.Add("tollgate", "limit", "per-user", uint32(1), uint64(0), true)
	f.Add("", "", "", uint32(0), uint64(0), false)
	f.Add("\xff", strings.Repeat("k", 128), "\xc3\x28", uint32(1<<31), uint64(1<<63), true)
	f.Fuzz(func(t *testing.T, domain, key, value string, hits uint32, own uint64, has bool) {
		r := Request{Domain: domain, Hits: hits,
			Descriptors: []Descriptor{{Entries: []Entry{{key, value}, {value, key}}}, {}}}
		if has {
			r.Descriptors[1].Hits = HitsOf(own)
		}
		b := AppendRequest(nil, &r)
		m := e.message(t, "RateLimitRequest")
		if err := proto.Unmarshal(b[prefixSize:], m); err != nil {
			t.Fatal(err)
		}
		if string(b) != string(frame(string(b[prefixSize:]))) || len(m.GetUnknown()) > 0 {
			t.Fatalf("%q is %v", b, m)
		}
		meant := func(got, text string) bool {
			return got == strings.ToValidUTF8(text, "\uFFFD") && (got == text || !utf8.ValidString(text))
		}
		descriptors := get(m, "descriptors").List()
		first, second := descriptors.Get(0).Message(), descriptors.Get(1).Message()
		entries := get(first, "entries").List()
		if descriptors.Len() != 2 || entries.Len() != 2 || get(second, "entries").List().Len() != 0 ||
			first.Has(fieldOf(first, "hits_addend")) || second.Has(fieldOf(second, "hits_addend")) != has ||
			!meant(get(m, "domain").String(), domain) || get(m, "hits_addend").Uint() != uint64(hits) || has &&
			get(get(second, "hits_addend").Message(), "value").Uint() != min(own, 1_000_000_000) {
			t.Fatalf("%+v is written as %v", r, m)
		}
		for i, want := range []Entry{{key, value}, {value, key}} {
			if entry := entries.Get(i).Message(); !meant(get(entry, "key").String(), want.Key) ||
				!meant(get(entry, "value").String(), want.Value) {
				t.Fatalf("%+v is written as %v", want, entry)
			}
		}
	})
}

func FuzzTimeout(f *testing.F) {
	f.Add(int64(20 * time.Millisecond))
	f.Add(int64(1))
	f.Fuzz(func(t *testing.T, n int64) {
		text := grpcTimeout(time.Duration(n))
		var digits, unit = text[:len(text)-1], text[len(text)-1:]
		read, err := time.ParseDuration(digits + map[string]string{"m": "ms", "u": "us"}[unit])
		if err != nil || len(digits) > 8 || read < time.Microsecond || read < min(time.Duration(n), maxTimeout) ||
			n > 0 && read > time.Duration(n)+time.Millisecond {
			t.Fatalf("%v is written as %s: %v, %v", time.Duration(n), text, read, err)
		}
	})
}
