// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

const (
	shop    = "https://idp.example.com/realms/shop"
	partner = "https://partner.example.net"
)

var (
	shopKey    = mint.New("shop-1", jose.ES256)
	rsaKey     = mint.New("shop-2", jose.RS256)
	partnerKey = mint.New("partner-1", jose.ES256)
	forger     = mint.New("shop-1", jose.ES256) // another key with a kid of the issuer's
)

// published are the key sets, by where the notes say that they are, and an issuer's metadata.
func published() map[string]string {
	return map[string]string{
		"idp.example.com/realms/shop/.well-known/openid-configuration": `{"issuer":"` + shop +
			`","jwks_uri":"https://idp.example.com/realms/shop/certs"}`,
		"idp.example.com/realms/shop/certs": string(mint.Set(shopKey, rsaKey)),
		"partner.example.net/keys":          string(mint.Set(partnerKey)),
	}
}

type claims map[string]any

// request is one that both sides get. Its name is what the tables of the notes call it.
type request struct {
	name         string
	method, path string
	host         string
	claims       claims
	key          *mint.Key
	token        func(good string) string       // what is sent for the token; nil: the token
	place        func(r *request, token string) // where it is sent
	headers      [][2]string                    // besides
}

type change func(*request)

// ask is a request like base with changes.
func (base request) ask(name string, changes ...change) request {
	r := base
	r.name, r.claims, r.headers = name, maps.Clone(base.claims), base.headers[:len(base.headers):len(base.headers)]
	for _, c := range changes {
		c(&r)
	}
	return r
}

// wire is the request as it is sent, with the token in it; "" for none.
func (r request) wire() (text, token string) {
	r.headers = append([][2]string{{"Host", r.host}}, r.headers...)
	if r.place != nil {
		token = r.key.Token(r.claims)
		if r.token != nil {
			token = r.token(token)
		}
		r.place(&r, token)
	}
	return harness.Request(r.method, r.path, r.headers...), token
}

func claim(name string, value any) change { return func(r *request) { r.claims[name] = value } }
func without(name string) change          { return func(r *request) { delete(r.claims, name) } }
func withMethod(m string) change          { return func(r *request) { r.method = m } }
func onPath(p string) change              { return func(r *request) { r.path = p } }
func onHost(h string) change              { return func(r *request) { r.host = h } }
func by(key *mint.Key) change             { return func(r *request) { r.key = key } }
func noToken(r *request)                  { r.place = nil }

func withHeader(name, value string) change {
	return func(r *request) { r.headers = append(r.headers, [2]string{name, value}) }
}

func sent(token func(good string) string) change { return func(r *request) { r.token = token } }
func in(place func(*request, string)) change     { return func(r *request) { r.place = place } }

// inHeader places the token in a header, behind a prefix.
func inHeader(name, prefix string) func(*request, string) {
	return func(r *request, token string) { r.headers = append(r.headers, [2]string{name, prefix + token}) }
}

func inCookie(name string) func(*request, string) { return inHeader("Cookie", name+"=") }

func inQuery(name string) func(*request, string) {
	return func(r *request, token string) {
		mark := "?"
		if strings.Contains(r.path, "?") {
			mark = "&"
		}
		r.path += mark + name + "=" + token
	}
}

func both(a, b func(*request, string)) func(*request, string) {
	return func(r *request, token string) { a(r, token); b(r, token) }
}

func in1h() int64                        { return time.Now().Add(time.Hour).Unix() }
func ago(d time.Duration) int64          { return time.Now().Add(-d).Unix() }
func segment(token string, n int) string { return strings.Split(token, ".")[n] }

