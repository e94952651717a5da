// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwtscope

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// The path matrix: hostile spellings of protected paths, sent by clients that may not go there,
// through every setting of Envoy's own path handling. Three things are held against each other:
//
//   - what the filter answered, with the definition of the filter's README (Paths) written down a
//     second time (expect), for the path that Envoy handed to the filter;
//   - which of Envoy's own routes a request took that went on;
//   - what upstreams of every kind would make of the path that reached them (readings).

// area is what a path belongs to; a part of the site with one rule.
type area struct {
	name   string // "" for no rule, otherwise the rule's
	tenant string // of area tenant
}

// caller is somebody who sends requests.
type caller struct {
	name   string
	claims claims // nil: no token
	mayGo  func(area) bool
}

var callers = []caller{
	{"nobody", nil, func(a area) bool { return a.name == "" || a.name == "public" }},
	{"orders", claims{}, func(a area) bool { return a.name == "" || a.name == "public" || a.name == "orders" }},
	{"acme", claims{"scope": "", "tenant": "acme"}, func(a area) bool {
		return a.name == "" || a.name == "public" || a == area{"tenant", "acme"}
	}},
}

// pathConfig protects three areas beside a public one.
func pathConfig(defaultAccess string) string {
	return fmt.Sprintf(`{"default": %q,
	 "providers": [{"name": "corp", "issuer": %q, "audiences": ["orders-api"], "jwks": {"inline": %s}}],
	 "rules": [
	  {"name": "public", "match": [{"paths": ["/public/{**}"]}], "access": "public"},
	  {"name": "orders", "match": [{"paths": ["/orders/{**}"]}], "require": {"scopes": {"any": ["orders:read"]}}},
	  {"name": "tenant", "match": [{"paths": ["/tenants/{tenant}/{**}"]}], "require": {"claims": [{"path": ["tenant"], "equals": {"pathVariable": "tenant"}}]}},
	  {"name": "admin", "match": [{"paths": ["/admin/{**}"]}], "require": {"scopes": {"all": ["admin"]}}}
	 ]}`, defaultAccess, issuer, mint.Set(ecKey))
}

// setting is one way for Envoy to treat paths before any filter sees them.
type setting struct {
	name      string
	allow     bool // the filter's default is allow: then only rules protect
	normalize bool
	merge     bool
	escaped   string
	atLeast   counts
}

// counts of what became of requests. Envoy's versions differ in details of what they refuse
// themselves, so these are floors.
type counts struct{ Admitted, Ambiguous, Denied, Envoy int }

var settings = []setting{
	{name: "as sent, default deny", escaped: "KEEP_UNCHANGED", atLeast: counts{120, 2200, 700, 200}},
	{name: "as sent", allow: true, escaped: "KEEP_UNCHANGED", atLeast: counts{500, 2200, 320, 200}},
	{name: "normalize_path", allow: true, normalize: true, escaped: "KEEP_UNCHANGED",
		atLeast: counts{620, 1500, 550, 240}},
	{name: "merge_slashes", allow: true, merge: true, escaped: "KEEP_UNCHANGED", atLeast: counts{540, 2100, 360, 200}},
	{name: "unescaped slashes", allow: true, escaped: "UNESCAPE_AND_FORWARD", atLeast: counts{520, 2100, 340, 200}},
	{name: "unescaped, normal, merged", allow: true, normalize: true, merge: true, escaped: "UNESCAPE_AND_FORWARD",
		atLeast: counts{780, 1150, 740, 240}},
	{name: "redirected, normal, merged", allow: true, normalize: true, merge: true, escaped: "UNESCAPE_AND_REDIRECT",
		atLeast: counts{780, 1150, 740, 400}},
	{name: "Envoy's edge: refused, normal, merged", allow: true, normalize: true, merge: true,
		escaped: "REJECT_REQUEST", atLeast: counts{720, 1150, 640, 300}},
}

