// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package edgestamp

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// bodyBytes is smaller than what Envoy itself holds back for one request
// (per_connection_buffer_limit_bytes, 1 MiB where nothing else is said).
const bodyBytes = 4096

var (
	line     = []string{"method", "authority", "path", "query"}
	withBody = append(line[:4:4], "body")

	// soon makes a configuration another one, too (W22): in Envoy 1.36 filters that differ in
	// allow_on_headers_stop_iteration only are one plugin, with what the first of them says.
	soon = M{"bodyTimeout": "1s"}

	trailers = M{"http_protocol_options": M{"enable_trailers": true},
		"upgrade_configs": []M{{"upgrade_type": "websocket"}}}
)

// streamed is an upstream for HTTP/1.1 and HTTP/2 that keeps what it got of each request, and sends
// back each part of a gRPC request as it comes.
type streamed struct {
	port int
	mu   sync.Mutex
	got  []string
}

func startStreamed(t *testing.T) *streamed {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &streamed{port: l.Addr().(*net.TCPAddr).Port}
	server := &http.Server{Handler: http.HandlerFunc(s.serve), Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = server.Serve(l) }() // ends with Close
	t.Cleanup(func() { server.Close() })
	return s
}

func (s *streamed) serve(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.Header.Get("content-type"), "application/grpc") {
		s.keep("gRPC " + r.URL.Path)
		w.Header().Set("content-type", "application/grpc")
		w.Header().Set("trailer", "grpc-status")
		w.WriteHeader(200)
		for b := make([]byte, 64); ; {
			_ = http.NewResponseController(w).Flush() // a client that is gone shows at the next read
			n, err := r.Body.Read(b)
			_, _ = w.Write(b[:n])
			if err != nil {
				w.Header().Set("grpc-status", "0")
				return
			}
		}
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		s.keep("broken off: " + err.Error())
		return
	}
	s.keep(fmt.Sprintf("%s %s %d %s %s", r.Method, r.URL.Path, len(b), sha(b), r.Trailer.Get("x-checksum")))
}

func (s *streamed) keep(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, text)
}

func (s *streamed) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	return got
}

