// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
)

// sender sends a request to an address.
type sender func(ctx context.Context, r *request, address string) (*http.Response, error)

// shell pastes the printed lines into sh, as a person would.
func shell(tokens []*token) sender {
	return func(ctx context.Context, r *request, address string) (*http.Response, error) {
		cmd := exec.CommandContext(ctx, "sh", "-c", assignments(tokens)+r.curl(address))
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // sh and curl
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("curl: %w", err)
		}
		return http.ReadResponse(bufio.NewReader(bytes.NewReader(out)), nil)
	}
}

// native sends the same requests where there is no curl. Like curl --path-as-is, net/http leaves the path alone.
func native(ctx context.Context, r *request, address string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, "http://"+address+r.path, nil)
	if err != nil {
		return nil, err
	}
	if r.token != nil {
		req.Header.Set("Authorization", "Bearer "+r.token.value)
	}
	return (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
}

// readAnswer returns status and reason: "ok" from the upstream, the code of a problem from the filter, otherwise "?".
func readAnswer(resp *http.Response) (string, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	code := "?"
	var problem struct{ Code string }
	if bytes.HasPrefix(body, []byte(greeting)) {
		code = "ok"
	} else if resp.Header.Get("Content-Type") == "application/problem+json" && json.Unmarshal(body, &problem) == nil {
		code = problem.Code
	}
	return fmt.Sprint(resp.StatusCode, " ", code), err
}

// checkAll sends the requests, and compares the answers, what reached the upstream and Envoy's
// counters with what the printed lines promise.
func checkAll(ctx context.Context, w io.Writer, envoy *envoybin.Envoy, up *upstream, tokens []*token,
	requests []request) error {
	send, how := shell(tokens), "curl, from the lines that make demo prints"
	if _, err := exec.LookPath("curl"); err != nil {
		send, how = native, "Go: there is no curl here to run the printed lines with"
	}
	fmt.Fprintf(w, "Envoy %s with jwt-scope. The requests are sent by %s.\n\n", envoy.Version, how)
	different, err := compare(ctx, w, send, envoy.Address("main"), requests)
	if err != nil {
		return err
	}
	counters, err := envoy.Counters()
	if err != nil {
		return err
	}
	different = append(different, compareCounters(counters, requests)...)
	allowed := 0
	for _, r := range requests {
		if r.code == "ok" {
			allowed++
		}
	}
	if n := up.served.Load(); n != int64(allowed) {
		different = append(different, fmt.Sprintf("%d requests reached the upstream, want %d", n, allowed))
	}
	if len(different) > 0 {
		return fmt.Errorf("not as expected:\n  %s", strings.Join(different, "\n  "))
	}
	fmt.Fprintf(w, "\n%d requests answered as expected. Envoy's counters say the same, and only the %d allowed ones "+
		"reached the upstream.\n", len(requests), allowed)
	return nil
}

// compare sends the requests one after the other, prints a table and returns what differs.
func compare(ctx context.Context, w io.Writer, send sender, address string, requests []request) (different []string,
	err error) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer table.Flush()
	fmt.Fprintln(table, "\trequest\twhy\texpected\tgot")
	for i := range requests {
		r := &requests[i]
		want, got := fmt.Sprint(r.status, " ", r.code), ""
		limited, cancel := context.WithTimeout(ctx, 10*time.Second)
		resp, err := send(limited, r, address)
		if err == nil {
			got, err = readAnswer(resp)
		}
		cancel()
		if ctx.Err() != nil {
			return nil, errors.New("interrupted")
		}
		if err != nil {
			got = err.Error()
		}
		mark := "ok"
		if got != want {
			mark = "DIFFERENT"
			different = append(different, fmt.Sprintf("%s %s (%s): %s, want %s", r.method, r.path, r.what, got, want))
		}
		fmt.Fprintf(table, "%s\t%s %s\t%s\t%s\t%s\n", mark, r.method, r.path, r.what, want, got)
	}
	return different, nil
}

// compareCounters returns where the counters of decisions, all of them, are not what the requests
// should have made them.
func compareCounters(counters map[string]uint64, requests []request) (different []string) {
	const prefix = "wasmcustom.tollgate.jwt_scope.rule."
	want := map[string]uint64{}
	for name := range counters {
		if strings.HasPrefix(name, prefix) {
			want[name] = 0
		}
	}
	for _, r := range requests {
		outcome := "denied"
		if r.code == "ok" {
			outcome = "allowed"
		}
		want[prefix+r.rule+".outcome."+outcome+".code."+r.code]++
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if counters[name] != want[name] {
			different = append(different, fmt.Sprintf("the counter %s is %d, want %d", name, counters[name], want[name]))
		}
	}
	return different
}
