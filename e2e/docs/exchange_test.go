// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// tokenOf is how a page writes a credential: by its claims.
var tokenOf = regexp.MustCompile(`<token with (\{.*\})>`)

// checkExchanges has the filter decide the requests of a page, by the configuration before them. A
// request that is answered "200 OK" goes on to the service; the headers behind that are those that
// it gets, or those of its answer. Limits count the requests of a block one after the other, at one
// time. Two lines may stand before the headers: "# from", the client's address, and "# verified", the
// claims that an earlier filter has verified.
func checkExchanges(t *testing.T, s snippet, config string) {
	t.Helper()
	f, err := filters.Named(moduleOf(s.file))
	if err != nil || config == "" {
		t.Fatalf("%s: a request without a configuration of a filter before it (%v)", s.file, err)
	}
	if strings.Contains(s.text, "\n# the service ") {
		return // what is settled by answers is asked of real Envoys: e2e/rate-limit, TestReadme
	}
	counted, now := map[int][]byte{}, time.Now()
	parts := strings.Split(strings.TrimSpace(s.text), "\n\n")
	for len(parts) > 0 {
		if len(parts) < 2 || !strings.HasPrefix(parts[1], "HTTP/1.1 ") {
			t.Fatalf("%s: no answer follows\n%s", s.file, parts[0])
		}
		request, answer, body := parts[0], parts[1], ""
		if parts = parts[2:]; len(parts) > 0 && strings.HasPrefix(parts[0], "{") {
			body, parts = parts[0], parts[1:]
		}
		if problem := exchange(f, config, request, answer, body, counted, now); problem != "" {
			t.Errorf("%s: %s\nto\n%s", s.file, problem, request)
		}
	}
}

// exchange tells what of an answer is not what the filter gives.
func exchange(f filters.Filter, config, request, answer, body string, counted map[int][]byte,
	now time.Time) (problem string) {
	lines := strings.Split(request, "\n")
	var method, path string
	if _, err := fmt.Sscanf(lines[0], "%s %s HTTP/1.1", &method, &path); err != nil {
		return err.Error()
	}
	headers := [][2]string{{":method", method}, {":path", path}, {":scheme", "https"}}
	outside := filters.Outside{Env: environment, Source: "192.0.2.1:40000", Counted: counted}
	for _, line := range lines[1:] {
		if answer, ok := strings.CutPrefix(line, "# the endpoint says "); ok {
			outside.Introspection = answer
			continue
		}
		if address, ok := strings.CutPrefix(line, "# from "); ok {
			outside.Source = address
			continue
		}
		if claims, ok := strings.CutPrefix(line, "# verified "); ok {
			outside.Identity = claims
			continue
		}
		name, value, _ := strings.Cut(line, ": ")
		if name = strings.ToLower(name); name == "host" {
			name = ":authority"
		}
		if m := tokenOf.FindStringSubmatch(value); m != nil {
			var claims map[string]any
			if err := json.Unmarshal([]byte(m[1]), &claims); err != nil {
				return err.Error()
			}
			if claims["exp"] == nil {
				claims["exp"] = time.Now().Add(time.Minute).Unix()
			}
			text, _ := json.Marshal(claims)
			changed, credential, err := f.Credential(config, string(text), mint.New("docs", jose.ES256))
			if err != nil {
				return err.Error()
			}
			config, value = changed, strings.Replace(value, m[0], strings.TrimPrefix(credential[1], "Bearer "), 1)
		}
		headers = append(headers, [2]string{name, value})
	}
	d, err := f.Decide(config, &decide.Request{Headers: headers, Now: now, Empty: true}, &outside)
	if err != nil {
		return err.Error()
	}
	status, given, said := 200, append(d.Effect.Apply(headers), d.Headers...), ""
	switch v := d.Verdict.Reason(); {
	case d.Answer != nil:
		status, given, said = d.Answer.Status, d.Answer.Headers, d.Answer.Body
	case v != verdict.OK && !d.Verdict.Marked:
		a := v.Answer(d.Rule, "")
		status, said = v.Status, string(a.Body)
		given = append(append(a.Headers, d.Headers...), [2]string{"www-authenticate", d.Verdict.Challenge})
	}
	lines = strings.Split(answer, "\n")
	if want := "HTTP/1.1 " + strconv.Itoa(status) + " " + http.StatusText(status); lines[0] != want {
		return "answered is " + want + " " + said
	}
	for _, line := range lines[1:] {
		if name, value, _ := strings.Cut(line, ": "); !has(given, strings.ToLower(name), value) {
			return fmt.Sprintf("no header %s among %q", line, given)
		}
	}
	if body != "" && compact(body) != compact(said) {
		return "the body is " + said
	}
	return ""
}

func has(headers [][2]string, name, value string) bool {
	for _, h := range headers {
		if h == [2]string{name, value} {
			return true
		}
	}
	return false
}

func compact(text string) string {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		return err.Error()
	}
	return b.String()
}