func TestPaths(t *testing.T) {
	cases := spellings()
	t.Logf("%d spellings", len(cases))
	if len(cases) < 400 {
		t.Fatalf("the matrix has only %d spellings", len(cases))
	}
	tokens := make([]string, len(callers))
	for i, c := range callers {
		if c.claims != nil {
			tokens[i] = ecKey.Token(good(c.claims))
		}
	}
	harness.Each(t, func(t *testing.T, version string) {
		ups := map[string]*harness.Upstream{}
		var clusters, listeners []bootstrap.M
		for _, protocol := range protocols {
			ups[protocol] = harness.StartUpstream(t)
			clusters = append(clusters, bootstrap.Cluster(protocol, ups[protocol].Port(), false))
			for _, s := range settings {
				access := "deny"
				if s.allow {
					access = "allow"
				}
				listeners = append(listeners,
					bootstrap.Listener(s.name+protocol, 0,
						[]bootstrap.M{harness.Filter(t, "jwt-scope", pathConfig(access))}, areaRoutes(protocol), bootstrap.M{
							"normalize_path": s.normalize, "merge_slashes": s.merge,
							"path_with_escaped_slashes_action": s.escaped, "local_reply_config": tellTales(),
							// After a request that is no HTTP/2 Envoy closes the connection, and says so
							// only by closing it: a second later, unless told otherwise.
							"delayed_close_timeout": "0.001s",
						}))
			}
		}
		envoy := harness.Start(t, harness.Config{Version: version, Listeners: listeners, Clusters: clusters})
		for _, s := range settings {
			t.Run(s.name, func(t *testing.T) {
				for _, protocol := range protocols {
					t.Run(protocol, func(t *testing.T) {
						t.Parallel() // with the other protocol: each waits for Envoy most of the time
						m := newMatrix(t, s, ups[protocol], protocol, envoy.Address(s.name+protocol))
						for _, path := range cases {
							for i, c := range callers {
								if !m.try(c, tokens[i], path, true) {
									break // Envoy answers before it looks at any header
								}
							}
						}
						t.Logf("%+v", m.counts)
						want := s.atLeast
						if got := m.counts; got.Admitted < want.Admitted || got.Ambiguous < want.Ambiguous ||
							got.Denied < want.Denied || got.Envoy < want.Envoy {
							t.Errorf("%+v; want at least %+v", got, want)
						}
					})
				}
			})
		}
	})
}

var protocols = []string{"HTTP/1.1", "HTTP/2"}

// areaRoutes are Envoy's own routes, one for each area and one for everything else. Each tells the upstream its name.
func areaRoutes(cluster string) []bootstrap.M {
	var routes []bootstrap.M
	for _, r := range []struct {
		name  string
		match bootstrap.M
	}{
		{"public", bootstrap.M{"path_separated_prefix": "/public"}},
		{"orders", bootstrap.M{"path_separated_prefix": "/orders"}},
		{"tenant", bootstrap.M{"safe_regex": bootstrap.M{"regex": "/tenants/[^/]+(/.*)?"}}},
		{"admin", bootstrap.M{"path_separated_prefix": "/admin"}},
		{"", bootstrap.M{"prefix": "/"}},
	} {
		routes = append(routes, bootstrap.M{"match": r.match, "route": bootstrap.M{"cluster": cluster},
			"request_headers_to_add": []bootstrap.M{
				{"header": bootstrap.M{"key": "x-route", "value": cmp.Or(r.name, "none")},
					"append_action": "OVERWRITE_IF_EXISTS_OR_ADD"},
			}})
	}
	return routes
}

