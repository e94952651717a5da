// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
)

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// unused sets a bit of the last character that is no part of the bytes; ok is false where the length leaves none.
func unused(part string) (changed string, ok bool) {
	if len(part)%4 == 0 {
		return part, false
	}
	last := len(part) - 1
	return part[:last] + string(alphabet[strings.IndexByte(alphabet, part[last])|1]), true
}

// aligned lengthens an object until its encoding ends with unused bits: one byte more than a multiple of three.
func aligned(m members) string {
	for filler := ""; ; filler += "x" {
		if s := m.with("x", quote(filler)).String(); len(s)%3 == 1 {
			return s
		}
	}
}

// base64 is about spellings of the same bytes (J13).
func (g *generator) base64(round int) {
	parts := strings.Split(g.token(aligned(g.header()), aligned(g.claims())), ".")
	changed := func(i int, part string) string {
		other := slices.Clone(parts)
		other[i] = part
		return strings.Join(other, ".")
	}
	for i, name := range partNames {
		pad := strings.Repeat("=", (4-len(parts[i])%4)%4)
		if pad == "" {
			pad = "====" // no padding of this length exists
		}
		g.sendToken("in transit, "+name+": padding added", changed(i, parts[i]+pad))
		g.sendToken("in transit, "+name+": one = added", changed(i, parts[i]+"="))
		if other, ok := unused(parts[i]); ok {
			g.sendToken("in transit, "+name+": unused bits set", changed(i, other))
		}
		if other := strings.NewReplacer("-", "+", "_", "/").Replace(parts[i]); other != parts[i] {
			g.sendToken("in transit, "+name+": alphabet of plain base64", changed(i, other))
		}
		for _, c := range []string{" ", "\t", "?", "%", "*", "\xa0", "%3D"} {
			at := len(parts[i]) / (2 + round)
			g.sendToken("in transit, "+name+": a character of no alphabet", changed(i, parts[i][:at]+c+parts[i][at:]))
		}
	}
	header, payload := parts[0], parts[1]
	h, _ := unused(header)
	p, _ := unused(payload)
	g.sendToken("signed, header: unused bits set", g.signed(h, payload))
	g.sendToken("signed, claims: unused bits set", g.signed(header, p))
	g.sendToken("signed, header: padded", g.signed(header+"==", payload))
	g.sendToken("signed, claims: padded", g.signed(header, payload+"=="))
	g.sendToken("signed, header: wrongly padded", g.signed(header+"=", payload))
	g.sendToken("signed, claims: wrongly padded", g.signed(header, payload+"="))
	// ~ and ? in the texts put - and _ into their encodings.
	tilde := func(m members) string {
		return base64.StdEncoding.EncodeToString([]byte(m.with("x", `"~~~???>>>"`).String()))
	}
	g.sendToken("signed, header: plain base64", g.signed(strings.TrimRight(tilde(g.header()), "="), payload))
	g.sendToken("signed, claims: plain base64", g.signed(header, strings.TrimRight(tilde(g.claims()), "=")))
	at := len(payload) / (2 + round)
	g.sendToken("signed, claims: a space inside the part", g.signed(header, payload[:at]+" "+payload[at:]))
	g.sendToken("signed, header: a space inside the part", g.signed(header[:8]+" "+header[8:], payload))
	g.sendToken("signed, claims: not encoded",
		g.signed(header, strings.ReplaceAll(g.claims().with("iss", `"i"`).String(), ".", "")))
	g.sendToken("signed, header: empty part", g.signed("", payload))
	g.sendToken("signed, claims: empty part", g.signed(header, ""))
}

// parts is about the shape of a token (J12, J14).
func (g *generator) parts() {
	token := g.good()
	p := strings.Split(token, ".")
	enc := encode([]byte(`{"alg":"dir","enc":"A128GCM","kid":"` + g.ID + `"}`))
	for kind, token := range map[string]string{
		"one part":                    p[0],
		"two parts":                   p[0] + "." + p[1],
		"four parts":                  token + "." + p[2],
		"four parts, the last empty":  token + ".",
		"four parts, the first empty": "." + token,
		"five parts":                  token + "." + p[0] + "." + p[1],
		"two dots together":           p[0] + ".." + p[2],
		"a JWE": enc + ".." + encode([]byte("nonce 12 byt")) + "." + p[1] + "." +
			encode([]byte("sixteen byte tag")),
		"a JWE of three parts":                enc + "." + p[1] + "." + p[2],
		"five parts, the claims in the JWE's": p[0] + "." + p[1] + "." + p[2] + ".." + p[2],
		"the JSON serialisation": fmt.Sprintf(`{"protected":"%s","payload":"%s","signature":"%s"}`,
			p[0], p[1], p[2]),
		"the JSON serialisation with a signature": fmt.Sprintf(
			`{"payload":"%s","signatures":[{"protected":"%s","signature":"%s"}],"x":"%s"}`, p[1], p[0], p[2], token),
		"many dots":                       strings.Repeat(".", 200+g.number%5000),
		"a token and many dots":           token + strings.Repeat(".", 1+g.number%500),
		"header and payload exchanged":    p[1] + "." + p[0] + "." + p[2],
		"payload and signature exchanged": p[0] + "." + p[2] + "." + p[1],
		"a nested token":                  g.token(g.header().with("cty", `"JWT"`).String(), token),
		"a nested token as a JSON string": g.token(g.header().with("cty", `"JWT"`).String(), quote(token)),
	} {
		g.sendToken("shape: "+kind, token)
	}
	g.sendToken("shape: signed exchanged", g.token(g.claims().String(), g.header().String()))
}

