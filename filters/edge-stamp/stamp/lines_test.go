// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"slices"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/shared/httpsig"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// inLines are the headers with one of them cut into lines at its commas in every way that there is. What a
// signature covers is the same in all of them.
func inLines(headers [][2]string, name string) (all [][][2]string) {
	pieces := strings.Split(strings.Join(values(headers, name), ", "), ", ")
	for cuts := range 1 << (len(pieces) - 1) {
		h := slices.DeleteFunc(slices.Clone(headers), func(h [2]string) bool { return h[0] == name })
		line := pieces[0]
		for i, piece := range pieces[1:] {
			if cuts&(1<<i) != 0 {
				h, line = append(h, [2]string{name, line}), piece
			} else {
				line += ", " + piece
			}
		}
		all = append(all, append(h, [2]string{name, line}))
	}
	return all
}

const bodyBound = `"profile":"rfc9421","require":{"bind":["method","authority","path","query","body"]}`

// S29: a digest that stands in a String is none, in whatever lines it stands, and one beside it is not hidden by that.
func TestDigestsInLines(t *testing.T) {
	digest := func(body string) string { return httpsig.ContentDigest(sumOf(body)) }
	edge := parse(t, edgeConfig(`"profile":"rfc9421","bind":["method","authority","path","query","body"]`))
	mesh, others := parse(t, meshConfig(bodyBound)), parse(t, botConfig("", ""))
	for _, c := range []struct{ name, value string }{
		{"alone", digest("hello")},
		{"in a String before it", `a="x, ` + digest("evil") + `, y", ` + digest("hello")},
		{"in a String behind it", digest("hello") + `, a="x, ` + digest("evil") + `, y"`},
		{"in Strings around it", `a="x, ` + digest("evil") + `", ` + digest("hello") + `, b="` + digest("evil") + `, y"`},
		{"the same in a String", `a="x, ` + digest("hello") + `, y", ` + digest("hello")},
	} {
		sent := request("POST", asked, [2]string{"content-digest", c.value})
		// A client sends it to the edge without a digest of its own, too.
		theirs := request("POST", asked, [2]string{"content-digest", strings.TrimPrefix(c.value, digest("hello")+", ")})
		signed := map[string][][2]string{
			"a member covered":  signedBy(t, bot, "sig1", `("@authority" "content-digest";key="sha-256")`+botParams(), sent),
			"the field covered": signedBy(t, bot, "sig1", `("@authority" "content-digest")`+botParams(), sent),
			"stamped":           (&proxy{body: "hello"}).stamp(t, edge, sent),
			"stamped, without":  (&proxy{body: "hello"}).stamp(t, edge, theirs),
		}
		for how, h := range signed {
			p := others
			if strings.HasPrefix(how, "stamped") {
				p = mesh
			}
			for _, lines := range inLines(h, "content-digest") {
				for body, want := range map[string]*verdict.Code{"hello": verdict.OK, "evil": StampMismatch} {
					if d := (&proxy{body: body}).decide(p, lines); d.Verdict().Code != want {
						t.Errorf("%s, %s: a body of %s with %q: %s", c.name, how, body, values(lines, "content-digest"),
							d.Verdict().Code.Name)
					}
				}
			}
		}
	}
	// The edge signs one digest of the body, whatever a client has in which lines.
	for _, lines := range [][]string{
		{`a="x`, digest("hello"), `", b=:AA==:`}, {`a="x`, digest("evil"), `", b=:AA==:`}, {`a="x`}, {`a="x`, `"`},
		{digest("evil"), digest("hello")}, {digest("hello") + ", " + digest("evil")}, {digest("hello"), digest("hello")},
		{`a="x`, `", ` + digest("hello")}, {digest("evil"), `a="x`, digest("hello"), `"`},
	} {
		h := request("POST", asked)
		for _, line := range lines {
			h = append(h, [2]string{"content-digest", line})
		}
		out := (&proxy{body: "hello"}).stamp(t, edge, h)
		joined := strings.Join(values(out, "content-digest"), ", ")
		if text, n := httpsig.Member(joined, "sha-256"); n != 1 || text != digest("hello") {
			t.Errorf("%q goes on as %q", lines, values(out, "content-digest"))
		}
		if d := (&proxy{body: "hello"}).decide(mesh, out); d.Verdict().Code != verdict.OK {
			t.Errorf("%q goes on as %q: %s", lines, values(out, "content-digest"), d.Verdict().Code.Name)
		}
	}
}

// S29: a signature is where one reader of all lines finds it: with a label that is named, with any, and of a stamp.
func TestSignaturesInLines(t *testing.T) {
	// The nonce has a comma, where a line may end, too.
	good := signedBy(t, bot, "sig1", host+botParams("nonce", `"n, m"`), request("GET", asked))
	stamp := signMessage(t, edge, line4+parameters("nonce", `"n, m"`), request("GET", asked))
	for _, c := range []struct {
		name    string
		policy  *Policy
		headers [][2]string
		missing *verdict.Code
	}{
		{"any label", parse(t, botConfig("", "")), good, StampMissing},
		{"a named label", parse(t, botConfig(`"label":"sig1"`, "")), good, StampMissing},
		{"a stamp", parse(t, meshConfig(`"profile":"rfc9421"`)), stamp, StampMalformed},
	} {
		last := len(c.headers) - 1
		input, signature := c.headers[last-1][1], c.headers[last][1]
		for _, x := range []struct {
			name             string
			input, signature string
			want             *verdict.Code
		}{
			{"beside others", `a=("@path"), ` + input + `, b=()`, `a=:YQ==:, ` + signature + `, b=:YQ==:`, verdict.OK},
			{"behind a String with a comma", `a=();x="y, z", ` + input, `a=:YQ==:, ` + signature, verdict.OK},
			{"in a String", `a=();x="y, ` + strings.ReplaceAll(input, `"`, "") + `, z"`, signature, c.missing},
			{"its signature in a String", input, `a="x, ` + signature + `, y"`, StampMalformed},
			{"beside another in a String", input, `a="x, ` + strings.Replace(signature, "=:", "=:AA", 1) + `, y", ` + signature,
				verdict.OK},
		} {
			h := append(slices.Clone(c.headers[:last-1]), [2]string{"signature-input", x.input})
			for _, inputs := range inLines(h, "signature-input") {
				for _, lines := range inLines(append(inputs, [2]string{"signature", x.signature}), "signature") {
					if d := (&proxy{}).decide(c.policy, lines); d.Verdict().Code != x.want {
						t.Errorf("%s, %s: %s, want %s: %q", c.name, x.name, d.Verdict().Code.Name, x.want.Name, lines[4:])
					}
				}
			}
		}
	}
}