// goClient is a client of the standard library, on connections of its own.
func goClient(http2 bool) *http.Client {
	transport := &http.Transport{DisableKeepAlives: !http2, DisableCompression: true, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	return &http.Client{Transport: transport, Timeout: 15 * time.Second}
}

// bodies is an edge that binds bodies, a mesh that demands it, and what stands between: nothing, a
// tamperer, something that unpacks bodies.
type bodies struct {
	profile    string
	up         *streamed
	raw        *harness.Upstream
	edge, mesh *harness.Envoy
}

func startBodies(t *testing.T, version string) (all []*bodies) {
	t.Helper()
	up, raw := startStreamed(t), harness.StartUpstream(t)
	upstream := func(http2 bool) M {
		c := bootstrap.Cluster(fmt.Sprint("upstream-", http2), up.port, http2)
		if !http2 {
			bootstrap.Protocol(c)["explicit_http_config"] = M{"http_protocol_options": M{"enable_trailers": true}}
		}
		return c
	}
	clusters := []M{upstream(false), upstream(true), bootstrap.Cluster("raw", raw.Port(), false)}
	behind := []M{
		{"match": M{"prefix": "/shop."}, "route": M{"cluster": "upstream-true", "timeout": "0s"}},
		{"match": M{"prefix": "/", "headers": []M{{"name": "upgrade", "present_match": true}}}, "route": M{"cluster": "raw"}},
		{"match": M{"prefix": "/"}, "route": M{"cluster": "upstream-false"}},
	}
	unpack := bootstrap.Filter("envoy.filters.http.decompressor",
		"extensions.filters.http.decompressor.v3.Decompressor", M{"decompressor_library": M{
			"name": "gzip", "typed_config": bootstrap.Typed("extensions.compression.gzip.decompressor.v3.Gzip", nil)}})
	mesh := harness.Config{Version: version, Concurrency: 2, Clusters: clusters}
	for _, profile := range profiles {
		more := M{"profile": profile, "bodyBytes": bodyBytes, "require": M{"bind": withBody}, "rules": []M{
			{"name": "open", "match": []M{{"paths": []string{"/open/{**}", "/shop.Open/{*}"}}},
				"require": M{"bind": line}}, {"name": "all"},
		}}
		verifier := stampFilter(t, verify(more))
		deaf := stamper(t, verify(more, soon))
		deaf.StopIteration = false
		add := func(name string, filters ...M) {
			mesh.Listeners = append(mesh.Listeners, bootstrap.Listener(profile+"-"+name, 0, filters, behind, trailers))
		}
		add("main", verifier)
		add("unpacked-before", unpack, verifier)
		add("unpacked-behind", verifier, unpack)
		add("deaf", deaf.Filter())
	}
	verifying := harness.Start(t, mesh)

	// The signatures are of one length, so that the tamperer changes the body and nothing else.
	edge := harness.Config{Version: version, Concurrency: 2, Clusters: clusters}
	k := signers(version)[len(signers(version))-1]
	for _, profile := range profiles {
		more := M{"profile": profile, "bodyBytes": bodyBytes, "bind": withBody}
		signer, deaf := stampFilter(t, sign(k, more)), stamper(t, sign(k, more, soon))
		deaf.StopIteration = false
		add := func(name, cluster string, filter M) M {
			routes := []M{{"match": M{"prefix": "/"}, "route": M{"cluster": cluster, "timeout": "0s"}}}
			l := bootstrap.Listener(profile+"-"+name, 0, []M{filter}, routes, trailers)
			edge.Listeners = append(edge.Listeners, l)
			return l
		}
		to := func(name string, port int, http2 bool) string {
			c := bootstrap.Cluster(profile+"-"+name, port, http2)
			if !http2 {
				bootstrap.Protocol(c)["explicit_http_config"] = M{"http_protocol_options": M{"enable_trailers": true}}
			}
			edge.Clusters = append(edge.Clusters, c)
			return profile + "-" + name
		}
		main := portOf(t, verifying, profile+"-main")
		h1 := to("h1", main, false)
		add("h1", h1, signer)
		add("h2", to("h2", main, true), signer)
		add("deaf", h1, deaf.Filter())
		add("small", h1, signer)["per_connection_buffer_limit_bytes"] = 1024
		add("deaf-mesh", to("deaf-mesh", portOf(t, verifying, profile+"-deaf"), false), signer)
		for _, name := range []string{"unpacked-before", "unpacked-behind"} {
			add(name, to(name, portOf(t, verifying, profile+"-"+name), false), signer)
		}
		tamperer := harness.StartRelay(t,
			func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("amount=1"), []byte("amount=9")) })
		tamperer.To(verifying.Address(profile + "-main"))
		add("tampered", to("tampered", tamperer.Port(), false), signer)
		add("capture", "raw", signer)
	}
	signing := harness.Start(t, edge)
	for _, profile := range profiles {
		all = append(all, &bodies{profile, up, raw, signing, verifying})
	}
	return all
}

func (b *bodies) enter(name string) string { return b.edge.Address(b.profile + "-" + name) }

// S8: a body is part of what is stamped.
func TestBody(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		for _, b := range startBodies(t, version) {
			t.Run(b.profile, func(t *testing.T) {
				t.Run("S8 framings", b.framings)
				t.Run("S8 W27 sizes", b.sizes)
				t.Run("S8 tampering", b.tampering)
				t.Run("S8 other bodies", b.otherBodies)
				t.Run("S8 encodings", b.encodings)
				t.Run("P17 upgrades", b.upgrades)
				t.Run("P18 gRPC", b.streams)
				t.Run("W28 without allow_on_headers_stop_iteration", b.deaf)
			})
		}
	})
}

