// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/httpsig"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/replay"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// limits are those of a stamp, or of its claims where those stand apart. The edge sends none that
// is over them, and the mesh takes none.
var limits = jose.Limits{TokenBytes: 16 << 10, JSON: strictjson.Limits{Depth: 16, Members: 1024, Number: 32}}

// Policy is a configuration made ready for requests. It belongs to one goroutine, as everything in
// a VM does; what belongs to one request is in a Decision.
type Policy struct {
	config
	index *match.Index
}

// Parse reads a configuration, or returns conf.Faults: everything that is wrong with it, each with its path.
func Parse(text string, s Surroundings) (*Policy, error) {
	c, err := readConfig(text, s)
	if err != nil {
		return nil, err
	}
	p := &Policy{config: *c}
	var conditions [][]match.Condition
	for i := range c.rules {
		conditions = append(conditions, c.rules[i].conditions)
	}
	p.index = match.NewIndex(conditions)
	return p, nil
}

// RuleName is the name of the rule with that index, as in a Verdict.
func (p *Policy) RuleName(rule int) string {
	if rule < 0 {
		return verdict.NoRuleName
	}
	return p.rules[rule].name
}

// Signer is the key that signs, to be tried at start; nil in the role verify.
func (p *Policy) Signer() *jose.PrivateKey {
	if p.signer == nil {
		return nil
	}
	return p.signer.key
}

// SignByProxy has the proxy make the signatures, with an algorithm for which it need not: RS256 and
// the like are some ten times faster there.
func (p *Policy) SignByProxy() { p.signer.byProxy = true }

// Remotes are the key sets that have to be fetched.
func (p *Policy) Remotes() []*jwks.Remote {
	var list []*jwks.Remote
	if p.verifier != nil {
		for _, trusts := range [...][]*trust{p.verifier.trust, p.verifier.others} {
			for _, t := range trusts {
				if t.keys.Remote != nil {
					list = append(list, t.keys.Remote)
				}
			}
		}
	}
	return list
}

// ReplayEntries is how many stamps the proxy must be able to remember at once; 0: none.
func (p *Policy) ReplayEntries() int {
	if p.verifier == nil {
		return 0
	}
	once := slices.ContainsFunc(p.verifier.others, func(t *trust) bool { return t.signature.once })
	for i := range p.rules {
		if r := &p.rules[i]; !r.public && (once || r.demand.replay != off && len(p.verifier.trust) > 0) {
			return p.verifier.entries
		}
	}
	return 0
}

// Global is how the rate-limit service is asked; nil where it is not.
func (p *Policy) Global() *Global {
	if p.verifier == nil {
		return nil
	}
	return p.verifier.global
}

// MayBindBody reports whether there can be a request whose body is looked at: a verifier looks at
// what a stamp binds, whether the rule demands that or not.
func (p *Policy) MayBindBody() bool {
	return p.verifier != nil || slices.ContainsFunc(p.rules, func(r rule) bool { return r.bind&body != 0 })
}

// BodyBytes is the most that a bound body may have, and BodyTimeout how long it may take to come.
func (p *Policy) BodyBytes() int             { return p.bodyBytes }
func (p *Policy) BodyTimeout() time.Duration { return p.bodyTimeout }

// Warnings are what the log should say once about a configuration that asks for less than it could,
// or has what is without effect.
func (p *Policy) Warnings() []conf.Fault {
	list := slices.Clone(p.warnings)
	if p.verifier == nil {
		return list
	}
	for i := range p.rules {
		r := &p.rules[i]
		require := "rules[" + strconv.Itoa(i) + "].require"
		if r.public {
			continue
		}
		if r.demand.bind&body != 0 && slices.ContainsFunc(p.verifier.others, (*trust).takesAnyBody) {
			list = append(list, conf.Fault{Path: require + ".bind", Problem: "has body, which is asked of stamps only: a " +
				"signature of others need not cover it here, unless its trust's components have content-digest"})
		}
		if len(p.verifier.trust) == 0 {
			continue // no stamp is looked at
		}
		if r.demand.replay == off {
			list = append(list, conf.Fault{Path: require + ".replay",
				Problem: "is off: a stamp can be used again until it expires"})
		}
		if missing := line &^ r.demand.bind; missing != 0 {
			list = append(list, conf.Fault{Path: require + ".bind", Problem: "lacks " + missing.String() +
				": a stamp made for another request may do"})
		}
	}
	for _, t := range p.verifier.trust {
		if t.idp {
			list = append(list, conf.Fault{Path: t.path + ".forwardIdp",
				Problem: "is on: its tokens are bound to no request and can be used again"})
		}
	}
	for _, t := range p.verifier.others {
		list = append(list, t.warnings()...)
	}
	return list
}

