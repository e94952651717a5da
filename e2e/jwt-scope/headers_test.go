// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwtscope

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// requestConfig is a configuration with these rules; more are further keys.
func requestConfig(t *testing.T, more, rules string) string {
	t.Helper()
	text := fmt.Sprintf(`{%s "providers": [{"name": "corp", "issuer": %q, "audiences": ["orders-api"], "jwks": {"inline": %s}, "token": [{"header": "authorization", "scheme": "Bearer"}, {"header": "x-token"}]}],
	 "rules": [%s]}`, more, issuer, mint.Set(ecKey), rules)
	if !json.Valid([]byte(text)) {
		t.Fatal("the test's configuration is not JSON")
	}
	return text
}

// exchange sends a request in one of the protocols, with header names in lower case where HTTP/2 asks for it.
func exchange(protocol string, h1 *harness.Client1, h2 *harness.Client2, method, path string,
	headers [][2]string) *harness.Message {
	if protocol == "HTTP/1.1" {
		return h1.Do(harness.Request(method, path, headers...))
	}
	lower := make([][2]string, len(headers))
	for i, h := range headers {
		lower[i] = [2]string{strings.ToLower(h[0]), h[1]}
	}
	return h2.Do(harness.Pseudo(method, path, lower...), "")
}

// P9 P10: whatever became of the request, nothing that the client wrote under a name of ours, or
// one that folds to it, reaches the service behind.
func TestHeaderLeaks(t *testing.T) {
	const forged = "forged-by-the-client"
	forward := `"forward": {"token": "strip", "payloadHeader": "x-jwt-payload", "claimHeaders": [{"path": ["sub"], "header": "x-user-id"}, {"path": ["realm", "roles"], "header": "x-user-roles"},
	  {"path": ["absent"], "header": "x-no-claim"}, {"path": ["odd"], "header": "x-odd-claim"}]},`
	rules := `{"name": "public", "match": [{"paths": ["/public"]}], "access": "public"}, {"name": "optional", "match": [{"paths": ["/optional"]}], "access": "optional"},
	  {"name": "trial", "match": [{"paths": ["/trial"]}], "mode": "shadow", "require": {"scopes": {"all": ["admin"]}}},
	  {"name": "required", "match": [{"paths": ["/required"]}]}, {"name": "admin", "match": [{"paths": ["/admin"]}], "require": {"scopes": {"all": ["admin"]}}}`
	token := ecKey.Token(good(claims{"realm": claims{"roles": []string{"clerk", "audit"}}, "odd": "line\nbreak"}))
	verified := map[string]string{"x-jwt-payload": strings.Split(token, ".")[1], "x-user-id": "ann",
		"x-user-roles": "clerk,audit"}
	preflight := [][2]string{{"Origin", "https://app.example"}, {"Access-Control-Request-Method", "GET"},
		{"Access-Control-Request-Headers", "x-user-id"}}
	type outcome struct {
		name, listener, method, path string
		headers                      [][2]string
		status                       int
		known                        bool // the upstream gets verified claims
		keepsToken                   bool // no rule has looked for a token, so none is stripped
	}
	outcomes := []outcome{
		{name: "allowed", method: "GET", path: "/required", headers: [][2]string{bearer(token)}, status: 200, known: true},
		{name: "public", method: "GET", path: "/public", status: 200, keepsToken: true},
		{name: "public with a token", method: "GET", path: "/public", headers: [][2]string{bearer(token)}, status: 200,
			keepsToken: true},
		{name: "optional without token", method: "GET", path: "/optional", status: 200},
		{name: "optional with a token", method: "GET", path: "/optional", headers: [][2]string{bearer(token)},
			status: 200, known: true},
		{name: "optional with another scheme", method: "GET", path: "/optional",
			headers: [][2]string{{"Authorization", "Basic YTpi"}}, status: 200},
		{name: "would be denied without token", method: "GET", path: "/trial", status: 200},
		{name: "would be denied for its scope", method: "GET", path: "/trial", headers: [][2]string{bearer(token)},
			status: 200, known: true},
		{name: "would be denied with a forged token", method: "GET", path: "/trial",
			headers: [][2]string{bearer(forger.Token(good()))}, status: 200},
		{name: "would be denied with two tokens", method: "GET", path: "/trial",
			headers: [][2]string{bearer(token), bearer(token)}, status: 200},
		{name: "would be ambiguous", listener: "shadow", method: "GET", path: "/a//b", status: 200, keepsToken: true},
		{name: "would have no rule", listener: "shadow", method: "GET", path: "/nowhere", status: 200, keepsToken: true},
		{name: "refused without token", method: "GET", path: "/required", status: 401},
		{name: "refused for its scope", method: "GET", path: "/admin", headers: [][2]string{bearer(token)}, status: 403},
		{name: "refused for its path", method: "GET", path: "/a//b", status: 400},
		{name: "refused: no rule", method: "GET", path: "/nowhere", status: 403},
		{name: "no rule, and the default allows", listener: "allow", method: "GET", path: "/nowhere", status: 200,
			keepsToken: true},
		{name: "P12 a preflight to a public path", method: "OPTIONS", path: "/public", headers: preflight, status: 200,
			keepsToken: true},
		{name: "P12 a preflight with optional access", method: "OPTIONS", path: "/optional", headers: preflight, status: 200},
		{name: "P12 a preflight that needs a token", method: "OPTIONS", path: "/required", headers: preflight, status: 401},
		{name: "P12 a preflight that no rule fits", listener: "allow", method: "OPTIONS", path: "/nowhere",
			headers: preflight, status: 200, keepsToken: true},
	}
	// Every header that we write, and the plain one that a token may stand in.
	names := []string{"x-jwt-payload", "x-user-id", "x-user-roles", "x-no-claim", "x-odd-claim", "x-token"}
	spellings := map[string]func(name string) []string{
		"as it is":        func(n string) []string { return []string{n} },
		"upper case":      func(n string) []string { return []string{strings.ToUpper(n)} },
		"title case":      func(n string) []string { return []string{title(n)} },
		"P10 underscores": func(n string) []string { return []string{strings.ReplaceAll(n, "-", "_")} },
		"P10 underscores in upper case": func(n string) []string {
			return []string{strings.ToUpper(strings.ReplaceAll(n, "-", "_"))}
		},
		"P10 mixed": func(n string) []string {
			return []string{"x_" + n[2:], n[:2] + strings.ReplaceAll(n[2:], "-", "_")}
		},
		"P10 mixed and case": func(n string) []string { return []string{"X_" + title(n[2:])} },
		"twice":              func(n string) []string { return []string{n, n} },
		"P10 in every spelling": func(n string) []string {
			return []string{strings.ReplaceAll(n, "-", "_"), n, strings.ToUpper(n), "x_" + n[2:], n,
				strings.ReplaceAll(n, "-", "_")}
		},
	}
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		var listeners []bootstrap.M
		for name, more := range map[string]string{"main": forward, "allow": forward + `"default": "allow",`,
			"shadow": forward + `"mode": "shadow",`} {
			listeners = append(listeners,
				bootstrap.Listener(name, 0,
					[]bootstrap.M{harness.Filter(t, "jwt-scope", requestConfig(t, more, rules))}, bootstrap.To("upstream"), nil))
		}
		envoy := harness.Start(t,
			harness.Config{Version: version, Listeners: listeners,
				Clusters: []bootstrap.M{bootstrap.Cluster("upstream", up.Port(), false)}})
		admitted, refused := 0, 0
		for _, protocol := range protocols {
			for _, o := range outcomes {
				if o.listener == "" {
					o.listener = "main"
				}
				h1, h2 := harness.NewClient1(t, envoy.Address(o.listener)), harness.NewClient2(t, envoy.Address(o.listener))
				for _, name := range names {
					for how, spell := range spellings {
						label := fmt.Sprintf("P9 %s, %s, %s %s", protocol, o.name, name, how)
						headers := slices.Clone(o.headers)
						exact := false
						for _, s := range spell(name) {
							headers = append(headers, [2]string{s, forged})
							exact = exact || strings.EqualFold(s, name)
						}
						headers = append(headers, [2]string{"x-kept", "1"})
						want := o
						// A second token makes the request ambiguous, and one that is none malformed.
						if credential := name == "x-token" && exact; credential && !want.keepsToken && o.listener == "main" {
							want.known = false
							switch {
							case o.path == "/trial", o.status != 200 && o.path != "/required" && o.path != "/admin":
							case slices.ContainsFunc(o.headers,
								func(h [2]string) bool { return strings.HasPrefix(h[1], "Bearer ") }),
								strings.Contains(how, "twice"), strings.Contains(how, "every"):
								want.status = 400
							default:
								want.status = 401
							}
						}
						answer := exchange(protocol, h1, h2, o.method, o.path, headers)
						reached := up.Take()
						if answer.Status() != want.status {
							t.Errorf("%s: %s %s, want %d", label, answer.Start, answer.Body, want.status)
							continue
						}
						if want.status != 200 {
							refused++
							if len(reached) != 0 {
								t.Errorf("%s: refused, and reached the upstream", label)
							}
							if strings.Contains(fmt.Sprint(answer), forged) {
								t.Errorf("%s: the answer repeats what the client wrote: %+v", label, answer)
							}
							continue
						}
						admitted++
						if len(reached) != 1 {
							t.Fatalf("%s: %d requests reached the upstream", label, len(reached))
						}
						got := reached[0]
						if !want.keepsToken || name != "x-token" {
							if strings.Contains(fmt.Sprint(got), forged) {
								t.Errorf("%s: reached the upstream: %q", label, got.Headers)
							}
						}
						if !want.keepsToken {
							for _, h := range got.Headers {
								if strings.Contains(h[1], "eyJ") && h[0] != "x-jwt-payload" {
									t.Errorf("%s: a token reached the upstream: %s", label, h[0])
								}
							}
						}
						for _, n := range names[:5] {
							value := ""
							if want.known {
								value = verified[n]
							}
							if values := got.Values(n); strings.Join(values, "|") != value || len(values) > 1 {
								t.Errorf("%s: %s is %q, want %q", label, n, values, value)
							}
						}
						if got.Header("x-kept") != "1" {
							t.Errorf("%s: another header is gone", label)
						}
					}
				}
			}
		}
		cells := len(protocols) * len(outcomes) * len(names) * len(spellings)
		t.Logf("%d admitted, %d refused of %d", admitted, refused, cells)
		if cells < 2000 || admitted+refused != cells || admitted < cells/2 || refused < cells/5 {
			t.Errorf("%d admitted, %d refused of %d: the matrix is not what it was", admitted, refused, cells)
		}
		// HTTP/2 has no upper case in names (RFC 9113 §8.2.1).
		for _, name := range []string{"X-User-Id", "x-useR-id"} {
			if answer := harness.NewClient2(t,
				envoy.Main()).Do(harness.Pseudo("GET", "/public", [2]string{name, forged}),
				""); answer.Status() == 200 || len(up.Take()) != 0 {
				t.Errorf("P10 %s in HTTP/2: %+v", name, answer)
			}
		}
	})
}

