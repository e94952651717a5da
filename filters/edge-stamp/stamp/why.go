// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/httpsig"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
	"github.com/tollgate-wasm/tollgate/shared/jwt"
	"github.com/tollgate-wasm/tollgate/shared/sfv"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Why tells of a decision of role verify that refuses what was expected, and what was found instead: one line for each
// fault. It reads the request once more, by the functions that have decided it. Keys are called by their names only.
func (d *Decision) Why() []string {
	w := &why{d: d, code: d.verdict.Reason()}
	if d.policy.verifier == nil || d.rule < 0 {
		return nil
	}
	for _, x := range d.Differences() {
		switch {
		case x.Expected != "":
			w.lines = append(w.lines, x.String())
		case d.stamped.foreign:
			w.lines = append(w.lines, x.Part+": the signature does not cover it, and the trust demands that")
		default:
			w.lines = append(w.lines, x.Part+": the stamp does not bind it, and the rule demands that")
		}
	}
	if len(w.lines) == 0 {
		w.tell()
	}
	return w.lines
}

// String says it in a line. Where there is nothing, what is expected may be words.
func (x Difference) String() string {
	if x.Found == "" {
		return x.Part + ": expected " + plain(x.Expected) + ", found nothing"
	}
	return x.Part + ": expected " + strconv.Quote(x.Expected) + ", found " + strconv.Quote(x.Found)
}

// why collects what Why tells.
type why struct {
	d     *Decision
	code  *verdict.Code
	lines []string
}

func (w *why) expected(part, want, found string) {
	w.lines = append(w.lines, part+": expected "+want+", found "+found)
}

func (w *why) tell() {
	d, v := w.d, w.d.policy.verifier
	switch w.code {
	case verdict.OK:
		return
	case PeerUntrusted:
		w.expected("peer", oneOf(d.policy.rules[d.rule].peers), "another client, or one whose certificate has no SPIFFE ID")
		return
	case BodyTooLarge:
		w.expected("content-length", "at most "+strconv.Itoa(d.policy.bodyBytes)+" (bodyBytes)",
			forward.Header(d.headers, "content-length"))
		return
	case ReplayUnavailable:
		w.expected("replay", "the answer of the rate-limit service (onceGlobal)", "none; nothing else is wrong with the stamp")
		return
	case StampUnbound:
		w.unbound()
		return
	}
	missing := true
	switch {
	case len(v.trust) == 0:
	case d.policy.message:
		missing = w.message()
	default:
		missing = w.jws()
	}
	if missing && len(v.others) > 0 {
		w.foreign()
	}
}

// jws tells of a stamp that is a compact JWS; missing: there is none.
func (w *why) jws() (missing bool) {
	d := w.d
	text, refused := d.findJWS()
	switch refused {
	case StampMissing:
		what := "a compact JWS"
		if d.policy.header == "authorization" {
			what = "Bearer and " + what // what else stands there is somebody's credential
		}
		w.expected(d.policy.header, what, "none")
		return true
	case StampAmbiguous:
		w.expected(d.policy.header, "one stamp", strconv.Itoa(len(d.lines(d.policy.header)))+
			" lines, or a comma in one of them")
		return false
	}
	token, err := jose.Parse(text, limits)
	if err != nil {
		w.expected(d.policy.header, "a compact JWS that reads in one way only", "one with a fault: "+err.Error())
		return false
	}
	claims := jwt.ReadRegistered(token.Payload)
	t := d.stamped.trust
	if t == nil {
		for _, candidate := range d.policy.verifier.trust {
			if candidate.issuer == claims.Issuer.Str {
				t = candidate
			}
		}
	}
	if t == nil {
		w.issuer(claims.Issuer)
		return false
	}
	dates, _ := claims.Dates()
	switch w.code {
	case StampMalformed:
		w.malformedJWS(t, token, &claims)
	case StampAlgorithm, StampKeyUnknown:
		alg, ok := jose.ParseAlgorithm(token.Alg)
		if !ok || !slices.Contains(t.algorithms, alg) {
			w.expected("alg", oneOf(algorithms(t))+" (trust "+t.name+")", strconv.Quote(token.Alg))
			return false
		}
		kid := "none"
		if token.HasKID {
			kid = strconv.Quote(token.KeyID)
		}
		w.key("kid", kid+" with alg "+token.Alg, t)
	case StampAudience:
		w.audience(t, claims.Audience)
	case StampSignature:
		w.expected("signature", "one by a key of trust "+t.name+": "+w.keys(t), "one that none of them has made")
	default:
		w.times(t, &dates, "iat", "exp")
	}
	return false
}

