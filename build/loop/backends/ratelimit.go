// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/process"
)

// RateLimit is a running rate-limit service.
type RateLimit struct {
	service
	grpc, http, debug int
}

// RunRateLimit starts one with its configurations, in YAML by file name without ending, and returns
// when it serves with them. Its Redis, host:port, must be up: the service ends at once where it is
// not. It keeps nothing itself: all counts are Redis's.
func RunRateLimit(configs map[string]string, redis string, o Options) (*RateLimit, error) {
	if o.Progress == nil {
		o.Progress = os.Stderr
	}
	path, err := findRateLimit(o.Progress)
	if err != nil {
		return nil, err
	}
	if _, err := writeConfigs(configs, o.Dir); err != nil {
		return nil, err
	}
	ports, err := process.FreePorts(3)
	if err != nil {
		return nil, err
	}
	s := &RateLimit{grpc: ports[0], http: ports[1], debug: ports[2]}
	s.refused = "Error loading new configuration"
	s.command = func() *exec.Cmd {
		cmd := exec.Command(path)
		// It is configured by variables, some with names as common as PORT: none of the user's is for it.
		cmd.Env = append([]string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir(),
			"HOST=127.0.0.1", "PORT=" + strconv.Itoa(s.http),
			"GRPC_HOST=127.0.0.1", "GRPC_PORT=" + strconv.Itoa(s.grpc),
			"DEBUG_HOST=127.0.0.1", "DEBUG_PORT=" + strconv.Itoa(s.debug),
			"USE_STATSD=false", "DISABLE_STATS=true", // else it prints a line for every call
			"REDIS_SOCKET_TYPE=tcp", "REDIS_URL=" + redis,
			"RUNTIME_ROOT=" + o.Dir, "RUNTIME_SUBDIRECTORY=ratelimit", "RUNTIME_WATCH_ROOT=false",
			"HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED=true", // and so ready means: with its configuration
		}, o.Env...)
		return cmd
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	s.ready = func() bool {
		resp, err := client.Get("http://" + address(s.http) + "/healthcheck")
		if err != nil {
			return false
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return false
		}
		c, err := net.DialTimeout("tcp", s.Address(), 5*time.Second)
		if err != nil {
			return false
		}
		return c.Close() == nil
	}
	if err := s.Restart(); err != nil {
		return nil, fmt.Errorf("no rate-limit service serves: %w", err)
	}
	return s, nil
}

// CheckRateLimit has the service's own check (config_check_cmd) read configurations as RunRateLimit
// takes them, all at once.
func CheckRateLimit(configs map[string]string, o Options) error {
	if o.Progress == nil {
		o.Progress = os.Stderr
	}
	path, err := findConfigCheck(o.Progress)
	if err != nil {
		return err
	}
	dir, err := writeConfigs(configs, o.Dir)
	if err != nil {
		return err
	}
	out, err := exec.Command(path, "-config_dir", dir).CombinedOutput()
	if err == nil && !strings.Contains(string(out), "all rate limit configs ok") {
		err = errRefused
	}
	if err != nil {
		return fmt.Errorf("config_check_cmd: %w:\n%s", err, out)
	}
	return nil
}

// writeConfigs puts configurations where the service looks for them.
func writeConfigs(configs map[string]string, runtime string) (dir string, err error) {
	dir = filepath.Join(runtime, "ratelimit", "config")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for name, text := range configs {
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// Address of its gRPC port, host:port: HTTP/2 without TLS.
func (s *RateLimit) Address() string { return address(s.grpc) }

// Port is its gRPC port.
func (s *RateLimit) Port() int { return s.grpc }

// HTTPAddress is where it answers /healthcheck and POST /json.
func (s *RateLimit) HTTPAddress() string { return address(s.http) }
