// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command probe ends with 0 where a URL answers with 200 within two seconds. It is the health check
// in containers whose images have no shell and no curl.
package main

import (
	"fmt"
	"net/http"
	"os"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: probe URL")
		os.Exit(2)
	}
	resp, err := (&http.Client{Timeout: 2 * time.Second}).Get(os.Args[1])
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", os.Args[1], resp.Status)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}