// transport is about what stands around a token (J13, J15, J16).
func (g *generator) transport() {
	const name = "Authorization"
	for kind, junk := range map[string][]string{
		"a space and junk":    {" x", " Bearer", " " + g.good()},
		"a comma":             {",", ", x", "," + g.good(), ", Bearer " + g.good()},
		"a dot":               {"."},
		"characters":          {"x", "xx", "xxxx", "-", "_"},
		"=":                   {"=", "==", "===="},
		"another character":   {"?", "#", ";", "?a=b", "%00", "%20", "\xff", `"`, "\\", "\x80"},
		"a tab and junk":      {"\tx", "\t" + g.good()},
		"a semicolon":         {";x=1", "; x=1"},
		"white space":         {" ", "\t", "   "},
		"a space and a comma": {" ,", " , x"},
	} {
		for _, j := range junk {
			g.send("behind the token: "+kind, [2]string{name, "Bearer " + g.good() + j})
		}
	}
	token := g.good
	for kind, values := range map[string][]string{
		"lower case":             {"bearer " + token()},
		"upper case":             {"BEARER " + token(), "BeArEr " + token()},
		"two spaces":             {"Bearer  " + token(), "Bearer    " + token()},
		"a tab":                  {"Bearer\t" + token()},
		"a tab behind the space": {"Bearer \t" + token()},
		"nothing between":        {"Bearer" + token()},
		"without token":          {"Bearer", "Bearer  ", "bearer"},
		"none":                   {token()},
		"another": {"Basic " + token(), "JWT " + token(), "Token " + token(), "BearerX " + token(),
			"XBearer " + token(), "DPoP " + token(), "Negotiate " + token()},
		"another separator":            {"Bearer=" + token(), "Bearer:" + token(), "Bearer: " + token(), "Bearer," + token()},
		"twice":                        {"Bearer Bearer " + token()},
		"another one behind":           {"Bearer " + token() + ", Basic eA==", "Basic eA==, Bearer " + token()},
		"quotes":                       {`Bearer "` + token() + `"`, "Bearer '" + token() + "'", "Bearer <" + token() + ">"},
		"a parameter":                  {"Bearer token=" + token(), `Bearer realm="x", token=` + token()},
		"an empty list item":           {", Bearer " + token(), "Bearer ," + token()},
		"a no-break space":             {"Bearer\xa0" + token(), "Bearer\xc2\xa0" + token()},
		"text before it":               {"x Bearer " + token(), "Basic Bearer " + token()},
		"percent-encoded":              {"Bearer%20" + token(), "Bearer " + strings.ReplaceAll(token(), ".", "%2e")},
		"the token in the wrong place": {"Bearer x " + token()},
		"a character before the token": {"Bearer =" + token(), "Bearer +" + token(), "Bearer /" + token(),
			"Bearer ~" + token(), "Bearer \xa0" + token()},
	} {
		for _, v := range values {
			g.send("scheme: "+kind, [2]string{name, v})
		}
	}
	bearer := func(token string) [2]string { return [2]string{name, "Bearer " + token} }
	bad := func() string { return g.token(g.header().String(), g.claims().with("iss", `"x"`).String()) }
	g.send("two headers: a good token twice", bearer(token()), bearer(token()))
	g.send("two headers: a bad token first", bearer(bad()), bearer(token()))
	g.send("two headers: a bad token last", bearer(token()), bearer(bad()))
	g.send("two headers: the other scheme first", [2]string{name, "Basic eA=="}, bearer(token()))
	g.send("two headers: the other scheme last", bearer(token()), [2]string{name, "Basic eA=="})
	g.send("two headers: an empty one first", [2]string{name, ""}, bearer(token()))
	g.send("no header: in Proxy-Authorization", [2]string{"Proxy-Authorization", "Bearer " + token()})
	g.send("no header: with a low line", [2]string{"X_Authorization", "Bearer " + token()})
	g.send("no header: in a cookie", [2]string{"Cookie", "access_token=" + token()})
	g.send("case of the header's name", [2]string{"aUTHORIZATION", "Bearer " + token()})
}

