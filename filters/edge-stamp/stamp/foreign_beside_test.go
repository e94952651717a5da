// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

const edgeTrust = `{"name":"edge","issuer":"https://edge","audiences":["mesh"],"jwks":{"inline":%s}}`

// besideStamps is a mesh that takes signatures of bots and stamps of the edge.
func besideStamps(more string) string {
	return meshConfig(`"trust":[` + botTrust("") + `,` + fmt.Sprintf(edgeTrust, mint.Set(edge)) + `]` + more)
}

// S27: what stands where a stamp or its claims do is never passed on beside a signature that says nothing of it.
func TestForeignBesideClaims(t *testing.T) {
	forged := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"https://edge","aud":"mesh","sub":"admin"}`))
	for _, c := range []struct {
		profile, header, value, covers string
		want                           *verdict.Code
	}{
		{"rfc9421", "x-edge-stamp", forged, host, StampUnbound},
		{"rfc9421", "x-edge-stamp", forged, `("@authority" "x-edge-stamp")`, StampUnbound}, // a bot is no edge
		{"rfc9421", "x-edge-stamp", "x", host, StampUnbound},
		{"rfc9421", "x-edge-stamp", "", host, verdict.OK},
		{"rfc9421", "x-other", forged, host, verdict.OK},
		// In the other profiles it is a stamp, and decides alone.
		{"jws", "x-edge-stamp", forged, host, StampMalformed},
		{"jws", "x-other", forged, host, verdict.OK},
		{"txn-token", "txn-token", forged, host, StampMalformed},
		{"txn-token", "x-other", forged, host, verdict.OK},
	} {
		p := parse(t, besideStamps(`,"profile":"`+c.profile+`"`))
		h := request("GET", asked, [2]string{c.header, c.value})
		d := (&proxy{}).decide(p, signedBy(t, bot, "sig1", c.covers+botParams(), h))
		if d.Verdict().Code != c.want || (d.identity != "") != (c.want == verdict.OK) {
			t.Errorf("%s, %s: %q over %s: %s, %s", c.profile, c.header, c.value, c.covers, d.Verdict().Code.Name, d.identity)
		}
		told := slices.Contains(d.Differences(), Difference{"x-edge-stamp", "nothing, as no stamp covers it", c.value})
		if told != (c.want == StampUnbound) {
			t.Errorf("%s, %s: %+v", c.profile, c.header, d.Differences())
		}
	}
}

// S27: what stands in another spelling of the header is never passed on by the mesh, whoever has signed, and
// what stands in the header itself goes on as forward.stamp says.
func TestLookalikesOfStamps(t *testing.T) {
	const rules = `,"rules":[{"name":"open","match":[{"paths":["/open"]}],"access":"public"},{"name":"all"}]`
	for _, c := range []struct {
		profile, header string
		spellings       []string
	}{
		{"rfc9421", "x-edge-stamp", []string{"x_edge_stamp", "x-edge_stamp", "x_edge-stamp"}},
		{"jws", "x-edge-stamp", []string{"x_edge_stamp", "x-edge_stamp"}},
		{"jws", "my_stamp", []string{"my-stamp"}},
		{"txn-token", "txn-token", []string{"txn_token"}},
	} {
		config := `,"profile":"` + c.profile + `","header":"` + c.header + `"` + rules
		for _, strip := range []string{"keep", "strip"} {
			p := parse(t, besideStamps(config+`,"forward":{"stamp":"`+strip+`"}`))
			get := request("GET", asked)
			stamp := [][2]string{{c.header, edge.Typed(stampTyp, claims())}}
			switch c.profile {
			case "rfc9421":
				stamp = signMessage(t, edge, line4+parameters(), get)[len(get):]
			case "txn-token":
				stamp = [][2]string{{c.header, edge.Typed(txnTyp, txnClaims())}}
			}
			for name, h := range map[string][][2]string{
				"a bot": signedBy(t, bot, "sig1", host+botParams(), get), "a stamp": slices.Concat(get, stamp),
				"nobody": request("GET", "/open"),
			} {
				others := []string{"x-other", c.header + "s", strings.Repeat("x", len(c.header))}
				for _, spelling := range slices.Concat(c.spellings, others) {
					with := append(slices.Clone(h), [2]string{spelling, "forged"}, [2]string{spelling, "again"})
					d := (&proxy{}).decide(p, with)
					out, want := effect(d, with), 0
					if slices.Contains(others, spelling) {
						want = 2
					}
					if d.Verdict().Code != verdict.OK || len(values(out, spelling)) != want {
						t.Errorf("%s, %s, %s beside %s: %s, %q", c.profile, strip, spelling, name, d.Verdict().Code.Name,
							values(out, spelling))
					}
					if strip == "keep" && !slices.Equal(values(out, c.header), values(h, c.header)) {
						t.Errorf("%s: %s itself goes on as %q", c.profile, c.header, values(out, c.header))
					}
				}
			}
		}
	}
}

// S22: a key whose owner calls it by the thumbprint of another's takes nothing from that one.
func TestForeignKIDs(t *testing.T) {
	mallory := mint.New(botName, jose.EdDSA)
	trust := func(name string, sets ...string) string {
		return `{"name":"` + name + `","signature":{},"jwks":{"inline":{"keys":[` + strings.Join(sets, ",") + `]}}}`
	}
	keys := func(set []byte) string { return strings.TrimSuffix(strings.TrimPrefix(string(set), `{"keys":[`), `]}`) }
	ours, theirs := keys(withoutKID(bot)), keys(mint.Set(mallory))
	badly := mint.New(botName, jose.ES256) // for which the trust has no algorithm
	const fetched = `{"name":"fetched","signature":{},"jwks":{"remote":{"cluster":"c","authority":"a","path":"/k"}}}`
	for _, c := range []struct{ name, trusts, iss string }{
		{"of another algorithm", trust("bad", ours, keys(mint.Set(badly))), "bad"},
		{"in another's, of another algorithm", trust("bad", keys(mint.Set(mint.New("m", jose.EdDSA), badly))) + "," +
			trust("bots", ours), "bots"},
		{"in another's, beside one that is not there", fetched + "," + trust("mallory", theirs) + "," + trust("bots", ours), "bots"},
		{"in one directory", trust("bots", theirs, ours), "bots"},
		{"in another's, asked before", trust("mallory", theirs) + "," + trust("bots", ours), "bots"},
		{"in another's, asked after", trust("bots", ours) + "," + trust("mallory", theirs), "bots"},
	} {
		p := parse(t, meshConfig(`"trust":[`+c.trusts+`]`))
		d := (&proxy{}).decide(p, signedBy(t, bot, "sig1", host+botParams(), request("GET", asked)))
		if d.identity != `{"iss":"`+c.iss+`","keyid":"`+botName+`"}` {
			t.Errorf("%s: %s, %s", c.name, d.Verdict().Code.Name, d.identity)
		}
		d = (&proxy{}).decide(p, signedBy(t, mallory, "sig1", host+botParams(), request("GET", asked)))
		if d.Verdict().Code != StampSignature {
			t.Errorf("%s: the other, by that name: %s, %s", c.name, d.Verdict().Code.Name, d.identity)
		}
	}
}

// S22: what one signature has as its keyid says nothing of another's.
func TestForeignOtherLabel(t *testing.T) {
	mallory := mint.New(botName, jose.EdDSA)
	p := parse(t, meshConfig(`"trust":[{"name":"other","signature":{"tag":"other"},"jwks":{"inline":`+
		string(mint.Set(mallory))+`}},`+botTrust("")+`]`))
	h := signedBy(t, mallory, "a", host+botParams("tag", `"other"`), request("GET", asked))
	bad := signedBy(t, mallory, "b", host+botParams(), request("GET", asked))
	d := (&proxy{}).decide(p, append(h, bad[len(bad)-2:]...))
	if d.identity != `{"iss":"other","keyid":"`+botName+`"}` {
		t.Errorf("%s, %s", d.Verdict().Code.Name, d.identity)
	}
}

// S24: what others have beside a good signature does not spoil it, as long as the field reads in one way only;
// alone it is none that could be verified.
func TestForeignBesideOthers(t *testing.T) {
	get := request("GET", asked)
	good := signedBy(t, bot, "sig1", host+botParams("seen", "@123", "by", `%"caf%c3%a9, \"`), get)
	last := len(good) - 1
	for _, c := range []struct {
		name, input string
		want, alone *verdict.Code
	}{
		{"our tag without keyid", `a=("@path");tag="web-bot-auth"`, verdict.OK, StampMalformed},
		{"our tag with an empty keyid", `a=("@path");tag="web-bot-auth";keyid=""`, verdict.OK, StampMalformed},
		{"our tag twenty times without keyid", manyWithoutKeyID(20), verdict.OK, StampMalformed},
		{"a Display String", `a=("@path");n=%"caf%c3%a9"`, verdict.OK, StampMissing},
		{"a Display String with a backslash", `a=("@path");n=%"x\", b=()`, verdict.OK, StampMissing},
		{"a Date", `a=("@path");seen=@123`, verdict.OK, StampMissing},
		{"a Date for created", `a=("@path");created=@1`, verdict.OK, StampMalformed},
		{"a created before 1970", `a=("@path");created=-1;keyid="x"`, verdict.OK, StampMalformed},
		{"a Token for the keyid", `a=("@path");keyid=x`, verdict.OK, StampMalformed},
		{"a Token for the tag", `a=("@path");tag=web-bot-auth`, verdict.OK, StampMalformed},
		{"a component in upper case", `a=("Content-Type")`, verdict.OK, StampMalformed},
		{"a component twice", `a=("@path" "@path")`, verdict.OK, StampMalformed},
		{"an item", `a=1`, verdict.OK, StampMalformed},
		{"a flag", `a`, verdict.OK, StampMalformed},
		{"a label twice", `a=("@path"), a=("@path")`, StampMalformed, StampMalformed},
		{"a parameter twice", `a=("@path");x=1;x=2`, StampMalformed, StampMalformed},
		{"no structured field", `a=("@path`, StampMalformed, StampMalformed},
		{"a comma at the end", `a=(),`, StampMalformed, StampMalformed},
	} {
		for _, label := range []string{"", "sig1"} {
			p := parse(t, botConfig(map[string]string{"sig1": `"label":"sig1"`}[label], ""))
			more := [2]string{"signature-input", c.input}
			wants := map[string]*verdict.Code{"behind": c.want, "before": c.want, "alone": c.alone}
			if label != "" { // only that member is read
				wants = map[string]*verdict.Code{"before": verdict.OK, "behind": verdict.OK, "alone": StampMissing}
				if c.name == "no structured field" {
					wants["before"] = StampMissing // within a String that does not end
				}
			}
			for where, h := range map[string][][2]string{
				"behind": append(slices.Clone(good), more, [2]string{"signature", "a=:YQ==:"}),
				"before": slices.Insert(slices.Clone(good), last-1, more), "alone": append(slices.Clone(get), more),
			} {
				d := (&proxy{}).decide(p, h)
				if d.Verdict().Code != wants[where] || (d.identity != "") != (wants[where] == verdict.OK) {
					t.Errorf("%s, %s, label %q: %s, want %s", c.name, where, label, d.Verdict().Code.Name, wants[where].Name)
				}
			}
		}
	}
	// With its own label named, it counts as nothing else does.
	p := parse(t, meshConfig(`"trust":[{"name":"partner","signature":{"label":"p"},"jwks":{"inline":`+string(mint.Set(bot))+
		`}},`+botTrust("")+`]`))
	for input, want := range map[string]*verdict.Code{`p=("@path");tag="web-bot-auth"`: verdict.OK, `p=1`: verdict.OK,
		`p=()`: verdict.OK, `p=();x=1;x=2`: StampMalformed, `p=(), p=()`: StampMalformed} {
		d := (&proxy{}).decide(p, append(slices.Clone(good), [2]string{"signature-input", input}))
		if d.Verdict().Code != want {
			t.Errorf("%s beside it: %s", input, d.Verdict().Code.Name)
		}
	}
}

