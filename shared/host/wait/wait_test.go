// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package wait

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// Copies are texts of their own, however the proxy's memory is used afterwards, and there is room for so many.
func TestRoom(t *testing.T) {
	memory := []byte("namevalue")
	text := string(memory)
	headers := [][2]string{{"x-a", "1"}, {"x-empty", ""}, {"", "no name"}, {"x-long", strings.Repeat("v", 300)},
		{"x-a", text}}
	var r Room
	copies, ok := r.Enter(headers)
	if !ok || !reflect.DeepEqual(copies, headers) || r.held != 1 {
		t.Fatalf("%v, %v", copies, ok)
	}
	headers[0][1] = "2"
	if copies[0][1] != "1" || copies[3][1] != strings.Repeat("v", 300) {
		t.Errorf("%v", copies)
	}
	if none, ok := r.Enter(nil); !ok || len(none) != 0 {
		t.Errorf("%v, %v", none, ok)
	}
	r.Leave(nil)
	if r.Leave(copies); r.held != 0 || r.bytes != 0 {
		t.Errorf("%+v is left", r)
	}
	big := [][2]string{{"x", strings.Repeat("b", maxHeldBytes/2)}}
	first, ok := r.Enter(big)
	if _, second := r.Enter(big); !ok || second {
		t.Errorf("twice half of the room, and more: %v, %v", ok, second)
	}
	r.Leave(first)
	for range MaxHeld {
		if _, ok := r.Enter(headers[:1]); !ok {
			t.Fatal("there is no room for MaxHeld requests")
		}
	}
	if _, ok := r.Enter(headers[:1]); ok {
		t.Error("there is room for more than MaxHeld requests")
	}
}

// One callback takes up so many and no more, and fewer where they take long.
func TestTurn(t *testing.T) {
	turn := NewTurn(time.Now().Add(time.Hour)) // time that has not begun is never up
	n := 0
	for turn.Next() {
		n++
	}
	if n != maxWoken {
		t.Errorf("%d in one turn, want %d", n, maxWoken)
	}
	slow := NewTurn(time.Now().Add(-time.Second))
	if !slow.Next() || slow.Next() {
		t.Error("a turn that is late takes one, so that it gets on, and no second")
	}
}

// Whoever waits among many is given up a little earlier, by a quarter of the time at most.
func TestLead(t *testing.T) {
	for _, c := range []struct {
		others int
		want   time.Duration
	}{{0, 0}, {10, 1500 * time.Microsecond}, {1_000_000, 500 * time.Millisecond}} {
		if got := Lead(2*time.Second, c.others); got != c.want {
			t.Errorf("%d others: %v, want %v", c.others, got, c.want)
		}
	}
}