func (b *bodies) framings(t *testing.T) {
	small, odd := strings.Repeat("amount=7&", 20), strings.Repeat("\x00\xff\r\n", 500)
	for _, c := range []struct {
		name, method, body string
		chunked, trailers  bool
	}{
		{name: "none", method: "GET"},
		{name: "HEAD", method: "HEAD"},
		{name: "a POST of 0 bytes", method: "POST"},
		{name: "a chunked POST of 0 bytes", method: "POST", chunked: true},
		{name: "content-length", method: "POST", body: small},
		{name: "chunked", method: "POST", body: small, chunked: true},
		{name: "chunked with trailers", method: "POST", body: small, chunked: true, trailers: true},
		{name: "0 bytes with trailers", method: "POST", chunked: true, trailers: true},
		{name: "bytes of all kinds", method: "PUT", body: odd},
		{name: "a DELETE with a body", method: "DELETE", body: "x"},
		{name: "a GET with a body", method: "GET", body: "x"},
		{name: "exactly bodyBytes", method: "POST", body: strings.Repeat("x", bodyBytes)},
		{name: "exactly bodyBytes, chunked", method: "POST", body: strings.Repeat("x", bodyBytes), chunked: true},
	} {
		for _, client := range hops {
			for _, hop := range hops {
				name := fmt.Sprintf("%s, %s to the edge, %s to the mesh", c.name, client, hop)
				req, err := http.NewRequest(c.method, "http://"+b.enter(hop)+"/orders/7?a=1", strings.NewReader(c.body))
				if err != nil {
					t.Fatal(err)
				}
				want := ""
				if c.chunked {
					req.Body, req.ContentLength = io.NopCloser(strings.NewReader(c.body)), -1
				}
				if c.trailers {
					req.Trailer, want = http.Header{"X-Checksum": {"s3"}}, "s3"
				}
				wantChange(t, name, b.mesh.Change(func() {
					if status, text := do(t, goClient(client == "h2"), req); status != 200 {
						t.Errorf("%s: %d %s", name, status, text)
					}
				}), map[string]uint64{allowed("all"): 1})
				got := b.up.take()
				if want := fmt.Sprintf("%s /orders/7 %d %s %s", c.method, len(c.body), sha([]byte(c.body)),
					want); len(got) != 1 || got[0] != want {
					t.Errorf("%s: the upstream has %q, want %q", name, got, want)
				}
			}
		}
	}
	// A body in many pieces.
	c := harness.Dial(t, b.enter("h1"))
	c.Send("POST /orders/7 HTTP/1.1\r\nHost: api.example\r\nTransfer-Encoding: chunked\r\n\r\n")
	for range 300 {
		c.Send("3\r\na")
		c.Send("bc\r\n")
	}
	c.Send("0\r\n\r\n")
	if answer := c.Receive(); answer.Status() != 200 {
		t.Errorf("many pieces: %+v", answer)
	}
	whole := []byte(strings.Repeat("abc", 300))
	if got := b.up.take(); len(got) != 1 || got[0] != fmt.Sprintf("POST /orders/7 900 %s ", sha(whole)) {
		t.Errorf("many pieces: %q", got)
	}
	if log := b.mesh.Log(); strings.Contains(log, "amount=") {
		t.Error("a body is in the log")
	}
}

// sizes: whoever is too long is refused by the edge; where Envoy would hold back less than that, it answers first.
func (b *bodies) sizes(t *testing.T) {
	for _, c := range []struct {
		name, listener string
		size           int
		chunked        bool
		code           string // empty: Envoy's own answer
	}{
		{"one byte more", "h1", bodyBytes + 1, false, "body_too_large"},
		{"one byte more, chunked", "h1", bodyBytes + 1, true, "body_too_large"},
		{"much more, chunked", "h1", 100 * bodyBytes, true, "body_too_large"},
		{"more than Envoy's buffer", "small", 3000, true, ""},
		{"more than Envoy's buffer, content-length", "small", 3000, false, ""},
	} {
		req, err := http.NewRequest("POST", "http://"+b.enter(c.listener)+"/orders/7",
			strings.NewReader(strings.Repeat("x", c.size)))
		if err != nil {
			t.Fatal(err)
		}
		if c.chunked {
			req.ContentLength = -1
		}
		want := map[string]uint64{}
		if c.code != "" {
			want[denied("all", c.code)] = 1
		}
		wantChange(t, c.name, b.edge.Change(func() {
			status, body := do(t, goClient(false), req)
			if status != 413 || strings.Contains(body, "tollgate") || c.code != "" &&
				!strings.Contains(body, `"code":"`+c.code+`"`) || c.code == "" && body != "Payload Too Large" {
				t.Errorf("%s: %d %s", c.name, status, body)
			}
		}), want)
	}
	if got := b.up.take(); len(got) != 0 {
		t.Errorf("the upstream has %q", got)
	}
}

// tampering: between the two, a body is changed. The upstream gets nothing of it.
func (b *bodies) tampering(t *testing.T) {
	for _, amount := range []string{"2", "1"} {
		req, err := http.NewRequest("POST", "http://"+b.enter("tampered")+"/orders/7", strings.NewReader("amount="+amount))
		if err != nil {
			t.Fatal(err)
		}
		want, code := map[string]uint64{allowed("all"): 1}, 200
		if amount == "1" {
			want, code = map[string]uint64{denied("all", "stamp_mismatch"): 1}, 401
		}
		wantChange(t, "amount="+amount, b.mesh.Change(func() {
			if status, body := do(t, goClient(false), req); status != code || code == 401 && body != refusal {
				t.Errorf("amount=%s: %d %s", amount, status, body)
			}
		}), want)
		if got := b.up.take(); code == 401 && len(got) != 0 || code == 200 && len(got) != 1 {
			t.Errorf("amount=%s: the upstream has %q", amount, got)
		}
	}
}

