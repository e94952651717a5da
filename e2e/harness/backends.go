// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"testing"

	"github.com/tollgate-wasm/tollgate/build/loop/backends"
)

// Redis is a running one that belongs to a test. It keeps its port over Stop and Restart; Freeze
// has it hang. The service keeps ten connections to it: after a Restart each of them fails once,
// with the call that happens to use it.
type Redis struct {
	*backends.Redis
	t testing.TB
}

// StartRedis runs an empty one until the test ends.
func StartRedis(t testing.TB) *Redis {
	t.Helper()
	r, err := backends.RunRedis(backends.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Stop()
		if t.Failed() {
			t.Logf("the log of Redis:\n%s", r.Log())
		}
	})
	return &Redis{r, t}
}

// Restart starts it again, empty.
func (r *Redis) Restart() {
	r.t.Helper()
	if err := r.Redis.Restart(); err != nil {
		r.t.Fatal(err)
	}
}

// Keys are all that it holds, sorted.
func (r *Redis) Keys() []string {
	r.t.Helper()
	keys, err := r.Redis.Keys()
	if err != nil {
		r.t.Fatal(err)
	}
	return keys
}

// DBSize is the number of keys.
func (r *Redis) DBSize() int {
	r.t.Helper()
	n, err := r.Size()
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// RateLimit is a running rate-limit service that belongs to a test. As a cluster:
// bootstrap.Cluster("ratelimit", s.Port(), true).
type RateLimit struct {
	*backends.RateLimit
	t testing.TB
}

// StartRateLimit runs one with its configurations, in YAML by any name, until the test ends. env
// are more variables of its own, "NAME=value".
func StartRateLimit(t testing.TB, redis *Redis, configs map[string]string, env ...string) *RateLimit {
	t.Helper()
	s, err := backends.RunRateLimit(configs, redis.Address(), backends.Options{Dir: t.TempDir(), Env: env})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("the log of the rate-limit service:\n%s", s.Log())
		}
	})
	return &RateLimit{s, t}
}

// Restart starts it again; its Redis must be up.
func (s *RateLimit) Restart() {
	s.t.Helper()
	if err := s.RateLimit.Restart(); err != nil {
		s.t.Fatal(err)
	}
}
