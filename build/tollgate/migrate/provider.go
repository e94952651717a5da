// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tollgate-wasm/tollgate/build/filters/yamlnode"
	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/jose"
)

// issuer is what an original says of the tokens of one issuer.
type issuer struct {
	from       *source
	at         value
	name       string // of the provider
	provider   string // what the rules of Envoy Gateway call it
	issuer     value
	audiences  []value
	keysURI    value
	keys       value // a JWK Set
	timeout    value
	headers    []tokenHeader
	cookies    []value
	parameters []value
	keep       bool // the token is forwarded
	payload    value
	claims     []claimHeader
	delimited  []string // claims that are split at spaces
	skew       string
	gateway    bool // Envoy Gateway's, not Istio's
	uncertain  bool // Istio may not take its tokens here
	defaulted  bool // the places are those where Envoy looks when none is named
}

type tokenHeader struct {
	name   value
	prefix string
}

type claimHeader struct{ claim, header value }

// take adds the issuers of a workload. Of two of one issuer the first stays, for iss selects a provider.
func (p *plan) take(list []issuer) {
	for _, one := range list {
		switch i := slices.IndexFunc(p.issuers, func(o issuer) bool { return o.issuer.text == one.issuer.text }); {
		case one.issuer.text == "":
			one.from.report(one.at, check.Error,
				"has no issuer, and jwt-scope finds a token's keys by its iss: name the issuer; until then its "+
					"tokens are refused, and so is every request without a token")
			p.needToken = true
			p.blocked = append(p.blocked, one)
		case i >= 0 && p.issuers[i].says() == one.says():
			// The same, in another resource.
		case i >= 0 && p.issuers[i].core() == one.core() && p.issuers[i].uncertain == one.uncertain:
			p.issuers[i].addPlaces(one)
		case i >= 0 && p.issuers[i].with(one.audiences).says() == one.says() && p.issuers[i].uncertain == one.uncertain:
			p.issuers[i] = p.issuers[i].with(either(p.issuers[i].audiences, one.audiences))
		case i >= 0:
			p.blocked = append(p.blocked, one)
			one.from.report(one.at, check.Error, "its issuer has a provider already, of "+p.issuers[i].from.id()+
				", and a token's iss selects one: what only this one admits is refused, and so is every request without a token")
			p.needToken = true
		case len(p.issuers) == 64:
			p.blocked = append(p.blocked, one)
			one.from.report(one.at, check.Error,
				"is beyond the 64 issuers that are carried over: its tokens are refused, and so is every request without a token")
			p.needToken = true
		default:
			p.issuers = append(p.issuers, one)
		}
	}
	names := map[string]bool{}
	for i := range p.issuers {
		p.issuers[i].name = uniqueName(names, p.issuers[i].name, "issuer")
		p.all |= 1 << i
	}
}

// refuseTheUncertain has no token pass of an issuer that Istio may not know here.
func (p *plan) refuseTheUncertain() {
	for i, one := range p.issuers {
		if one.uncertain {
			one.from.report(one.at, check.Error,
				"may be for the same proxies as a policy with targetRefs, or not, which cannot be seen here: its "+
					"tokens are refused there")
			p.clauses = append(p.clauses, clause{one.from, one.at, false, area{}, p.issuedBy(1 << i)})
		}
	}
}

// says is what is said of the issuer, wherever it stands.
func (one issuer) says() string {
	var headers []string
	for _, h := range one.headers {
		headers = append(headers, strings.ToLower(h.name.text), h.prefix)
	}
	return one.core() + fmt.Sprintf("%q", []any{headers, words(one.cookies), words(one.parameters)})
}

// core is what is said of the issuer but for where its tokens stand.
func (one issuer) core() string {
	var claims []string
	for _, c := range one.claims {
		claims = append(claims, c.claim.text, c.header.text)
	}
	return fmt.Sprintf("%q", []any{
		one.issuer.text, words(one.audiences), one.keysURI.text, one.keys.text, fmt.Sprint(one.keep), one.payload.text,
		claims, one.delimited, one.provider,
	})
}

// with is the issuer of tokens for those audiences.
func (one issuer) with(audiences []value) issuer {
	one.audiences = audiences
	return one
}

