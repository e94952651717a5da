// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	r := Report{Envoy: "1.2.3", Rounds: 3, Rows: []Result{
		{Name: nothing, CPU: []float64{12, 10, 11}}, {Name: "native", CPU: []float64{51, 31, 41},
			took: []time.Duration{9000, 1000, 2000}}, {Name: "ours", CPU: []float64{17.5, 16, 18, 16.5}, Versus: "native"},
	}}
	r.finish()
	if ours := r.Rows[2]; ours.Min != 16 || ours.Median != 17 || ours.Max != 18 || ours.Added != 6 ||
		ours.Ratio != 0.2 || r.Rows[1].Added != 30 || r.Rows[1].P50 != 2 || r.Rows[1].P99 != 9 {
		t.Errorf("%+v", r.Rows)
	}
	var b strings.Builder
	if r.print(&b); !strings.Contains(b.String(), "ours") || !strings.Contains(b.String(), "0.20") {
		t.Error(b.String())
	}
}

func TestChoose(t *testing.T) {
	all := []row{{name: nothing}, {name: "native A"}, {name: "ours A", versus: "native A"},
		{name: "ours B", versus: "native B"}}
	if got := choose(all, "ours A"); len(got) != 3 || got[1].name != "native A" || got[2].name != "ours A" {
		t.Errorf("%+v", got)
	}
}

// An answer that is not the expected one is an error, from the first request on and later.
func TestLoad(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	answers := make(chan string, 16)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		for r := bufio.NewReader(c); ; {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			if _, err := io.WriteString(c, <-answers); err != nil {
				return
			}
		}
	}()
	const good = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
	answers <- good
	c, err := exchange(l.Addr().String(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n", http.StatusOK)
	if err != nil {
		t.Fatal(err)
	}
	answers <- good
	answers <- good
	if took, err := (load{c}).fixed(100, 20*time.Millisecond); err != nil || len(took) != 2 {
		t.Errorf("%v, %v", took, err)
	}
	// Shorter than the answers before: the rest of one must not be waited for.
	answers <- "HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n"
	if err := c.do(); err == nil || !strings.Contains(err.Error(), "403 No") {
		t.Errorf("a 403 after 200s: %v", err)
	}
}