// variant is a JSON text, or a part of one, under a name.
type variant struct{ kind, text string }

// jsonForms are texts that are not the object they come from, or not only that.
func jsonForms(m members) []variant {
	s := m.String()
	inside := strings.TrimSuffix(strings.TrimPrefix(s, "{"), "}")
	list := []variant{
		{"a byte order mark", "\ufeff" + s},
		{"white space around", " \t\r\n" + s + "\n "},
		{"white space inside", strings.ReplaceAll(s, `":`, "\" :\n\t")},
		{"other white space", "\v" + s},
		{"a no-break space around", "\u00a0" + s},
		{"a trailing comma", "{" + inside + ",}"},
		{"a leading comma", "{," + inside + "}"},
		{"two commas", strings.Replace(s, ",", ",,", 1)},
		{"no comma", strings.Replace(s, ",", " ", 1)},
		{"a comment", "{/* c */" + inside + "}"},
		{"a line comment", "{" + inside + "}//"},
		{"single quotes", strings.ReplaceAll(s, `"`, "'")},
		{"names without quotes", strings.ReplaceAll(s, `"alg"`, "alg") + strings.Repeat(" ", 1)},
		{"the object twice", s + s},
		{"junk behind", s + "x"},
		{"NUL behind", s + "\x00"},
		{"in a list", "[" + s + "]"},
		{"in a string", quote(strings.ReplaceAll(s, `"`, `\"`))},
		{"cut short", s[:len(s)-1]},
		{"closed by another bracket", s[:len(s)-1] + "]"},
		{"in UTF-16", utf16(s)},
		{"nothing", ""},
		{"null", "null"},
		{"a number", "1"},
		{"an empty object", "{}"},
		{"an empty list", "[]"},
	}
	for _, v := range valueForms {
		list = append(list, variant{"an extra member that is " + v.kind, m.with("x", v.text).String()})
	}
	for _, n := range []struct{ kind, name string }{
		{"an empty name", ""}, {"NUL in a name", `x\u0000`}, {"a raw line break in a name", "x\n"},
		{"a name that is not UTF-8", "x\xff"}, {"a name with half a surrogate pair", `\ud800`},
		{"a name with an unknown escape", `\x`}, {"a name with a dot", "a.b"}, {"a name called __proto__", "__proto__"},
	} {
		list = append(list, variant{n.kind, m.with(n.name, "1").String()})
	}
	return list
}

func utf16(s string) string {
	var b bytes.Buffer
	for _, r := range s {
		b.WriteByte(byte(r))
		b.WriteByte(byte(r >> 8))
	}
	return b.String()
}

// valueForms are values that readers of JSON disagree about, or that weigh much (J10, J11).
var valueForms = []variant{
	{"text", `"y"`}, {"an escaped text", `"\u0079\/\n"`}, {"beyond ASCII", `"é€😀"`}, {"an escaped pair",
		`"\ud83d\ude00"`}, {"null", "null"}, {"true", "true"}, {"an object", `{"a":{"b":[1,2]}}`},
	{"not UTF-8", "\"\xff\""}, {"overlong UTF-8", "\"\xc0\xaf\""}, {"an encoded surrogate", "\"\xed\xa0\x80\""},
	{"cut UTF-8", "\"\xe2\x82\""},
	{"NUL", `"a\u0000b"`}, {"a raw NUL", "\"a\x00b\""}, {"half a surrogate pair", `"\ud800"`}, {"the wrong half",
		`"\udc00"`}, {"two first halves", `"\ud800\ud800"`},
	{"a raw line break", "\"a\nb\""}, {"a raw tab", "\"a\tb\""}, {"DEL", "\"a\x7fb\""}, {"an unknown escape", `"\x41"`},
	{"a short escape", `"\u41"`}, {"a cut escape", `"\u004"`},
	{"NaN", "NaN"}, {"Infinity", "Infinity"}, {"-Infinity", "-Infinity"}, {"True", "True"}, {"undefined", "undefined"},
	{"nil", "nil"},
	{"01", "01"}, {"+1", "+1"}, {".5", ".5"}, {"5.", "5."}, {"1e", "1e"}, {"0x10", "0x10"}, {"1_000", "1_000"}, {"--1",
		"--1"}, {"-0", "-0"}, {"1E+2", "1E+2"},
	{"1e400", "1e400"}, {"a whole number beyond 64 bits", "18446744073709551617"}, {"a number of 40 digits",
		strings.Repeat("7", 40)}, {"a number of 400 digits", strings.Repeat("7", 400)},
	{"a list of depth 10", strings.Repeat("[", 10) + strings.Repeat("]", 10)}, {"a list of depth 20",
		strings.Repeat("[", 20) + strings.Repeat("]", 20)},
	{"a list of depth 200", strings.Repeat("[", 200) + strings.Repeat("]", 200)}, {"an object of depth 20",
		strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20)},
	{"1100 members", manyMembers(1100)}, {"200 members", manyMembers(200)}, {"a list of 1000",
		"[" + strings.Repeat("1,", 999) + "1]"},
	{"an object that names a member twice", `{"a":1,"a":2}`}, {"an object that names a member twice, once escaped",
		`{"a":1,"\u0061":2}`}, {"a list with two commas", "[1,,2]"}, {"a list with a comma at its end", "[1,]"},
	{"3000 bytes", quote(strings.Repeat("y", 3000))}, {"17000 bytes", quote(strings.Repeat("y", 17000))},
}

