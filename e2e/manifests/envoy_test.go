// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"sigs.k8s.io/yaml"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/shared/guest/probetest"
)

// put has a sample find its modules and certificates here, its clusters on the loopback interface,
// and ports that are free.
func put(t *testing.T, authority *harness.Authority, text string) string {
	t.Helper()
	dir := t.TempDir()
	server := authority.Issue("")
	replacements := []string{"/etc/ssl/certs/ca-certificates.crt", filepath.Join(dir, "api.crt")}
	for name, content := range map[string]string{"api.crt": server.Chain, "api.key": server.KeyPEM} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		replacements = append(replacements, "/etc/envoy/"+name, path)
	}
	for _, filter := range append(filters.Names(), filters.Module) {
		replacements = append(replacements, "/etc/envoy/"+filter+".wasm", harness.Module(t, filter))
	}
	for _, host := range []string{"idp.example.com", "edge.example.com", "orders.internal", "ratelimit.internal"} {
		replacements = append(replacements, "address: "+host, "address: 127.0.0.1")
	}
	for _, port := range []string{"9901", "8443", "8080"} {
		replacements = append(replacements, "0.0.0.0, port_value: "+port, "127.0.0.1, port_value: 0",
			"127.0.0.1, port_value: "+port, "127.0.0.1, port_value: 0")
	}
	return strings.NewReplacer(replacements...).Replace(text)
}

// validate is what envoy --mode validate says of a configuration; empty: nothing.
func validate(t *testing.T, text string) string {
	t.Helper()
	binary, _, err := envoybin.Find(envoybin.Default, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "envoy.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(binary, "--mode", "validate", "-c", file, "-l", "error").CombinedOutput(); err != nil {
		return err.Error() + "\n" + string(out)
	}
	return ""
}

// Envoy takes every sample for it (TestEdgeRuns has one more), and what Envoy Gateway and Istio are
// to add to their own bootstraps.
func TestEnvoyValidates(t *testing.T) {
	t.Setenv("EDGE_STAMP_KEY", mint.New("edge-2026-11", jose.ES256).PrivateJWK())
	authority := harness.NewAuthority(t)
	gateway, err := yaml.Marshal(gatewayBootstrap(t))
	if err != nil {
		t.Fatal(err)
	}
	override := member(load(t, "istio/stats/tollgate-stats.yaml"), "data", "custom_bootstrap.json").(string)
	for name, text := range map[string]string{"envoy/mesh.yaml": read(t, "envoy/mesh.yaml"),
		"envoy-gateway/envoyproxy.yaml": string(gateway), "istio/stats": override} {
		if problem := validate(t, put(t, authority, text)); problem != "" {
			t.Errorf("%s: %s", name, problem)
		}
	}
	if validate(t, strings.Replace(override, "stats_tags", "stat_tags", 1)) == "" {
		t.Error("Envoy takes a mistake: the test tests nothing")
	}
}

