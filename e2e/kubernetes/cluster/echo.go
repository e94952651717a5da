// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
)

// Echoed is what the service echo has got, and answers.
type Echoed struct {
	Pod     string
	Method  string
	Host    string
	URI     string // as it came
	Headers http.Header
}

// Count is the path at which the service echo says how many other requests it has got.
const Count = "/.count"

// echo serves on port 8080.
func echo() {
	pod := os.Getenv("HOSTNAME")
	var count atomic.Int64
	err := http.ListenAndServe(":8080", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == Count {
			fmt.Fprint(w, count.Load())
			return
		}
		count.Add(1)
		w.Header().Set("content-type", "application/json")
		_ = json.NewEncoder(w).Encode(Echoed{pod, r.Method, r.Host, r.RequestURI, r.Header})
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