func manyMembers(n int) string {
	var m members
	for i := range n {
		m = append(m, [2]string{fmt.Sprint("m", i), "1"})
	}
	return m.String()
}

// escaped spells a text with an escape for its first character.
func escaped(s string) string { return fmt.Sprintf(`\u%04x%s`, s[0], s[1:]) }

// headers is about the header, signed again with the same key (J1 to J11, J29).
func (g *generator) headers() {
	h := g.header()
	signed := func(kind, header string) { g.sendToken("signed, header: "+kind, g.token(header, g.claims().String())) }
	for _, v := range jsonForms(h) {
		signed(v.kind, v.text)
	}
	alg, kid := quote(g.alg()), quote(g.ID)
	for _, v := range []struct {
		kind   string
		header members
	}{
		{"alg in lower case", h.with("alg", strings.ToLower(alg))},
		{"alg in upper case", h.with("alg", strings.ToUpper(alg))},
		{"alg with a space", h.with("alg", quote(g.alg()+" "))},
		{"alg with NUL", h.with("alg", quote(g.alg()+`\u0000`))},
		{"alg escaped", h.with("alg", quote(escaped(g.alg())))},
		{"no alg", h.without("alg")},
		{"alg empty", h.with("alg", `""`)},
		{"alg null", h.with("alg", "null")},
		{"alg a number", h.with("alg", "256")},
		{"alg a list", h.with("alg", "["+alg+"]")},
		{"alg an object", h.with("alg", `{"alg":`+alg+`}`)},
		{"alg unknown", h.with("alg", `"ES521"`)},
		{"Alg instead of alg", h.renamed("alg", "Alg")},
		{"ALG beside alg", h.behind("ALG", `"none"`)},
		{"Alg none before alg", h.before("Alg", `"none"`)},
		{"the name alg escaped", h.renamed("alg", escaped("alg"))},
		{"alg twice, the same", h.behind("alg", alg)},
		{"alg twice, none first", h.before("alg", `"none"`)},
		{"alg twice, none last", h.behind("alg", `"none"`)},
		{"alg twice, null first", h.before("alg", "null")},
		{"alg twice, once escaped", h.behind(escaped("alg"), alg)},
		{"alg twice, none escaped last", h.behind(escaped("alg"), `"none"`)},
		{"no kid", h.without("kid")},
		{"kid empty", h.with("kid", `""`)},
		{"kid null", h.with("kid", "null")},
		{"kid a number", h.with("kid", "7")},
		{"kid a list", h.with("kid", "["+kid+"]")},
		{"kid an object", h.with("kid", `{"$ne":""}`)},
		{"kid true", h.with("kid", "true")},
		{"kid unknown", h.with("kid", `"other"`)},
		{"kid a path", h.with("kid", `"../../../../dev/null"`)},
		{"kid an SQL fragment", h.with("kid", `"x' UNION SELECT 'k"`)},
		{"kid with NUL", h.with("kid", quote(g.ID+`\u0000`))},
		{"kid with a space", h.with("kid", quote(g.ID+" "))},
		{"kid in another case", h.with("kid", quote(strings.ToUpper(g.ID)))},
		{"kid huge", h.with("kid", quote(strings.Repeat("k", 2000)))},
		{"kid escaped", h.with("kid", quote(escaped(g.ID)))},
		{"kid of another algorithm's key", h.with("kid", quote(g.others[0].ID))},
		{"kid twice, the same", h.behind("kid", kid)},
		{"kid twice, another first", h.before("kid", `"other"`)},
		{"kid twice, another last", h.behind("kid", `"other"`)},
		{"KID instead of kid", h.renamed("kid", "KID")},
		{"KID of another beside kid", h.behind("KID", `"other"`)},
		{"no typ", h.without("typ")},
		{"typ of another kind", h.with("typ", `"logout+jwt"`)},
		{"typ a number", h.with("typ", "1")},
		{"typ null", h.with("typ", "null")},
		{"typ a list", h.with("typ", `["JWT"]`)},
		{"typ twice", h.behind("typ", `"JWT"`)},
		{"cty JWT", h.with("cty", `"JWT"`)},
		{"crit of an unknown extension", h.with("crit", `["x"]`).with("x", "1")},
		{"crit of an absent extension", h.with("crit", `["x"]`)},
		{"crit empty", h.with("crit", "[]")},
		{"crit of a registered parameter", h.with("crit", `["alg"]`)},
		{"crit of exp", h.with("crit", `["exp"]`).with("exp", fmt.Sprint(future))},
		{"crit a text", h.with("crit", `"x"`)},
		{"crit null", h.with("crit", "null")},
		{"crit false", h.with("crit", "false")},
		{"CRIT in another case", h.with("CRIT", `["x"]`)},
		{"b64 true", h.with("b64", "true")},
		{"b64 false", h.with("b64", "false")},
		{"b64 false and crit", h.with("b64", "false").with("crit", `["b64"]`)},
		{"b64 true and crit", h.with("b64", "true").with("crit", `["b64"]`)},
		{"b64 a text", h.with("b64", `"false"`)},
		{"zip", h.with("zip", `"DEF"`)},
		{"enc", h.with("enc", `"A128GCM"`)},
		{"jku", h.with("jku", `"https://evil.example/jwks.json"`)},
		{"x5u", h.with("x5u", `"https://evil.example/cert.pem"`)},
		{"claims in the header", h.with("iss", `"https://evil.example"`).with("exp", "1").with("aud", `"x"`)},
		{"250 members", fill(h, 250)},
		{"1100 members", fill(h, 1100)},
	} {
		signed(v.kind, v.header.String())
	}

	// The header says another algorithm than the signature has.
	payload := encode([]byte(g.claims().String()))
	_, _, signature := cut(g.good())
	for _, none := range []string{"none", "None", "NONE", "nOnE", "none ", "\\u006eone"} {
		for _, header := range []members{h.with("alg", quote(none)), {{"alg", quote(none)}}} {
			part := encode([]byte(header.String()))
			g.sendToken("alg none: empty signature", part+"."+payload+".")
			g.sendToken("alg none: no signature part", part+"."+payload)
			g.sendToken("alg none: another token's signature", part+"."+payload+"."+signature)
			g.sendToken("alg none: signed", g.signed(part, payload))
		}
	}
	for _, other := range g.others {
		g.sendToken("alg of another key: not signed again", encode([]byte(h.with("alg", quote(other.alg())).String()))+
			"."+payload+"."+signature)
		signed("alg of another key", h.with("alg", quote(other.alg())).String())
		signed("alg of another key, no kid", h.with("alg", quote(other.alg())).without("kid").String())
		// The other key signs, and the token names this one.
		text := encode([]byte(h.String())) + "." + payload
		g.sendToken("alg of another key: signed by that key", text+"."+encode(sign(other.Key, other.alg(), text)))
		// The other key signs by its own algorithm, and only the kid is this key's.
		text = encode([]byte(h.with("alg", quote(other.alg())).String())) + "." + payload
		g.sendToken("kid of another key: signed by the key of alg", text+"."+encode(sign(other.Key, other.alg(), text)))
	}
	if k, ok := g.Private().(*rsa.PrivateKey); ok {
		// J3: one RSA key serves one algorithm only, the one that its JWK names.
		for _, other := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
			if other == g.alg() {
				continue
			}
			for _, header := range []members{h.with("alg", quote(other)), h.with("alg", quote(other)).without("kid")} {
				text := encode([]byte(header.String())) + "." + encode([]byte(g.claims().String()))
				s, err := jwt.GetSigningMethod(other).Sign(text, k)
				if err != nil {
					panic(err)
				}
				g.sendToken("the RSA key by another of its algorithms", text+"."+encode(s))
			}
		}
	}
	// J2: the public key as a secret.
	if g.Algorithm != jose.HS256 {
		der, err := x509.MarshalPKIXPublicKey(g.Public())
		if err != nil {
			panic(err)
		}
		var set struct{ Keys []json.RawMessage }
		if err := json.Unmarshal(mint.Set(g.Key), &set); err != nil {
			panic(err)
		}
		for _, secret := range [][]byte{der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
			bytes.TrimSpace(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), set.Keys[0],
			[]byte(encode(der)), {}} {
			for _, header := range []members{h.with("alg", `"HS256"`), h.with("alg", `"HS256"`).without("kid")} {
				text := encode([]byte(header.String())) + "." + encode([]byte(g.claims().String()))
				mac := hmac.New(sha256.New, secret)
				mac.Write([]byte(text))
				g.sendToken("the public key as a secret", text+"."+encode(mac.Sum(nil)))
			}
		}
		// J5: a key that the token brings with it.
		var forger struct{ Keys []json.RawMessage }
		if err := json.Unmarshal(mint.Set(g.forger), &forger); err != nil {
			panic(err)
		}
		for _, header := range []members{
			h.with("jwk", string(forger.Keys[0])), h.with("jwk", string(forger.Keys[0])).without("kid"), h.with("jku",
				`"https://evil.example/jwks.json"`), h.with("x5c", `["MIIB"]`), h.with("kid", `"https://evil.example/k"`),
		} {
			text := encode([]byte(header.String())) + "." + encode([]byte(g.claims().String()))
			g.sendToken("a key in the header: signed by it", text+"."+encode(sign(g.forger, g.alg(), text)))
		}
		signed("jwk of the right key", h.with("jwk", string(set.Keys[0])).String())
	}
}

