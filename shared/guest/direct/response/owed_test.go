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
	Owe(1, "a", value, false)
	Owe(2, "a", []byte("other"), true)
	Owe(1, "b", []byte("two"), true)
	copy(value, "xxx")
	settle(3, add)
	settle(1, add)
	settle(1, add)
	direct.OnEnd(2)
	settle(2, add)
	Owe(4, "c", nil, false)
	settle(4, add)
	if all := strings.Join(got, " "); all != "a+=one b=two c+=" || len(owing) != 0 {
		t.Errorf("%s, %d are still owed something", all, len(owing))
	}
	if len(settled) != 2 {
		t.Errorf("%d debts are kept for others", len(settled))
	}
}
