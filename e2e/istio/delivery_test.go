// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package istio

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tollgate/image"
	"github.com/tollgate-wasm/tollgate/e2e/istio/mesh"
	"github.com/tollgate-wasm/tollgate/shared/guest/probetest"
)

// measured prints a figure where CI finds it.
func measured(t *testing.T, format string, args ...any) {
	t.Helper()
	t.Logf("measured: "+format, args...)
}

// Every form that tollgate image packs is pulled and decides, by its tag, by its digest, and by a
// tag that spec.sha256 pins.
func TestForms(t *testing.T) {
	l := newLab(t)
	var tried []string
	for _, form := range image.Forms {
		for _, by := range []struct {
			name string
			spec func(mesh.Image) (url, more string)
		}{
			{"by tag", func(i mesh.Image) (string, string) { return i.URL, "" }},
			{"by digest", func(i mesh.Image) (string, string) { return i.Pinned(), "" }},
			{"by tag and sha256", func(i mesh.Image) (string, string) { return i.URL, fmt.Sprintf("sha256: %q", i.Digest) }},
		} {
			what := string(form) + " " + by.name
			// Bytes of its own: the agent keeps what it has pulled by what is in it, whatever it is called.
			pushed := l.registry.Push(t, "jwt-scope", fmt.Sprintf("v%d", len(tried)), form, released(t, "jwt-scope", what))
			tried = append(tried, what)
			url, more := by.spec(pushed)
			l.registry.Requests()
			began := time.Now()
			// And a path of its own: until the new one is there, Envoy goes on with the last one of
			// that name, even where that was deleted in between.
			path := fmt.Sprintf("/%d", len(tried))
			l.Apply("plugin", plugin("jwt-scope", "edge", "gateway", url, policy(path), "phase: AUTHN", more))
			l.until("without a token it refuses", isStatus(401), "GET", "/orders/7")
			l.until(what+" decides", isStatus(200), "GET", path, bearer(idp.Token(claims())))
			measured(t, "%s: pulled, compiled and deciding %d ms after the resource was written", what,
				time.Since(began).Milliseconds())
			l.decides(what)
			if pulled := strings.Join(l.registry.Requests(), " "); !strings.Contains(pulled, "/manifests/") ||
				!strings.Contains(pulled, "/blobs/") {
				t.Errorf("%s: the registry was asked for %q, want a manifest and blobs", what, pulled)
			}
			l.Delete("plugin")
			l.until("without a plugin everything passes", isStatus(200), "GET", "/orders/7")
		}
	}
}

// W21: a changed configuration counts within seconds, and no request fails meanwhile; one with a
// mistake in it leaves the last good one in force.
func TestConfiguration(t *testing.T) {
	l := newLab(t)
	pushed := push(t, l.registry, "jwt-scope")
	token := bearer(idp.Token(claims()))
	apply := func(config string) {
		l.Apply("plugin", plugin("jwt-scope", "edge", "gateway", pushed.Pinned(), config))
	}
	apply(policy("/"))
	l.until("the first configuration counts", isStatus(401), "GET", "/orders/7")

	background := l.underLoad(token)
	for round := range 5 {
		path := fmt.Sprintf("/new-%d", round)
		if a := l.ask("GET", path, token); a.status != 403 {
			t.Errorf("before the change: %d", a.status)
		}
		began := time.Now()
		apply(policy(path))
		l.until("the new configuration counts", isStatus(200), "GET", path, token)
		measured(t, "a changed configuration counts %d ms after the resource was written", time.Since(began).Milliseconds())
	}
	if requests, wrong := background.end(); len(wrong) > 0 || requests == 0 {
		t.Errorf("of %d requests during the changes, these were not answered as they should be: %v", requests, wrong)
	}

	rejected := l.proxy.Stat("listener_manager.lds.update_rejected")
	apply(`{"rules": 1}`)
	mesh.Eventually(t, "the filter says what is wrong",
		func() bool { return strings.Contains(l.proxy.Log(), "rules: want a list") })
	l.decides("after a refused configuration")
	if a := l.ask("GET", "/new-4", token); a.status != 200 {
		t.Errorf("the last good configuration no longer counts: %d", a.status)
	}
	if n := l.proxy.Stat("listener_manager.lds.update_rejected"); n != rejected {
		t.Errorf("a listener was rejected (%d, %d before)", n, rejected)
	}
	apply(policy("/mended"))
	l.until("a mended configuration counts", isStatus(200), "GET", "/mended", token)
}

// W21: what cannot be pulled refuses everything: a registry that is not there, a tag that is not, a
// digest that is another's, an image in a form that Istio does not know.
func TestPullFails(t *testing.T) {
	l := newLab(t)
	pushed := push(t, l.registry, "jwt-scope")
	other := l.registry.Push(t, "other", "v1", image.OCI, released(t, "jwt-scope", "other"))
	locked := mesh.StartRegistry(t)
	private := push(t, locked, "jwt-scope")
	locked.Lock("reader", "not told")
	gone := fmt.Sprintf("oci://127.0.0.1:%d/tollgate/jwt-scope:v1", mesh.FreePorts(t, 1)[0])
	token := bearer(idp.Token(claims()))
	for _, c := range []struct{ name, url, more string }{
		{"no registry", gone, ""},
		{"no such tag", strings.Replace(pushed.URL, ":v1", ":v2", 1), ""},
		{"another image's digest", pushed.URL, fmt.Sprintf("sha256: %q", other.Digest)},
		{"the placeholder for a digest", pushed.URL, fmt.Sprintf("sha256: %q", strings.Repeat("0", 64))},
		{"a registry that wants a password", private.URL, ""},
	} {
		l.Apply("plugin", plugin("jwt-scope", "edge", "gateway", c.url, policy("/"), "phase: AUTHN", c.more))
		l.until(c.name+" refuses", isStatus(403), "GET", "/orders/7", token)
		l.up.Take()
		for range 10 {
			if a := l.ask("GET", "/orders/7", token); a.status != 403 {
				t.Errorf("%s: %d", c.name, a.status)
			}
		}
		if passed := l.up.Take(); len(passed) > 0 {
			t.Errorf("%s: %d requests got through", c.name, len(passed))
		}
		l.Delete("plugin")
		l.until("without a plugin everything passes", isStatus(200), "GET", "/orders/7")
	}
}

