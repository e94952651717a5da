// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// prometheus asks its API.
func (l *loop) prometheus(ctx context.Context, path string, values url.Values, into any) error {
	a, err := client{}.send(ctx, "GET", "http://"+l.ports.address("PROMETHEUS_PORT")+"/api/v1/"+path+"?"+values.Encode())
	if err != nil {
		return err
	}
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal([]byte(a.body), &answer); err != nil || answer.Status != "success" {
		return fmt.Errorf("the answer of Prometheus is %s: %.300s", a, a.body)
	}
	return json.Unmarshal(answer.Data, into)
}

// answered is what Prometheus answers to a query.
type answered struct{ Result []sampled }

// query asks Prometheus for what an expression is at a time.
func (l *loop) query(ctx context.Context, expression string, at time.Time) ([]sampled, error) {
	var answer answered
	err := l.prometheus(ctx, "query",
		url.Values{"query": {expression}, "time": {strconv.FormatFloat(float64(at.UnixMilli())/1e3, 'f', 3, 64)}}, &answer)
	return answer.Result, err
}

// sampled is a series of Prometheus': one value, or those of a range.
type sampled struct {
	Metric map[string]string
	Value  value
	Values []value
}

// value is [seconds, "number"].
type value struct {
	time   time.Time
	number float64
}

func (v *value) UnmarshalJSON(text []byte) error {
	var seconds float64
	var number string
	if err := json.Unmarshal(text, &[]any{&seconds, &number}); err != nil {
		return err
	}
	v.time = time.UnixMilli(int64(seconds*1e3 + 0.5))
	var err error
	v.number, err = strconv.ParseFloat(number, 64)
	return err
}

// found waits until a query finds a number.
func (l *loop) found(ctx context.Context, query string, overTime bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 20*time.Second, errors.New("20 seconds"))
	defer cancel()
	var last error
	if err := l.await(ctx, "Prometheus finds something", func() bool {
		now := time.Now()
		path, values := "query", url.Values{"query": {query}}
		if overTime {
			path = "query_range"
			values["start"], values["end"], values["step"] = []string{now.Add(-15 * time.Minute).Format(time.RFC3339)},
				[]string{now.Format(time.RFC3339)}, []string{"2s"}
		}
		var answer answered
		last = l.prometheus(ctx, path, values, &answer)
		for _, r := range answer.Result {
			if slices.ContainsFunc(append(r.Values, r.Value),
				func(v value) bool { return !v.time.IsZero() && !math.IsNaN(v.number) }) {
				return last == nil
			}
		}
		return false
	}); err != nil {
		return fmt.Errorf("%w: %s (%v)", err, query, last)
	}
	return nil
}