// otherBodies sends a stamp with other bodies than it was made for, straight to the mesh.
func (b *bodies) otherBodies(t *testing.T) {
	const body = "amount=7"
	if answer := harness.HTTP1(t, b.enter("capture"),
		"POST /orders/7 HTTP/1.1\r\nHost: api.example\r\nContent-Length: 8\r\n\r\n"+body); answer.Status() != 200 {
		t.Fatalf("%+v", answer)
	}
	stamp := pick(b.raw.Take()[0])
	for _, other := range []string{"amount=8", "amount=77", "amount=", "", "Amount=7", body + "\n", body} {
		for _, chunked := range []bool{true, false} {
			if other == body && !chunked {
				continue // the stamp has been used
			}
			framing, sent := [2]string{"Content-Length", fmt.Sprint(len(other))}, other
			if chunked {
				framing, sent = [2]string{"Transfer-Encoding", "chunked"}, fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(other), other)
				if other == "" {
					sent = "0\r\n\r\n"
				}
			}
			want, code := map[string]uint64{denied("all", "stamp_mismatch"): 1}, 401
			if other == body {
				want, code = map[string]uint64{allowed("all"): 1}, 200
			}
			wantChange(t, other, b.mesh.Change(func() {
				if answer := harness.HTTP1(t, b.mesh.Address(b.profile+"-main"),
					harness.Request("POST", "/orders/7", append(stamp[:len(stamp):len(stamp)], framing)...)+
						sent); answer.Status() != code {
					t.Errorf("%q: %+v", other, answer)
				}
			}), want)
			if got := b.up.take(); code == 401 && len(got) != 0 || code == 200 && len(got) != 1 {
				t.Errorf("%q: the upstream has %q", other, got)
			}
		}
	}
}

