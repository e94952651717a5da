// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build python

package edgestamp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/loop/backends"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// libraries are programs with implementations of RFC 9421 that are not ours. Where Python or Node.js
// is missing, the test fails: nothing is skipped.
func libraries(t *testing.T) map[string][]string {
	t.Helper()
	python, err := backends.PythonPackages(os.Stderr, "testdata/requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]string{"python": {python, "testdata/bot.py"},
		"node": harness.NodeProgram(t, "testdata", "bot.mjs")}
}

func run(t *testing.T, command []string, input []byte, arguments ...string) []byte {
	t.Helper()
	cmd := exec.Command(command[0], append(command[1:len(command):len(command)], arguments...)...)
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v: %s", command, err, said.String())
	}
	return out
}

// What others sign by Web Bot Auth, a real Envoy admits once, and not with another host.
func TestLibraryBots(t *testing.T) {
	w := startBots(t, harness.Versions(t)[0], M{"nonce": "once"})
	total := 0
	for name, command := range libraries(t) {
		target := "http://api.example" + stampedPath
		var list []struct {
			Name    string
			Headers map[string]string
		}
		out := run(t, command, nil, "sign", target, fmt.Sprint(time.Now().Unix()), w.key.PrivateJWK())
		if err := json.Unmarshal(out, &list); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range list {
			total++
			send := func(host string) int {
				h := [][2]string{{"Host", host}}
				for name, value := range one.Headers {
					h = append(h, [2]string{name, value})
				}
				return harness.NewClient1(t, w.envoy.Main()).Do(harness.Request("GET", stampedPath, h...)).Status()
			}
			other, first, again := send("other.example"), send(u.Host), send(u.Host)
			if other != 401 || first != 200 || again != 401 {
				t.Errorf("%s: %d for another host, then %d, and %d again", one.Name, other, first, again)
			}
			if reached := w.up.Take(); len(reached) != 1 || reached[0].Header("x-bot") != w.keyid {
				t.Errorf("%s: %d requests reached the service", one.Name, len(reached))
			}
		}
	}
	if total != 9 {
		t.Errorf("%d requests", total)
	}
}

// What an edge signs in profile rfc9421, the libraries verify, and not with another path.
func TestLibraryVerifies(t *testing.T) {
	up := harness.StartUpstream(t)
	envoy := harness.Start(t, harness.Config{Version: harness.Versions(t)[0],
		Clusters: []M{bootstrap.Cluster("upstream", up.Port(), false)},
		Listeners: []M{bootstrap.Listener("main", 0, []M{stampFilter(t, sign(edgeEd, M{"profile": "rfc9421"}))},
			bootstrap.To("upstream"), nil)}})
	answer := harness.NewClient1(t, envoy.Main()).Do(harness.Request("GET", stampedPath, [2]string{"Host", "api.example"}))
	reached := up.Take()
	if answer.Status() != 200 || len(reached) != 1 {
		t.Fatalf("the edge: %+v", answer)
	}
	headers := map[string]string{}
	for _, h := range pick(reached[0]) {
		headers[h[0]] = h[1]
	}
	for name, command := range libraries(t) {
		message := func(path string) []byte {
			b, err := json.Marshal(M{"method": "GET", "url": "http://api.example" + path, "headers": headers})
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		out := run(t, command, message(stampedPath), "verify", edgeEd.PublicJWK())
		if strings.TrimSpace(string(out)) != "verified" {
			t.Errorf("%s: %s", name, out)
		}
		cmd := exec.Command(command[0], append(command[1:len(command):len(command)], "verify", edgeEd.PublicJWK())...)
		cmd.Stdin = bytes.NewReader(message("/orders/8"))
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Errorf("%s takes it for another path: %s", name, out)
		}
	}
}
