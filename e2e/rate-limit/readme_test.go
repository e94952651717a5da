// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// readmeExample is a configuration of the README with requests behind it that say what the service does.
var readmeExample = regexp.MustCompile("(?s)```json\n([^`]*)```\n\n```http\n([^`]*# the service [^`]*)```")

// The README's examples of what is settled by answers: each line "# the service answers" is what the
// upstream does, and what follows is what the client gets.
func TestReadme(t *testing.T) {
	root, err := envoybin.Root()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "filters", "rate-limit", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	examples := readmeExample.FindAllStringSubmatch(string(page), -1)
	if len(examples) < 3 {
		t.Fatalf("%d examples", len(examples))
	}
	harness.Each(t, func(t *testing.T, version string) {
		port := harness.Serve(t, func(w http.ResponseWriter, r *http.Request) {
			status, body, _ := strings.Cut(r.Header.Get("x-answers"), " ")
			n, err := strconv.Atoi(status)
			if err != nil { // it takes its time
				<-r.Context().Done()
				return
			}
			w.Header().Set("content-type", "application/json")
			w.WriteHeader(n)
			_, _ = io.WriteString(w, body)
		})
		for _, example := range examples {
			filter := bootstrap.Wasm{Name: "rate-limit", Module: harness.Module(t, "rate-limit"),
				Configuration: example[1]}.Filter()
			envoy := harness.Start(t, harness.Config{Version: version, Filters: []M{filter}, Upstream: port})
			tell(t, envoy, strings.Split(strings.TrimSpace(example[2]), "\n\n"))
		}
	})
}

// tell has requests sent, and compares the answers.
func tell(t *testing.T, envoy *harness.Envoy, parts []string) {
	t.Helper()
	for len(parts) > 0 {
		lines := strings.Split(parts[0], "\n")
		method, rest, _ := strings.Cut(lines[0], " ")
		path, _, _ := strings.Cut(rest, " ")
		var headers [][2]string
		slow := false
		for _, line := range lines[1:] {
			if answer, ok := strings.CutPrefix(line, "# the service answers "); ok {
				headers = append(headers, [2]string{"x-answers", answer})
			} else if line == "# the service takes its time" {
				slow = true
			} else if name, value, ok := strings.Cut(line, ": "); ok {
				headers = append(headers, [2]string{name, value})
			} else {
				t.Fatalf("%q", line)
			}
		}
		if method == "POST" {
			headers = append(headers, [2]string{"content-length", "0"})
		}
		request := harness.Request(method, path, headers...)
		if parts = parts[1:]; slow {
			c, err := net.Dial("tcp", envoy.Main())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Write([]byte(request)); err != nil {
				t.Fatal(err)
			}
			if err := envoy.Await(func() bool { return envoy.Counter("cluster.upstream.upstream_rq_total") > 0 },
				10*time.Second); err != nil {
				t.Fatal(err)
			}
			continue
		}
		m := harness.HTTP1(t, envoy.Main(), request)
		want := strings.Split(parts[0], "\n")
		parts = parts[1:]
		if m.Start != want[0] {
			t.Errorf("%s: %s, want %s", request, m.Start, want[0])
		}
		for _, line := range want[1:] {
			name, value, _ := strings.Cut(line, ": ")
			if got := m.Header(name); !strings.HasPrefix(got, value) {
				t.Errorf("%s: %s: %s, want %s", request, name, got, value)
			}
		}
	}
}
