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
func (l *lab) istioRelease(t *testing.T) {
	l.readme(t)
	l.sh(t, "helm uninstall tollgate --namespace istio-system --ignore-not-found")
	release := filepath.Join(l.Root, "build/out/release")
	list, err := os.ReadFile(filepath.Join(release, "images.txt"))
	if err != nil {
		t.Fatalf("%v; run: make test-release", err)
	}
	l.sh(t, "tar -xzf "+release+"/tollgate_*_"+runtime.GOOS+"_"+runtime.GOARCH+".tar.gz -C "+l.dir)
	var digest string // of the one module's image
	for line := range strings.Lines(string(list)) {
		words := strings.Fields(line)
		if len(words) != 3 {
			t.Fatalf("images.txt: %q", line)
		}
		out := l.sh(t, "cd "+release+" && "+l.dir+"/tollgate image push --layout "+words[0]+" "+words[1])
		if words[0] == "tollgate.oci.tar" {
			digest = strings.TrimPrefix(words[2], "sha256:")
		}
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
	decide := func() bool {
		return asks() == 401 && asks(good) == 200 && asks(bearer(idp.Token(claims("tenant", "other")))) == 403 &&
			l.runs(edge, digest)
	}
	took := cluster.Eventually(t, "the released plugins decide", decide)
	t.Logf("measured: what a release has decides %.1f s after it was applied", took.Seconds())

	// The same by the released chart, without a value of one's own.
	l.sh(t, "kubectl delete -f "+filepath.Join(release, "overlay-production.yaml"))
	cluster.Eventually(t, "no plugin is left", func() bool { return len(l.plugins(edge)) == 0 })
	l.sh(t, "helm upgrade --install tollgate "+release+"/tollgate-[0-9]*.tgz --namespace istio-system")
	t.Cleanup(func() { l.sh(t, "helm uninstall tollgate --namespace istio-system --ignore-not-found") })
	took = cluster.Eventually(t, "the released chart's plugins decide", decide)
	t.Logf("measured: the released chart decides %.1f s after Helm has returned", took.Seconds())
}
