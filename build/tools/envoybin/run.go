// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package envoybin

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/process"
)

// Envoy is a running Envoy.
type Envoy struct {
	*process.Process
	Version string
	admin   string
	ports   map[string]int
}

// Options of Run.
type Options struct {
	Version     string   // empty: any
	Concurrency int      // workers; 0: 1
	LogLevel    string   // empty: info
	Dir         string   // for the configuration; must exist
	Arguments   []string // more of Envoy's own
	Stdout      io.Writer
	Progress    io.Writer // of an installation; nil: standard error
}

// startTimeout covers V8 compiling several modules on a busy machine.
const startTimeout = 60 * time.Second

// Run starts Envoy with a configuration whose admin interface has port 0, and returns when it
// serves. When it does not, the process is returned with the error, ended, for its log.
func Run(config []byte, o Options) (*Envoy, error) {
	if o.Progress == nil {
		o.Progress = os.Stderr
	}
	binary, version, err := Find(o.Version, o.Progress)
	if err != nil {
		return nil, err
	}
	file, adminFile := filepath.Join(o.Dir, "envoy.json"), filepath.Join(o.Dir, "admin-address")
	if err := os.WriteFile(file, config, 0o644); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(adminFile); err != nil {
		return nil, err
	}
	if o.LogLevel == "" {
		o.LogLevel = "info"
	}
	arguments := append([]string{"-c", file, "--use-dynamic-base-id", "--concurrency",
		strconv.Itoa(max(o.Concurrency, 1)), "-l", o.LogLevel, "--admin-address-path", adminFile,
		"--file-flush-interval-msec", "50"}, o.Arguments...) // access logs are read while requests run
	cmd := exec.Command(binary, arguments...)
	if o.Stdout != nil {
		cmd.Stdout = o.Stdout
	}
	p, err := process.Start(cmd)
	if err != nil {
		return nil, err
	}
	e := &Envoy{Process: p, Version: version, ports: map[string]int{}}
	err = p.Await(func() bool {
		address, err := os.ReadFile(adminFile)
		if err != nil || len(address) == 0 {
			return false
		}
		e.admin = string(address)
		text, err := e.Admin("/ready")
		return err == nil && text == "LIVE\n"
	}, startTimeout)
	if err == nil {
		err = e.ReadPorts()
	}
	if err != nil {
		p.Stop()
		return e, err
	}
	return e, nil
}

var client = &http.Client{Timeout: 10 * time.Second}

// Admin asks the admin interface.
func (e *Envoy) Admin(path string) (string, error) { return e.request(http.MethodGet, path) }

// AdminPost changes something through the admin interface.
func (e *Envoy) AdminPost(path string) (string, error) { return e.request(http.MethodPost, path) }

func (e *Envoy) request(method, path string) (string, error) {
	req, err := http.NewRequest(method, "http://"+e.admin+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("admin %s: %s", path, resp.Status)
	}
	return string(b), err
}

// ReadPorts asks for the listeners' ports: once more after listeners have come that Run did not begin with.
func (e *Envoy) ReadPorts() error {
	text, err := e.Admin("/listeners?format=json")
	if err != nil {
		return err
	}
	var list struct {
		Listeners []struct {
			Name    string `json:"name"`
			Address struct {
				Socket struct {
					Port int `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return err
	}
	clear(e.ports)
	for _, l := range list.Listeners {
		e.ports[l.Name] = l.Address.Socket.Port
	}
	return nil
}

// Address of a listener, "127.0.0.1:port".
func (e *Envoy) Address(listener string) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(e.ports[listener]))
}

// Counters are the values of all counters.
func (e *Envoy) Counters() (map[string]uint64, error) { return e.CountersMatching("") }

// CountersMatching are the values of those whose names match a regular expression (RE2).
func (e *Envoy) CountersMatching(pattern string) (map[string]uint64, error) {
	text, err := e.Admin("/stats?format=json&type=Counters&filter=" + url.QueryEscape(pattern))
	if err != nil {
		return nil, err
	}
	var stats struct {
		Stats []struct {
			Name  string `json:"name"`
			Value uint64 `json:"value"`
		} `json:"stats"`
	}
	if err := json.Unmarshal([]byte(text), &stats); err != nil {
		return nil, err
	}
	counters := map[string]uint64{}
	for _, s := range stats.Stats {
		counters[s.Name] = s.Value
	}
	return counters, nil
}
