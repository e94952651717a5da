// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

const resourceConfig = `{
	"providers":[{"name":"corp","issuer":"https://idp.example/realms/shop","anyAudience":true,"jwks":{"inline":KEYS}},
		{"name":"batch","issuer":"batch","anyAudience":true,"jwks":{"inline":KEYS}},
		{"name":"many","issuer":{"template":"https://login.example/{tid}","values":["t1","t2"]},"anyAudience":true,
			"jwks":{"inline":KEYS}}],
	"resources":[
		{"path":"/.well-known/oauth-protected-resource/mcp/a","hosts":["api.example"]},
		{"path":"/.well-known/oauth-protected-resource/mcp","resource":"https://www.example/mcp","scopes":["own"],
			"authorizationServers":["https://as.example"],"name":"The \"tools\"","documentation":"https://docs.example/",
			"maxAge":"5m"},
		{"path":"/metadata","resource":"https://api.example/other/"}],
	"rules":[
		{"name":"open","match":[{"paths":["/mcp/a/open"]}],"access":"public"},
		{"name":"tool","match":[{"paths":["/mcp/a/{tool}"],"methods":["POST"]}],
			"require":{"scopes":{"all":["a:call"],"any":["x"]}},"errors":{"realm":"tools","scopes":"always"}},
		{"name":"a","match":[{"paths":["/mcp/a"]}],"require":{"scopes":{"all":["a:list","a:call"],"none":["guest"]}}},
		{"name":"elsewhere","match":[{"hosts":["other.example"],"paths":["/mcp/{**}"]}],
			"require":{"scopes":{"all":["elsewhere"]}}},
		{"name":"b","match":[{"paths":["/mcp/b","/other/{**}"]}],"require":{"scopes":{"all":["b"]}},
			"errors":{"resourceMetadata":"https://meta.example/b"}},
		{"name":"rest"}],
	"errors":{"realm":"all","resourceMetadata":"auto"}}`

func resourcePolicy(t *testing.T) *Policy {
	return parse(t, strings.ReplaceAll(resourceConfig, "KEYS", testKeys))
}

// answer is what the filter answers a request with that asks for a document; "" where it asks for none.
func answer(p *Policy, headers ...[2]string) (status int, answered map[string]string, body string) {
	var d Decision
	p.Decide(&d, asked(headers, now))
	d.Run(goWorld)
	explained(&d)
	status, list, body, _ := d.Publishes()
	answered = map[string]string{}
	for _, h := range list {
		answered[h[0]] = h[1]
	}
	if status != 0 && (d.Verdict().Reason() != verdict.OK || d.Verdict().Rule != -1) {
		panic("a document is refused")
	}
	return status, answered, body
}