func title(name string) string {
	parts := strings.Split(name, "-")
	for i, p := range parts {
		parts[i] = strings.ToUpper(p[:1]) + p[1:]
	}
	return strings.Join(parts, "-")
}

// What a client says about its request in other places than the request line does not decide.
func TestSpoofedRequest(t *testing.T) {
	rules := `{"name": "public", "match": [{"paths": ["/public/{**}"]}], "access": "public"},
	  {"name": "site", "match": [{"hosts": ["public.example"], "paths": ["/{**}"]}], "access": "public"},
	  {"name": "read", "match": [{"hosts": ["api.example"], "paths": ["/docs/{**}"], "methods": ["GET"]}], "access": "public"},
	  {"name": "write", "match": [{"hosts": ["api.example"], "paths": ["/docs/{**}"], "methods": ["POST", "DELETE"]}], "require": {"scopes": {"all": ["docs:write"]}}},
	  {"name": "orders", "match": [{"hosts": ["api.example"], "paths": ["/orders/{**}"]}], "require": {"scopes": {"all": ["orders:read"]}}}`
	type row struct {
		name, method, path string
		headers            [][2]string
		status             int
		code               string
	}
	var rows []row
	add := func(name, method, path string, status int, code string, headers ...[2]string) {
		rows = append(rows, row{name, method, path, headers, status, code})
	}
	for _, h := range []string{"X-Envoy-Original-Path", "X-Forwarded-Uri", "X-Original-Url", "X-Rewrite-Url",
		"X-Original-Uri", "X-Forwarded-Path", "X-Forwarded-Prefix", "X-Replaced-Path", "X-Envoy-Original-Url",
		"X-HTTP-Path-Override", "Referer"} {
		add("P7 "+h+" names a public path", "GET", "/orders/7", 401, "token_missing", [2]string{h, "/public/a"})
		add("P7 "+h+" names a protected path", "GET", "/public/a", 200, "", [2]string{h, "/orders/7"})
		add("P7 "+h+" names a path that cannot be", "GET", "/public/a", 200, "", [2]string{h, "/a//b"})
	}
	for _, h := range []string{"X-Forwarded-Host", "X-Host", "X-Original-Host", "X-Envoy-Original-Host",
		"X-HTTP-Host-Override", "Forwarded"} {
		value := "public.example"
		if h == "Forwarded" {
			value = "host=public.example"
		}
		add("P7 "+h+" names another host", "GET", "/orders/7", 401, "token_missing", [2]string{h, value})
	}
	for _, h := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Forwarded-Method",
		"X-Original-Method"} {
		add("P13 "+h+" says GET", "POST", "/docs/1", 401, "token_missing", [2]string{h, "GET"})
		add("P13 "+h+" says DELETE", "GET", "/docs/1", 200, "", [2]string{h, "DELETE"})
	}
	add("P13 _method in the query says GET", "DELETE", "/docs/1?_method=GET", 401, "token_missing")
	add("P13 _method in the query says DELETE", "GET", "/docs/1?_method=DELETE", 200, "")
	for _, m := range []string{"QUERY", "PROPFIND", "PATCH", "TRACE", "HEAD", "OPTIONS", "BREW", "PRI"} {
		add("P14 "+m, m, "/docs/1", 403, "no_rule")
	}
	for _, m := range []string{"get", "Get", "gET", "post", "query"} {
		add("P14 "+m, m, "/docs/1", 400, "path_ambiguous")
	}
	for _, agent := range []string{"ELB-HealthChecker/2.0", "kube-probe/1.34", "GoogleHC/1.0", "Envoy/HC",
		"Consul Health Check", "Amazon-Route53-Health-Check-Service"} {
		add("P21 "+agent, "GET", "/orders/7", 401, "token_missing", [2]string{"User-Agent", agent},
			[2]string{"X-Envoy-Healthcheck", "1"})
		add("P21 "+agent+" asks for /healthz", "GET", "/healthz", 403, "no_rule", [2]string{"User-Agent", agent})
	}
	add("P12 a preflight", "OPTIONS", "/orders/7", 401, "token_missing", [2]string{"Origin", "https://app.example"},
		[2]string{"Access-Control-Request-Method", "GET"})
	add("P12 OPTIONS", "OPTIONS", "/docs/1", 403, "no_rule")
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		envoy := harness.Start(t,
			harness.Config{Version: version, Upstream: up.Port(),
				Filters: []bootstrap.M{harness.Filter(t, "jwt-scope", requestConfig(t, "", rules))},
				HTTP:    bootstrap.M{"delayed_close_timeout": "0.01s"}})
		h1, h2 := harness.NewClient1(t, envoy.Main()), harness.NewClient2(t, envoy.Main())
		byFilter := 0
		for _, protocol := range protocols {
			for _, c := range rows {
				answer := exchange(protocol, h1, h2, c.method, c.path, c.headers)
				reached := up.Take()
				label := protocol + " " + c.name
				if c.status != 200 && len(reached) != 0 || c.status == 200 && len(reached) != 1 {
					t.Errorf("%s: %d requests reached the upstream: %+v", label, len(reached), answer)
				}
				switch {
				case strings.HasPrefix(c.name, "P14") && answer.Status() == 400 &&
					answer.Header("content-type") != "application/problem+json", strings.HasPrefix(c.name, "P14") &&
					answer.Status() == 0:
					continue // a method that Envoy's codec does not know
				case answer.Status() != c.status || c.method != "HEAD" && !strings.Contains(answer.Body, c.code):
					t.Errorf("%s: %s %s, want %d %s", label, answer.Start, answer.Body, c.status, c.code)
				}
				byFilter++
			}
		}
		if byFilter < 2*len(rows)-12 {
			t.Errorf("only %d of %d requests came as far as the filter", byFilter, 2*len(rows))
		}
		t.Run("P13 a form that says another method", func(t *testing.T) {
			answer := harness.HTTP1(t, envoy.Main(),
				harness.Request("POST", "/docs/1", [2]string{"Content-Type", "application/x-www-form-urlencoded"},
					[2]string{"Content-Length", "11"})+"_method=GET")
			if answer.Status() != 401 || len(up.Take()) != 0 {
				t.Errorf("%+v", answer)
			}
		})
		// The host that decides is the one that reaches the upstream, however many there are.
		for _, c := range []struct {
			name, request string
			public        bool
		}{
			{"P19 the public host", "GET /x HTTP/1.1\r\nHost: public.example\r\n\r\n", true},
			{"P19 another spelling of it", "GET /x HTTP/1.1\r\nHost: PUBLIC.Example.:80\r\n\r\n", true},
			{"P19 the other host", "GET /x HTTP/1.1\r\nHost: api.example\r\n\r\n", false},
			{"P19 absolute-form with the public host",
				"GET http://public.example/x HTTP/1.1\r\nHost: api.example\r\n\r\n", true},
			{"P19 absolute-form with the other host",
				"GET http://api.example/x HTTP/1.1\r\nHost: public.example\r\n\r\n", false},
			{"P19 absolute-form, protected", "GET http://api.example/orders/7 HTTP/1.1\r\nHost: public.example\r\n\r\n", false},
			{"P19 absolute-form with userinfo",
				"GET http://public.example@api.example/x HTTP/1.1\r\nHost: public.example\r\n\r\n", false},
			{"P19 two hosts", "GET /x HTTP/1.1\r\nHost: public.example\r\nHost: api.example\r\n\r\n", false},
			{"P19 two hosts, the other way", "GET /x HTTP/1.1\r\nHost: api.example\r\nHost: public.example\r\n\r\n", false},
			{"P19 two hosts in one", "GET /x HTTP/1.1\r\nHost: public.example,api.example\r\n\r\n", false},
			{"P19 userinfo", "GET /x HTTP/1.1\r\nHost: public.example@api.example\r\n\r\n", false},
			{"P19 a path in the host", "GET /x HTTP/1.1\r\nHost: public.example/x\r\n\r\n", false},
			{"P19 userinfo, where any host will do",
				"GET /public/a HTTP/1.1\r\nHost: public.example@api.example\r\n\r\n", false},
			{"P19 two hosts in one, where any host will do",
				"GET /public/a HTTP/1.1\r\nHost: public.example,api.example\r\n\r\n", false},
			{"P19 no host", "GET /x HTTP/1.1\r\n\r\n", false},
			{"P19 an empty host", "GET /x HTTP/1.1\r\nHost:\r\n\r\n", false},
		} {
			answer := h1.Do(c.request)
			checkHost(t, c.name, answer, up.Take(), c.public)
		}
		authority := func(headers ...[2]string) [][2]string {
			return append([][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", "/x"}}, headers...)
		}
		for _, c := range []struct {
			name    string
			headers [][2]string
			public  bool
		}{
			{"P19 :authority and another host",
				authority([2]string{":authority", "api.example"}, [2]string{"host", "public.example"}), false},
			{"P19 only a host", authority([2]string{"host", "api.example"}), false},
			{"P19 two hosts", authority([2]string{"host", "api.example"}, [2]string{"host", "public.example"}), false},
			{"P19 two :authority", authority([2]string{":authority", "public.example"},
				[2]string{":authority", "api.example"}), false},
			{"P19 userinfo in :authority", authority([2]string{":authority", "public.example@api.example"}), false},
			{"P19 none", authority(), false},
			{"P19 an absolute :path",
				[][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "api.example"},
					{":path", "http://public.example/x"}}, false},
			{"P19 no :path", [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "public.example"}}, false},
			{"P19 an empty :path", [][2]string{{":method", "GET"}, {":scheme", "http"},
				{":authority", "public.example"}, {":path", ""}}, false},
			{"P19 two :path", [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "api.example"},
				{":path", "/public/a"}, {":path", "/orders/7"}}, false},
			{"P19 a :path after a header",
				[][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "api.example"}, {"x", "y"},
					{":path", "/orders/7"}}, false},
			{"P19 * for GET", [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "public.example"},
				{":path", "*"}}, false},
		} {
			answer := h2.Do(c.headers, "")
			checkHost(t, "HTTP/2 "+c.name, answer, up.Take(), c.public)
		}
		// Here either host may win, but the one that decides must be the one that the upstream gets.
		answer := h2.Do(authority([2]string{":authority", "public.example"}, [2]string{"host", "api.example"}), "")
		checkHost(t, "HTTP/2 P19 a public :authority and another host", answer, up.Take(), answer.Status() == 200)
	})
}