func cut(token string) (header, payload, signature string) {
	p := strings.Split(token, ".")
	return p[0], p[1], p[2]
}

func fill(m members, n int) members {
	for i := range n {
		m = m.behind(fmt.Sprint("m", i), "1")
	}
	return m
}

// payloads is about the claims, signed (J8 to J11, J17 to J19).
func (g *generator) payloads() {
	signed := func(kind, payload string) {
		g.sendToken("signed, claims: "+kind, g.token(g.header().String(), payload))
	}
	for _, v := range jsonForms(g.claims()) {
		signed(v.kind, v.text)
	}
	// What a date can be: for exp a date to come is good, for nbf and iat one that has been.
	for _, date := range []struct {
		name      string
		good, bad int64
	}{{"exp", future, past}, {"nbf", past, future}, {"iat", past, future}} {
		signed(date.name+" good", g.claims().with(date.name, fmt.Sprint(date.good)).String())
		signed(date.name+" bad", g.claims().with(date.name, fmt.Sprint(date.bad)).String())
		signed(date.name+" missing", g.claims().without(date.name).String())
		for _, v := range []variant{
			{"with a fraction", fmt.Sprintf("%d.5", date.good)}, {"bad, with a fraction",
				fmt.Sprintf("%d.5", date.bad)}, {"with a fraction of zeros", fmt.Sprintf("%d.000", date.good)},
			{"with an exponent", fmt.Sprintf("%d.%09de9", date.good/1e9, date.good%1e9)}, {"bad, with an exponent",
				fmt.Sprintf("%d.%09dE+9", date.bad/1e9, date.bad%1e9)},
			{"a text", quote(fmt.Sprint(date.good))}, {"bad, a text", quote(fmt.Sprint(date.bad))},
			{"a text of no number", `"never"`}, {"an empty text", `""`}, {"a text of a date", `"2100-01-01T00:00:00Z"`},
			{"negative", "-1"}, {"minus zero", "-0"}, {"zero", "0"}, {"one", "1"}, {"a very small fraction", "1e-300"},
			{"in milliseconds", fmt.Sprint(date.good * 1000)}, {"bad, in milliseconds", fmt.Sprint(date.bad * 1000)},
			{"the last second of the year 9999", "253402300799"}, {"after the year 9999", "253402300800"}, {"2^53 + 1",
				"9007199254740993"}, {"2^63", "9223372036854775808"}, {"2^64 + 1", "18446744073709551617"},
			{"-2^63", "-9223372036854775808"},
			{"1e18", "1e18"}, {"1e30", "1e30"}, {"1e400", "1e400"}, {"-1e400", "-1e400"}, {"null", "null"}, {"true",
				"true"}, {"false", "false"}, {"a list", fmt.Sprintf("[%d]", date.good)}, {"an object", "{}"},
			{"NaN", "NaN"}, {"Infinity", "Infinity"}, {"of 40 digits", strings.Repeat("9", 40)}, {"of zeros before it",
				fmt.Sprintf("0%d", date.good)}, {"with a plus", fmt.Sprintf("+%d", date.good)},
		} {
			signed(date.name+" "+v.kind, g.claims().with(date.name, v.text).String())
		}
		signed(date.name+" twice, the same",
			g.claims().with(date.name, fmt.Sprint(date.good)).behind(date.name, fmt.Sprint(date.good)).String())
		signed(date.name+" twice, the bad first",
			g.claims().with(date.name, fmt.Sprint(date.good)).before(date.name, fmt.Sprint(date.bad)).String())
		signed(date.name+" twice, the bad last",
			g.claims().with(date.name, fmt.Sprint(date.good)).behind(date.name, fmt.Sprint(date.bad)).String())
		signed(date.name+" bad in another case", g.claims().with(strings.ToUpper(date.name), fmt.Sprint(date.bad)).String())
		signed(date.name+" in another case only",
			g.claims().without(date.name).with(strings.ToUpper(date.name), fmt.Sprint(date.good)).String())
		signed(date.name+" escaped", g.claims().without(date.name).with(escaped(date.name), fmt.Sprint(date.good)).String())
		signed(date.name+" bad, escaped",
			g.claims().without(date.name).with(escaped(date.name), fmt.Sprint(date.bad)).String())
		signed(date.name+" twice, the bad escaped",
			g.claims().with(date.name, fmt.Sprint(date.good)).behind(escaped(date.name), fmt.Sprint(date.bad)).String())
	}
	good, evil := quote(audience), `"x"`
	for _, v := range []variant{
		{"in a list", "[" + good + "]"}, {"in a list of two", "[" + evil + "," + good + "]"}, {"twice in a list",
			"[" + good + "," + good + "]"}, {"in a list with a number", "[1," + good + "]"},
		{"in a list with null", "[null," + good + "]"},
		{"in a list of lists", "[[" + good + "]]"}, {"as a name", "{" + good + ":true}"}, {"in an object",
			`{"aud":` + good + "}"}, {"of another", evil}, {"of others", "[" + evil + `,"y"]`}, {"an empty list", "[]"},
		{"empty", `""`},
		{"null", "null"}, {"a number", "1"}, {"true", "true"}, {"an object", "{}"}, {"in another case",
			quote(strings.ToUpper(audience))}, {"with a slash", quote(audience + "/")}, {"with a space", quote(audience + " ")},
		{"longer", quote(audience + "x")}, {"shorter", quote(audience[:len(audience)-1])}, {"with NUL",
			quote(audience + `\u0000`)}, {"escaped", quote(escaped(audience))},
		{"a list in a text", quote(`[\"` + audience + `\"]`)},
		{"two in a text", quote(audience + " x")}, {"two in a text with a comma", quote("x," + audience)}, {"with http",
			quote("http://" + audience)}, {"with https and a slash", quote("https://" + audience + "/")},
	} {
		signed("aud "+v.kind, g.claims().with("aud", v.text).String())
	}
	signed("aud missing", g.claims().without("aud").String())
	signed("aud twice, another first", g.claims().before("aud", evil).String())
	signed("aud twice, another last", g.claims().behind("aud", evil).String())
	signed("aud twice, the same", g.claims().behind("aud", good).String())
	signed("AUD instead of aud", g.claims().renamed("aud", "AUD").String())
	signed("AUD of another beside aud", g.claims().behind("AUD", evil).String())

	good = quote(issuer)
	for _, v := range []variant{
		{"with a slash", quote(issuer + "/")}, {"in another case", quote(strings.ToUpper(issuer))},
		{"with another scheme", quote(strings.Replace(issuer, "https", "http", 1))}, {"with a port",
			quote(strings.Replace(issuer, "example", "example:443", 1))},
		{"of another", `"https://evil.example"`}, {"longer", quote(issuer + "x")}, {"shorter",
			quote(issuer[:len(issuer)-1])}, {"with a space", quote(issuer + " ")},
		{"with a space before", quote(" " + issuer)}, {"with NUL", quote(issuer + `\u0000`)},
		{"escaped", quote(escaped(issuer))}, {"with escaped slashes", quote(strings.ReplaceAll(issuer, "/", `\/`))},
		{"in a list", "[" + good + "]"}, {"in an object", `{"iss":` + good + "}"}, {"empty", `""`}, {"null", "null"},
		{"a number", "1"}, {"true", "true"},
	} {
		signed("iss "+v.kind, g.claims().with("iss", v.text).String())
	}
	signed("iss missing", g.claims().without("iss").String())
	signed("iss twice, another first", g.claims().before("iss", evil).String())
	signed("iss twice, another last", g.claims().behind("iss", evil).String())
	signed("iss twice, the same", g.claims().behind("iss", good).String())
	signed("iss twice, another escaped first", g.claims().before(escaped("iss"), evil).String())
	signed("iss twice, another escaped last", g.claims().behind(escaped("iss"), evil).String())
	signed("the name iss escaped", g.claims().renamed("iss", escaped("iss")).String())
	signed("ISS instead of iss", g.claims().renamed("iss", "ISS").String())
	signed("ISS of another beside iss", g.claims().behind("ISS", evil).String())
	signed("sub twice", g.claims().behind("sub", `"root"`).String())
	signed("sub a number", g.claims().with("sub", "1").String())
	signed("sub null", g.claims().with("sub", "null").String())
	signed("sub a list", g.claims().with("sub", `["ann"]`).String())
	signed("sub missing", g.claims().without("sub").String())
	signed("jti a number", g.claims().with("jti", fmt.Sprint(g.number)).String())
	signed("jti a list", g.claims().with("jti", fmt.Sprintf("[%d]", g.number)).String())
	signed("scope twice", g.claims().behind("scope", `"admin"`).String())
	signed("240 members", fill(g.claims(), 240).String())
	signed("1100 members", fill(g.claims(), 1100).String())
	signed("another issuer's key set", g.claims().with("iss", `"https://other.example"`).String())
}

