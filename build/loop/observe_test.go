// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// A query has found something only where there is a number.
func TestFound(t *testing.T) {
	for answer, want := range map[string]bool{
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"0"]}]}}`:                    true,
		`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"NaN"],[3,"0.5"]]}]}}`:     true,
		`{"status":"success","data":{"resultType":"vector","result":[]}}`:                                                 false,
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"NaN"]}]}}`:                  false,
		`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"NaN"]]}]}}`:               false,
		`{"status":"error","errorType":"execution","error":"vector cannot contain metrics with the same labelset"}`:       false,
		`{"status":"error","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"0"]}]},"error":"it is late"}`: false,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) }))
		_, port, err := net.SplitHostPort(server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		timeout := 200 * time.Millisecond
		if want {
			timeout = 20 * time.Second
		}
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		l := &loop{ports: ports{"PROMETHEUS_PORT": port}}
		if err := l.found(ctx, "up", false); (err == nil) != want {
			t.Errorf("%s: %v", answer, err)
		}
		cancel()
		server.Close()
	}
}