// malformedJWS tells of the header and the claims of a stamp that reads.
func (w *why) malformedJWS(t *trust, token *jose.JWS, claims *jwt.Registered) {
	p := w.d.policy
	if typ := jwt.MediaType(token.Type); !p.isStamp(typ, t.idp) {
		want := strconv.Quote(stampType)
		switch {
		case t.idp:
			want = "any but those of stamps"
		case p.txn:
			want = strconv.Quote(txnType)
		}
		w.expected("typ", want, strconv.Quote(token.Type))
	}
	for _, date := range [...]struct {
		name   string
		claim  gjson.Result
		least  float64
		needed bool
	}{{"iat", claims.IssuedAt, 0, !t.idp}, {"nbf", claims.NotBefore, 0, false}, {"exp", claims.Expires, 1, true}} {
		if _, found, ok := jwt.NumericDate(date.claim, date.least); !ok || date.needed && !found {
			w.expected(date.name, "seconds since 1970, as a number", raw(date.claim))
		}
	}
	if dates, ok := claims.Dates(); ok && dates.HasExp && dates.HasIat && dates.Exp < dates.Iat {
		w.expected("exp", "none before iat, "+clock(dates.Iat), clock(dates.Exp))
	}
	if t.idp {
		return
	}
	member := func(name string) gjson.Result {
		v, _ := strictjson.Member(token.Payload, name)
		return v
	}
	if p.txn {
		for i, name := range txnNames {
			v := member(name)
			switch {
			case i >= 4 && v.Raw != "" && !v.IsObject():
				w.expected(name, "an object", raw(v))
			case i < 4 && v.Str == "":
				w.expected(name, "a text that is not empty", raw(v))
			case name == "scope" && scopeTokens(v.Str) == 0:
				w.expected(name, "scopes with one space between them (RFC 6749 §3.3)", raw(v))
			}
		}
	}
	id := "jti"
	if p.txn && member(id).Raw == "" {
		id = "txn"
	}
	if v := member(id); v.Str == "" && id == "jti" || len(v.Str) > maxID {
		w.expected(id, "a text of 1 to "+strconv.Itoa(maxID)+" bytes", raw(v))
	}
	if v := member("bdh"); v.Raw != "" && (v.Type != gjson.String || len(v.Str) != len(emptyHash)) {
		w.expected("bdh", "the SHA-256 of the body in base64url", raw(v))
	}
}

// message tells of a stamp of profile rfc9421; missing: there is none.
func (w *why) message() (missing bool) {
	d := w.d
	in, _, refused := d.findMessage()
	want := "one signature labelled " + label + ` with tag="` + tag + `"`
	if refused == StampMissing {
		w.expected("signature-input", want, w.labels())
		return true
	}
	if refused != nil {
		w.unread(label, want)
		return false
	}
	created, hasCreated := in.Created()
	expires, hasExpires := in.Expires()
	kid, hasKID := in.KeyID()
	text := d.joined(d.policy.header)
	claims, claimsErr := jose.DecodePayload(strings.Clone(text), limits)
	registered := jwt.ReadRegistered(claims)
	said, hasAlg := in.Alg()
	switch t := d.stamped.trust; {
	case w.code == StampAlgorithm && hasAlg && w.alg(said, kid):
	case w.code == StampMalformed:
		w.date("created", created, hasCreated)
		w.date("expires", expires, hasExpires)
		if hasCreated && hasExpires && expires < created {
			w.expected("expires", "none before created, "+clock(created*1e6), clock(expires*1e6))
		}
		if nonce, _ := in.Nonce(); nonce == "" {
			w.expected("nonce", "a parameter with a text", "none")
		}
		if !hasKID {
			w.expected("keyid", "a parameter with a text", "none")
		}
		if text != "" && claimsErr != nil {
			w.expected(d.policy.header, "a JSON object in base64url that reads in one way only", "one with a fault: "+
				claimsErr.Error())
		}
	case t == nil: // no trust has the key, or none for its algorithm
		w.key("keyid", strconv.Quote(kid), d.policy.verifier.trust...)
	case w.code == StampIssuer:
		w.expected("iss", strconv.Quote(t.issuer)+" (trust "+t.name+"), whose key has signed", raw(registered.Issuer))
	case w.code == StampAudience:
		w.audience(t, registered.Audience)
	case w.code == StampSignature:
		w.unsigned(kid)
	default:
		w.times(t, &jwt.Dates{Iat: created * 1e6, Exp: expires * 1e6, HasIat: true, HasExp: true}, "created", "expires")
	}
	return false
}