func manyWithoutKeyID(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`o%d=();tag="web-bot-auth"`, i))
	}
	return strings.Join(list, ", ")
}

// S28: what has to be read anew for each component is read a few times only, whoever has signed.
func TestCostlySignatures(t *testing.T) {
	list := func(n int, format string) (s string) {
		for i := range n {
			s += fmt.Sprintf(" "+format, i)
		}
		return s
	}
	h := request("GET", "/a?p0=0&p1=1&p2=2&p3=3&p4=4", [2]string{"x-b", "k0=0, k1=1, k2=2, k3=3, k4=4, k5=5, k6=6, k7=7, k8=8"},
		[2]string{"content-digest", "a=:YQ==:"}, [2]string{"signature-agent", `a="b"`})
	p, stamps := parse(t, botConfig("", "")), parse(t, meshConfig(`"profile":"rfc9421"`))
	for _, c := range []struct {
		name, covers string
		want         *verdict.Code
	}{
		{"4 parameters of the query", list(4, `"@query-param";name="p%d"`), verdict.OK},
		{"5", list(5, `"@query-param";name="p%d"`), StampUnbound},
		{"8 members", list(8, `"x-b";key="k%d"`), verdict.OK},
		{"9", list(9, `"x-b";key="k%d"`), StampUnbound},
		{"7 members and a dictionary", list(7, `"x-b";key="k%d"`) + ` "signature-agent";sf`, verdict.OK},
		{"8 members and a dictionary", list(8, `"x-b";key="k%d"`) + ` "signature-agent";sf`, StampUnbound},
		{"8 members, one by both", list(7, `"x-b";key="k%d"`) + ` "signature-agent";sf;key="a"`, verdict.OK},
		{"both at their limits", list(4, `"@query-param";name="p%d"`) + list(8, `"x-b";key="k%d"`), verdict.OK},
	} {
		d := (&proxy{}).decide(p, signedBy(t, bot, "sig1", `("@authority"`+c.covers+`)`+botParams(), h))
		more := Difference{"components", "at most 4 @query-param, and 8 with sf or key", "more"}
		if d.Verdict().Code != c.want || slices.Contains(d.Differences(), more) != (c.want == StampUnbound) {
			t.Errorf("%s: %s, %+v", c.name, d.Verdict().Code.Name, d.Differences())
		}
		d = (&proxy{}).decide(stamps, signMessage(t, edge, `("@method" "@authority" "@path" "@query"`+c.covers+`)`+parameters(), h))
		if d.Verdict().Code != c.want {
			t.Errorf("%s, of a stamp: %s", c.name, d.Verdict().Code.Name)
		}
	}
}