func (p parts) String() string {
	var names []string
	for i, name := range [...]string{"method", "authority", "path", "query", "body"} {
		if p&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// Decision is one request on its way to a verdict. The zero value is ready for Policy.Decide;
// reusing one saves allocations.
type Decision struct {
	policy  *Policy
	headers [][2]string
	request match.Request
	target  target
	empty   bool // the request has no body
	rule    int
	verdict verdict.Verdict
	step    decide.Step
	now     time.Time
	waited  bool         // for keys
	remote  *jwks.Remote // that the decision waits for; nil: none
	publish bool

	stamped    stamped    // of role verify
	trial      jwks.Trial // of its signature
	bodyHash   string     // SHA-256 in base64url that the stamp binds; empty: none
	bodySum    string     // of the body, where that differs
	differs    parts      // that the stamp binds otherwise than they are
	tooLarge   tooLarge
	signing    signing      // of role sign
	set        [][2]string  // headers that the stamp stands in; role sign
	unreadable bool         // Effect has found a field of signatures that cannot be read
	identity   string       // claims that have been verified, as JSON
	proxySign  jose.Signing // that the decision waits for
}

// target are the parts of a request that a stamp binds, as sent.
type target struct {
	scheme, method, authority, path, query string

	raw string // path and query: /a and /a? are two targets (RFC 9421 §2.2.2)
}

// Step is what the decision waits for now.
func (d *Decision) Step() decide.Step { return d.step }

// Decide looks at a request. After it the decision has its verdict, or Run goes on with it.
func (p *Policy) Decide(d *Decision, r *decide.Request) {
	d.waited = false
	p.decide(d, r)
}

// DecideAfterWait is Decide for a request that has waited for keys: it will not wait for keys again.
func (p *Policy) DecideAfterWait(d *Decision, r *decide.Request) {
	d.waited = true
	p.decide(d, r)
}

// Run does what the decision waits for, as far as the world does it at once. It returns
// decide.Done, or what takes time:
//   - decide.FetchKeys: the KeysWanted are to be fetched, and the request decided anew, by
//     DecideAfterWait once it has waited long enough.
//   - decide.ReadBody: told by BodyRead, BodyTooBig, BodyLate or BodyUnheld.
//   - decide.AskService: Asks is to be asked, and Answered told.
func (d *Decision) Run(w *decide.World) decide.Step {
	for d.step.AtOnce() {
		d.do(w)
	}
	return d.step
}

//go:noinline
func (d *Decision) do(w *decide.World) {
	switch {
	case d.step == decide.CheckSignature && w.Verify != nil:
		d.signatureChecked(w.Verify(d.trial.Verification()))
	case d.step == decide.Sign && w.Sign != nil:
		d.signatureMade(w.Sign(d.proxySign))
	case d.step == decide.ReadIdentity && w.Identity != nil:
		d.identityRead(w.Identity())
	case d.step == decide.ReadPeer && w.PeerURI != nil:
		d.peerRead(w.PeerURI())
	case d.step == decide.CheckReplay && w.Admit != nil:
		d.replayChecked(w.Admit(d.stamped.id, d.stamped.expires, d.now))
	default:
		d.taken(d.step, decide.ErrUndone)
	}
}

func (p *Policy) decide(d *Decision, r *decide.Request) {
	d.policy, d.empty, d.now, d.rule, d.step, d.remote, d.publish = p, r.Empty, r.Now, -1, decide.Done, nil, false
	d.stamped, d.bodyHash, d.signing, d.set, d.identity = stamped{}, "", signing{}, d.set[:0], ""
	d.differs, d.tooLarge = 0, tooLarge{}
	refused := d.read(r)
	if refused == nil {
		refused = d.match()
	}
	if refused == nil && d.rule >= 0 {
		if p.signer != nil {
			refused = d.sign()
		} else {
			refused = d.verify()
		}
	}
	d.end(refused)
}

// read takes the request's parts out of its headers.
func (d *Decision) read(r *decide.Request) *verdict.Code {
	line := r.Line()
	d.headers, d.target = r.Headers, target{scheme: line.Scheme, method: line.Method, authority: line.Authority,
		raw: line.Path}
	if err := d.request.Set(line.Method, line.Authority, line.Path, d.policy.literalPaths); err != nil {
		return decide.Ambiguous(err)
	}
	d.request.Headers = r.Headers
	d.target.path, d.target.query, _ = strings.Cut(line.Path, "?")
	return nil
}

// match finds the rule.
func (d *Decision) match() *verdict.Code {
	p := d.policy
	hit, ok, err := p.index.First(&d.request)
	switch {
	case err != nil:
		return decide.Ambiguous(err)
	case p.signer != nil && p.signer.published != "" && d.request.Path == p.signer.published &&
		(d.target.method == "GET" || d.target.method == "HEAD"):
		d.publish = true
	case ok:
		d.rule = hit.Rule
	case !p.allowDefault:
		return verdict.NoRule
	}
	return nil
}

// Keep has the decision hold on to copies of its request's headers: whatever it has of them from now on is theirs.
func (d *Decision) Keep(headers [][2]string) {
	if d.read(&decide.Request{Headers: headers}) != nil { // it was read before
		d.step = decide.Done
		d.end(verdict.Internal)
	}
}

// end sets the verdict, unless the decision waits.
func (d *Decision) end(refused *verdict.Code) {
	p := d.policy
	shadow := p.shadow
	if d.rule >= 0 {
		shadow = p.rules[d.rule].shadow
	}
	d.verdict = verdict.Verdict{Code: refused, Rule: d.rule, Shadow: shadow}
	switch {
	case d.step != decide.Done:
		d.verdict.Code = verdict.Internal // until that is done, or the keys are there
	case refused == nil:
		d.verdict.Code = verdict.OK
	}
	if d.verdict.Code != verdict.OK {
		d.identity = "" // nobody's claims for a stamp that does not do, not even in shadow mode
		d.set = d.set[:0]
	}
}

// Verdict is what was decided. While the decision waits it is a refusal.
func (d *Decision) Verdict() *verdict.Verdict { return &d.verdict }

// KeysWanted is the key set that the decision waits for (decide.FetchKeys); nil where it waits for none. Force it to
// be fetched, and when it has been, or when its Timeout is over, call DecideAfterWait with the same
// headers.
func (d *Decision) KeysWanted() *jwks.Remote { return d.remote }

// Publishes reports whether the request asks for the published keys, and what to answer it with:
// status 200, or 304 where it has them already.
func (d *Decision) Publishes() (status int, headers [][2]string, body string, ok bool) {
	s := d.policy.signer
	if !d.publish {
		return 0, nil, "", false
	}
	headers = [][2]string{{"content-type", "application/jwk-set+json"}, {"cache-control", publishedFor}, {"etag", s.etag}}
	if strings.Contains(forward.Header(d.headers, "if-none-match"), s.etag) {
		return 304, headers, "", true
	}
	return 200, headers, s.document, true
}

// publishedFor is as long as the mesh takes to look again by default (jwks.remote.refresh): a cache
// between the two at most doubles it.
const publishedFor = "public, max-age=300"

// taken takes the answer to the step that the decision waits for. It reports false where the
// decision waits for something else, or the answer is an error: then it is over, and the request
// refused with code internal.
func (d *Decision) taken(step decide.Step, err error) bool {
	waited := d.step
	d.step = decide.Done
	if waited != step || err != nil {
		d.end(verdict.Internal)
		return false
	}
	return true
}

// Effect tells what becomes of the headers of a request that goes on, into e, whose memory is reused.
func (d *Decision) Effect(e *forward.Effect) {
	e.Reset()
	d.unreadable = false
	if d.policy.signer != nil {
		d.removeStamps(e)
		e.Set = append(e.Set, d.set...)
		return
	}
	v := d.policy.verifier
	v.claims.Remove(e, d.headers)
	if v.strip {
		d.removeStamps(e)
	} else {
		d.removeSpellings(e, d.policy.header)
	}
	if e.Identity = d.identity; e.Identity != "" {
		v.claims.Write(e, d.stamped.claims, d.stamped.encoded)
	}
}

// Unreadable reports whether Effect has met a field of others' signatures that cannot be read as
// one: it goes on, without anything that could be taken for a stamp.
func (d *Decision) Unreadable() bool { return d.unreadable }

// stamped is what a stamp says, once it may be believed.
type stamped struct {
	trust   *trust
	claims  gjson.Result // a JSON object; nothing where the stamp has none
	encoded string       // the claims in base64url
	demand  demand
	input   *httpsig.Input // of profile rfc9421, or another's signature
	foreign bool           // it is another's
	id      replay.ID
	begins  int64     // seconds since the epoch
	expires time.Time // when it need not be remembered any more
}