func checkHost(t *testing.T, name string, answer *harness.Message, reached []*harness.Message, public bool) {
	t.Helper()
	for _, m := range reached {
		host, _, _ := strings.Cut(strings.ToLower(m.Header("host")), ":")
		if strings.TrimSuffix(host, ".") != "public.example" || len(m.Values("host")) != 1 {
			t.Errorf("%s: reached the upstream with host %q", name, m.Values("host"))
		}
	}
	if public != (answer.Status() == 200) || public != (len(reached) == 1) {
		t.Errorf("%s: %s %s, and %d requests reached the upstream", name, answer.Start, answer.Body, len(reached))
	}
}

// Requests that ask for a tunnel: the filter decides on the handshake, and without its consent there is none.
func TestTunnels(t *testing.T) {
	rules := `{"name": "public", "match": [{"paths": ["/public/{**}"]}], "access": "public"}, {"name": "feed", "match": [{"paths": ["/feed/{**}"], "methods": ["GET"]}], "require": {"scopes": {"all": ["orders:read"]}}},
	  {"name": "orders", "match": [{"paths": ["/orders/{**}"]}], "require": {"scopes": {"all": ["orders:read"]}}}`
	connect := []bootstrap.M{{"match": bootstrap.M{"connect_matcher": bootstrap.M{}},
		"route": bootstrap.M{"cluster": "upstream",
			"upgrade_configs": []bootstrap.M{{"upgrade_type": "CONNECT", "connect_config": bootstrap.M{}}}}}}
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		filters := []bootstrap.M{harness.Filter(t, "jwt-scope", requestConfig(t, "", rules))}
		http2Options := bootstrap.M{"allow_connect": true}
		envoy := harness.Start(t,
			harness.Config{Version: version, Clusters: []bootstrap.M{bootstrap.Cluster("upstream", up.Port(), false)},
				Listeners: []bootstrap.M{
					bootstrap.Listener("main", 0, filters, bootstrap.To("upstream"),
						bootstrap.M{"http2_protocol_options": http2Options, "delayed_close_timeout": "0.01s"}),
					// A proxy that allows every tunnel it can: what is refused here is refused by the filter.
					bootstrap.Listener("open", 0, filters, append(connect, bootstrap.To("upstream")...),
						bootstrap.M{"http2_protocol_options": http2Options, "delayed_close_timeout": "0.01s",
							"upgrade_configs": []bootstrap.M{{"upgrade_type": "websocket"}, {"upgrade_type": "CONNECT"},
								{"upgrade_type": "h2c"}, {"upgrade_type": "raw"}}}),
				}})
		token := bearer(ecKey.Token(good()))
		handshake := func(protocol, path string, headers ...[2]string) string {
			return harness.Request("GET", path,
				append([][2]string{{"Connection", "Upgrade"}, {"Upgrade", protocol}, {"Sec-WebSocket-Version", "13"},
					{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}}, headers...)...)
		}

		t.Run("P17 a WebSocket with a token", func(t *testing.T) {
			c := harness.Dial(t, envoy.Address("open"))
			answer := c.Do(handshake("websocket", "/feed/1", token))
			if reached := up.Take(); answer.Status() != 101 || len(reached) != 1 || reached[0].Header("upgrade") != "websocket" {
				t.Fatalf("%+v, %+v", answer, reached)
			}
			c.Send("\x81\x05hello")
			if got := c.Read(7); got != "\x81\x05hello" {
				t.Errorf("%q came back", got)
			}
		})
		for _, c := range []struct {
			name    string
			headers [][2]string
			status  int
			code    string
		}{
			{"P17 a WebSocket without token", nil, 401, "token_missing"},
			{"P17 a WebSocket with an expired token",
				[][2]string{bearer(ecKey.Token(good(claims{"exp": time.Now().Unix() - 100})))}, 401, "token_expired"},
			{"P17 a WebSocket without the scope", [][2]string{bearer(ecKey.Token(good(claims{"scope": "x"})))}, 403,
				"insufficient_scope"},
			{"P17 a WebSocket with a forged token", [][2]string{bearer(forger.Token(good()))}, 401, "token_signature"},
		} {
			t.Run(c.name, func(t *testing.T) {
				// Frames sent early, as if the handshake had succeeded: they are not for the upstream.
				conn := harness.Dial(t, envoy.Address("open"))
				answer := conn.Do(handshake("websocket", "/feed/1", c.headers...) + "\x81\x05hello")
				if answer.Status() != c.status || !strings.Contains(answer.Body, c.code) {
					t.Errorf("%+v", answer)
				}
				answer = harness.NewClient2(t,
					envoy.Address("open")).Open(append([][2]string{{":method", "CONNECT"}, {":protocol", "websocket"},
					{":scheme", "http"}, {":authority", "api.example"}, {":path", "/feed/1"},
					{"sec-websocket-version", "13"}}, lowerNames(c.headers)...))
				if answer.Status() != c.status {
					t.Errorf("over HTTP/2: %+v", answer)
				}
				if reached := up.Take(); len(reached) != 0 {
					t.Errorf("reached the upstream: %+v", reached)
				}
			})
		}
		t.Run("P17 a WebSocket over HTTP/2 with a token", func(t *testing.T) {
			answer := harness.NewClient2(t,
				envoy.Address("open")).Open([][2]string{{":method", "CONNECT"}, {":protocol", "websocket"},
				{":scheme", "http"}, {":authority", "api.example"}, {":path", "/feed/1"},
				{"sec-websocket-version", "13"}, {"authorization", token[1]}})
			if reached := up.Take(); answer.Status() != 200 || len(reached) != 1 || reached[0].Header("upgrade") != "websocket" {
				t.Errorf("%+v, %+v", answer, reached)
			}
		})

		// P15: whether the proxy refuses the upgrade, ignores it or passes it on, what follows on
		// the connection is either a request that the filter decides or nothing.
		for _, listener := range []string{"main", "open"} {
			for _, protocol := range []string{"h2c", "h2c, websocket", "websocket, h2c", "H2C", "TLS/1.0", "HTTP/2.0",
				"raw", "websocket", "CONNECT", "connect-udp", ""} {
				t.Run(fmt.Sprintf("P15 Upgrade %q, %s", protocol, listener), func(t *testing.T) {
					settings := [2]string{"HTTP2-Settings", "AAMAAABkAAQAAP__"}
					answer := harness.HTTP1(t, envoy.Address(listener),
						strings.Replace(handshake(protocol, "/orders/7", settings), "Connection: Upgrade",
							"Connection: Upgrade, HTTP2-Settings", 1))
					if reached := up.Take(); len(reached) != 0 || answer.Status() < 400 {
						t.Fatalf("a protected path: %+v, %+v", answer, reached)
					}
					if listener == "open" && !strings.EqualFold(protocol, "connect-udp") && answer.Status() != 401 &&
						answer.Status() != 403 && answer.Status() != 400 {
						t.Errorf("%+v", answer)
					}
					// On a public path, with a request behind it that is not public, in both protocols.
					for _, next := range []string{harness.Request("GET", "/orders/7", [2]string{"Connection", "close"}),
						http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"} {
						conn := harness.Dial(t, envoy.Address(listener))
						first := conn.Do(handshake(protocol, "/public/a", settings))
						if first.Status() == 101 {
							if listener == "main" {
								t.Errorf("a proxy without upgrades makes a tunnel: %+v", first)
							}
							up.Take()
							continue // a tunnel that the operator allows, and the filter by a public rule: its bytes are the upstream's
						}
						conn.Send(next)
						rest := conn.Rest()
						for _, m := range up.Take() {
							if !strings.HasPrefix(m.Start, "GET /public/a ") {
								t.Errorf("%+v reached the upstream; the client got %q", m, rest)
							}
						}
						if strings.Contains(rest, "answered by the upstream") {
							t.Errorf("the client got %q", rest)
						}
					}
				})
			}
		}

		// P16: a CONNECT has no path, so no rule can be meant; refused even where the proxy would make the tunnel.
		for _, listener := range []string{"main", "open"} {
			for name, headers := range map[string][][2]string{"without token": nil, "with a token": {token}} {
				t.Run("P16 CONNECT "+name+", "+listener, func(t *testing.T) {
					early := "GET /orders/7 HTTP/1.1\r\nHost: api.example\r\n\r\n"
					for _, target := range []string{"api.example:80", "api.example", "/orders/7", "http://api.example/orders/7"} {
						conn := harness.Dial(t, envoy.Address(listener))
						conn.Send(harness.Request("CONNECT", target,
							append(headers[:len(headers):len(headers)], [2]string{"Connection", "close"})...) + early)
						if rest := conn.Rest(); strings.HasPrefix(rest, "HTTP/1.1 2") || strings.Contains(rest, "answered by") {
							t.Errorf("%s: %q", target, rest)
						} else if listener == "open" && target == "api.example:80" && !strings.Contains(rest, "path_ambiguous") {
							t.Errorf("%s: not refused by the filter: %q", target, rest)
						}
					}
					for _, pseudo := range [][][2]string{
						{{":method", "CONNECT"}, {":authority", "api.example:80"}},
						{{":method", "CONNECT"}, {":authority", "api.example:80"}, {":scheme", "http"}, {":path", "/orders/7"}},
						{{":method", "CONNECT"}, {":protocol", "bytestream"}, {":scheme", "http"},
							{":authority", "api.example"}, {":path", "/"}},
					} {
						answer := harness.NewClient2(t, envoy.Address(listener)).Open(append(pseudo, lowerNames(headers)...))
						if answer.Status() == 200 {
							t.Errorf("%q: %+v", pseudo, answer)
						}
					}
					if reached := up.Take(); len(reached) != 0 {
						t.Errorf("reached the upstream: %+v", reached)
					}
				})
			}
		}
	})
}