// S23: a query of nothing is no missing one, except in @query and in what a stamp binds.
func TestEmptyQuery(t *testing.T) {
	p, stamps := parse(t, botConfig("", "")), parse(t, meshConfig(`"profile":"rfc9421"`))
	for _, c := range []struct {
		covers, base, path string
		want               *verdict.Code
	}{
		{`"@target-uri"`, "\"@target-uri\": https://api.example:8443/a?\n", "/a?", verdict.OK},
		{`"@target-uri"`, "\"@target-uri\": https://api.example:8443/a\n", "/a?", StampSignature},
		{`"@target-uri"`, "\"@target-uri\": https://api.example:8443/a?\n", "/a", StampSignature},
		{`"@target-uri"`, "\"@target-uri\": https://api.example:8443/a\n", "/a", verdict.OK},
		{`"@request-target"`, "\"@request-target\": /a?\n", "/a?", verdict.OK},
		{`"@request-target"`, "\"@request-target\": /a\n", "/a?", StampSignature},
		{`"@path" "@query"`, "\"@path\": /a\n\"@query\": ?\n", "/a?", verdict.OK},
		{`"@path" "@query"`, "\"@path\": /a\n\"@query\": ?\n", "/a", verdict.OK},
	} {
		params, h := `("@authority" `+c.covers+`)`+botParams(), request("GET", c.path)
		const begin = "\"@authority\": api.example:8443\n"
		d := (&proxy{}).decide(p, signedText(t, bot, "sig1", params, begin+c.base, h))
		if d.Verdict().Code != c.want {
			t.Errorf("%q at %s: %s, want %s", c.base, c.path, d.Verdict().Code.Name, c.want.Name)
		}
		if c.covers == `"@path" "@query"` { // as what every stamp covers
			c.covers, c.base = "", ""
		} else {
			c.covers = " " + c.covers
		}
		params = `("@method" "@authority" "@path" "@query"` + c.covers + `)` + parameters()
		d = (&proxy{}).decide(stamps, signedText(t, edge, "edge", params,
			"\"@method\": GET\n"+begin+"\"@path\": /a\n\"@query\": ?\n"+c.base, h))
		if d.Verdict().Code != c.want {
			t.Errorf("of a stamp, %q at %s: %s, want %s", c.base, c.path, d.Verdict().Code.Name, c.want.Name)
		}
	}
}

// signedText signs a signature base that the test has written.
func signedText(t *testing.T, k *mint.Key, label, params, base string, h [][2]string) [][2]string {
	t.Helper()
	signature := signText(t, k, base+`"@signature-params": `+params)
	return append(h, [2]string{"signature-input", label + "=" + params},
		[2]string{"signature", label + "=:" + base64.StdEncoding.EncodeToString(signature) + ":"})
}