// alg tells of the parameter alg, where it is not what the key has decided.
func (w *why) alg(said, kid string) (told bool) {
	for _, t := range append(slices.Clone(w.d.policy.verifier.trust), w.d.policy.verifier.others...) {
		set := t.keys.Set(w.d.now)
		for _, a := range t.algorithms {
			if set == nil || said == a.MessageName() {
				continue
			}
			_, _, _, err := set.ByKeyID(kid, jwks.ByThumbprint, []jose.Algorithm{a})
			if err == nil || set.Named(kid, a) == nil {
				w.expected("alg", strconv.Quote(a.MessageName())+" (of the key), or no such parameter", strconv.Quote(said))
				return true
			}
		}
	}
	return false
}

// foreign tells of signatures of others.
func (w *why) foreign() {
	d := w.d
	list, refused := d.findSigned()
	in, t := d.stamped.input, d.stamped.trust
	var wants []string
	for _, o := range d.policy.verifier.others {
		if want := o.signature.wants() + " (trust " + o.name + ")"; !slices.Contains(wants, want) {
			wants = append(wants, want)
		}
	}
	switch {
	case refused == StampMissing:
		w.expected("signature-input", strings.Join(wants, ", or "), w.labels())
	case refused == StampAmbiguous:
		w.expected("signature-input", "at most "+strconv.Itoa(maxSigned)+" signatures with the tag of one trust", "more")
	case refused != nil:
		w.unread("", strings.Join(wants, ", or "))
	case in == nil:
		seen := map[string]bool{}
		for _, s := range list {
			if seen[s.keyid] {
				continue
			}
			seen[s.keyid] = true
			var trusts []*trust
			for _, o := range list {
				if o.keyid == s.keyid && !slices.Contains(trusts, o.trust) {
					trusts = append(trusts, o.trust)
				}
			}
			w.key("keyid", strconv.Quote(s.keyid), trusts...)
		}
	case w.code == StampMalformed:
		w.malformedForeign(t, in)
	case w.code == StampAlgorithm:
		said, _ := in.Alg()
		kid, _ := in.KeyID()
		w.alg(said, kid)
	case w.code == StampSignature:
		kid, _ := in.KeyID()
		w.unsigned(kid)
	default:
		w.ages(t, in)
	}
}

// wants are a signature's label and tag.
func (f *foreign) wants() string {
	text := "a signature"
	if f.label != "" {
		text += " labelled " + f.label
	}
	if f.tag == "" {
		return text + " without a tag"
	}
	return text + " with tag=" + strconv.Quote(f.tag)
}

