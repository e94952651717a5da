// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package keysets

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// handle serves HTTP, with TLS where there is a configuration of it.
func handle(t *testing.T, secure *tls.Config, handler http.HandlerFunc) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = l.Addr().(*net.TCPAddr).Port
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(l) }() // ends with Close
	t.Cleanup(func() { server.Close() })
	return port
}

// closed is a port at which nobody listens.
func closed(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

var good = mint.New("good", jose.RS256)

// single runs an Envoy with one issuer behind a cluster.
func single(t *testing.T, version string, cluster bootstrap.M, more M) *harness.Envoy {
	t.Helper()
	remote := M{"cluster": "idp", "authority": "idp.example", "path": "/keys", "timeout": "5s"}
	for name, value := range more {
		remote[name] = value
	}
	config, err := json.Marshal(
		M{"providers": []M{{"name": "idp", "issuer": "https://idp.example", "audiences": []string{"api"},
			"jwks": M{"remote": remote}}}, "rules": []M{{"name": "all"}}})
	if err != nil {
		t.Fatal(err)
	}
	return harness.Start(t, harness.Config{Version: version,
		Filters: []bootstrap.M{harness.Filter(t, "jwt-scope", string(config))}, Clusters: []bootstrap.M{cluster}})
}

// ask sends a token of that key and returns the code of the refusal, or ok.
func ask(t *testing.T, e *harness.Envoy, k *mint.Key) string {
	t.Helper()
	token := k.Token(M{"iss": "https://idp.example", "aud": "api", "exp": time.Now().Unix() + 300})
	m := harness.HTTP1(t, e.Main(), harness.Request("GET", "/", [2]string{"authorization", "Bearer " + token}))
	if m.Status() == 200 {
		return "ok"
	}
	var problem struct{ Code string }
	if err := json.Unmarshal([]byte(m.Body), &problem); err != nil {
		t.Fatalf("%s: %s", m.Start, m.Body)
	}
	return problem.Code
}

// The API server of Kubernetes serves its key set as application/jwk-set+json, and nothing else.
func TestMediaType(t *testing.T) {
	port := handle(t, nil, func(w http.ResponseWriter, r *http.Request) {
		const only = "application/jwk-set+json"
		if accept := r.Header.Get("accept"); !strings.Contains(accept, only) && !strings.Contains(accept, "*/*") {
			http.Error(w, "only the following media types are accepted: "+only, http.StatusNotAcceptable)
			return
		}
		w.Header().Set("content-type", only)
		fmt.Fprint(w, string(mint.Set(good)))
	})
	harness.Each(t, func(t *testing.T, version string) {
		if got := ask(t, single(t, version, bootstrap.Cluster("idp", port, false), nil), good); got != "ok" {
			t.Error(got)
		}
	})
}

// What is wrong with an issuer stands in the log: no connection, another certificate, an answer
// that is no key set, keys that are not used.
func TestReasons(t *testing.T) {
	ours, theirs := harness.NewAuthority(t), harness.NewAuthority(t)
	answer := func(status int, body string, fields ...string) func(t *testing.T) bootstrap.M {
		return func(t *testing.T) bootstrap.M {
			return bootstrap.Cluster("idp", handle(t, nil, func(w http.ResponseWriter, _ *http.Request) {
				for i := 0; i < len(fields); i += 2 {
					w.Header().Set(fields[i], fields[i+1])
				}
				w.WriteHeader(status)
				fmt.Fprint(w, body)
			}), false)
		}
	}
	odd := strings.Replace(string(mint.Set(good)), `{"keys":[`,
		`{"keys":[{"kty":"RSA","kid":"weak","n":"AQAB","e":"AQAB"},{"kty":"EC","crv":"secp256k1","kid":"coin","x":"AA","y":"AA"},`, 1)
	harness.Each(t, func(t *testing.T, version string) {
		for _, c := range []struct {
			name    string
			cluster func(t *testing.T) bootstrap.M
			code    string
			log     []string
		}{
			{"nobody listens", func(t *testing.T) bootstrap.M { return bootstrap.Cluster("idp", closed(t), false) },
				"keys_unavailable", []string{"cluster idp cannot be reached"}},
			{"a certificate of another authority", func(t *testing.T) bootstrap.M {
				port := handle(t, &tls.Config{Certificates: []tls.Certificate{theirs.Issue("spiffe://idp").TLS}},
					func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, string(mint.Set(good))) })
				return ours.Issue("spiffe://proxy").Connect(bootstrap.Cluster("idp", port, false), ours, "spiffe://idp")
			}, "keys_unavailable", []string{"cluster idp cannot be reached", "ssl.fail_verify_error"}},
			{"the issuer answers 503", answer(503, "busy"), "keys_unavailable",
				[]string{"keys of idp.example: the answer has status 503;"}},
			{"the issuer answers 503 as Envoy does",
				answer(503, "upstream connect error or disconnect/reset before headers"), "keys_unavailable",
				[]string{"keys of idp.example: the answer has status 503;"}},
			{"the issuer compresses", answer(200, "\x1f\x8b\x08\x00", "content-encoding", "gzip"), "keys_unavailable",
				[]string{"is compressed (gzip)"}},
			{"HTML", answer(200, "<html>"), "keys_unavailable", []string{"cannot be read: not JSON at byte 0"}},
			{"certificates by kid", answer(200, `{"a1": "-----BEGIN CERTIFICATE-----\n"}`), "keys_unavailable",
				[]string{"want a JWK Set"}},
			{"all keys are odd", answer(200, `{"keys":[{"kty":"RSA","kid":"weak","n":"AQAB","e":"AQAB"}]}`),
				"keys_unavailable", []string{`key 0, kid "weak", is passed over: the RSA modulus`,
					"no key for verifying signatures"}},
			{"two odd keys and a good one", answer(200, odd), "ok",
				[]string{`key 0, kid "weak", is passed over: the RSA modulus`, `key 1, kid "coin", is passed over: crv is not`}},
		} {
			t.Run(c.name, func(t *testing.T) {
				e := single(t, version, c.cluster(t), M{"timeout": "1s"})
				if got := ask(t, e, good); got != c.code {
					t.Errorf("%s, want %s", got, c.code)
				}
				for _, text := range c.log {
					e.WaitLog(text)
				}
			})
		}
	})
}