// W21: an upgrade to another digest under load: no request fails, and the new module is the one that runs.
func TestUpgrade(t *testing.T) {
	l := newLab(t)
	token := bearer(idp.Token(claims()))
	first := push(t, l.registry, "jwt-scope")
	l.Apply("plugin", plugin("jwt-scope", "edge", "gateway", first.Pinned(), policy("/")))
	l.until("the first release decides", isStatus(401), "GET", "/orders/7")
	background := l.underLoad(token)
	for _, release := range []string{"v2", "v3"} {
		next := l.registry.Push(t, "jwt-scope", release, image.OCI, released(t, "jwt-scope", release))
		if next.Digest == first.Digest {
			t.Fatal("the release has the same digest")
		}
		before := background.served.Load()
		began := time.Now()
		// The path tells that the new resource counts: it has the new digest and the new path, and
		// Envoy takes both or neither.
		l.Apply("plugin", plugin("jwt-scope", "edge", "gateway", next.Pinned(), policy("/"+release)))
		l.until(release+" decides", isStatus(200), "GET", "/"+release, token)
		measured(t, "an upgrade to another digest counts %d ms after the resource was written, %d requests meanwhile",
			time.Since(began).Milliseconds(), background.served.Load()-before)
		if pulled := l.registry.Requests(); !strings.Contains(strings.Join(pulled, " "), next.Digest) {
			t.Errorf("nobody has pulled %s: %v", next.Digest, pulled)
		}
	}
	if requests, wrong := background.end(); len(wrong) > 0 || requests == 0 {
		t.Errorf("of %d requests during the upgrades, these were not answered as they should be: %v", requests, wrong)
	}
	l.decides("after the upgrades")
}

// W1: a VM that traps under load: requests are refused until there is a new one, and none gets
// through. By FAIL_RELOAD a request makes it, no sooner than a second after the last one that was
// made so (Envoy's backoff).
func TestCrash(t *testing.T) {
	l := newLab(t)
	probe := l.registry.Push(t, "probe", "v1", image.OCI, read(t, probetest.Build(t, "shared/guest/probe")))
	l.Apply("plugin", plugin("probe", "edge", "gateway", probe.Pinned(), `{"any": "thing"}`))
	served := [2]string{"x-probe", "served"} // the answer is how many requests this VM has had
	byProbe := func(a answer) bool { return a.status == 200 && a.headers.Get("x-envoy-upstream-service-time") == "" }
	l.until("the probe answers", byProbe, "GET", "/", served)
	l.up.Take()
	var stop atomic.Bool
	var wg sync.WaitGroup
	var answered, refused atomic.Int64
	for range 2 {
		wg.Go(func() {
			for !stop.Load() {
				switch a := l.ask("GET", "/", served); {
				case byProbe(a):
					answered.Add(1)
				case a.status == 503:
					refused.Add(1)
				default:
					t.Errorf("while VMs trap, a request is answered %d %s", a.status, a.body)
					return
				}
			}
		})
	}
	const crashes = 5
	began := time.Now()
	for range crashes {
		if a := l.ask("GET", "/", [2]string{"x-probe", "trap"}); a.status != 503 {
			t.Errorf("a request whose VM traps is answered %d %s", a.status, a.body)
		}
		before := answered.Load()
		mesh.Eventually(t, "new VMs answer", func() bool { return answered.Load() > before+20 })
	}
	took := time.Since(began)
	stop.Store(true)
	wg.Wait()
	measured(t, "%d VMs that trapped under load and were made anew: %d requests answered and %d refused within %d ms",
		crashes, answered.Load(), refused.Load(), took.Milliseconds())
	if passed := l.up.Take(); len(passed) > 0 {
		t.Errorf("%d requests got through", len(passed))
	}
}

// A registry that wants a password, with imagePullSecret: istiod hands the credentials to the
// proxies of that namespace, and to no others.
func TestPullSecret(t *testing.T) {
	locked := mesh.StartRegistry(t)
	pushed := push(t, locked, "jwt-scope")
	locked.Lock("reader", "password")
	credentials := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"auths": {%q: {"auth": %q}}}`, locked.Host,
		base64.StdEncoding.EncodeToString([]byte("reader:password"))))
	l := newLabWith(t, mesh.Options{
		Secrets: []string{"apiVersion: v1\nkind: Secret\nmetadata: {name: registry, namespace: edge}\ntype: " +
			"kubernetes.io/dockerconfigjson\ndata: {.dockerconfigjson: " + credentials + "}\n"}})
	l.Apply("plugin", plugin("jwt-scope", "edge", "gateway", pushed.Pinned(), policy("/"), "phase: AUTHN",
		"imagePullSecret: registry"))
	l.until("it decides", isStatus(401), "GET", "/orders/7")
	l.decides("with credentials")
}
