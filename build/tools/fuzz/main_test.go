// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func TestOnlyLate(t *testing.T) {
	const end = "FAIL\nexit status 1\nFAIL\texample/stamp\t4.339s\n"
	for output, want := range map[string]bool{
		"fuzz: elapsed: 4s, execs: 2380 (0/sec)\n--- FAIL: FuzzSign (4.09s)\n    context deadline exceeded\n" +
			end: true,
		"--- FAIL: FuzzSign (1.02s)\n    --- FAIL: FuzzSign (0.00s)\n        sign_test.go:7: a stamp goes on\n    \n " +
			"   Failing input written to testdata/fuzz/FuzzSign/1\n" + end: false,
		"--- FAIL: FuzzSign (4.09s)\n    context deadline exceeded\n    Failing input written to " +
			"testdata/fuzz/FuzzSign/1\n" + end: false,
		"--- FAIL: FuzzSign (4.09s)\n    --- FAIL: FuzzSign (0.00s)\n        sign_test.go:7: context " +
			"deadline exceeded\n" + end: false,
		"--- FAIL: FuzzSign (4.09s)\n    fuzzing process hung or terminated unexpectedly: exit status 2\n" +
			end: false,
		"": false,
	} {
		if got := onlyLate(output); got != want {
			t.Errorf("%v for\n%s", got, output)
		}
	}
}
