// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package abi

import (
	"reflect"
	"slices"
	"testing"
)

func TestReadPairs(t *testing.T) {
	const two = "\x02\x00\x00\x00" + "\x01\x00\x00\x00\x02\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00" +
		"a\x00bc\x00" + "\x00\x00"
	if got := readPairs([]byte(two), nil); !reflect.DeepEqual(got, [][2]string{{"a", "bc"}, {"", ""}}) {
		t.Errorf("%q", got)
	}
	if got := readPairs([]byte{0, 0, 0, 0}, nil); len(got) != 0 {
		t.Errorf("%q", got)
	}
	for cut := range len(two) {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("cut after %d bytes: no panic", cut)
				}
			}()
			readPairs(slices.Clip([]byte(two[:cut])), nil)
		}()
	}
}

func TestWritePairs(t *testing.T) {
	for _, list := range [][][2]string{nil, {{":method", "GET"}}, {{"a", ""}, {"", "b"}, {"a", "c\x00d"}}} {
		b := writePairs(list)
		if got := readPairs(b, nil); !slices.Equal(got, list) {
			t.Errorf("%q was written as %q, which reads as %q", list, b, got)
		}
	}
}