// either are the audiences that two rules of one issuer take together: none is every one.
func either(a, b []value) []value {
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	return slices.Concat(a, b)
}

// addPlaces has tokens found in another's places, too.
func (one *issuer) addPlaces(o issuer) {
	one.headers = slices.Concat(one.headers, o.headers)
	one.cookies, one.parameters = slices.Concat(one.cookies, o.cookies), slices.Concat(one.parameters, o.parameters)
}

// elsewhere is a provider of nobody: a token that Istio would find and decide by, where the
// providers do not look, is found, and refused.
func (p *plan) elsewhere() *yaml.Node {
	all := p.blocked[0]
	all.headers, all.cookies, all.parameters = nil, nil, nil
	for _, one := range p.blocked {
		all.addPlaces(one)
	}
	all.name, all.defaulted = uniqueName(p.names(), "refused", "refused"), false
	return mapping(entryOf("name", all.name), entryOf("issuer", "urn:tollgate:refused"), entryOf("anyAudience", true),
		entryOf("jwks", none(all)), entryOf("token", p.places(all)))
}

func (p *plan) names() map[string]bool {
	names := map[string]bool{}
	for _, one := range p.issuers {
		names[one.name] = true
	}
	return names
}

// uniqueName makes a name of text that jwt-scope takes and that is not in use.
func uniqueName(taken map[string]bool, text, otherwise string) string {
	name := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			return c
		case c >= 'A' && c <= 'Z':
			return c + 'a' - 'A'
		}
		return '-'
	}, text)
	name = strings.Trim(name, "-")
	if name == "" {
		name = otherwise
	}
	name = strings.TrimRight(name[:min(len(name), 56)], "-")
	for n, try := 2, name; ; n++ {
		if !taken[try] {
			taken[try] = true
			return try
		}
		try = fmt.Sprintf("%s-%d", name, n)
	}
}

func hostOf(address string) string {
	if u, err := url.Parse(address); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return address
}

// config is an issuer as jwt-scope's configuration has it.
func (p *plan) provider(one issuer) *yaml.Node {
	audiences := entryOf("anyAudience", true)
	if list := unique(words(one.audiences)); len(list) > 0 {
		audiences = entryOf("audiences", texts(list...))
	}
	for _, a := range one.audiences {
		if strings.HasPrefix(a.text, "http://") || strings.HasPrefix(a.text, "https://") || strings.HasSuffix(a.text, "/") {
			one.from.report(a, check.Note,
				"jwt_authn takes the scheme and a slash behind away before it compares; jwt-scope compares bytes: "+
					"name every spelling that the issuer uses")
		}
	}
	algorithms, keys := one.jwks()
	one.from.report(one.at, check.Note,
		"60 seconds of clock skew are as before; a token without exp, and one of which iat is still to come, are now "+
			"refused (requireExpiry: false takes the former); "+
			"what else differs in all cases is in jwt-scope's MIGRATION.md")
	m := mapping(entryOf("name", one.name), entryOf("issuer", one.issuer.text), audiences)
	if algorithms != nil {
		m = with(m, entryOf("algorithms", texts(algorithms...)))
	}
	m = with(m, entryOf("jwks", keys), entryOf("token", p.places(one)), entryOf("clockSkew", one.skew))
	switch {
	case one.gateway:
	case p.scopeClaim != "":
		m = with(m, entryOf("scopeClaims", texts(p.scopeClaim)))
	default:
		m = with(m, entryOf("scopeClaims", texts("scope")))
	}
	return m
}