// signatures is about the signature's own form (J21).
func (g *generator) signatures() {
	text := encode([]byte(g.header().String())) + "." + encode([]byte(g.claims().String()))
	signature := sign(g.Key, g.alg(), text)
	send := func(kind string, signature []byte) {
		g.sendToken("signature: "+kind, text+"."+encode(signature))
	}
	send("the forger's", sign(g.forger, g.alg(), text))
	send("of another text", sign(g.Key, g.alg(), text+"."))
	send("of nothing", sign(g.Key, g.alg(), ""))
	send("empty", nil)
	send("one byte", []byte{0})
	send("zeros", make([]byte, len(signature)))
	send("ones", bytes.Repeat([]byte{0xff}, len(signature)))
	send("reversed", reversed(signature))
	for i := range 6 {
		other := bytes.Clone(signature)
		other[i*(len(other)-1)/5] ^= 1 << i
		send("a bit flipped", other)
	}
	for _, n := range []int{1, 2, len(signature) / 2} {
		send("cut short", signature[:len(signature)-n])
		send("its start missing", signature[n:])
	}
	send("a zero before", append([]byte{0}, signature...))
	send("a zero behind", append(bytes.Clone(signature), 0))
	send("twice", append(bytes.Clone(signature), signature...))
	g.sendToken("signature: encoded twice", text+"."+encode([]byte(encode(signature))))
	switch k := g.Private().(type) {
	case *ecdsa.PrivateKey:
		size := len(signature) / 2
		order, zero := k.Curve.Params().N, new(big.Int)
		r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
		raw := func(r, s *big.Int) []byte {
			b := make([]byte, 2*size)
			r.FillBytes(b[:size])
			s.FillBytes(b[size:])
			return b
		}
		send("ECDSA, s negated", raw(r, new(big.Int).Sub(order, s))) // as good as the first
		send("ECDSA, r and s zero", raw(zero, zero))
		send("ECDSA, r zero", raw(zero, s))
		send("ECDSA, s zero", raw(r, zero))
		send("ECDSA, r the order", raw(order, s))
		send("ECDSA, r and s the order", raw(order, order))
		send("ECDSA, r and s exchanged", raw(s, r))
		if wide := new(big.Int).Add(s, order); wide.BitLen() <= 8*size {
			send("ECDSA, s plus the order", raw(r, wide))
		}
		der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
		if err != nil {
			panic(err)
		}
		send("ECDSA, in ASN.1", der)
		send("ECDSA, a zero before each half",
			append(append([]byte{0}, signature[:size]...), append([]byte{0}, signature[size:]...)...))
	case ed25519.PrivateKey:
		// S plus the group's order: RFC 8032 §5.1.7 has it refused.
		order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
		wide := new(big.Int).Add(new(big.Int).SetBytes(reversed(signature[32:])), order)
		send("EdDSA, S plus the order", append(bytes.Clone(signature[:32]), reversed(wide.FillBytes(make([]byte, 32)))...))
		identityPoint := make([]byte, 64)
		identityPoint[0] = 1
		send("EdDSA, R the identity and S zero", identityPoint)
	case *rsa.PrivateKey:
		h := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[g.alg()[2:]]
		sum := h.New()
		sum.Write([]byte(text))
		digest := sum.Sum(nil)
		if g.alg()[0] == 'P' {
			for _, salt := range []int{0, 20, h.Size() - 1, h.Size() + 1, rsa.PSSSaltLengthAuto} {
				s, err := rsa.SignPSS(rand.Reader, k, h, digest, &rsa.PSSOptions{SaltLength: salt})
				if err != nil {
					panic(err)
				}
				send("PSS, a salt of another length", s)
			}
		} else {
			// The digest alone, without the name of its hash.
			s, err := rsa.SignPKCS1v15(rand.Reader, k, 0, digest)
			if err != nil {
				panic(err)
			}
			send("PKCS #1, without DigestInfo", s)
		}
		n := new(big.Int).Add(new(big.Int).SetBytes(signature), k.N)
		send("RSA, plus the modulus", n.FillBytes(make([]byte, len(signature)+1)))
		if n.BitLen() <= 8*len(signature) {
			send("RSA, plus the modulus in its length", n.FillBytes(make([]byte, len(signature))))
		}
	case []byte:
		for _, n := range []int{8, 16, 31} {
			send("HMAC, cut short", signature[:n])
		}
	}
}

func reversed(b []byte) []byte {
	b = bytes.Clone(b)
	slices.Reverse(b)
	return b
}