// common are asked in every case, as changes of the request that is allowed there.
func common(base request) []request {
	reader := base.key
	noKid := *reader
	noKid.ID = ""
	p := base.path
	list := []request{
		base.ask("the token it should have"),
		base.ask("no token", noToken),

		base.ask("expired ten minutes ago", claim("exp", ago(10*time.Minute))),
		base.ask("expired 45 seconds ago", claim("exp", ago(45*time.Second))),
		base.ask("no exp", without("exp")),
		base.ask("exp as a string", claim("exp", "2100-01-01")),
		base.ask("valid in an hour", claim("nbf", in1h())),
		base.ask("issued in an hour", claim("iat", in1h())),
		base.ask("another issuer", claim("iss", "https://evil.example")),
		base.ask("the issuer with a slash behind", claim("iss", base.claims["iss"].(string)+"/")),
		base.ask("no issuer", without("iss")),
		base.ask("another audience", claim("aud", "billing")),
		base.ask("the audience among others", claim("aud", []string{"billing", "orders-api"})),
		base.ask("the audience as a part of another", claim("aud", "orders-api-test")),
		base.ask("the audience as a URL", claim("aud", "https://orders-api/")),
		base.ask("no audience", without("aud")),
		base.ask("no subject", without("sub")),
		base.ask("an empty subject", claim("sub", "")),
		base.ask("a number as the subject", claim("sub", 7)),

		base.ask("a token that somebody else has signed", by(forger)),
		base.ask("a kid that no key has", by(mint.New("gone", jose.ES256))),
		base.ask("no kid", by(&noKid)),
		base.ask("alg none", sent(func(good string) string {
			return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + segment(good, 1) + "."
		})),
		base.ask("no signature", sent(func(good string) string { return segment(good, 0) + "." + segment(good, 1) + "." })),
		base.ask("other claims under the signature", sent(func(good string) string {
			return segment(good, 0) + "." +
				base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"`+shop+
					`","aud":"orders-api","sub":"root","exp":4102444800}`)) + "." + segment(good, 2)
		})),
		base.ask("not a token", sent(func(string) string { return "abc" })),
		base.ask("an empty token", sent(func(string) string { return "" })),
		base.ask("a fourth part", sent(func(good string) string { return good + ".e30" })),
		base.ask("a claim that stands twice", func(r *request) {
			b, err := json.Marshal(r.claims)
			if err != nil {
				panic(err) // claims of these tests marshal
			}
			raw := json.RawMessage(strings.Replace(string(b), "{", `{"sub":"root",`, 1))
			key := r.key
			r.token = func(string) string { return key.Token(raw) }
		}),
		base.ask("the token twice", in(both(base.place, base.place))),
		base.ask("a good token and a forged one", in(func(r *request, token string) {
			base.place(r, token)
			base.place(r, forger.Token(r.claims))
		})),
		base.ask("Basic credentials", noToken, withHeader("Authorization", "Basic YW5uOnNlY3JldA==")),
		base.ask("claims without a token", noToken,
			withHeader("x-jwt-payload", base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"root"}`))),
			withHeader("x-user-id", "root")),

		base.ask("another path", onPath("/elsewhere")),
		base.ask("the path with a query", onPath(p+"?a=b")),
		base.ask("the path in another case", onPath(strings.ToUpper(p))),
		base.ask("an escaped letter in the path", onPath("/%"+strings.ToUpper(hex(p[1]))+p[2:])),
		base.ask("an escaped space in the path", onPath(p+"%20")),
		base.ask("a slash behind", onPath(p+"/")),
		base.ask("an empty segment in front", onPath("/"+p)),
		base.ask("an empty segment behind", onPath(p+"//x")),
		base.ask("a dot segment", onPath("/elsewhere/.."+p)),
		base.ask("an encoded dot segment", onPath("/elsewhere/%2e%2e"+p)),
		base.ask("a dot segment that leads out", onPath(p+"/../../elsewhere")),
		base.ask("a dot segment with parameters", onPath("/elsewhere/..;"+p)),
		base.ask("parameters behind", onPath(p+";v=1")),
		base.ask("an encoded slash", onPath(p+"%2fx")),
		base.ask("an encoded percent sign", onPath(p+"%252fx")),
		base.ask("a backslash", onPath(p+`\x`)),
		base.ask("an encoded question mark", onPath(p+"%3fx")),
		base.ask("a control character", onPath(p+"%01")),
		base.ask("no UTF-8", onPath(p+"%ff")),
		base.ask("a fragment", onPath(p+"#x")),

		base.ask("OPTIONS", withMethod("OPTIONS")),
		base.ask("a method in lower case", withMethod("get")),
		base.ask("a preflight of CORS", withMethod("OPTIONS"), noToken,
			withHeader("Origin", "https://shop.example.com"), withHeader("Access-Control-Request-Method", "GET")),
		base.ask("a preflight of CORS with a forged token", withMethod("OPTIONS"), by(forger),
			withHeader("Origin", "https://shop.example.com"), withHeader("Access-Control-Request-Method", "GET")),
		base.ask("the host with a port", onHost(base.host+":8080")),
		base.ask("the host in upper case", onHost(strings.ToUpper(base.host))),
		base.ask("the host with a dot behind", onHost(base.host+".")),
	}
	return list
}

func hex(b byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[b>>4], digits[b&15]})
}

// base is a request that both sides allow, unless a case changes it.
func base(changes ...change) request {
	return request{
		method: "GET", path: "/orders/7", host: "api.example.com", key: shopKey, place: inHeader("Authorization", "Bearer "),
		claims: claims{"iss": shop, "aud": "orders-api", "sub": "ann", "exp": time.Now().Add(time.Hour).Unix(),
			"iat": time.Now().Unix()},
	}.ask("", changes...)
}

// requests are those of each section of the notes that has samples.
var requests = map[string]func() []request{
	"Any valid token": func() []request {
		b := base()
		return append(common(b),
			b.ask("a token of the other key", by(rsaKey)),
			b.ask("any path and method", withMethod("DELETE"), onPath("/whatever/it/is")),
		)
	},
	"Scopes by path and method": func() []request {
		b := base(claim("scope", "openid orders:read"))
		return append(common(b),
			b.ask("the scope alone", claim("scope", "orders:read")),
			b.ask("another of the scopes", claim("scope", "orders:admin profile")),
			b.ask("the scope as a list", claim("scope", []string{"openid", "orders:read"})),
			b.ask("an empty list of scopes", claim("scope", []string{})),
			b.ask("the scope within an item of a list", claim("scope", []string{"openid orders:read"})),
			b.ask("the scope under scp", without("scope"), claim("scp", "orders:read")),
			b.ask("no scope", without("scope")),
			b.ask("an empty scope", claim("scope", "")),
			b.ask("another scope", claim("scope", "openid orders:list")),
			b.ask("a scope that begins so", claim("scope", "orders:readonly")),
			b.ask("a scope that ends so", claim("scope", "my-orders:read")),
			b.ask("a part of the scope", claim("scope", "orders:rea")),
			b.ask("the scope in another case", claim("scope", "Orders:Read")),
			b.ask("scopes with a tab between", claim("scope", "openid\torders:read")),
			b.ask("scopes with a comma between", claim("scope", "openid,orders:read")),
			b.ask("scopes with two spaces between", claim("scope", "openid  orders:read")),
			b.ask("a number as the scope", claim("scope", 1)),
			b.ask("an object as the scope", claim("scope", claims{"orders:read": true})),
			b.ask("HEAD", withMethod("HEAD")),
			b.ask("POST with the scope for reading", withMethod("POST")),
			b.ask("POST with the scope for writing", withMethod("POST"), claim("scope", "orders:write")),
			b.ask("GET with the scope for writing", claim("scope", "orders:write")),
			b.ask("PATCH, which no rule has", withMethod("PATCH"), claim("scope", "orders:write orders:read")),
			b.ask("the path itself", onPath("/orders")),
			b.ask("a path that begins so", onPath("/orders-old/7")),
			b.ask("deep below the path", onPath("/orders/7/items/1")),
			b.ask("the open path without a token", onPath("/healthz"), noToken),
			b.ask("the open path with a forged token", onPath("/healthz"), by(forger)),
			b.ask("below the open path", onPath("/healthz/x"), noToken),
			b.ask("another method on the open path", onPath("/healthz"), withMethod("POST")),
		)
	},
	"Claims": func() []request {
		roles := func(list any) change { return claim("realm_access", claims{"roles": list}) }
		b := base(roles([]string{"user", "clerk"}), claim("account", "acct-7"))
		return append(common(b),
			b.ask("another of the roles", roles([]string{"admin"})),
			b.ask("another role", roles([]string{"user"})),
			b.ask("no roles", without("realm_access")),
			b.ask("an empty list of roles", roles([]string{})),
			b.ask("one role as a string", roles("clerk")),
			b.ask("roles with spaces between in one string", roles("user clerk")),
			b.ask("a role that begins so", roles([]string{"clerks"})),
			b.ask("a role in another case", roles([]string{"Clerk"})),
			b.ask("a list within the list of roles", roles([]any{[]string{"clerk"}})),
			b.ask("an object in the list of roles", roles([]any{claims{"clerk": true}})),
			b.ask("null in the list of roles", roles([]any{nil, "clerk"})),
			b.ask("roles at the top", without("realm_access"), claim("roles", []string{"clerk"})),
			b.ask("a dot in the name of the claim", without("realm_access"), claim("realm_access.roles", []string{"clerk"})),
			b.ask("a list on the way to the claim", claim("realm_access", []any{claims{"roles": []string{"clerk"}}})),
			b.ask("an account that does not begin so", claim("account", "xacct-7")),
			b.ask("only the beginning of an account", claim("account", "acct-")),
			b.ask("accounts as a list", claim("account", []string{"other", "acct-7"})),
			b.ask("a number as the account", claim("account", 7)),
			b.ask("no account", without("account")),
			b.ask("a status", claim("status", "active")),
			b.ask("the status that must not be", claim("status", "suspended")),
			b.ask("the status that must not be, in a list", claim("status", []string{"new", "suspended"})),
			b.ask("null as the status", claim("status", nil)),
			b.ask("the path itself", onPath("/orders")),
		)
	},
	"DENY": func() []request {
		b := base()
		return append(common(b),
			b.ask("admin with a token", onPath("/admin/users")),
			b.ask("admin itself", onPath("/admin")),
			b.ask("admin without a token", onPath("/admin/users"), noToken),
			b.ask("admin itself without a token", onPath("/admin"), noToken),
			b.ask("admin with a forged token", onPath("/admin/users"), by(forger)),
			b.ask("admin without a subject", onPath("/admin/users"), without("sub")),
			b.ask("admin in another case without a token", onPath("/Admin/users"), noToken),
			b.ask("admin with an escaped letter without a token", onPath("/%61dmin/users"), noToken),
			b.ask("admin behind an empty segment without a token", onPath("//admin/users"), noToken),
			b.ask("admin behind dots without a token", onPath("/x/../admin/users"), noToken),
			b.ask("admin behind encoded dots without a token", onPath("/x/%2e%2e/admin/users"), noToken),
			b.ask("admin behind dots with parameters without a token", onPath("/x/..;/admin/users"), noToken),
			b.ask("admin with a backslash without a token", onPath(`/admin\users`), noToken),
			b.ask("admin with an encoded slash without a token", onPath("/admin%2fusers"), noToken),
			b.ask("admin with parameters without a token", onPath("/admin;x/users"), noToken),
			b.ask("a path that begins so without a token", onPath("/administrators"), noToken),
			b.ask("a robot", claim("client_kind", "robot")),
			b.ask("a robot in admin", onPath("/admin/users"), claim("client_kind", "robot")),
			b.ask("a robot in a list", claim("client_kind", []string{"batch", "robot"})),
			b.ask("robots", claim("client_kind", "robots")),
			b.ask("a person", claim("client_kind", "person")),
		)
	},
	"Hosts and path templates": func() []request {
		b := base(onPath("/tenants/acme/invoices"))
		return append(common(b),
			b.ask("a host below", onHost("eu.shop.example.com")),
			b.ask("a host two labels below", onHost("a.eu.shop.example.com")),
			b.ask("a host below with a port", onHost("eu.shop.example.com:8443")),
			b.ask("the host without the star", onHost("shop.example.com")),
			b.ask("a host that ends so without a dot", onHost("evilshop.example.com")),
			b.ask("a host that begins so", onHost("api.example.com.evil.example")),
			b.ask("another host", onHost("www.example.com")),
			b.ask("userinfo in the host", onHost("api.example.com@evil.example")),
			b.ask("an address as the host", onHost("127.0.0.1")),
			b.ask("two segments for {*}", onPath("/tenants/acme/eu/invoices")),
			b.ask("no segment for {*}", onPath("/tenants/invoices")),
			b.ask("an empty segment for {*}", onPath("/tenants//invoices")),
			b.ask("below the template", onPath("/tenants/acme/invoices/7")),
			b.ask("an escaped segment for {*}", onPath("/tenants/caf%C3%A9/invoices")),
			b.ask("parameters in {*}", onPath("/tenants/acme;v=1/invoices")),
			b.ask("a quotation mark in {*}", onPath("/tenants/a%22b/invoices")),
			b.ask("a star in {*}", onPath("/tenants/*/invoices")),
			b.ask("below {**}", onPath("/files/a")),
			b.ask("deep below {**}", onPath("/files/a/b/c.txt")),
			b.ask("{**} with nothing but a slash", onPath("/files/")),
			b.ask("{**} with nothing", onPath("/files")),
			b.ask("a path that begins so", onPath("/filesystem/a")),
			b.ask("another method", withMethod("POST")),
		)
	},
	"What the service behind sees": func() []request {
		b := base(claim("level", "gold"), claim("org", claims{"name": "acme"}))
		return append(common(b),
			b.ask("headers of the client's own with a token", withHeader("x-user-id", "root"),
				withHeader("x-level", "platinum"), withHeader("x-org", "evil"), withHeader("x-jwt-payload", "e30")),
			b.ask("headers of the client's own for claims that the token does not have", without("level"),
				without("org"), withHeader("x-level", "platinum"), withHeader("x-org", "evil")),
			b.ask("a header with an underscore", withHeader("x_user_id", "root")),
			b.ask("a number", claim("level", 3)),
			b.ask("a fraction", claim("level", 2.5)),
			b.ask("a big number", claim("level", json.Number("9007199254740993"))),
			b.ask("true", claim("level", true)),
			b.ask("null", claim("level", nil)),
			b.ask("an empty string", claim("level", "")),
			b.ask("a list of strings", claim("level", []string{"gold", "beta"})),
			b.ask("a list with a comma in an item", claim("level", []string{"gold,beta"})),
			b.ask("an object", claim("level", claims{"a": 1})),
			b.ask("a line break", claim("level", "gold\r\nx-admin: 1")),
			b.ask("letters beyond ASCII", claim("level", "größer")),
			b.ask("a space around", claim("level", " gold ")),
			b.ask("no such claim", without("level")),
			b.ask("a dot in the name of the claim", without("org"), claim("org.name", "acme")),
		)
	},
	"Where the token stands": func() []request {
		b := base(in(inHeader("x-assertion", "")))
		with := func(name string, place func(*request, string), more ...change) request {
			return b.ask(name, append(more, in(place))...)
		}
		token := inHeader("Authorization", "Token ")
		return append(common(b),
			with("behind the scheme", token),
			with("behind the scheme in lower case", inHeader("Authorization", "token ")),
			with("behind another scheme", inHeader("Authorization", "Bearer ")),
			with("behind no scheme", inHeader("Authorization", "")),
			with("the scheme with two spaces", inHeader("Authorization", "Token  ")),
			with("the scheme behind something else", inHeader("Authorization", "X Token ")),
			with("something behind the token",
				func(r *request, token string) { inHeader("Authorization", "Token ")(r, token+", x=y") }),
			with("in the cookie", inCookie("session")),
			with("in quotation marks in the cookie", func(r *request, token string) { inCookie("session")(r, `"`+token+`"`) }),
			with("in another cookie", inCookie("sessions")),
			with("in one of two cookies of that name", func(r *request, token string) {
				inHeader("Cookie", "session=")(r, token+"; session=x")
			}),
			with("beside another cookie",
				func(r *request, token string) { inHeader("Cookie", "a=b; session=")(r, token+"; c=d") }),
			with("in the query", inQuery("access_token")),
			with("in the query beside others",
				func(r *request, token string) { r.path += "?a=b&access_token=" + token + "&c=d" }),
			with("in another parameter", inQuery("access-token")),
			with("in the query under an escaped name", inQuery("access%5Ftoken")),
			with("in the header and in the query", both(b.place, inQuery("access_token"))),
			with("in the header and in the cookie", both(b.place, inCookie("session"))),
			with("a good one in the header and a forged one in the query", func(r *request, token string) {
				b.place(r, token)
				inQuery("access_token")(r, forger.Token(r.claims))
			}),
			with("a forged one in the cookie", inCookie("session"), by(forger)),
			with("an expired one in the query", inQuery("access_token"), claim("exp", ago(time.Hour))),
			with("where no sample looks for it", inHeader("x-token", "")),
		)
	},
	"Two issuers": func() []request {
		b := base()
		other := func(r *request) { r.claims["iss"], r.key = partner, partnerKey }
		return append(common(b),
			b.ask("the partner on its path", onPath("/partner/7"), other),
			b.ask("the partner on the orders", other),
			b.ask("the shop on the partner's path", onPath("/partner/7")),
			b.ask("the partner's token with the shop's key", func(r *request) { r.claims["iss"] = partner }),
			b.ask("the shop's token with the partner's key", by(partnerKey)),
			b.ask("the partner's token, expired", other, claim("exp", ago(time.Hour))),
			b.ask("the partner's token for another audience", other, claim("aud", "billing")),
			b.ask("no token on the partner's path", onPath("/partner/7"), noToken),
			b.ask("an issuer that begins so", claim("iss", partner+"/7"), by(partnerKey)),
		)
	},
	"Telling clients what is missing": func() []request {
		b := base(onPath("/reports"), claim("scope", "reports:read"))
		return append(common(b),
			b.ask("another scope", claim("scope", "reports:list")),
			b.ask("no scope", without("scope")),
		)
	},
	"Headers": func() []request {
		b := base(withHeader("x-channel", "web"))
		other := base()
		return append(common(b),
			b.ask("debugging", withHeader("x-debug", "1")),
			b.ask("debugging with an empty value", withHeader("x-debug", "")),
			b.ask("debugging twice", withHeader("x-debug", "1"), withHeader("x-debug", "2")),
			b.ask("debugging without a token", withHeader("x-debug", "1"), noToken),
			b.ask("debugging in another case", withHeader("X-Debug", "1")),
			b.ask("debugging in another spelling", withHeader("x_debug", "1")),
			b.ask("a header that begins so", withHeader("x-debugger", "1")),
			other.ask("no channel"),
			other.ask("an app", withHeader("x-channel", "app-7")),
			other.ask("an app, in another case of the name", withHeader("X-CHANNEL", "app-7")),
			other.ask("only the beginning of an app", withHeader("x-channel", "app-")),
			other.ask("less than the beginning of an app", withHeader("x-channel", "app")),
			other.ask("an app in another case", withHeader("x-channel", "App-7")),
			other.ask("a channel that begins like another", withHeader("x-channel", "webs")),
			other.ask("a channel that ends like another", withHeader("x-channel", "my-web")),
			other.ask("an empty channel", withHeader("x-channel", "")),
			other.ask("a list of channels in one header", withHeader("x-channel", "web,web")),
			other.ask("a list of channels that begins so", withHeader("x-channel", "app-7,web")),
			other.ask("the channel in another spelling only", withHeader("x_channel", "web")),
			b.ask("the channel twice", withHeader("x-channel", "web")),
			b.ask("a channel and another one", withHeader("x-channel", "batch")),
			other.ask("two channels that begin so", withHeader("x-channel", "app-1"), withHeader("x-channel", "batch")),
			b.ask("a region", withHeader("x-region", "eu")),
			b.ask("an empty region", withHeader("x-region", "")),
			b.ask("the region for tests", withHeader("x-region", "test")),
			b.ask("the region for tests without a token", withHeader("x-region", "test"), noToken),
			b.ask("a region that begins so", withHeader("x-region", "test-1")),
			b.ask("the region twice", withHeader("x-region", "test"), withHeader("x-region", "test")),
			b.ask("the region in another spelling", withHeader("x_region", "test")),
			b.ask("the path itself", onPath("/orders")),
		)
	},
	"Issuers with conditions of their own": func() []request {
		b := base(claim("scope", "orders:read"))
		other := func(r *request) { r.claims["iss"], r.key = partner, partnerKey }
		return append(common(b),
			b.ask("the shop without the scope", without("scope")),
			b.ask("the shop with the partner's claim", without("scope"), claim("contract", "gold-7")),
			b.ask("the partner", other, without("scope"), claim("contract", "gold-7")),
			b.ask("the partner with one of several contracts", other, without("scope"),
				claim("contract", []string{"tin-1", "gold-7"})),
			b.ask("the partner with another contract", other, without("scope"), claim("contract", "tin-1")),
			b.ask("the partner with the scope", other),
			b.ask("the partner without a subject", other, claim("contract", "gold-7"), without("sub")),
			b.ask("the partner, signed by somebody else", other, claim("contract", "gold-7"), by(forger)),
			b.ask("the partner's claim under the shop's key", claim("iss", partner), claim("contract", "gold-7")),
			b.ask("the path itself", onPath("/orders")),
		)
	},
}
