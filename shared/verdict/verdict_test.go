// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"encoding/json"
	"net/http"
	"reflect"
	"testing"
)

var limited = new(Codes).New("rate_limited", 429)

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		name    string
		v       Verdict
		admits  bool
		outcome Outcome
	}{
		{"allowed", Verdict{Code: OK}, true, Allowed},
		{"allowed in shadow mode", Verdict{Code: OK, Shadow: true}, true, Allowed},
		{"denied", Verdict{Code: NoRule}, false, Denied},
		{"denied in shadow mode goes on", Verdict{Code: NoRule, Shadow: true}, true, WouldDeny},
		{"marked goes on", Verdict{Code: limited, Marked: true}, true, Marked},
		{"marked in shadow mode", Verdict{Code: limited, Marked: true, Shadow: true}, true, WouldDeny},
		{"marked, and nothing to mark", Verdict{Code: OK, Marked: true}, true, Allowed},
		{"a fault of the filter that is marked is no pass", Verdict{Code: Internal, Marked: true}, false, Error},
		{"no decision", Verdict{Code: KeysUnavailable}, false, Error},
		{"no decision in shadow mode goes on", Verdict{Code: KeysUnavailable, Shadow: true}, true, Error},
		{"a fault of the filter", Verdict{Code: Internal}, false, Error},
		{"a fault of the filter in shadow mode is no pass", Verdict{Code: Internal, Shadow: true}, false, Error},
		{"the zero verdict is no pass", Verdict{}, false, Error},
		{"the zero verdict in shadow mode is no pass", Verdict{Shadow: true}, false, Error},
	} {
		if c.v.Admits() != c.admits || c.v.Outcome() != c.outcome {
			t.Errorf("%s: %v, %s", c.name, c.v.Admits(), c.v.Outcome())
		}
	}
}

func TestMetric(t *testing.T) {
	if got := Metric("jwt_scope", "read-orders", WouldDeny,
		NoRule); got != "tollgate.jwt_scope.rule.read-orders.outcome.would_deny.code.no_rule" {
		t.Error(got)
	}
}

func TestAnswer(t *testing.T) {
	a := limited.Answer("-", "application/json", [2]string{"retry-after", "1"})
	want := Answer{429, [][2]string{{"content-type", "application/problem+json"}, {"retry-after", "1"}},
		[]byte(`{"type":"about:blank","title":"Too Many Requests","status":429,"code":"rate_limited"}`), -1}
	if !reflect.DeepEqual(a, want) {
		t.Errorf("got %+v\nwant %+v", a, want)
	}
	for contentType, want := range map[string]Answer{
		"application/grpc":       {429, nil, []byte("rate_limited"), 8},
		"application/grpc+proto": {429, nil, []byte("rate_limited"), 8},
		"Application/GRPC":       {429, nil, []byte("rate_limited"), 8},
		"application/grpc-web": {200,
			[][2]string{{"content-type", "application/grpc"}, {"grpc-status", "8"}, {"grpc-message", "rate_limited"}}, nil, -1},
	} {
		if got := limited.Answer("-", contentType); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v\nwant %+v", contentType, got, want)
		}
	}
	for status, want := range map[int]int32{400: 3, 401: 16, 403: 7, 413: 3, 429: 8, 500: 13, 503: 14} {
		if a := new(Codes).New("x", status).Answer("-", "application/grpc"); a.GRPCStatus != want {
			t.Errorf("P18 %d: grpc-status %d, want %d", status, a.GRPCStatus, want)
		}
	}
}

// What is over a limit names the limit, as draft-ietf-httpapi-ratelimit-headers has it.
func TestQuota(t *testing.T) {
	code := new(Codes).Quota("over", 429)
	for range 2 { // an answer must not write into the next one's
		for _, rule := range []string{"per-user", "x"} {
			var got struct {
				Type, Title, Code string
				Status            int
				Violated          []string `json:"violated-policies"`
			}
			if err := json.Unmarshal(code.Answer(rule, "").Body, &got); err != nil {
				t.Fatal(err)
			}
			if got.Type != "https://iana.org/assignments/http-problem-types#quota-exceeded" || got.Title != "Too Many Requests" ||
				got.Code != "over" || got.Status != 429 || len(got.Violated) != 1 || got.Violated[0] != rule {
				t.Errorf("%s: %+v", rule, got)
			}
		}
	}
	if a := code.Answer("per-user", "application/grpc"); a.GRPCStatus != 8 || string(a.Body) != "over" {
		t.Errorf("%+v", a)
	}
}

func TestBodyIsProblemJSON(t *testing.T) {
	for _, status := range []int{400, 401, 403, 413, 429, 500, 503} {
		var got map[string]any
		if err := json.Unmarshal(new(Codes).New("x", status).Answer("-", "").Body, &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"type": "about:blank", "title": http.StatusText(status), "status": float64(status),
			"code": "x"}
		if status == 413 {
			want["title"] = "Content Too Large" // RFC 9110's name; net/http keeps the older one
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %v\nwant %v", got, want)
		}
	}
}