func (w *why) malformedForeign(t *trust, in *httpsig.Input) {
	created, hasCreated := in.Created()
	expires, hasExpires := in.Expires()
	w.date("created", created, hasCreated)
	if hasExpires {
		w.date("expires", expires, true)
	}
	if hasCreated && hasExpires && expires < created {
		w.expected("expires", "none before created, "+clock(created*1e6), clock(expires*1e6))
	}
	if nonce, _ := in.Nonce(); t.signature.once && (nonce == "" || len(nonce) > maxID) {
		found := "none"
		if nonce != "" {
			found = "one of " + strconv.Itoa(len(nonce)) + " bytes"
		}
		w.expected("nonce", "a parameter with a text of 1 to "+strconv.Itoa(maxID)+" bytes (nonce: once)", found)
	}
	if _, refused := w.d.signatureOf(in.Label); refused != nil {
		w.signature(in.Label)
	}
}

// ages tells of the times of another's signature.
func (w *why) ages(t *trust, in *httpsig.Input) {
	created, _ := in.Created()
	expires, hasExpires := in.Expires()
	now, skew := w.d.now.UnixMicro(), t.skew.Microseconds()
	age := t.signature.maxAge
	if last := (created*1e6 + age.Microseconds()); w.code == StampExpired && now >= last+skew {
		w.expected("created", "after "+clock(now-skew-age.Microseconds())+" (maxAge "+age.String()+", "+w.clocks(t)+")",
			clock(created*1e6))
	}
	dates := jwt.Dates{Iat: created * 1e6, Exp: expires * 1e6, HasIat: true, HasExp: hasExpires}
	w.times(t, &dates, "created", "expires")
}

// unread tells why the field of signatures has none that can be looked at. wanted is a label; empty: any.
func (w *why) unread(wanted, want string) {
	d := w.d
	inputs, err := httpsig.ParseInputs(d.joined("signature-input"))
	if err != nil {
		w.expected("signature-input", want, "a field with a fault: "+err.Error())
	}
	found := false
	for i := range inputs {
		in := &inputs[i]
		if wanted == "" {
			if keyid, _ := in.KeyID(); keyid == "" && d.tagged(in) {
				w.expected("keyid", "a parameter with a text, of "+in.Label, "none")
			}
			continue
		}
		if in.Label != wanted {
			continue
		}
		found = true
		if text, _ := in.Tag(); text != tag {
			w.expected("tag", strconv.Quote(tag), strconv.Quote(text))
		}
	}
	if wanted != "" && err == nil && !found {
		w.expected("signature-input", want, w.labels())
	}
	if _, refused := d.signatureOf(wanted); wanted != "" && refused != nil {
		w.signature(wanted)
	}
}

// tagged reports whether a signature may be one of a trust.
func (d *Decision) tagged(in *httpsig.Input) bool {
	name, has := in.Tag()
	return slices.ContainsFunc(d.policy.verifier.others, func(t *trust) bool {
		f := t.signature
		return name == f.tag && has == (f.tag != "") && (f.label == "" || f.label == in.Label)
	})
}

// signature tells why a label has no signature.
func (w *why) signature(label string) {
	found := "none"
	if _, err := httpsig.Signatures(w.d.joined("signature")); err != nil {
		found = "a field with a fault: " + err.Error()
	}
	w.expected("signature", "one member "+label+", which is bytes between colons", found)
}

