// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package response

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/shared/guest/direct"
)

// A stream's followers are told of its response and of its end, each once and in order; nobody else's are.
func TestFollow(t *testing.T) {
	var got []string
	follower := func(name string) *Follower {
		say := func(what string) func(uint32) {
			return func(stream uint32) { got = append(got, fmt.Sprint(name, stream, what)) }
		}
		return &Follower{Headers: say("h"), Answered: say("a"), End: say("e"),
			Body: func(stream uint32, size int) { got = append(got, fmt.Sprint(name, stream, "b", size)) }}
	}
	x, y := follower("x"), follower("y")
	want := func(what string) {
		t.Helper()
		if all := strings.Join(got, " "); all != what {
			t.Errorf("%s, want %s", all, what)
		}
		got = nil
	}
	if Following() {
		t.Fatal("something is followed from the start")
	}
	Follow(1, x)
	Follow(2, x)
	Follow(1, y)
	headers(3, true)
	Body(3, 5, true)
	direct.OnOver(3)
	want("")
	headers(1, false)
	headers(2, true)
	want("x1h y1h x2h x2a")
	headers(2, true) // a local reply behind a response
	Body(2, 7, true)
	Body(1, 7, false)
	Body(1, 0, false)
	Body(1, 0, true)
	Body(1, 9, true)
	want("x1b7 y1b7 x1a y1a")
	if direct.Followed != 2 || !Following() {
		t.Errorf("%d streams are followed", direct.Followed)
	}
	direct.OnOver(1)
	direct.OnOver(1)
	want("x1e y1e")
	direct.OnOver(2)
	want("x2e")
	if direct.Followed != 0 || Following() {
		t.Errorf("%d streams are followed", direct.Followed)
	}
	// One whose first follower panics.
	Follow(5, &Follower{End: func(uint32) { panic("x") }})
	Follow(5, x)
	Follow(5, y)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a panic is lost")
			}
		}()
		direct.OnOver(5)
	}()
	want("x5e y5e")
	// One that ends without an answer.
	Follow(4, y)
	direct.OnOver(4)
	want("y4e")
}
