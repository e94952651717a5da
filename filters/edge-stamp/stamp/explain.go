// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"slices"
	"strings"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/httpsig"
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/sfv"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Explain tells of a decision that is done which rules were looked at, up to the one that fits, and
// what a stamp binds otherwise than it is.
func (d *Decision) Explain() (e decide.Explanation) {
	ambiguous := -1
	switch d.verdict.Reason() {
	case verdict.PathAmbiguous:
		return e
	case verdict.HeaderAmbiguous:
		hit, _, _ := d.policy.index.First(&d.request)
		ambiguous = hit.Rule
	}
	for i := range d.policy.rules {
		r := &d.policy.rules[i]
		f := match.Fit{Name: r.name, Why: match.Why(r.conditions, &d.request)}
		if e.Rules = append(e.Rules, f); f.Why == "" || i == ambiguous {
			break
		}
	}
	if d.signing.lacks != "" {
		e.Checks = append(e.Checks, decide.Fails("claims", ClaimsMissing, d.Lacks()))
	}
	what := "stamp"
	if d.stamped.foreign {
		what = "signature"
	}
	for _, line := range d.Why() {
		e.Checks = append(e.Checks, decide.Fails(what, d.verdict.Reason(), line))
	}
	if base := d.SignatureBase(); base != "" && d.verdict.Reason() != verdict.OK {
		for _, line := range strings.Split(base, "\n") {
			e.Checks = append(e.Checks, decide.Check{What: "signature base", Said: line})
		}
	}
	return e
}

// Foreign reports whether another's signature was looked at, and no stamp.
func (d *Decision) Foreign() bool { return d.stamped.foreign }

// Difference is a part of the request for which a stamp does not do, for people: for whoever has
// the request, never for a log or an answer.
type Difference struct {
	Part     string // "path", or a covered component such as "x-b"
	Expected string // what the stamp binds; empty: it does not bind the part
	Found    string // what the request has; empty: nothing
}

// claimNames are the claims in which a stamp of profile jws binds the parts, in their order.
var claimNames = [...]string{"htm", "hth", "htp", "qsh", "bdh"}

// Differences tells of a decision of role verify which parts the stamp does not bind, or binds
// otherwise than they are. A signature of profile rfc9421 does not say what it covered: of what it
// covers only the body, and what is not there at all, can be told here.
func (d *Decision) Differences() (list []Difference) {
	code := d.verdict.Reason()
	found := [...]string{d.target.method, match.Authority(d.target.authority), d.target.path, hashOf(d.target.query),
		d.bodySum}
	for i, claim := range claimNames {
		part := parts(1 << i)
		switch {
		case code == StampUnbound && d.stamped.demand.bind&part != 0 && !d.binds(i):
			list = append(list, Difference{Part: part.String(), Found: found[i]})
		case code == StampMismatch && d.differs&part != 0:
			expected := d.bodyHash
			if part != body {
				expected = strictjson.Text(d.stamped.claims, claim)
			}
			difference := Difference{part.String(), expected, found[i]}
			if part == query {
				difference.Found += " (the SHA-256 of " + d.target.query + ")"
			}
			list = append(list, difference)
		}
	}
	in := d.stamped.input
	if in != nil && code == StampUnbound && in.Costly() {
		return append(list, Difference{"components", "at most 4 @query-param, and 8 with sf or key", "more"})
	}
	if d.stamped.foreign && code == StampUnbound {
		if lacks := d.stamped.trust.signature.lacks(in); lacks != "" {
			return append(list, Difference{Part: lacks})
		}
		if claims := d.joined(d.policy.header); d.policy.message && claims != "" {
			return append(list, Difference{d.policy.header, "nothing, as no stamp covers it", claims})
		}
	}
	if in != nil && d.differs == 0 && (code == StampMismatch || code == StampUnbound) {
		for _, c := range in.Components {
			alone := httpsig.Input{Label: label, Components: []sfv.Item{c}}
			if _, err := alone.Base(d.message(d.headers)); err != nil {
				name, _ := sfv.AppendItem(nil, &c)
				if len(c.Parameters) == 0 {
					name = name[1 : len(name)-1] // without its quotation marks
				}
				list = append(list, Difference{Part: string(name), Expected: "a value that is covered: " + err.Error()})
			}
		}
	}
	return list
}

// binds reports whether the stamp binds the i-th part.
func (d *Decision) binds(i int) bool {
	if in := d.stamped.input; in != nil {
		return in.Covers(components[i])
	}
	_, found := strictjson.Member(d.stamped.claims, claimNames[i])
	return found
}

// SignatureBase is what a signature of profile rfc9421 has to fit, as this request gives it; empty:
// there is none, or a part of it is missing.
func (d *Decision) SignatureBase() string {
	if d.stamped.input == nil {
		return ""
	}
	base, _ := d.stamped.input.Base(d.message(d.headers)) // empty with the error
	return base
}

// OtherRequests are requests from which this one may have been made by what proxies and clients do
// to requests, each with what was done: where a stamp of profile rfc9421 does for one of them, that
// is the part which differs.
func OtherRequests(headers [][2]string) (list []OtherRequest) {
	line := match.LineOf(headers)
	add := func(part, name, found, expected string) {
		if expected == "" || expected == found ||
			slices.ContainsFunc(list, func(o OtherRequest) bool { return o.Part == part && o.Expected == expected }) {
			return
		}
		changed := slices.Clone(headers)
		for i := range changed {
			if changed[i][0] == name {
				changed[i][1] = expected
			}
		}
		list = append(list, OtherRequest{Difference{part, expected, found}, changed})
	}
	for _, m := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		add("method", ":method", line.Method, m)
	}
	host, _, _ := strings.Cut(line.Authority, ":")
	add("authority", ":authority", line.Authority, host)
	for _, h := range headers {
		switch h[0] {
		case "host", "x-forwarded-host", "x-original-host", "x-envoy-original-host":
			add("authority", ":authority", line.Authority, h[1])
		case "x-envoy-original-path", "x-original-uri", "x-original-url", "x-forwarded-uri", "x-rewrite-url":
			add("path", ":path", line.Path, h[1])
		}
	}
	path, query, hasQuery := strings.Cut(line.Path, "?")
	suffix := ""
	if hasQuery {
		suffix = "?" + query
		add("query", ":path", line.Path, path)
		pairs := strings.Split(query, "&")
		slices.Sort(pairs)
		add("query", ":path", line.Path, path+"?"+strings.Join(pairs, "&"))
		slices.Reverse(pairs)
		add("query", ":path", line.Path, path+"?"+strings.Join(pairs, "&"))
	}
	if bare := strings.TrimSuffix(path, "/"); bare != path {
		add("path", ":path", line.Path, bare+suffix)
	} else {
		add("path", ":path", line.Path, path+"/"+suffix)
	}
	add("path", ":path", line.Path, strings.ToLower(path)+suffix)
	return list
}

// OtherRequest is one of OtherRequests.
type OtherRequest struct {
	Difference
	Headers [][2]string
}