// jwks is where the keys come from, with the algorithms that inline ones are for; nil: jwt-scope's own.
func (one issuer) jwks() (algorithms []string, _ *yaml.Node) {
	if one.keys.text != "" {
		if one.keysURI.text != "" {
			one.from.report(one.keysURI, check.Warning, "stands beside keys, and Istio takes those: left out")
		}
		if documents, err := check.Documents([]byte(one.keys.text)); err == nil && len(documents) == 1 &&
			documents[0].Kind == yaml.MappingNode {
			for _, key := range yamlnode.Items(yamlnode.Member(documents[0], "keys")) {
				for _, name := range algorithmsOf(key) {
					if _, known := jose.ParseAlgorithm(name); known {
						algorithms = append(algorithms, name)
					}
				}
			}
			if len(algorithms) > 0 {
				return unique(algorithms), mapping(entryOf("inline", flow(documents[0])))
			}
		}
		one.from.report(one.keys, check.Error,
			"is no JWK Set with a key to verify with: every token of the issuer is refused until jwks has one")
		return nil, none(one)
	}
	address := one.keysURI
	discovered := address.text == ""
	if discovered && one.gateway {
		return nil, none(one)
	}
	if discovered { // pilot/pkg/model/jwks_resolver.go: resolveJwksURIUsingOpenID
		address = value{one.issuer.text, one.issuer.node, one.issuer.path}
	}
	u, err := url.Parse(address.text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
		strings.ContainsAny(u.Host+u.RequestURI(), " \r\n\x00") || discovered && strings.ContainsAny(address.text, "?#") {
		problem := "is no address that keys could be fetched from, such as https://idp.example.com/certs: every token of " +
			"the issuer is refused until jwks.remote has one"
		if discovered {
			problem = "is no address under which metadata could be found, and there is no jwksUri: every token of the " +
				"issuer is refused until jwks.remote has cluster, authority and path"
		}
		one.from.report(address, check.Error, problem)
		return nil, none(one)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	cluster := "outbound|" + port + "||" + u.Hostname()
	if one.gateway {
		cluster = strings.ReplaceAll(u.Hostname(), ".", "_") + "_" + port
		one.from.report(one.keysURI, check.Warning, "the cluster "+cluster+
			" is what Envoy Gateway makes of this address, and is there as long as a SecurityPolicy names it; see to "+
			"it that another has its place, and name that: until then every token is answered 503")
	} else {
		one.from.report(address, check.Note, "the proxy fetches the keys, not istiod: "+u.Hostname()+
			" needs a ServiceEntry where it is outside the mesh, and a DestinationRule for its TLS")
	}
	path := u.RequestURI()
	if discovered {
		path = strings.TrimSuffix(u.EscapedPath(), "/") + "/.well-known/openid-configuration"
	}
	remote := mapping(entryOf("cluster", cluster), entryOf("authority", u.Host), entryOf("path", path))
	if discovered {
		remote = with(remote, entryOf("discover", true))
		at := "where the metadata's jwks_uri is at another host, name that in jwks.remote.discoverAuthorities, with " +
			"its cluster: until then every token is answered 503"
		if host := keysOf[u.Hostname()]; host != "" {
			remote = with(remote, entryOf("discoverAuthorities", flow(mapping(entryOf(host, "outbound|443||"+host)))))
			at = "its keys are at " + host + ", which wants the same"
		}
		one.from.report(one.at, check.Warning, "has no jwksUri: the proxy finds the keys by the issuer's metadata, as "+
			"istiod does; "+at)
	}
	if one.timeout.text != "" {
		if d, err := time.ParseDuration(one.timeout.text); err == nil && d >= 10*time.Millisecond && d <= 30*time.Second {
			remote = with(remote, entryOf("timeout", d.String()))
		} else {
			one.from.report(one.timeout, check.Note, "a fetch may take from 10ms to 30s: left at 2s")
		}
	}
	if better, certificates := jwksOf(u); certificates {
		problem := "looks like certificates by kid, which Istio reads and jwt-scope does not: it wants a JWK Set, " +
			"and every token would be answered 503"
		if better != "" {
			problem += "; the issuer's is at " + better
		}
		one.from.report(one.keysURI, check.Warning, problem)
	}
	return published, mapping(entryOf("remote", remote))
}

// keysOf are the hosts of the keys of well-known issuers whose metadata is at another one.
var keysOf = map[string]string{
	"accounts.google.com":    "www.googleapis.com",
	"securetoken.google.com": "www.googleapis.com",
	"sts.windows.net":        "login.microsoftonline.com",
}

// published are the algorithms that a published key may be for. jwt_authn asks the key alone, and
// so does jwt-scope, where all are allowed: an algorithm has to fit the key. Secrets (HS*) are not
// published.
var published = slices.DeleteFunc(jose.AlgorithmNames(),
	func(name string) bool { return strings.HasPrefix(name, "HS") })

// jwksOf tells of addresses under which issuers publish certificates in PEM, by kid, and where they
// have the same keys as a JWK Set.
func jwksOf(u *url.URL) (better string, certificates bool) {
	const google, metadata = "www.googleapis.com", "/robot/v1/metadata/"
	switch rest, isMetadata := strings.CutPrefix(u.Path, metadata+"x509/"); {
	case u.Hostname() == google && isMetadata && rest == "securetoken@system.gserviceaccount.com":
		return "https://" + google + "/service_accounts/v1/jwk/" + rest, true
	case u.Hostname() == google && isMetadata:
		return "https://" + google + metadata + "jwk/" + rest, true
	case u.Hostname() == google && (u.Path == "/oauth2/v1/certs" || u.Path == "/oauth2/v1/certs/"):
		return "https://" + google + "/oauth2/v3/certs", true
	case u.Hostname() == "www.gstatic.com" && u.Path == "/iap/verify/public_key":
		return "https://www.gstatic.com/iap/verify/public_key-jwk", true
	case strings.Contains(u.Path, "/x509/") || strings.HasSuffix(u.Path, ".pem") || strings.HasSuffix(u.Path, ".crt") ||
		strings.HasSuffix(u.Path, "/oauth2/v1/certs"):
		return "", true
	}
	return "", false
}

// none is a key set that no proxy has: what it would verify is refused, and where its tokens stand is known.
func none(one issuer) *yaml.Node {
	return mapping(entryOf("remote",
		mapping(entryOf("cluster", "to-be-set"),
			entryOf("authority", "to-be-set."+uniqueName(map[string]bool{}, one.name, "issuer")), entryOf("path",
				"/to-be-set"))))
}

// algorithmsOf are those that a key may sign with.
func algorithmsOf(key *yaml.Node) []string {
	if alg := yamlnode.Text(yamlnode.Member(key, "alg")); alg != "" {
		return []string{alg}
	}
	switch yamlnode.Text(yamlnode.Member(key, "kty")) {
	case "RSA":
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case "oct":
		return []string{"HS256", "HS384", "HS512"}
	case "OKP":
		return []string{"EdDSA"}
	case "EC":
		return map[string][]string{"P-256": {"ES256"}, "P-384": {"ES384"},
			"P-521": {"ES512"}}[yamlnode.Text(yamlnode.Member(key, "crv"))]
	}
	return nil
}

var bearer = tokenHeader{value{text: "authorization"}, "Bearer "}

// withPlaces names the places where Envoy looks when none is named.
func (one issuer) withPlaces() issuer {
	if len(one.headers) == 0 && len(one.parameters) == 0 && len(one.cookies) == 0 {
		one.headers, one.parameters, one.defaulted = []tokenHeader{bearer}, []value{{text: "access_token"}}, true
	}
	return one
}

// places are where tokens stand. Where nothing is said, jwt_authn looks at two.
func (p *plan) places(one issuer) *yaml.Node {
	headers, parameters := one.headers, one.parameters
	if one.defaulted {
		one.from.report(one.at, check.Note,
			"names no place of tokens, and then Envoy looks at the header Authorization and at the parameter "+
				"access_token of the query: leave the latter out where no client uses it")
	}
	var list []*yaml.Node
	seen := map[string]bool{}
	add := func(id string, m *yaml.Node) {
		if !seen[id] {
			seen[id] = true
			list = append(list, flow(m))
		}
	}
	for _, h := range headers {
		name := strings.ToLower(h.name.text)
		scheme, space := strings.CutSuffix(h.prefix, " ")
		switch {
		case !isHeader(name):
			one.from.report(h.name, check.Error,
				"is no header that a token could stand in: tokens there are not seen, and every request without a token is refused")
			p.needToken = true
		case h.prefix == "":
			add("header "+name, mapping(entryOf("header", name)))
		case space && isToken(scheme):
			add("header "+name+" "+strings.ToLower(scheme), mapping(entryOf("header", name), entryOf("scheme", scheme)))
		default:
			one.from.report(h.name, check.Error,
				fmt.Sprintf("the prefix %q is no scheme with one space behind: jwt-scope takes the whole header for "+
					"the token and refuses it", h.prefix))
			add("header "+name, mapping(entryOf("header", name)))
		}
	}
	for _, places := range []struct {
		kind  string
		names []value
	}{{"cookie", one.cookies}, {"query", parameters}} {
		for _, v := range places.names {
			// A cookie may have any name that RFC 6265 gives it.
			fits, want := isParameter, "has characters besides letters, digits, - and _"
			if places.kind == "cookie" {
				fits, want = isToken, "is no name of a cookie"
			}
			if !fits(v.text) {
				one.from.report(v, check.Error, want+": tokens there are not seen, and every request without a token is refused")
				p.needToken = true
				continue
			}
			add(places.kind+" "+v.text, mapping(entryOf(places.kind, v.text)))
		}
	}
	if len(list) == 0 { // jwt-scope has to be told one
		add("", mapping(entryOf("header", bearer.name.text), entryOf("scheme", "Bearer")))
	}
	if len(list) == 1 {
		return list[0]
	}
	return sequence(list...)
}

func isToken(s string) bool {
	for i := range len(s) {
		if !forward.IsTokenChar(s[i]) {
			return false
		}
	}
	return s != ""
}

func isHeader(name string) bool {
	switch name { // those that frame a request, as jwt-scope refuses them
	case "host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade", "te", "trailer":
		return false
	}
	return isToken(name)
}

func isParameter(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z')
	})
}

