// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package httpcall

import "testing"

// W18: an answer finds its call once, whatever comes between, and one to nobody finds nothing.
func TestTable(t *testing.T) {
	var got []uint32
	for id := uint32(1); id <= 3; id++ {
		open[id] = func(Answer) { got = append(got, id) }
	}
	for _, id := range []uint32{2, 9, 1, 2, 3} {
		if done := take(id); done != nil {
			done(Answer{})
		}
	}
	if len(got) != 3 || got[0] != 2 || got[1] != 1 || got[2] != 3 || len(open) != 0 {
		t.Errorf("answered were %v, open are %d", got, len(open))
	}
}