// RFC 9728: documents about resources, with what the configuration says and what it leaves out.
func TestResources(t *testing.T) {
	p := resourcePolicy(t)
	at := func(authority, path string, more ...[2]string) [][2]string {
		return append([][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", authority}, {":path", path}},
			more...)
	}
	const a = "/.well-known/oauth-protected-resource/mcp/a"
	servers := []any{"https://idp.example/realms/shop", "https://login.example/t1", "https://login.example/t2"}
	for _, c := range []struct {
		name    string
		headers [][2]string
		want    map[string]any // nil: it is an ordinary request
	}{
		{"all by default", at("api.example", a), map[string]any{"resource": "https://api.example/mcp/a",
			"authorization_servers": servers, "scopes_supported": []any{"a:call", "x", "a:list"},
			"bearer_methods_supported": []any{"header"}}},
		{"with a port", at("API.example:8443", a+"?x=1"), map[string]any{"resource": "https://api.example:8443/mcp/a",
			"authorization_servers": servers, "scopes_supported": []any{"a:call", "x", "a:list"},
			"bearer_methods_supported": []any{"header"}}},
		{"with the port of the scheme", at("api.example:443", a), map[string]any{"resource": "https://api.example/mcp/a",
			"authorization_servers": servers, "scopes_supported": []any{"a:call", "x", "a:list"},
			"bearer_methods_supported": []any{"header"}}},
		{"J40 to another host", at("other.example", a), nil},
		{"with a slash behind", at("api.example", a+"/"), nil},
		{"all given", at("any.example", "/.well-known/oauth-protected-resource/mcp"), map[string]any{
			"resource": "https://www.example/mcp", "authorization_servers": []any{"https://as.example"},
			"scopes_supported": []any{"own"}, "bearer_methods_supported": []any{"header"}, "resource_name": `The "tools"`,
			"resource_documentation": "https://docs.example/"}},
		{"at another path", at("api.example", "/metadata"), map[string]any{"resource": "https://api.example/other/",
			"authorization_servers": servers, "scopes_supported": []any{"b"}, "bearer_methods_supported": []any{"header"}}},
		{"without a host, for a resource that has one", at("", "/metadata"), map[string]any{
			"resource": "https://api.example/other/", "authorization_servers": servers, "scopes_supported": []any{"b"},
			"bearer_methods_supported": []any{"header"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, headers, body := answer(p, c.headers...)
			if c.want == nil {
				if status != 0 {
					t.Errorf("it is answered: %s", body)
				}
				return
			}
			var got map[string]any
			if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%d, %v: %s", status, err, body)
			}
			if headers["content-type"] != "application/json" || headers["access-control-allow-origin"] != "*" {
				t.Errorf("%v", headers)
			}
		})
	}
	if _, headers, _ := answer(p, at("api.example", a)...); headers["cache-control"] != "public, max-age=3600" {
		t.Errorf("%v", headers)
	}
	if _, headers, _ := answer(p, at("x", "/.well-known/oauth-protected-resource/mcp")...); headers["cache-control"] !=
		"public, max-age=300" {
		t.Errorf("%v", headers)
	}
}

// J40: documents are served to GET, HEAD and preflights of CORS, and to nothing else.
func TestResourceMethods(t *testing.T) {
	p := resourcePolicy(t)
	preflight := [][2]string{{"origin", "https://page.example"}, {"access-control-request-method", "GET"},
		{"access-control-request-headers", "mcp-protocol-version"}}
	for _, c := range []struct {
		method  string
		headers [][2]string
		want    int
	}{
		{"GET", nil, 200}, {"HEAD", nil, 200}, {"POST", nil, 0}, {"DELETE", nil, 0}, {"OPTIONS", nil, 0},
		{"OPTIONS", preflight[:1], 0}, {"OPTIONS", preflight[1:], 0}, {"OPTIONS", preflight, 204},
	} {
		headers := append([][2]string{{":method", c.method}, {":authority", "api.example"},
			{":path", "/.well-known/oauth-protected-resource/mcp/a"}}, c.headers...)
		status, answered, body := answer(p, headers...)
		if status != c.want || (status == 204) != (answered["access-control-allow-headers"] == "authorization, *") ||
			status == 204 && body != "" {
			t.Errorf("%s %v: %d, %v", c.method, c.headers, status, answered)
		}
		if v := judge(p, now, headers...); status == 0 && v.Reason() != TokenMissing {
			t.Errorf("%s: %s", c.method, v.Reason().Name)
		}
	}
	v := judge(p, now, request("GET", "/.well-known/oauth-protected-resource/mcp/x/../a")...)
	if v.Reason() != verdict.PathAmbiguous {
		t.Errorf("P2: %s", v.Reason().Name)
	}
}

// What challenges say: the metadata that covers the request, the realm, and the scopes where they are asked for.
func TestChallengeOfRule(t *testing.T) {
	p := resourcePolicy(t)
	token := func(scope string) [2]string {
		return bearerHeader(es256(t, good(claims{"iss": "https://idp.example/realms/shop", "scope": scope})))
	}
	const a = `, resource_metadata="https://api.example/.well-known/oauth-protected-resource/mcp/a"`
	for _, c := range []struct {
		name    string
		headers [][2]string
		want    string
	}{
		{"the narrower document", request("GET", "/mcp/a"), `Bearer realm="all"` + a},
		{"below it", request("GET", "/mcp/a/b/c"), `Bearer realm="all"` + a},
		{"beside it", request("GET", "/mcp/ab"),
			`Bearer realm="all", resource_metadata="https://www.example/.well-known/oauth-protected-resource/mcp"`},
		{"none", request("GET", "/elsewhere"), `Bearer realm="all"`},
		{"J40 the narrower document is another host's", [][2]string{{":method", "GET"}, {":authority", "third.example"},
			{":path", "/mcp/a"}},
			`Bearer realm="all", resource_metadata="https://www.example/.well-known/oauth-protected-resource/mcp"`},
		{"a document of a path of its own", request("GET", "/other"),
			`Bearer realm="all", resource_metadata="https://meta.example/b"`},
		{"of the rule", request("GET", "/mcp/b"), `Bearer realm="all", resource_metadata="https://meta.example/b"`},
		{"with scopes always", request("POST", "/mcp/a/t"), `Bearer realm="tools", scope="a:call x"` + a},
		{"with scopes always, and a bad token", request("POST", "/mcp/a/t", bearerHeader("x.y.z")),
			`Bearer realm="tools", error="invalid_token", scope="a:call x"` + a},
		{"with scopes always, and two tokens", request("POST", "/mcp/a/t", bearerHeader("x"), bearerHeader("y")),
			`Bearer realm="tools", error="invalid_request"` + a},
		{"without a scope", request("POST", "/mcp/a/t", token("x")),
			`Bearer realm="tools", error="insufficient_scope", scope="a:call x"` + a},
	} {
		t.Run(c.name, func(t *testing.T) {
			if v := judge(p, now, c.headers...); v.Challenge != c.want {
				t.Errorf("%s\nwant %s", v.Challenge, c.want)
			}
		})
	}
	// J41: the URL is made of what a host may be, and of nothing else that a client sends.
	for authority, want := range map[string]string{
		"api.example:8443": `https://api.example:8443/`, "API.Example.": "https://api.example/", "api.example:443": "https://api.example/",
	} {
		v := judge(p, now, [2]string{":method", "GET"}, [2]string{":authority", authority}, [2]string{":path", "/mcp/a"},
			[2]string{"x-forwarded-host", "evil.example"}, [2]string{"x-forwarded-proto", "http"}, [2]string{":scheme", "x\""})
		if !strings.Contains(v.Challenge, `resource_metadata="`+want+`.well-known/`) {
			t.Errorf("%s: %s", authority, v.Challenge)
		}
	}
	for _, authority := range []string{`a"b`, "api.example@evil.example", "api.example/x", `api.example\x`, "api.example:8o", "a b"} {
		v := judge(p, now, [2]string{":method", "GET"}, [2]string{":authority", authority}, [2]string{":path", "/mcp/a"})
		if v.Reason() != verdict.PathAmbiguous || v.Challenge != "" {
			t.Errorf("%q: %s, %s", authority, v.Reason().Name, v.Challenge)
		}
	}
	// A server at a path that ends in a slash is covered with all below, and named as it is written.
	slash := parse(t, `{"providers":[{"name":"p","issuer":"https://idp.example","anyAudience":true,"jwks":{"inline":`+testKeys+
		`}}],"resources":[{"path":"/.well-known/oauth-protected-resource/mcp/"}],"rules":[{"name":"r"}],`+
		`"errors":{"resourceMetadata":"auto"}}`)
	for _, path := range []string{"/mcp/", "/mcp/x", "/mcp"} {
		if v := judge(slash, now, request("POST", path)...); !strings.HasSuffix(v.Challenge,
			`resource_metadata="https://api.example/.well-known/oauth-protected-resource/mcp/"`) {
			t.Errorf("%s: %s", path, v.Challenge)
		}
	}
	if _, _, body := answer(slash, request("GET", "/.well-known/oauth-protected-resource/mcp/")...); !strings.Contains(body,
		`"resource":"https://api.example/mcp/"`) {
		t.Error(body)
	}
	http := append(request("GET", "/mcp/a"), [2]string{":scheme", "http"})
	if v := judge(p, now, http...); v.Challenge != `Bearer realm="all"`+strings.Replace(a, "https", "http", 1) {
		t.Errorf("over HTTP: %s", v.Challenge)
	}
}