func lowerNames(headers [][2]string) [][2]string {
	lower := slices.Clone(headers)
	for i := range lower {
		lower[i][0] = strings.ToLower(lower[i][0])
	}
	return lower
}

// P20 W27: headers up to what the proxy and its Wasm host take, and beyond: a request that cannot
// be read whole is never a pass.
func TestHugeHeaders(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		forward := `"forward": {"token": "keep", "claimHeaders": [{"path": ["sub"], "header": "x-user-id"}]},`
		rules := `{"name": "public", "match": [{"paths": ["/public"]}], "access": "public"}, {"name": "orders", "match": [{"paths": ["/orders"]}]}`
		envoy := harness.Start(t,
			harness.Config{Version: version, Upstream: up.Port(),
				Filters: []bootstrap.M{harness.Filter(t, "jwt-scope", requestConfig(t, forward, rules))},
				HTTP:    bootstrap.M{"common_http_protocol_options": bootstrap.M{"max_headers_count": 4000}}})
		h1, h2 := harness.NewClient1(t, envoy.Main()), harness.NewClient2(t, envoy.Main())
		token := bearer(ecKey.Token(good()))
		send := func(protocol, path string, headers ...[2]string) (*harness.Message, []*harness.Message) {
			answer := exchange(protocol, h1, h2, "GET", path, headers)
			return answer, up.Take()
		}
		for _, protocol := range protocols {
			// 60 KiB is Envoy's default for a whole head.
			for _, size := range []int{20 << 10, 55 << 10, 59 << 10, 60 << 10, 61 << 10, 100 << 10} {
				for _, c := range []struct {
					name   string
					header [2]string
				}{{"a big header", [2]string{"x-big", strings.Repeat("a", size)}}, {"a big cookie",
					[2]string{"cookie", "a=" + strings.Repeat("b", size)}},
					{"a big forged header", [2]string{"x_user_id", strings.Repeat("a", size)}}} {
					label := fmt.Sprintf("P20 %s %s of %d KiB", protocol, c.name, size>>10)
					for _, path := range []string{"/public", "/orders"} {
						answer, reached := send(protocol, path, c.header)
						switch ok := path == "/public" && size < 59<<10; {
						case ok && (answer.Status() != 200 || len(reached) != 1):
							t.Errorf("%s to %s: %s %s", label, path, answer.Start, answer.Body)
						case path == "/orders" && len(reached) != 0:
							t.Errorf("%s to %s: %s, and it reached the upstream", label, path, answer.Start)
						case size > 60<<10 && (len(reached) != 0 || answer.Status() == 200):
							t.Errorf("%s to %s: %s %s", label, path, answer.Start, answer.Body)
						case path == "/orders" && size < 59<<10 && answer.Status() != 401:
							t.Errorf("%s to %s: %s %s", label, path, answer.Start, answer.Body)
						}
						for _, m := range reached {
							if m.Header("x_user_id") != "" {
								t.Errorf("%s: the forged header reached the upstream", label)
							}
						}
					}
				}
				if answer, reached := send(protocol, "/orders",
					bearer(strings.Repeat("a", size))); answer.Status() != 401 && answer.Status() != 431 &&
					protocol == "HTTP/1.1" || len(reached) != 0 {
					t.Errorf("P20 %s a token of %d KiB: %s %s", protocol, size>>10, answer.Start, answer.Body)
				}
			}
			// The Wasm host takes at most 1024 pairs from a filter
			// (PROXY_WASM_HOST_PAIRS_MAX_COUNT), but hands over any number: the filter must see
			// them all.
			for n := 1000; n <= 4200; n++ {
				switch n {
				case 1033:
					n = 2000
				case 2001:
					n = 3900
				case 3901:
					n = 4100 // more than Envoy is told to take
				case 4101:
					n = 4200
				}
				headers := [][2]string{{"x-user-id", "forged"}}
				for i := range n - 2 {
					headers = append(headers, [2]string{fmt.Sprint("h", i), "v"})
				}
				headers = append(headers, [2]string{"x_user_id", "forged"})
				answer, reached := send(protocol, "/public", headers...)
				if n < 3900 && (answer.Status() != 200 || len(reached) != 1) || n > 4000 &&
					(answer.Status() == 200 || len(reached) != 0) {
					t.Errorf("P20 %s: %d headers: %s %s", protocol, n, answer.Start, answer.Body)
				}
				for _, m := range reached {
					if len(m.Values("x-user-id")) != 0 || len(m.Values("x_user_id")) != 0 || m.Header("h1") != "v" ||
						m.Header(fmt.Sprint("h", n-3)) != "v" {
						t.Errorf("P20 %s: of %d headers, what reached the upstream: %q", protocol, n, m.Values("x-user-id"))
					}
				}
				if answer, reached := send(protocol, "/orders", headers...); n < 3900 && answer.Status() != 401 ||
					len(reached) != 0 {
					t.Errorf("P20 %s: %d headers to a protected path: %s", protocol, n, answer.Start)
				}
				last := append(slices.Clone(headers), token)
				if answer, reached := send(protocol, "/orders", last...); n < 3900 &&
					(answer.Status() != 200 || len(reached) != 1 || reached[0].Header("x-user-id") != "ann") {
					t.Errorf("P20 %s: %d headers and a token behind them: %s", protocol, n, answer.Start)
				}
			}
			// What was too much for one request is not for the next.
			if answer, reached := send(protocol, "/orders", token); answer.Status() != 200 || len(reached) != 1 ||
				reached[0].Header("x-user-id") != "ann" {
				t.Errorf("P20 %s: afterwards: %+v", protocol, answer)
			}
		}
	})
}
