// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"fmt"
	"io"

	"github.com/tollgate-wasm/tollgate/build/backends"
	"github.com/tollgate-wasm/tollgate/build/envoybin"
)

// StandIns makes images of the real programs for the services of envoy/docker-compose.yaml that run without a profile, and returns the variables that have compose take them. Their names say what they
// are: none is another's with the same name.
func (e *Engine) StandIns(ctx context.Context, w io.Writer) (variables []string, err error) {
	envoy, version, err := envoybin.Find("", w)
	if err != nil {
		return nil, err
	}
	redis, cli, err := backends.RedisPrograms(w)
	if err != nil {
		return nil, err
	}
	limiter, err := backends.RateLimitProgram(w)
	if err != nil {
		return nil, err
	}
	httpbin, err := backends.HTTPBin(w)
	if err != nil {
		return nil, err
	}
	prometheus, err := backends.Prometheus(w)
	if err != nil {
		return nil, err
	}
	for _, image := range []struct {
		variable, name string
		programs       map[string]backends.Program
		command        []string
	}{
		{"ENVOY_IMAGE", "envoy:" + version, map[string]backends.Program{"/usr/local/bin/envoy": {Path: envoy}}, []string{"/usr/local/bin/envoy"}},
		{"REDIS_IMAGE", "redis:here", map[string]backends.Program{"/usr/local/bin/redis-server": redis, "/usr/local/bin/redis-cli": cli}, []string{"/usr/local/bin/redis-server"}},
		{"RATELIMIT_IMAGE", "ratelimit:here", map[string]backends.Program{"/bin/ratelimit": limiter}, []string{"/bin/ratelimit"}},
		{"HTTPBIN_IMAGE", "go-httpbin:" + backends.HTTPBinVersion, map[string]backends.Program{"/bin/go-httpbin": httpbin}, []string{"/bin/go-httpbin"}},
		{"PROMETHEUS_IMAGE", "prometheus:here", map[string]backends.Program{"/bin/prometheus": prometheus}, []string{"/bin/prometheus"}},
	} {
		name := "tollgate-stand-in/" + image.name
		if err := e.Import(ctx, name, image.programs, image.command...); err != nil {
			return nil, fmt.Errorf("the stand-in for %s: %w", image.variable, err)
		}
		variables = append(variables, image.variable+"="+name)
	}
	return variables, nil
}
