// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/e2e/kubernetes/cluster"
)

// A release as those who download it have it, without a checkout: its command pushes its images to the registry that
// they name, and its manifests are applied as they are. No placeholder is left in them.
func TestRelease(t *testing.T) {
	l := withIstio(t)
	l.readme(t)
	l.sh(t, "helm uninstall tollgate --namespace istio-system --ignore-not-found")
	release := filepath.Join(l.Root, "build/out/release")
	list, err := os.ReadFile(filepath.Join(release, "images.txt"))
	if err != nil {
		t.Fatalf("%v; run: make test-release", err)
	}
	l.sh(t, "tar -xzf "+release+"/tollgate_*_"+runtime.GOOS+"_"+runtime.GOARCH+".tar.gz -C "+l.dir)
	for line := range strings.Lines(string(list)) {
		words := strings.Fields(line)
		if len(words) != 3 {
			t.Fatalf("images.txt: %q", line)
		}
		out := l.sh(t, "cd "+release+" && "+l.dir+"/tollgate image push --layout "+words[0]+" "+words[1])
		if !strings.Contains(out, "@"+words[2]+"\n") {
			t.Errorf("%s was pushed as %s, want %s", words[0], out, words[2])
		}
	}
	l.lifted(t)
	for _, name := range []string{"istio-admission", "istio-teams", "istio-gateway", "istio-gateway-key", "istio-stats",
		"istio-services", "istio-mtls", "overlay-production"} {
		file := filepath.Join(release, name+".yaml")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), zeros) {
			t.Errorf("%s has a placeholder", name)
		}
		l.sh(t, "kubectl apply -f "+file)
		if name == "istio-admission" || name == "istio-teams" || name == "overlay-production" {
			t.Cleanup(func() { l.sh(t, "kubectl delete --ignore-not-found -f "+file) })
		}
	}
	edge := l.proxyOf(t, "istio-ingress", "edge")
	good := bearer(idp.Token(claims()))
	asks := func(headers ...[2]string) int { return l.ask(edge, apiHost, "GET", ordersPath, headers...).status }
	took := cluster.Eventually(t, "the released plugins decide", func() bool {
		return asks() == 401 && asks(good) == 200 && asks(bearer(idp.Token(claims("tenant", "other")))) == 403
	})
	t.Logf("measured: what a release has decides %.1f s after it was applied", took.Seconds())
}
