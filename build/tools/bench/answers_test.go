// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
)

// The README has a row for each limit that is measured, with a figure where there is one, and no other.
func TestAnswersTable(t *testing.T) {
	root, err := envoybin.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, answersFile))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), answersBegin)
	table, _, ok := strings.Cut(rest, answersEnd)
	if !ok {
		t.Fatalf("%s has no such table", answersFile)
	}
	var r Report
	for _, row := range answerRows("") {
		r.Rows = append(r.Rows, Result{Name: row.name})
	}
	figure := regexp.MustCompile(`[+-]?\d+`)
	if got, want := figure.ReplaceAllString(answersBegin+table+answersEnd, "n"),
		figure.ReplaceAllString(r.answersTable(), "n"); got != want {
		t.Errorf("%s has\n%s\nwant\n%s\nrun: make bench ARGS=\"-answers -update\"", answersFile, got, want)
	}
}

// Figures are minima, over those of the row without a filter for the same answer.
func TestAnswersFigures(t *testing.T) {
	r := Report{Rows: []Result{{Name: nothing, Min: 20}, {Name: nothing + megabyte.suffix, Min: 1000},
		{Name: "plain limit", Min: 52.4}, {Name: "plain limit" + megabyte.suffix, Min: 990}, {Name: "counts", Min: 60}}}
	const want = answersBegin + "| limit | a request, µs | a megabyte of events, µs | an event by itself, µs |\n" +
		"|---|---|---|---|\n| no filter | 20 in all | 1000 in all |  |\n| plain limit | +32 | -10 |  |\n" +
		"| counts | +40 |  |  |\n" + answersEnd
	if got := r.answersTable(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// What is measured is what the filter takes, and what a service would answer.
func TestAnswerRows(t *testing.T) {
	for _, r := range answerRows("") {
		for _, f := range r.filters {
			text, err := json.Marshal(f)
			if err != nil {
				t.Fatal(err)
			}
			var wasm struct {
				Config struct {
					Config struct{ Configuration struct{ Value string } }
				} `json:"typed_config"`
			}
			if err := json.Unmarshal(text, &wasm); err != nil || wasm.Config.Config.Configuration.Value == "" {
				t.Fatalf("%s: %s, %v", r.name, text, err)
			}
			if err := filters.Read("rate-limit", wasm.Config.Config.Configuration.Value, nil); err != nil {
				t.Errorf("%s: %v", r.name, err)
			}
		}
	}
	// How they are answered, how often they are asked, and what is measured of them.
	for suffix, want := range map[string]struct {
		route    string
		requests int
		figure   float64
	}{
		"":              {`"x-cost","value":"12"`, 4000, 100},
		megabyte.suffix: {`"cluster":"events"`, 100, 100},
		singles.suffix:  {`"cluster":"singles"`, 40, 100 / float64(len(eventsOf(singles.size, 1)))},
	} {
		n := 0
		for _, r := range answerRows("") {
			if r.streams.suffix != suffix {
				continue
			}
			n++
			text, err := json.Marshal(answerRoutes(r))
			if err != nil || !strings.Contains(string(text), want.route) {
				t.Errorf("%s has the routes %s, %v", r.name, text, err)
			}
			if got := r.requests(options{requests: 4000}); got != want.requests {
				t.Errorf("%s is asked %d times, want %d", r.name, got, want.requests)
			}
			if got := r.figure(10*time.Millisecond, 100); got != want.figure {
				t.Errorf("%s has the figure %v, want %v", r.name, got, want.figure)
			}
			if r.name != nothing && r.beyond != nothing+suffix || !strings.HasSuffix(r.name, suffix) {
				t.Errorf("%s is compared with %q", r.name, r.beyond)
			}
		}
		if n < 4 {
			t.Errorf("%d rows end in %q", n, suffix)
		}
	}
	if !json.Valid([]byte(briefAnswer)) {
		t.Error("the brief answer is no JSON")
	}
	all := bytes.Join(eventsOf(megabyte.size, megabyte.together), nil)
	events := strings.Split(strings.TrimSuffix(string(all), "\n\n"), "\n\n")
	n := len(eventsOf(megabyte.size, megabyte.together))
	if len(all) < 1_000_000 || len(all) > 1_010_000 || len(events) < 3000 || len(events) > 4000 ||
		n != (len(events)-2)/megabyte.together+1 {
		t.Errorf("%d bytes, %d events, %d chunks", len(all), len(events), n)
	}
	for _, e := range events[:len(events)-1] {
		if data, ok := strings.CutPrefix(e, "data: "); !ok || !json.Valid([]byte(data)) {
			t.Fatalf("an event is %q", e)
		}
	}
	if !strings.Contains(events[len(events)-2], `"total_tokens":12`) || events[len(events)-1] != "data: [DONE]" {
		t.Errorf("the last events are %q", events[len(events)-2:])
	}
}

// A streamed answer is read to its end, however it is cut, and one that breaks off is an error.
func TestStream(t *testing.T) {
	cluster, stop := megabyte.start()
	defer stop()
	address := socket(t, cluster)
	c, err := exchange(address, get(""), http.StatusOK)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
	}
	// The end may come in two pieces, and what is in the buffer from before is none.
	ours, theirs := net.Pipe()
	go func() {
		_, _ = theirs.Read(make([]byte, 1000))
		for _, piece := range []string{"HTTP/1.1 200 OK\r\n\r\n", strings.Repeat("x", c.least), "\r\n0\r", "\n\r\n"} {
			_, _ = io.WriteString(theirs, piece)
		}
		_ = theirs.Close()
	}()
	cut := *c
	cut.c = ours
	if err := cut.do(); err != nil {
		t.Errorf("an end in two pieces: %v", err)
	}
	const begin = "\r\ntransfer-encoding: chunked\r\n\r\n"
	for name, answer := range map[string]string{
		"another status": "HTTP/1.1 503 No" + begin + strings.Repeat("x", c.least) + "\r\n0\r\n\r\n",
		"too short":      "HTTP/1.1 200 OK" + begin + "2\r\nok\r\n0\r\n\r\n",
		"broken off":     "HTTP/1.1 200 OK" + begin + "2\r\nok",
	} {
		ours, theirs := net.Pipe()
		go func() {
			_, _ = theirs.Read(make([]byte, 1000))
			_, _ = io.WriteString(theirs, answer)
			_ = theirs.Close()
		}()
		broken := *c
		broken.c = ours
		if err := broken.do(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// socket is the address of a cluster.
func socket(t *testing.T, cluster bootstrap.M) string {
	t.Helper()
	text, err := json.Marshal(cluster)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`"port_value":(\d+)`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("%s has no port", text)
	}
	return "127.0.0.1:" + string(m[1])
}