// labels are those of the signatures that there are.
func (w *why) labels() string {
	text := w.d.joined("signature-input")
	if text == "" {
		return "no such field"
	}
	list, err := sfv.ParseDictionary(text)
	if err != nil {
		return "a field with a fault: " + err.Error()
	}
	var names []string
	for i := range list {
		m := &list[i]
		name := m.Name + " without a tag"
		for _, p := range m.Item.Parameters {
			if p.Name == "tag" {
				name = m.Name + " with tag=" + strconv.Quote(p.Value.Text)
			}
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// unsigned tells that a key has not made the signature.
func (w *why) unsigned(kid string) {
	t := w.d.stamped.trust
	w.expected("signature", "one by the key "+strconv.Quote(kid)+" of trust "+t.name+" over the base below",
		"one of another key, or over another request")
}

// unbound tells of what is bound and nobody can compare.
func (w *why) unbound() {
	d := w.d
	switch in := d.stamped.input; {
	case d.streaming():
		w.expected("body", "one that can be waited for, where it is bound", "an upgrade, CONNECT or gRPC")
	case in != nil && !in.Covers(d.policy.header) && d.joined(d.policy.header) != "":
		w.expected(d.policy.header, "nothing, or what the signature covers", "claims that it does not cover")
	case in != nil:
		w.expected("content-digest", "one "+digestAlgorithm+" that is covered, of 32 bytes",
			strconv.Quote(d.joined("content-digest")))
	}
}

// date tells of a parameter that is none.
func (w *why) date(name string, seconds int64, found bool) {
	switch {
	case !found:
		w.expected(name, "a parameter with seconds since 1970", "none")
	case seconds > maxDate:
		w.expected(name, "a date up to the year 9999", strconv.FormatInt(seconds, 10))
	}
}

// times tells of the dates of a stamp, which are called begin and end.
func (w *why) times(t *trust, dates *jwt.Dates, begin, end string) {
	now, skew := w.d.now.UnixMicro(), t.skew.Microseconds()
	switch w.code {
	case StampExpired:
		if dates.Expired(now, skew) {
			w.expected(end, "after "+clock(now-skew)+" ("+w.clocks(t)+")", clock(dates.Exp))
		}
	case StampNotYetValid:
		if dates.HasIat && dates.Iat > now+skew {
			w.expected(begin, "at most "+clock(now+skew)+" ("+w.clocks(t)+")", clock(dates.Iat))
		}
		if dates.HasNbf && now < dates.Nbf-skew {
			w.expected("nbf", "at most "+clock(now+skew)+" ("+w.clocks(t)+")", clock(dates.Nbf))
		}
	case StampLifetime:
		most := "at most " + t.maxTTL.String() + " after " + begin + " (maxTtl)"
		if !dates.HasIat {
			w.expected(end, most, "no "+begin)
			return
		}
		w.expected(end, most, (time.Duration(dates.Exp-dates.Iat)*time.Microsecond).String()+" after it")
	}
}

func (w *why) clocks(t *trust) string {
	return "the clock says " + clock(w.d.now.UnixMicro()) + ", clockSkew " + t.skew.String()
}

// clock is a time in microseconds since the epoch.
func clock(micro int64) string {
	return time.UnixMicro(micro).UTC().Format("2006-01-02T15:04:05.999Z07:00")
}

func (w *why) issuer(iss gjson.Result) {
	var issuers []string
	for _, t := range w.d.policy.verifier.trust {
		issuers = append(issuers, t.issuer)
	}
	w.expected("iss", oneOf(issuers), raw(iss))
}

func (w *why) audience(t *trust, aud gjson.Result) {
	w.expected("aud", oneOf(t.audiences)+" (trust "+t.name+")", raw(aud))
}

// key tells of what a key is called, and of the keys that there are.
func (w *why) key(part, found string, trusts ...*trust) {
	var all []string
	for _, t := range trusts {
		all = append(all, "trust "+t.name+" for "+strings.Join(algorithms(t), ", ")+": "+w.keys(t))
	}
	w.expected(part, "a key of "+strings.Join(all, "; of "), found)
}

// keys are those of a trust.
func (w *why) keys(t *trust) string {
	set := t.keys.Set(w.d.now)
	if set == nil {
		return "no key set is there"
	}
	if t.signature != nil {
		return strings.Join(set.DescribeByThumbprint(), ", ")
	}
	return strings.Join(set.Describe(), ", ")
}

func algorithms(t *trust) (names []string) {
	for _, a := range t.algorithms {
		names = append(names, a.String())
	}
	return names
}

func oneOf(list []string) string {
	var all []string
	for _, s := range list {
		all = append(all, strconv.Quote(s))
	}
	if len(all) == 1 {
		return all[0]
	}
	return "one of " + strings.Join(all, ", ")
}

// raw is a claim as it stands there, as far as a person looks at it.
func raw(v gjson.Result) string {
	const most = 256
	if v.Raw == "" {
		return "nothing"
	}
	text := plain(v.Raw)
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// plain is a text that does not move the cursor.
func plain(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return '�'
		}
		return c
	}, text)
}
