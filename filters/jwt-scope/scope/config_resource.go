// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/match"
)

// readResources reads resources. It has to know providers and rules already.
func (c *config) readResources(o *conf.Object) {
	n, ok := o.At("resources")
	if !ok {
		return
	}
	for _, item := range n.List() {
		r := c.readResource(item.Object())
		for i := range c.documents {
			if other := &c.documents[i]; other.path == r.path && r.path != "" && len(other.hosts)+len(r.hosts) == 0 {
				item.Warn("has the path of another, which is before it: it is never served")
			}
		}
		c.documents = append(c.documents, r)
	}
}

func (c *config) readResource(o *conf.Object) (r resource) {
	r.hosts = match.ReadHosts(o)
	inPlace := false // path is where RFC 9728 has it
	if n, ok := o.Need("path"); ok {
		r.path = n.Text()
		t, problem := match.ParseTemplate(r.path, c.literalPaths)
		switch {
		case r.path == "":
		case problem != "":
			n.Fault(problem)
		case !t.Plain():
			n.Fault("is the path of one document: {*}, {name} and {**} stand for many")
		case !quotable(r.path) || strings.Contains(r.path, " "):
			n.Fault("want ASCII without space, quotation mark and backslash: it stands in challenges")
		}
		r.covers, inPlace = strings.CutPrefix(r.path, wellKnown)
		inPlace = inPlace && (r.covers == "" || r.covers[0] == '/' && r.covers != "/")
	}
	uri, at := "", r.covers // of the resource: as it is written, and its path
	if n, ok := o.At("resource"); ok {
		uri = readURL(n)
		r.origin = origin(uri)
		if !inPlace {
			r.covers, _, _ = strings.Cut(uri[len(r.origin):], "?")
			if _, problem := match.ParseTemplate(strings.TrimSuffix(r.covers, "/")+"/{**}", c.literalPaths); problem != "" {
				n.Fault("requests to it would be refused: " + problem)
			}
		}
	} else if !inPlace && r.path != "" {
		o.FaultAt("path", "want "+wellKnown+" with the path of the resource behind it (RFC 9728 §3.1), "+
			"or resource beside another path")
	}
	r.covers = strings.TrimSuffix(r.covers, "/")
	servers := c.readServers(o)
	scopes := readScopes(o, "scopes")
	if scopes == nil {
		scopes = c.scopesOn(&r)
	}
	rest := appendList(nil, "authorization_servers", servers)
	rest = appendList(rest, "scopes_supported", scopes)
	rest = append(rest, c.presentation()...)
	for _, member := range [...][2]string{{"name", "resource_name"}, {"documentation", "resource_documentation"}} {
		n, ok := o.At(member[0])
		if !ok {
			continue
		}
		text := ""
		if member[0] == "name" {
			text = n.Text()
		} else {
			text = readURL(n)
		}
		rest = appendText(append(rest, `,"`+member[1]+`":`...), text)
	}
	age := o.Duration("maxAge", time.Hour, 0, 7*24*time.Hour)
	r.cache = "public, max-age=" + strconv.Itoa(int(age/time.Second))
	o.End()
	r.before = `{"resource":"`
	if uri != "" {
		r.before = string(appendText([]byte(`{"resource":`), uri))
		r.after = string(rest) + "}"
	} else {
		quoted := string(appendText(nil, at))
		r.after = quoted[1:] + string(rest) + "}"
	}
	return r
}

// readServers reads authorizationServers: by default the providers' issuers that are URLs.
func (c *config) readServers(o *conf.Object) (servers []string) {
	if n, ok := o.At("authorizationServers"); ok {
		for _, item := range n.List() {
			servers = append(servers, readURL(item))
		}
		return servers
	}
	for _, p := range c.providers {
		issuers := []string{p.issuer}
		if t := p.template; t != nil {
			issuers = nil
			for _, value := range t.values {
				issuers = append(issuers, t.before+value+t.after)
			}
		}
		for _, issuer := range issuers {
			if isURL(issuer) && !contains(servers, issuer) {
				servers = append(servers, issuer)
			}
		}
	}
	if len(servers) == 0 && o.IsObject() {
		o.FaultAt("authorizationServers", "is required: no provider has an issuer that is a URL of its own")
	}
	return servers
}

// scopesOn are the scopes that rules ask for on the resource.
func (c *config) scopesOn(r *resource) (scopes []string) {
	for i := range c.rules {
		rule := &c.rules[i]
		meets := len(rule.conditions) == 0
		for j := range rule.conditions {
			meets = meets || rule.conditions[j].Meets(r.hosts, r.covers)
		}
		if !meets || rule.access == public {
			continue
		}
		for _, scope := range strings.Fields(rule.needs(nil)) {
			if !contains(scopes, scope) {
				scopes = append(scopes, scope)
			}
		}
	}
	return scopes
}

// presentation tells how tokens are presented, where that is as RFC 6750 and RFC 9449 have it.
func (c *config) presentation() (members string) {
	inHeader, proofs, all := false, false, true
	for _, p := range c.providers {
		for _, l := range p.locations {
			inHeader = inHeader || l.header == "authorization" && (l.scheme == "bearer" || l.scheme == dpopScheme)
		}
		proofs = proofs || p.constraint == dpop || p.constraint == whenPresent
		all = all && p.constraint == dpop
	}
	if inHeader {
		members = `,"bearer_methods_supported":["header"]`
	}
	if proofs {
		members += `,"dpop_signing_alg_values_supported":["` + strings.ReplaceAll(proofAlgorithms, " ", `","`) + `"]`
	}
	if all && proofs {
		members += `,"dpop_bound_access_tokens_required":true`
	}
	return members
}

// appendList appends a member with a list of texts; nothing where there are none.
func appendList(dst []byte, name string, texts []string) []byte {
	if len(texts) == 0 {
		return dst
	}
	dst = append(dst, `,"`+name+`":`...)
	separator := byte('[')
	for _, text := range texts {
		dst = appendText(append(dst, separator), text)
		separator = ','
	}
	return append(dst, ']')
}

func appendText(dst []byte, text string) []byte { return gjson.AppendJSONString(dst, text) }

// readURL reads an http or https URL that may stand in a quoted string of WWW-Authenticate.
func readURL(n conf.Node) string {
	text := n.Text()
	if text != "" && !isURL(text) {
		n.Fault("want a URL such as https://api.example.com/orders, in ASCII and without spaces, fragment and quotation mark")
		return ""
	}
	return text
}

func isURL(text string) bool {
	_, rest, ok := strings.Cut(text, "://")
	return ok && (strings.HasPrefix(text, "https:") || strings.HasPrefix(text, "http:")) && rest != "" && rest[0] != '/' &&
		quotable(text) && !strings.ContainsAny(text, " #{}")
}

// origin is the scheme and authority of a URL.
func origin(url string) string {
	start := strings.Index(url, "://") + len("://")
	if start > len(url) || url == "" {
		return ""
	}
	if i := strings.IndexAny(url[start:], "/?"); i >= 0 {
		return url[:start+i]
	}
	return url
}