// tellTales has every answer that the proxy or a filter gives itself tell who gave it, and what the path was then.
func tellTales() bootstrap.M {
	header := func(name, format string) bootstrap.M {
		return bootstrap.M{"header": bootstrap.M{"key": name, "value": format}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
	}
	return bootstrap.M{"mappers": []bootstrap.M{{
		"filter": bootstrap.M{
			"status_code_filter": bootstrap.M{"comparison": bootstrap.M{"op": "GE",
				"value": bootstrap.M{"default_value": 100, "runtime_key": "any"}}}},
		"headers_to_add": []bootstrap.M{header("x-details", "%RESPONSE_CODE_DETAILS%"), header("x-seen", "%REQ(:PATH)%")},
	}}}
}

// matrix is one setting in one protocol.
type matrix struct {
	t       *testing.T
	setting setting
	up      *harness.Upstream
	send    func(path string, headers ...[2]string) *harness.Message // nil: cannot be written in this protocol
	counts  counts
}

func newMatrix(t *testing.T, s setting, up *harness.Upstream, protocol, address string) *matrix {
	m := &matrix{t: t, setting: s, up: up}
	if protocol == "HTTP/2" {
		c := harness.NewClient2(t, address)
		m.send = func(path string, headers ...[2]string) *harness.Message {
			return c.Do(harness.Pseudo("GET", path, headers...), "")
		}
		return m
	}
	c := harness.NewClient1(t, address)
	m.send = func(path string, headers ...[2]string) *harness.Message {
		if strings.ContainsAny(path, "\r\n") {
			return nil // that is another request line, not another path
		}
		return c.Do(harness.Request("GET", path, headers...))
	}
	return m
}

// try sends one spelling and looks at what became of it. It reports whether the request came as far as the filter.
func (m *matrix) try(c caller, token, path string, follow bool) bool {
	m.t.Helper()
	var headers [][2]string
	if token != "" {
		headers = append(headers, [2]string{"authorization", "Bearer " + token})
	}
	answer := m.send(path, headers...)
	if answer == nil {
		return false
	}
	name := fmt.Sprintf("%s %s %.120q", attackID(path), c.name, path)
	reached := m.up.Take()
	details, seen := answer.Header("x-details"), answer.Header("x-seen")
	switch {
	case len(reached) > 1:
		m.t.Errorf("%s: %d requests reached the upstream", name, len(reached))
	case len(reached) == 1:
		m.counts.Admitted++
		if answer.Status() != 200 {
			m.t.Errorf("%s: reached the upstream, and the answer is %s", name, answer.Start)
		}
		m.reached(name, c, path, reached[0])
	case strings.Contains(details, "tollgate.jwt_scope"):
		var body struct{ Code string }
		if err := json.Unmarshal([]byte(answer.Body), &body); err != nil {
			m.t.Errorf("%s: the filter's answer is no JSON: %s", name, answer.Body)
		}
		m.sawAsSent(name, path, seen)
		if status, code := expect(c, seen, m.setting.allow); answer.Status() != status || body.Code != code {
			m.t.Errorf("%s: seen as %.120q, answered %d %s; want %d %s", name, seen, answer.Status(), body.Code, status, code)
		}
		if body.Code == "path_ambiguous" {
			m.counts.Ambiguous++
		} else {
			m.counts.Denied++
		}
	default:
		m.counts.Envoy++
		if !m.envoyRefuses(path) {
			m.t.Errorf("%s: Envoy answered %s (%s) before the filter", name, answer.Start, details)
		}
		if answer.Status() == 200 {
			m.t.Errorf("%s: nobody knows who answered %+v", name, answer)
		}
		if location := answer.Header("location"); location != "" && follow {
			_, rest, _ := strings.Cut(strings.TrimPrefix(location, "http://"), "/")
			m.try(c, token, "/"+rest, false)
			return true // where it led to is for each caller
		}
		return false
	}
	return true
}

// reached looks at a request that has gone on.
func (m *matrix) reached(name string, c caller, sent string, got *harness.Message) {
	m.t.Helper()
	path := strings.TrimSuffix(strings.TrimPrefix(got.Start, "GET "), " HTTP/1.1")
	m.sawAsSent(name, sent, path)
	if status, code := expect(c, path, m.setting.allow); status != 200 {
		m.t.Errorf("%s: reached the upstream as %.120q; want %d %s", name, path, status, code)
	}
	if route := got.Header("x-route"); route != "none" && route != "tenant" && !c.mayGo(area{name: route}) ||
		route == "tenant" && c.name != "acme" {
		m.t.Errorf("%s: took the route to %s as %.120q", name, route, path)
	}
	for a, how := range areasOf(path) {
		if !c.mayGo(a) {
			m.t.Errorf("%s: reached the upstream as %.120q, which is in area %+v where it is %s", name, path, a, how)
		}
	}
}

// sawAsSent holds the path that Envoy had against the one that was sent, where Envoy is told to leave paths alone.
func (m *matrix) sawAsSent(name, sent, seen string) {
	m.t.Helper()
	if m.setting.normalize || m.setting.merge || m.setting.escaped != "KEEP_UNCHANGED" {
		return
	}
	if want := strings.Trim(originForm(sent), " \t"); seen != want { // a codec's white space around the request target
		m.t.Errorf("%s: %.120q after the filter", name, seen)
	}
}

// originForm is a request target without scheme and authority (RFC 9112 §3.2.2), as Envoy makes it.
func originForm(target string) string {
	for _, scheme := range []string{"http://", "https://"} {
		if len(target) > len(scheme) && strings.EqualFold(target[:len(scheme)], scheme) {
			rest := target[len(scheme):]
			if i := strings.IndexAny(rest, "/?#"); i >= 0 {
				return rest[i:]
			}
			return "/"
		}
	}
	return target
}

// envoyRefuses reports whether Envoy may answer by itself: the request is no HTTP, or the setting says so.
func (m *matrix) envoyRefuses(path string) bool {
	lower := strings.ToLower(path)
	switch {
	case path == "" || path[0] != '/': // absolute-form and * among them
		return true
	case len(path) > 60<<10:
		return true
	case strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return true // which of these a codec lets through is the codec's matter
	case strings.Contains(path, "#"):
		return true
	case strings.Contains(lower, "%2f") || strings.Contains(lower, "%5c"):
		return m.setting.escaped == "UNESCAPE_AND_REDIRECT" || m.setting.escaped == "REJECT_REQUEST"
	case m.setting.normalize:
		return strings.Contains(lower, "%00")
	}
	return false
}

// attackID names the row of the attack checklist that a spelling belongs to.
func attackID(path string) string {
	lower := strings.ToLower(path)
	switch {
	case !strings.HasPrefix(path, "/"):
		return "P19"
	case len(path) > 5000:
		return "P20"
	case strings.ContainsAny(path, "?#") || strings.Contains(lower, "%3f") || strings.Contains(lower, "%23"):
		return "P4"
	case strings.Contains(path, ";") || strings.Contains(lower, "%3b"):
		return "P3"
	case strings.Contains(lower, "%2e") || strings.Contains(lower, "%25") || strings.Contains(path, "/.") ||
		strings.Contains(lower, "%c0%ae"):
		return "P2"
	case strings.Contains(path, "//") || strings.Contains(path, `\`) || strings.Contains(lower, "%2f") ||
		strings.Contains(lower, "%5c"):
		return "P1"
	}
	return "P5"
}

// expect says what the filter's README (Paths) says about a path in a request of GET: the answer's
// status and code, 200 where it goes on.
func expect(c caller, path string, allow bool) (status int, code string) {
	const ambiguous = "path_ambiguous"
	if strings.Contains(path, "#") {
		return 400, ambiguous
	}
	path, _, _ = strings.Cut(path, "?")
	var plain []byte
	for rest := path; rest != ""; {
		b := rest[0]
		rest = rest[1:]
		if b == '%' {
			n, err := strconv.ParseUint(rest[:min(len(rest), 2)], 16, 8)
			if err != nil || len(rest) < 2 {
				return 400, ambiguous
			}
			b, rest = byte(n), rest[2:]
			if b == '/' || b == '%' {
				return 400, ambiguous
			}
		}
		if b < 0x20 || b == 0x7f || b == '\\' {
			return 400, ambiguous
		}
		plain = append(plain, b)
	}
	if !utf8.Valid(plain) || strings.ContainsFunc(string(plain), func(r rune) bool { return r >= 0x80 && r < 0xa0 }) {
		return 400, ambiguous
	}
	cut := string(plain)
	if i := strings.IndexAny(cut, "?#"); i >= 0 {
		cut = cut[:i] // both were encoded
	}
	all := []string{string(plain), withoutParameters(string(plain)), cut, withoutParameters(cut)}
	for _, reading := range all {
		if !strings.HasPrefix(reading, "/") || strings.Contains(reading, "//") {
			return 400, ambiguous
		}
		for _, s := range strings.Split(reading, "/") {
			if s == "." || s == ".." {
				return 400, ambiguous
			}
		}
	}
	a := areaOf(string(plain))
	switch {
	case slices.ContainsFunc(all, func(reading string) bool { return areaOf(reading) != a }):
		return 400, ambiguous
	case c.mayGo(a) && (a.name != "" || allow):
		return 200, ""
	case a.name == "":
		return 403, "no_rule"
	case c.claims == nil:
		return 401, "token_missing"
	case a.name == "tenant":
		return 403, "claim_mismatch"
	}
	return 403, "insufficient_scope"
}

func withoutParameters(path string) string {
	parts := strings.Split(path, "/")
	for i := range parts {
		parts[i], _, _ = strings.Cut(parts[i], ";")
	}
	return strings.Join(parts, "/")
}

// areaOf is the area that a plain path lies in, by the rules' paths.
func areaOf(path string) area {
	parts := strings.Split(path, "/")
	if len(parts) < 2 || parts[0] != "" {
		return area{}
	}
	switch parts[1] {
	case "public", "orders", "admin":
		return area{name: parts[1]}
	case "tenants":
		if len(parts) > 2 && parts[2] != "" {
			return area{"tenant", parts[2]}
		}
	}
	return area{}
}

// readings are what upstreams may make of a path: every order of every choice of what frameworks,
// servers and file systems are known to do to it, decoding at most twice. The value says what was
// done.
func readings(path string) map[string]string {
	path, _, _ = strings.Cut(path, "?")
	steps := []struct {
		name string
		do   func(string) string
	}{
		{"decoded", lenientDecode},
		{"read in overlong UTF-8", overlong},
		{"without parameters", withoutParameters},
		{"cut at its first ;", func(p string) string { p, _, _ = strings.Cut(p, ";"); return p }},
		{"cut at ?", func(p string) string { p, _, _ = strings.Cut(p, "?"); return p }},
		{"cut at #", func(p string) string { p, _, _ = strings.Cut(p, "#"); return p }},
		{"cut at NUL", func(p string) string { p, _, _ = strings.Cut(p, "\x00"); return p }},
		{"without control characters", func(p string) string {
			return strings.Map(func(r rune) rune {
				if r < ' ' || r == 0x7f {
					return -1
				}
				return r
			}, p)
		}},
		{"with \\ as /", func(p string) string { return strings.ReplaceAll(p, `\`, "/") }},
		{"merged", func(p string) string {
			for strings.Contains(p, "//") {
				p = strings.ReplaceAll(p, "//", "/")
			}
			return p
		}},
		{"resolved", resolveDots},
		{"given a slash", func(p string) string { return "/" + strings.TrimPrefix(p, "/") }},
	}
	type reading struct {
		path    string
		decoded int
	}
	found := map[string]string{path: "as it is"}
	seen := map[reading]bool{{path, 0}: true}
	for queue := []reading{{path, 0}}; len(queue) > 0; queue = queue[1:] {
		for i, step := range steps {
			next := reading{step.do(queue[0].path), queue[0].decoded}
			if i == 0 {
				next.decoded++
			}
			if next.decoded > 2 || seen[next] {
				continue
			}
			seen[next] = true
			queue = append(queue, next)
			if _, ok := found[next.path]; !ok {
				found[next.path] = strings.TrimPrefix(found[queue[0].path]+", ", "as it is, ") + step.name
			}
		}
	}
	return found
}

// areasOf are the areas of a path's readings, each with one reading. Paths come by many times.
func areasOf(path string) map[area]string {
	if areas, ok := knownAreas.Load(path); ok {
		return areas.(map[area]string)
	}
	areas := map[area]string{}
	for reading, how := range readings(path) {
		a := areaOf(reading)
		if a.tenant != "" && lenientDecode(a.tenant) != a.tenant {
			continue // a tenant whose name has escapes in it is nobody's; decoded it is a reading of its own
		}
		areas[a] = fmt.Sprintf("%s: %.120q", how, reading)
	}
	knownAreas.Store(path, areas)
	return areas
}

var knownAreas sync.Map // of map[area]string

// lenientDecode undoes percent-encoding once and leaves what is none.
func lenientDecode(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		c := p[i]
		if c == '%' && i+2 < len(p) {
			if n, err := strconv.ParseUint(p[i+1:i+3], 16, 8); err == nil {
				c, i = byte(n), i+2
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

// overlong reads the encodings that UTF-8 forbids, as decoders without that check do.
func overlong(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		switch {
		case i+1 < len(p) && p[i]&0xfe == 0xc0 && p[i+1]&0xc0 == 0x80:
			b.WriteByte(p[i]<<6 | p[i+1]&0x3f)
			i++
		case i+2 < len(p) && p[i] == 0xe0 && p[i+1]&0xe0 == 0x80 && p[i+2]&0xc0 == 0x80:
			b.WriteByte(p[i+1]<<6 | p[i+2]&0x3f)
			i += 2
		default:
			b.WriteByte(p[i])
		}
	}
	return b.String()
}

// resolveDots is RFC 3986 §5.2.4.
func resolveDots(p string) string {
	var out []string
	parts := strings.Split(p, "/")
	for i, s := range parts {
		switch s {
		case ".":
		case "..":
			if len(out) > 1 {
				out = out[:len(out)-1]
			}
		default:
			out = append(out, s)
			continue
		}
		if i == len(parts)-1 {
			out = append(out, "")
		}
	}
	return strings.Join(out, "/")
}

// spellings is the matrix: every way of writing a path that has fooled a proxy, applied to the protected areas.
func spellings() []string {
	set := map[string]bool{}
	add := func(paths ...string) {
		for _, p := range paths {
			set[p] = true
		}
	}
	targets := []string{"orders/7", "tenants/umbrella/7", "admin/users"}
	dots := []string{
		"..", "%2e%2e", "%2E%2e", ".%2e", "%2E.", "%252e%252e", "%25252e.", "..;", "..;x=y", "..;/x/..", "%2e%2e;",
		"%2e.;x", "..%3b", "..%3Bx=y", "..%00", ".%00.", "..%01", "..\x01", "..%20", "..%09",
		"%c0%ae%c0%ae", "%e0%80%ae%e0%80%ae", "\xc0\xae\xc0\xae", "%u002e%u002e", "...", ".. ", "..?", "..%3f", "..%23",
		"..#", `..\`, "..%5c", "..%2f", "..%ef%bc%8f", "%ef%bc%8e%ef%bc%8e", "..%", "..%2", "..%zz",
	}
	separators := []string{
		"//", "/./", "/%2e/", "/%2E/", "%2f", "%2F", "%252f", "%25%32%66", "%5c", "%5C", "%255c", `\`, `/\`, `\/`,
		"/;/", "/;x=y/", ";/", ";x=y/", "/%3b/", "/.;/", "/%2e;x/", "%c0%af", "\xc0\xaf", "%e0%80%af", "%ef%bc%8f",
		"///", "/%20/", "/%00/", "/\x01/", "%00/", "%0a/", "/%09/", "/%c2%85/",
	}
	for _, target := range targets {
		first, rest, _ := strings.Cut(target, "/")
		add("/"+target, "/"+first, "/public/"+target)
		for _, d := range dots {
			add("/public/"+d+"/"+target, "/"+d+"/"+target)
		}
		for _, s := range separators {
			add(s+target, "/public"+s+".."+s+target, "/"+first+s+rest, "/public"+s+target)
		}
		for _, suffix := range []string{
			"/", "//", "/.", "/..", "/%2e", "/..;/", ";", ";x", ";x=y", ";x=/", "%3b", "%3Bx", "?", "?x", "?/../public",
			"%3f", "%3Fx", "%23", "#", "#/public", ".", "%2e", "%20", " ", "\t", "%09", "%0a", "%0d%0a", "\r\n", "%00",
			"\x00", "\x01", "\x7f",
			"%7f", "%", "%4", "%zz", "%u0041", "%80", "\x80", "%ff", "\xff", "%c2%80", "%c3%a9", "\u00e9", "%ed%a0%80",
			"%f4%90%80%80", "%c0%80", "%e2%80%ae", "~", "%7e", "*", "+", "&x", ",", "=",
		} {
			add("/"+target+suffix, "/"+first+suffix, "/"+first+suffix+"/"+rest)
		}
		// Letters in escapes, in another case, and both.
		add("/"+strings.ToUpper(target), "/"+strings.ToUpper(target[:1])+target[1:],
			fmt.Sprintf("/%%%02x%s", target[0], target[1:]), fmt.Sprintf("/%%%02X%s", target[0], target[1:]),
			fmt.Sprintf("/%%25%02x%s", target[0], target[1:]), fmt.Sprintf("/%%%02x%s", target[0]&^0x20, target[1:]),
			"/"+escapeAll(target), "/"+escapeAll(first)+"/"+escapeAll(rest), "/"+escapeAll(escapeAll(first))+"/"+rest)
		// Other forms of the request target (RFC 9112 §3.2), and what is none.
		for _, prefix := range []string{
			"http://api.example/", "HTTP://api.example/", "https://api.example/", "http://evil.example/",
			"http://user@api.example/", "http://api.example//", "http://api.example/public/../",
			"http://api.example/%2e%2e/", "http:/", "http:///",
			"ftp://api.example/", "//api.example/", "", "?/", "#/", ";/", " /", "/ /", "./", "../", "*/", "api.example/",
		} {
			add(prefix + target)
		}
		add("/public/"+strings.Repeat("../", 2000)+target, "/public/"+strings.Repeat("%2e%2e/", 1000)+target,
			"/public"+strings.Repeat("/", 3000)+target, "/public/"+strings.Repeat("a/", 3000)+target,
			"/"+target+strings.Repeat("/a", 3000), "/"+first+strings.Repeat(";x", 3000)+"/"+rest, "/"+target+"?"+
				strings.Repeat("/../", 2000), "/"+target+"/"+strings.Repeat("a", 61<<10))
	}
	add("", "*", "/", "/*", "?", "#", ".", "..", "/.", "/..", "/.;", "/;", "%2f", "http://api.example", "http://",
		"/public", "/public/", "/public/a", "/public/a;x=y", "/public/caf%c3%a9", "/public/a?b=//../", "/public/~a%20b",
		"/nowhere", "/PUBLIC/a",
		"/public/..%2forders/7", "/public/;/../orders/7", "/tenants", "/tenants/", "/tenants/;x", "/tenants//7",
		"/tenants/acme", "/tenants/acme/", "/tenants/acme/7", "/tenants/%61cme/7", "/tenants/acm%65", "/tenants/Acme/7",
		"/tenants/ACME/7", "/tenants/acme%20/7",
		"/tenants/acme;x/7", "/tenants/acme;umbrella/7", "/tenants/umbrella;acme/7", "/tenants/;acme/umbrella/7",
		"/tenants/acme;/umbrella/7", "/tenants/acme%3b/7", "/tenants/acme%00/7", "/tenants/acme%2fumbrella",
		"/tenants/acme/../umbrella/7",
		"/tenants/acme/..;/umbrella/7", "/tenants/acme/%2e%2e/umbrella/7", "/tenants/acme%2f..%2fumbrella/7",
		`/tenants/acme\..\umbrella/7`, "/tenants/acme/..%5cumbrella/7", "/tenants/acme//../umbrella/7",
		"/tenants/acme,umbrella/7", "/tenants/acme%2cumbrella/7",
		"/tenants/acme%3f/7", "/tenants/acme%23/7", "/tenants/acme?/../umbrella", "/tenants/acme#/../umbrella",
		"/tenants/.;acme/umbrella", "/tenants/*/7", "/tenants/{tenant}/7", "/tenants/%7btenant%7d/7",
		"/tenants/acme\u200b/7", "/tenants/%ef%bb%bfacme/7",
		"/tenants/\uff41cme/7", "/tenants/acme%252fumbrella/7", "/orders/7/../../admin/users",
		"/orders/../tenants/umbrella/7", "/orders/..;/admin/users", "/orders;/../admin", "/orders/7;/../../admin",
		"/orders/%2e%2e/admin/users", "/orders%2f..%2fadmin/users",
		"/admin/../orders/7", "/tenants/umbrella/../acme/7")
	return slices.Sorted(maps.Keys(set))
}

func escapeAll(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02x", s[i])
	}
	return b.String()
}
