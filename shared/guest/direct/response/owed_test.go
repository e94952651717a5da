// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package response

import (
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/shared/guest/direct"
)

func TestOwed(t *testing.T) {
	var got []string
	add := func(name string, value []byte, replace bool) {
		sign := map[bool]string{true: "=", false: "+="}[replace]
		got = append(got, name+sign+string(value))
	}
	value := []byte("one")
	// 1 and 1025 are for one place.
	first, second, third := Owe(1), Owe(2), Owe(1025)
	first.Header("a", value, false)
	second.Header("b", []byte("other"), true)
	third.Header("c", []byte("third"), false)
	first.Header("d", []byte("two"), true)
	copy(value, "xxx")
	settle(3, add)
	settle(1, add)
	settle(1, add)
	settle(1025, add)
	direct.OnEnd(2)
	settle(2, add)
	again := Owe(4)
	again.Header("e", nil, false)
	settle(4, add)
	if all := strings.Join(got, " "); all != "a+=one d=two c+=third e+=" || owing != 0 || len(others) != 0 {
		t.Errorf("%s, %d are still owed something", all, owing)
	}
	if len(settled) != 3 {
		t.Errorf("%d debts are kept for others", len(settled))
	}
}

// What several steps owe one response is added as if each were a filter: the last of the request's first.
func TestOwedBySeveral(t *testing.T) {
	var got []string
	add := func(name string, value []byte, _ bool) { got = append(got, name+string(value)) }
	Owe(2048).Header("other", nil, false)
	for _, stream := range []uint32{1024, 5} { // the place of the first is taken
		Owe(stream).Header("a", []byte("1"), false)
		if stream == 1024 {
			settle(2048, nil) // and free by now
		}
		Owe(stream).Header("b", []byte("2"), false)
		Owe(stream).Header("c", nil, false)
		settle(stream, add)
		settle(stream, add)
	}
	if all := strings.Join(got, " "); all != "c b2 a1 c b2 a1" || owing != 0 || len(others) != 0 {
		t.Errorf("%s, %d are still owed something", all, owing)
	}
}
