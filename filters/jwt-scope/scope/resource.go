// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"strings"

	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/match"
)

// wellKnown is where the metadata of the protected resource at a path stands, with that path behind it (RFC 9728 §3.1).
const wellKnown = "/.well-known/oauth-protected-resource"

// resource is a document about a protected resource (RFC 9728 §2), which the filter serves itself.
type resource struct {
	hosts  []string // nil: every host
	path   string   // of the document
	covers string   // what the document is about: this path, without a slash at its end, and all below; empty: every path
	origin string   // of the resource: scheme and authority; empty: the request's

	// The document, which has the request's origin between the two where origin is empty.
	before, after string
	cache         string // how long it may be kept
}

// resources find the document that a request asks for, and the one that covers it.
type resources struct {
	all      []resource
	asked    *match.Index // by the paths of the documents, in the order of all
	covering *match.Index // by the paths that they cover, the narrower first
	order    []int        // of covering
}

func newResources(all []resource, literal bool) *resources {
	if len(all) == 0 {
		return nil
	}
	r := &resources{all: all}
	var asked, covering [][]match.Condition
	longest := 0
	for i := range all {
		path, _ := match.ParseTemplate(all[i].path, literal)
		asked = append(asked, []match.Condition{{Hosts: all[i].hosts, Paths: []match.Template{path}}})
		longest = max(longest, len(all[i].covers))
	}
	for length := longest; length >= 0; length-- {
		for i := range all {
			if len(all[i].covers) == length {
				below, _ := match.ParseTemplate(all[i].covers+"/{**}", literal)
				covering = append(covering, []match.Condition{{Hosts: all[i].hosts, Paths: []match.Template{below}}})
				r.order = append(r.order, i)
			}
		}
	}
	r.asked, r.covering = match.NewIndex(asked), match.NewIndex(covering)
	return r
}

// document is the one that the request asks for; nil: none.
//
//go:noinline
func (r *resources) document(d *Decision) *resource {
	hit, ok, err := r.asked.First(&d.request)
	if err != nil || !ok || r.all[hit.Rule].origin == "" && d.request.Host == "" {
		return nil
	}
	switch d.request.Method {
	case "GET", "HEAD":
	case "OPTIONS":
		if !isPreflight(d.headers) {
			return nil
		}
	default:
		return nil
	}
	return &r.all[hit.Rule]
}

// isPreflight reports whether a browser asks whether a page of another origin may send a request.
func isPreflight(headers [][2]string) bool {
	return forward.Header(headers, "origin") != "" && forward.Header(headers, "access-control-request-method") != ""
}

// metadata is the URL of the document that covers the request; empty: none does.
func (r *resources) metadata(d *Decision) string {
	hit, ok, err := r.covering.First(&d.request)
	if err != nil || !ok {
		return ""
	}
	at := &r.all[r.order[hit.Rule]]
	switch {
	case at.origin != "":
		return at.origin + at.path
	case d.request.Host == "":
		return ""
	}
	return d.origin() + at.path
}

// origin is the request's, as its client writes it.
func (d *Decision) origin() string {
	scheme := "https"
	if strings.EqualFold(d.scheme, "http") {
		scheme = "http"
	}
	host := scheme + "://" + d.request.Host
	if p := port(d.authority, scheme); p != port("", scheme) && p != "" {
		host += ":" + p
	}
	return host
}

// AsksForMetadata reports whether the request asks for the metadata of a protected resource.
func (d *Decision) AsksForMetadata() bool { return d.document != nil }

// Publishes reports whether the request asks for the metadata of a protected resource, and what to
// answer it with.
func (d *Decision) Publishes() (status int, headers [][2]string, body string, ok bool) {
	r := d.document
	if r == nil {
		return 0, nil, "", false
	}
	// Whoever may read it may be any page: it has nothing that is secret, and no cookie chooses what it says.
	headers = [][2]string{{"access-control-allow-origin", "*"}}
	if d.request.Method == "OPTIONS" {
		return 204, append(headers, [2]string{"access-control-allow-methods", "GET, HEAD"},
			[2]string{"access-control-allow-headers", "authorization, *"}, [2]string{"access-control-max-age", "3600"}), "", true
	}
	body = r.before
	if r.origin == "" {
		body += d.origin()
	}
	return 200, append(headers, [2]string{"content-type", "application/json"}, [2]string{"cache-control", r.cache}),
		body + r.after, true
}