// forward is what the service behind is told. jwt-scope says it once for all issuers. ok is false
// where that could have a service believe what a client sends.
func (p *plan) forward() (_ *yaml.Node, ok bool) {
	certain := slices.DeleteFunc(slices.Clone(p.issuers), func(one issuer) bool { return one.uncertain })
	if len(certain) == 0 {
		certain = p.issuers
	}
	first := certain[0]
	token := "strip"
	if first.keep {
		token = "keep"
	}
	m, ok := mapping(), true
	type written struct{ claim, header string }
	var payload string
	var claims []written
	var nodes []*yaml.Node
	for i, one := range certain {
		if one.keep != first.keep {
			one.from.report(one.at, check.Error,
				"forwardOriginalToken differs between the issuers, and jwt-scope has it once for all: no token is forwarded")
			token = "strip"
		}
		if h := strings.ToLower(one.payload.text); h != "" {
			switch {
			case payload == "" && i > 0:
				one.from.report(one.payload, check.Error, "jwt-scope writes it for all issuers")
				payload = h
			case payload == "":
				payload = h
			case payload != h:
				one.from.report(one.payload, check.Error, "another issuer's claims go into "+payload+
					", and jwt-scope writes one header for all"+noConfiguration)
				ok = false
			}
		} else if payload != "" {
			one.from.report(one.at, check.Error, "jwt-scope writes "+payload+" for all issuers, this one's tokens included")
		}
		for _, c := range one.claims {
			w := written{c.claim.text, strings.ToLower(c.header.text)}
			j := slices.IndexFunc(claims, func(o written) bool { return forward.Fold(o.header) == forward.Fold(w.header) })
			switch {
			case slices.Contains(strings.Split(w.claim, "."), ""):
				one.from.report(c.claim, check.Error, "names no claim"+noConfiguration)
				ok = false
			case j >= 0 && claims[j] != w:
				one.from.report(c.header, check.Error, "is written already, from "+claims[j].claim+": this claim is left out")
			case j < 0:
				if len(certain) > 1 && !writtenByAll(certain, c) {
					one.from.report(c.header, check.Error, "jwt-scope writes it for all issuers")
				}
				one.from.report(c.header, check.Note,
					"a list is written with commas between, and an object or what a header cannot carry is left out; "+
						"Envoy writes both as JSON in base64")
				claims = append(claims, w)
				nodes = append(nodes, flow(mapping(entryOf("path", texts(strings.Split(w.claim, ".")...)),
					entryOf("header", w.header))))
			}
		}
	}
	m = with(m, entryOf("token", token))
	if payload != "" {
		m = with(m, entryOf("payloadHeader", payload))
	}
	if nodes != nil {
		m = with(m, entryOf("claimHeaders", sequence(nodes...)))
	}
	if len(m.Content) == 2 {
		m = flow(m)
	}
	return m, ok
}

func writtenByAll(list []issuer, c claimHeader) bool {
	for _, one := range list {
		if !slices.ContainsFunc(one.claims, func(o claimHeader) bool {
			return o.claim.text == c.claim.text && strings.EqualFold(o.header.text, c.header.text)
		}) {
			return false
		}
	}
	return true
}