// encodings: what is bound are the bytes that were sent, packed or not. Who unpacks them before the
// mesh verifies makes another body of them.
func (b *bodies) encodings(t *testing.T) {
	plain := strings.Repeat("amount=7&", 50)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := io.WriteString(w, plain); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		listener, upstream string
		code               string
	}{
		{"h1", packed.String(), ""},
		{"unpacked-behind", plain, ""},
		{"unpacked-before", "", "stamp_mismatch"},
	} {
		req, err := http.NewRequest("POST", "http://"+b.enter(c.listener)+"/orders/7", bytes.NewReader(packed.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("content-encoding", "gzip")
		want, status := map[string]uint64{allowed("all"): 1}, 200
		if c.code != "" {
			want, status = map[string]uint64{denied("all", c.code): 1}, 401
		}
		wantChange(t, c.listener, b.mesh.Change(func() {
			if got, body := do(t, goClient(false), req); got != status {
				t.Errorf("%s: %d %s", c.listener, got, body)
			}
		}), want)
		got := b.up.take()
		if c.code != "" && len(got) != 0 || c.code == "" &&
			(len(got) != 1 || !strings.Contains(got[0], sha([]byte(c.upstream)))) {
			t.Errorf("%s: the upstream has %q", c.listener, got)
		}
	}
}

// upgrades are not waited on: what comes after the handshake has no end.
func (b *bodies) upgrades(t *testing.T) {
	upgrade := [][2]string{{"Connection", "Upgrade"}, {"Upgrade", "websocket"}}
	wantChange(t, "P17 demanded", b.mesh.Change(func() {
		answer := harness.HTTP1(t, b.enter("h1"), harness.Request("GET", "/chat", upgrade...))
		if answer.Status() != 401 || answer.Body != refusal {
			t.Errorf("P17 demanded: %+v", answer)
		}
	}), map[string]uint64{denied("all", "stamp_unbound"): 1})
	if n := len(b.raw.Take()); n != 0 {
		t.Errorf("P17: %d requests reached the upstream", n)
	}
	wantChange(t, "P17 not demanded", b.mesh.Change(func() {
		c := harness.Dial(t, b.enter("h1"))
		if answer := c.Do(harness.Request("GET", "/open/chat", upgrade...)); answer.Status() != 101 {
			t.Fatalf("P17 not demanded: %+v", answer)
		}
		for range 3 {
			c.Send("ping")
			if echo := c.Read(4); echo != "ping" {
				t.Errorf("the echo is %q", echo)
			}
		}
	}), map[string]uint64{allowed("open"): 1})
	if got := b.raw.Take(); len(got) != 1 || got[0].Header("upgrade") != "websocket" {
		t.Errorf("P17: the upstream has %+v", got)
	}
	// P15: an upgrade that Envoy does not know is none, and never a way past the filters: it takes
	// h2c for a plain request, and refuses the others.
	for protocol, status := range map[string]int{"h2c": 200, "unknown": 403} {
		for _, path := range []string{"/chat", "/open/chat"} {
			answer := harness.HTTP1(t, b.enter("h1"),
				harness.Request("GET", path, [2]string{"Connection", "Upgrade, HTTP2-Settings"},
					[2]string{"Upgrade", protocol}, [2]string{"HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"}))
			if tunnels, requests := len(b.raw.Take()), len(b.up.take()); answer.Status() != status || tunnels != 0 ||
				status != 200 && requests != 0 {
				t.Errorf("P15 %s %s: %+v; %d tunnels and %d requests reached the upstream", protocol, path, answer,
					tunnels, requests)
			}
		}
	}
}

// streams are not waited on either: a gRPC server may answer the first message before the second is sent.
func (b *bodies) streams(t *testing.T) {
	message := "\x00\x00\x00\x00\x04ping"
	wantChange(t, "P18 demanded", b.mesh.Change(func() {
		answer := harness.GRPC(t, b.enter("h2"), "/shop.Orders/Chat")
		if answer.Status() != 200 || answer.Header("grpc-status") != "16" ||
			answer.Header("grpc-message") != "stamp_rejected" || answer.Body != "" {
			t.Errorf("P18 demanded: %+v", answer)
		}
	}), map[string]uint64{denied("all", "stamp_unbound"): 1})
	if got := b.up.take(); len(got) != 0 {
		t.Errorf("P18: the upstream has %q", got)
	}
	wantChange(t, "P18 not demanded", b.mesh.Change(func() {
		r, w := io.Pipe()
		req, err := http.NewRequest("POST", "http://"+b.enter("h2")+"/shop.Open/Chat", r)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("content-type", "application/grpc")
		req.Header.Set("te", "trailers")
		answer, err := goClient(true).Do(req) // the answer's head comes before anything is sent
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		for range 3 {
			if _, err := io.WriteString(w, message); err != nil {
				t.Fatal(err)
			}
			echo := make([]byte, len(message))
			if _, err := io.ReadFull(answer.Body, echo); err != nil || string(echo) != message {
				t.Fatalf("the echo is %q, %v", echo, err)
			}
		}
		w.Close()
		rest, err := io.ReadAll(answer.Body)
		if err != nil || len(rest) != 0 || answer.Trailer.Get("grpc-status") != "0" {
			t.Errorf("the end: %q %v %v", rest, err, answer.Trailer)
		}
	}), map[string]uint64{allowed("open"): 1})
	if got := b.up.take(); len(got) != 1 {
		t.Errorf("P18: the upstream has %q", got)
	}
}

// deaf: without allow_on_headers_stop_iteration Envoy shows the filter no byte of a body whose headers it holds back.
func (b *bodies) deaf(t *testing.T) {
	for _, c := range []struct {
		listener string
		envoy    *harness.Envoy
	}{{"deaf", b.edge}, {"deaf-mesh", b.mesh}} {
		for _, body := range []string{"", "amount=7"} {
			req, err := http.NewRequest("POST", "http://"+b.enter(c.listener)+"/orders/7", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			want, code := map[string]uint64{allowed("all"): 1}, 200
			if body != "" {
				want, code = map[string]uint64{denied("all", "body_timeout"): 1}, 408
			}
			began := time.Now()
			wantChange(t, c.listener, c.envoy.Change(func() {
				if status, text := do(t, goClient(false), req); status != code || code == 408 &&
					!strings.Contains(text, `"code":"body_timeout"`) {
					t.Errorf("%s %q: %d %s", c.listener, body, status, text)
				}
			}), want)
			if took := time.Since(began); body != "" && (took < time.Second || took > 10*time.Second) {
				t.Errorf("%s: refused after %s", c.listener, took)
			}
			if got := b.up.take(); code == 408 && len(got) != 0 || code == 200 && len(got) != 1 {
				t.Errorf("%s %q: the upstream has %q", c.listener, body, got)
			}
		}
		c.envoy.WaitLog("edge_stamp: nothing has come of a body that is bound: does the plugin's configuration have " +
			"allow_on_headers_stop_iteration: true?")
	}
}

// do sends a request as api.example and returns the answer.
func do(t *testing.T, client *http.Client, req *http.Request) (status int, body string) {
	t.Helper()
	req.Host = "api.example"
	answer, err := client.Do(req)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Error(err)
	}
	return answer.StatusCode, string(b)
}