// The edge's sample runs: it limits, refuses, publishes its keys, and tells Prometheus in labels what it has done.
func TestEdgeRuns(t *testing.T) {
	t.Setenv("EDGE_STAMP_KEY", mint.New("edge-2026-11", jose.ES256).PrivateJWK())
	authority := harness.NewAuthority(t)
	config, err := yaml.YAMLToJSON([]byte(put(t, authority, read(t, "envoy/edge.yaml"))))
	if err != nil {
		t.Fatal(err)
	}
	envoy, err := envoybin.Run(config, envoybin.Options{Version: envoybin.Default, Dir: t.TempDir()})
	if err != nil {
		t.Fatalf("%v\n%s", err, envoy.Log())
	}
	defer envoy.Stop()
	client := authority.Client(nil)
	for path, want := range map[string]int{"/orders": 401, "/.well-known/edge-stamp/jwks.json": 200} {
		resp, err := client.Get("https://" + envoy.Address("api") + path)
		if err != nil {
			t.Fatal(err)
		}
		var keys jose.JSONWebKeySet
		if err := json.NewDecoder(resp.Body).Decode(&keys); resp.StatusCode != want || want == 200 &&
			(err != nil || len(keys.Keys) != 1 || !keys.Keys[0].IsPublic()) {
			t.Errorf("%s: %s, %d keys (%v)", path, resp.Status, len(keys.Keys), err)
		}
		if resp.Header.Get("ratelimit") == "" {
			t.Errorf("%s: no header tells of a limit", path)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
	}
	stats, err := envoy.Admin("/stats/prometheus")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`tollgate_jwt_scope{rule="shop",outcome="denied",code="token_missing"} 1`,
		`tollgate_jwt_scope{rule="stamp-keys",outcome="allowed",code="ok"} 1`,
		`tollgate_rate_limit{rule="per-address",outcome="allowed",code="ok"} 2`,
	} {
		if !strings.Contains("\n"+stats, "\n"+want+"\n") {
			t.Errorf("Prometheus is not told %s, but\n%s", want, tollgate(stats))
		}
	}
	// Nothing of what the filters have is left in a name that should be in a label.
	labelled := regexp.MustCompile(
		`^(tollgate_\w+?\{rule="[a-z0-9-]+",outcome="[a-z_]+",code="[a-z_]+"\}|tollgate_rate_limit_service\{outcome="(answered|failed)"\}|tollgate_[a-z]+_[a-z]+_vm_memory_bytes\{\}|tollgate_[a-z]+_[a-z]+_keys_[a-z_]+\{provider="[a-z0-9-]+"\}) \d+\n$`)
	for line := range strings.Lines(tollgate(stats)) {
		if !strings.HasPrefix(line, "#") && !labelled.MatchString(line) {
			t.Errorf("not in labels: %s", line)
		}
	}
}

// What Envoy itself counts of a filter has the filter in a label, and a VM that traps and is made
// anew is counted: alerts watch that.
func TestPluginLabels(t *testing.T) {
	const name = "istio-ingress.probe" // as Istio calls a plugin
	filter := bootstrap.Wasm{Name: name, Module: probetest.Build(t, "shared/guest/probe"), Configuration: "x"}.Filter()
	var config object
	if err := json.Unmarshal(
		bootstrap.Bootstrap([]bootstrap.M{bootstrap.Listener("main", 0, []bootstrap.M{filter},
			bootstrap.Answer(200, ""), nil)}, nil), &config); err != nil {
		t.Fatal(err)
	}
	config["stats_config"] = object{"stats_tags": statsTags(t)}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	envoy, err := envoybin.Run(text, envoybin.Options{Version: envoybin.Default, Dir: t.TempDir(), Concurrency: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer envoy.Stop()
	status := func(order string) int {
		return harness.HTTP1(t, envoy.Address("main"), harness.Request("GET", "/", [2]string{"x-probe", order})).Status()
	}
	if got := status("trap"); got != 503 {
		t.Errorf("a request whose VM traps is answered %d", got)
	}
	// Envoy makes a new VM for a request that comes a second later (FAIL_RELOAD), and refuses those before.
	refused := 0
	for deadline := time.Now().Add(time.Minute); status("served") != 200; refused++ {
		if time.Now().After(deadline) {
			t.Fatal("there is no new VM after a minute")
		}
		time.Sleep(100 * time.Millisecond) // no more than ten refused requests a second: each has a line in the log
	}
	stats, err := envoy.Admin("/stats/prometheus")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`envoy_wasm_vm_reload_success{plugin="` + name + `"} 1`,
		`envoy_wasm_vm_reload_failure{plugin="` + name +
			`"} 0`, fmt.Sprintf(`envoy_wasm_vm_reload_backoff{plugin="%s"} %d`, name, refused)} {
		if !strings.Contains("\n"+stats, "\n"+want+"\n") {
			t.Errorf("Prometheus is not told %s, but\n%s", want, stats)
		}
	}
}

// tollgate are the filters' own metrics.
func tollgate(stats string) (lines string) {
	for line := range strings.Lines(stats) {
		if strings.Contains(line, "tollgate_") {
			lines += line
		}
	}
	return lines
}
