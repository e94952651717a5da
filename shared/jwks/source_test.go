// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwks

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

var start = time.Unix(1_700_000_000, 0)

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

func micro(seconds int) int64 { return at(seconds).UnixMicro() }

func TestReadDocument(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       error
	}{
		{"a set", keyed(p256(`"kid":"a"`)), nil},
		{"J24 keys that cannot be used are passed over", keyed(`{"kty":"AKP"}`, p256(`"use":"enc"`), p256(`"alg":"ES521"`), p256(`"kid":"a"`)), nil},
		{"J24 a secret", keyed(p256(), `{"kty":"oct","k":"`+strings.Repeat("A", 43)+`"}`), ErrSymmetric},
		{"J24 a duplicate kid", keyed(p256(`"kid":"a"`), p384(`"kid":"a"`)), ErrRepeatedKID},
		{"J24 nothing that can be used", keyed(`{"kty":"AKP"}`), ErrNoKey},
		{"J24 no keys", keyed(), ErrNoKey},
		{"J24 65 keys", keyed(strings.Split(strings.Repeat(p256()+"|", 64)+p256(), "|")...), ErrTooMany},
		{"J24 HTML", "<html>", ErrJSON},
		{"J8 keys twice", `{"keys":[],"keys":[` + p256() + `]}`, ErrJSON},
		{"J24 nothing", "", ErrBody},
		{"J24 a huge body", strings.Repeat(" ", MaxBody) + keyed(p256()), ErrBody},
		{"as huge as allowed", strings.Repeat(" ", MaxBody-len(keyed(p256()))) + keyed(p256()), nil},
		{"an object of something else", `{"error":"x"}`, ErrNoSet},
	} {
		if set, err := ReadDocument(c.body); err != c.want || (err == nil) != (set != nil && set.Len() == 1) {
			t.Errorf("%s: %v, %v; want %v", c.name, set, err, c.want)
		}
	}
}

func TestRecord(t *testing.T) {
	r := Record{1, -2, 3, 1 << 60, 5, 6}
	if got, ok := DecodeRecord(r.Encode()); !ok || got != r {
		t.Errorf("%+v, %v", got, ok)
	}
	for _, b := range [][]byte{nil, r.Encode()[1:], append(r.Encode(), 0)} {
		if _, ok := DecodeRecord(b); ok {
			t.Errorf("%d bytes are a record", len(b))
		}
	}
}

// J26: the last good set is used until maxStale, and nothing after.
func TestKeysUntilMaxStale(t *testing.T) {
	set, err := ReadDocument(keyed(p256()))
	if err != nil {
		t.Fatal(err)
	}
	s := Source{MaxStale: time.Hour}
	if s.Keys(at(0)) != nil {
		t.Error("keys before any were fetched")
	}
	s.Update(Record{Version: 1, Fetched: micro(0)}, set)
	for seconds, want := range map[int]bool{0: true, 3600: true, 3601: false, -100: true} {
		if got := s.Keys(at(seconds)) != nil; got != want {
			t.Errorf("after %d seconds: %v", seconds, got)
		}
	}
	s.Update(Record{Version: 1, Fetched: micro(3000), Failures: 3}, nil)
	if s.Keys(at(6600)) != set || s.Keys(at(6601)) != nil {
		t.Error("a confirmed set is not used for as long again")
	}
}

func TestDue(t *testing.T) {
	s := Source{Refresh: 300 * time.Second}
	for _, c := range []struct {
		name string
		r    Record
		now  int
		j    float64
		want bool
	}{
		{"never fetched", Record{}, 0, 0, true},
		{"somebody is fetching", Record{Tried: micro(0), Lease: micro(3)}, 2, 0, false},
		{"whoever fetched has died: the lease is over", Record{Tried: micro(0), Lease: micro(3)}, 3, 0, true},
		{"just failed", Record{Tried: micro(0), Failures: 1}, 0, 0, false},
		{"failed a second ago", Record{Tried: micro(0), Failures: 1}, 1, 0, true},
		{"failed three times, three seconds ago", Record{Tried: micro(0), Failures: 3}, 3, 0, false},
		{"failed three times, four seconds ago", Record{Tried: micro(0), Failures: 3}, 4, 0, true},
		{"failed a hundred times, half a minute ago", Record{Tried: micro(0), Failures: 100}, 30, 0, true},
		{"fresh", Record{Fetched: micro(0), Tried: micro(0)}, 299, 0, false},
		{"old", Record{Fetched: micro(0), Tried: micro(0)}, 300, 0, true},
		{"old for the jitter of this VM", Record{Fetched: micro(0), Tried: micro(0)}, 285, 1, true},
		{"not yet, whatever the jitter", Record{Fetched: micro(0), Tried: micro(0)}, 269, 1, false},
		{"an unknown kid asks", Record{Fetched: micro(0), Tried: micro(0), Forced: micro(40)}, 40, 0, true},
		{"an unknown kid has asked, and was answered", Record{Fetched: micro(40), Tried: micro(40), Forced: micro(40)}, 41, 0, false},
	} {
		if got := s.Due(&c.r, at(c.now), c.j); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// J25: made-up kids ask for a fetch once in thirty seconds, all of them together, and a kid that was looked for is not looked for again for a while.
func TestUnknownKid(t *testing.T) {
	var s Source
	s.Update(Record{Version: 1, Fetched: micro(0), Forced: micro(0)}, &Set{})
	for seconds, want := range map[int]bool{0: false, 29: false, 30: true, 31: true} {
		if got := s.MayForce("kid", at(seconds)); got != want {
			t.Errorf("after %d seconds: %v", seconds, got)
		}
	}
	s.Update(Record{Version: 1, Fetched: micro(0), Forced: micro(30), Lease: micro(33)}, nil)
	if !s.MayForce("kid", at(31)) {
		t.Error("it does not wait for the fetch that is under way")
	}
	s.Update(Record{Version: 1, Fetched: micro(0)}, nil)
	s.Unknown("kid", at(100))
	if s.MayForce("kid", at(159)) || !s.MayForce("kid", at(160)) || !s.MayForce("other", at(159)) {
		t.Error("what was looked for is not remembered, or too much of it")
	}
	s.Unknown("kid", at(150))
	if !s.MayForce("kid", at(160)) {
		t.Error("a token that keeps coming is remembered for longer")
	}
	for i := range 10_000 {
		s.Unknown("k"+strconv.Itoa(i), at(100))
	}
	if len(s.unknown) > maxUnknown {
		t.Errorf("%d unknown kids are remembered", len(s.unknown))
	}
}

func TestSettled(t *testing.T) {
	var s Source
	for _, c := range []struct {
		name string
		r    Record
		want bool
	}{
		{"nothing has happened", Record{Tried: micro(0)}, false},
		{"a fetch is under way", Record{Tried: micro(10), Lease: micro(13)}, false},
		{"a fetch has failed", Record{Tried: micro(10), Failures: 1}, true},
		{"a fetch that had begun before has come back, and another may be asked for", Record{Tried: micro(4), Fetched: micro(6)}, false},
		{"a fetch that had begun before has come back, and no other may be asked for yet", Record{Tried: micro(4), Fetched: micro(6), Forced: micro(-23)}, true},
	} {
		if s.Update(c.r, nil); s.Settled(micro(5), micro(6)) != c.want {
			t.Errorf("%s: %v", c.name, !c.want)
		}
	}
	if !s.Hopeful() {
		t.Error("nothing has failed and nothing is there: hope")
	}
	if s.Update(Record{Failures: 1}, nil); s.Hopeful() {
		t.Error("it has failed: no hope")
	}
}