// J25: while strangers send made-up kids all the time, a key that is published counts within ten
// seconds, and the issuer is asked no more than once in ten.
func TestRotation(t *testing.T) {
	next := mint.New("next", jose.ES256)
	var fetches atomic.Int64
	var published atomic.Bool
	port := handle(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		set := mint.Set(good)
		if published.Load() {
			set = mint.Set(good, next)
		}
		fmt.Fprint(w, string(set))
	})
	e := single(t, harness.Versions(t)[0], bootstrap.Cluster("idp", port, false), nil)
	if got := ask(t, e, good); got != "ok" {
		t.Fatal(got)
	}
	began, n := time.Now(), 0
	var since time.Duration
	accepted := func() bool {
		n++
		if got := ask(t, e, mint.WithID(next, fmt.Sprint("made-up-", n))); got != "token_key_unknown" {
			t.Errorf("a made-up kid: %s", got)
		}
		if n == 20 { // the proxy has asked for a made-up kid, and may not ask again
			published.Store(true)
			since = time.Since(began)
		}
		return ask(t, e, next) == "ok"
	}
	if err := e.Await(accepted, 20*time.Second); err != nil {
		t.Fatalf("the new key does not count: %v", err)
	}
	took := time.Since(began) - since
	t.Logf("measured: the new key counts %v after it was published, among %d made-up kids, with %d fetches",
		took.Round(time.Millisecond), n, fetches.Load())
	if took > 11*time.Second {
		t.Errorf("the new key counted %v after it was published", took)
	}
	if most := 2 + int64(time.Since(began)/(10*time.Second)); fetches.Load() > most {
		t.Errorf("%d fetches in %v", fetches.Load(), time.Since(began))
	}
}
