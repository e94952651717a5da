// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/spf13/cobra"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
	"github.com/tollgate-wasm/tollgate/filters/rate-limit/limit"
	"github.com/tollgate-wasm/tollgate/shared/gcra"
	"github.com/tollgate-wasm/tollgate/shared/jose/josetest"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/ratelimit"
	"github.com/tollgate-wasm/tollgate/shared/replay"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// explanation is what the flags of explain say.
type explanation struct {
	request
	result
	config, filter, resource                     string
	token, tokenFile, claims, jwks, source, peer string
	all                                          bool
}

func explainCommand() *cobra.Command {
	var e explanation
	c := &cobra.Command{
		Use:   "explain",
		Short: "Decide a request as a filter would, and say why",
		Long: `Decide one request by a filter's configuration, in JSON or YAML, and print which rule fits and why those before it do not, each check with what was found, the verdict, and the answer that the client gets.
It is the filter's own code that decides. The configuration is a file's, or standard input's for -, by itself or in a WasmPlugin, a TrafficExtension, an EnvoyExtensionPolicy, an EnvoyFilter or a bootstrap of Envoy; where it has several,
--resource names one. Of many rules, those are printed that fit but for one thing, and the others counted; --all prints them.

A token comes by --token, or from a file or standard input by --token-file. With --claims instead, jwt-scope is given a token with these claims whose signature is taken for good; rate-limit and edge-stamp take them as what jwt-scope has verified. Keys
that the configuration has fetched (jwks.remote) come by --jwks. Counters and memories are a fresh proxy's.

Exit codes: 0, the request goes on; 1, it is refused, or could not be decided; 2, the command line is none.`,
		Example: "  tollgate explain --config jwt-scope.yaml --request 'GET https://api.example.com/orders/7' " +
			"--token \"$TOKEN\"\n" +
			"  tollgate explain --config rate-limit.yaml --request 'POST https://api.example.com/reports' --claims " +
			"claims.json --source 192.0.2.7:40000",
		Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := e.check(); err != nil {
				return err
			}
			err := e.run(c)
			if u := (usage{}); err == nil || errors.Is(err, errRefused) || errors.As(err, &u) || e.format != "json" {
				return err
			}
			// Who reads JSON is told in JSON, too.
			return errors.Join(err, e.write(c, func(w io.Writer) error {
				return printJSON(w, &report{Filter: e.filter, Steps: []step{}, Error: err.Error()})
			}))
		},
	}
	e.request.flags(c)
	e.result.flags(c, "text", "json")
	f := c.Flags()
	f.StringVar(&e.config, "config", "", "a filter's configuration, or what it stands in; - is standard input")
	f.StringVar(&e.filter, "filter", "", "whose configuration it is: "+strings.Join(filters.Names(), ", ")+
		" (default: its filter says so, or its keys)")
	f.StringVar(&e.resource, "resource", "", "which of several, such as 'WasmPlugin shop/orders'")
	f.BoolVar(&e.all, "all", false, "print every rule that does not fit")
	f.StringVar(&e.token, "token", "", "a token, for the header authorization")
	f.StringVar(&e.tokenFile, "token-file", "", "a file with the token; - is standard input")
	f.StringVar(&e.claims, "claims", "", "a file with claims, a JSON object")
	f.StringVar(&e.jwks, "jwks", "", "a file with the JWK Set that the configuration would fetch")
	f.StringVar(&e.source, "source", "192.0.2.1:40000", "the client's address and port")
	f.StringVar(&e.peer, "peer", "", "the SPIFFE ID of the connection's client")
	return c
}

// read finds the configuration.
func (e *explanation) read(c *cobra.Command) (check.Found, error) {
	var none check.Found
	switch {
	case e.config == "":
		return none, usage{errors.New("--config is required: a filter's configuration")}
	case e.filter != "" && !slices.Contains(filters.Names(), e.filter):
		return none, usage{fmt.Errorf("--filter %q: want one of %s", e.filter, strings.Join(filters.Names(), ", "))}
	case e.token != "" && e.tokenFile != "":
		return none, usage{errors.New("--token and --token-file: there is one token")}
	case e.config == "-" && e.tokenFile == "-":
		return none, usage{errors.New("--config and --token-file: standard input is one of them")}
	}
	text, err := content(c, e.config)
	if err != nil {
		return none, err
	}
	checker := &check.Checker{Filter: e.filter}
	checker.File(e.config, text)
	list := checker.Configurations()
	if e.resource != "" {
		list = slices.DeleteFunc(list, func(f check.Found) bool { return f.Resource != e.resource })
	}
	switch len(list) {
	case 1:
		return list[0], nil
	case 0:
		var problems []string
		for _, f := range checker.Findings() {
			if f.Severity == check.Error {
				problems = append(problems, f.String())
			}
		}
		if problems == nil || e.resource != "" {
			problems = []string{e.config + ": has no configuration of a filter" + strings.TrimSuffix(" in "+e.resource, " in ")}
		}
		return none, errors.New(strings.Join(problems, "\n"))
	}
	var names []string
	for _, f := range list {
		names = append(names, f.Resource)
	}
	return none, usage{fmt.Errorf("%s has %d configurations: name one by --resource: %s", e.config, len(list),
		strings.Join(names, ", "))}
}

func (e *explanation) run(c *cobra.Command) error {
	found, err := e.read(c)
	if err != nil {
		return err
	}
	if e.filter != "" {
		found.Filter = e.filter
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(found.JSON), &members); err != nil {
		return fmt.Errorf("%s: %w", e.config, err)
	}
	headers, err := e.pairs()
	if err != nil {
		return err
	}
	at, err := e.time()
	if err != nil {
		return err
	}
	if e.tokenFile != "" {
		text, err := content(c, e.tokenFile)
		if err != nil {
			return err
		}
		e.token = strings.TrimSpace(string(text))
	}
	if e.token != "" {
		headers = append(headers, [2]string{"authorization", "Bearer " + e.token})
	}
	claims := ""
	if e.claims != "" {
		b, err := os.ReadFile(e.claims)
		if err != nil {
			return err
		}
		claims = string(b)
	}
	said := &report{all: e.all, Filter: found.Filter}
	switch found.Filter {
	case "rate-limit":
		err = e.limits(said, found.JSON, headers, at, claims)
	case "edge-stamp":
		err = e.stamps(said, found.JSON, headers, at, claims)
	case "jwt-scope":
		err = e.scopes(said, members, headers, at, claims)
	default:
		err = fmt.Errorf("nobody explains %s yet", found.Filter)
	}
	if keys := (ofKeys{}); errors.As(err, &keys) {
		return keys
	}
	if err != nil && !errors.Is(err, errRefused) {
		return fmt.Errorf("%s:\n%w", e.config, err)
	}
	if written := e.write(c, func(w io.Writer) error { return said.print(w, e.format) }); written != nil {
		return written
	}
	return err
}

// ofKeys is an error of the key set, not of the configuration.
type ofKeys struct{ error }

var errRefused = errors.New("refused")

// report is what is printed.
type report struct {
	Filter  string     `json:"filter"`
	Steps   []step     `json:"steps"`
	Verdict *said      `json:"verdict,omitempty"`
	Answer  *clientGot `json:"answer,omitempty"`
	Error   string     `json:"error,omitempty"` // nothing was decided

	all bool // every rule that does not fit
}

type step struct {
	What string `json:"what"`
	Said string `json:"said"`
}

type said struct {
	Outcome string `json:"outcome"`
	Code    string `json:"code"`
	Shadow  bool   `json:"shadow"`
	By      string `json:"by"`
}

type clientGot struct {
	Status  int         `json:"status"`
	Headers [][2]string `json:"headers"`
	Body    string      `json:"body,omitempty"`
}

func (r *report) line(what, said string) { r.Steps = append(r.Steps, step{what, said}) }

// print prints it all, as people or programs read it.
func (r *report) print(w io.Writer, format string) error {
	if format == "json" {
		return printJSON(w, r)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(what, said string) {
		// What stands in claims is not to move the cursor.
		plain := func(text string) string {
			return strings.Map(func(c rune) rune {
				if c < ' ' || c == 0x7f {
					return '�'
				}
				return c
			}, text)
		}
		fmt.Fprintln(t, plain(what)+"\t"+plain(said))
	}
	for _, s := range r.Steps {
		line(s.What, s.Said)
	}
	if v := r.Verdict; v != nil {
		text := v.Outcome + ", " + v.Code
		if v.Shadow {
			text += ", in shadow mode"
		}
		line("verdict", text+", by "+v.By)
	}
	if a := r.Answer; a != nil {
		line("answer", fmt.Sprint(a.Status))
		for _, h := range a.Headers {
			line("", h[0]+": "+h[1])
		}
		if a.Body != "" {
			line("", a.Body)
		}
	}
	return t.Flush()
}

// few is how many rules that do not fit are printed whatever they lack.
const few = 10

func (r *report) rules(what string, list []match.Fit) {
	misses := 0
	for _, f := range list {
		if f.Why != "" {
			misses++
		}
	}
	passed := 0
	for _, f := range list {
		switch {
		case f.Why == "":
			r.line(what+" "+f.Name, "fits")
		case !r.all && misses > few && (strings.HasPrefix(f.Why, "the path") || strings.HasPrefix(f.Why, "the host")):
			passed++
		default:
			r.line(what+" "+f.Name, "does not fit: "+f.Why)
		}
	}
	if passed > 0 {
		r.line(fmt.Sprintf("%d other %ss", passed, what), "are for other hosts or paths")
	}
}

// verdict notes the verdict and the answer, and returns errRefused where the request is refused.
func (r *report) verdict(name string, v *verdict.Verdict, contentType string, headers ...[2]string) error {
	r.Verdict = &said{string(v.Outcome()), v.Reason().Name, v.Shadow && v.Reason() != verdict.OK, name}
	if v.Admits() {
		return nil
	}
	if v.Challenge != "" {
		headers = append(headers, [2]string{"www-authenticate", v.Challenge})
	}
	a := v.Reason().Answer(contentType, headers...)
	r.Answer = &clientGot{int(a.Status), append([][2]string{}, a.Headers...), string(a.Body)}
	return errRefused
}

func headerOf(headers [][2]string, name string) string {
	for _, h := range headers {
		if h[0] == name {
			return h[1]
		}
	}
	return ""
}

// scopes explains jwt-scope.
func (e *explanation) scopes(out *report, config map[string]json.RawMessage, headers [][2]string, at time.Time,
	claims string) error {
	var err error
	if claims != "" {
		if headers, err = e.prepare(config, headers, claims); err != nil {
			return err
		}
	}
	text, err := json.Marshal(config)
	if err != nil {
		return err
	}
	p, err := scope.Parse(string(text))
	if err != nil {
		return err
	}
	if e.jwks != "" {
		if err := e.fetched(out, p, at); err != nil {
			return err
		}
	}
	d := &scope.Decision{}
	p.Decide(d, headers, at)
	e.decideScopes(d)
	if e.jwks != "" && d.KeysWanted() != nil { // it would be fetched again, and be the same
		p.DecideAfterWait(d, headers, at)
		e.decideScopes(d)
	}
	if remote := d.KeysWanted(); remote != nil {
		return fmt.Errorf("the keys are at %s%s: give the set by --jwks", remote.Authority, remote.Path)
	}
	why := d.Explain()
	out.rules("rule", why.Rules)
	for _, c := range why.Checks {
		result := "passes"
		if c.Code != nil {
			result = "fails, " + c.Code.Name
		}
		if c.Said != "" {
			result += ": " + c.Said
		}
		out.line(c.What, result)
	}
	v := d.Verdict()
	return out.verdict(p.RuleName(v.Rule), v, headerOf(headers, "content-type"))
}

// decideScopes does what the decision waits for.
func (e *explanation) decideScopes(d *scope.Decision) {
	for d.Step() != scope.Done {
		switch d.Step() {
		case scope.CheckSignature:
			v, _ := d.Signature()
			d.SignatureChecked(josetest.Verify(v))
		case scope.ReadPeer:
			d.PeerRead(e.peer)
		default:
			d.ReplayChecked(replay.Fresh, nil)
		}
	}
}

// fetched gives the policy the set that it would fetch, read as the filter reads it, and tells of
// keys that are passed over.
func (e *explanation) fetched(out *report, p *scope.Policy, at time.Time) error {
	text, err := os.ReadFile(e.jwks)
	if err != nil {
		return err
	}
	set, passed, err := jwks.ReadDocument(string(text))
	why := ""
	for _, f := range passed {
		if f.Index >= 0 {
			one := fmt.Sprintf("key %d, kid %q, is passed over: %v", f.Index, f.KID, f.Err)
			out.line("key set", one)
			why += "\n" + one
		}
	}
	if err != nil {
		return ofKeys{fmt.Errorf("%s: the filter refuses this key set: %w%s", e.jwks, err, why)}
	}
	for _, remote := range p.Remotes() {
		remote.Source.Update(jwks.Record{Version: 1, Fetched: at.UnixMicro()}, set)
	}
	return nil
}

// prepare puts into a configuration a key of its own that signs the claims.
func (e *explanation) prepare(config map[string]json.RawMessage, headers [][2]string, claims string) ([][2]string,
	error) {
	var providers []map[string]any
	if err := json.Unmarshal(config["providers"], &providers); err != nil {
		return nil, fmt.Errorf("providers: %w", err)
	}
	if claims != "" {
		var c map[string]any
		if err := json.Unmarshal([]byte(claims), &c); err != nil {
			return nil, fmt.Errorf("%s: %w", e.claims, err)
		}
		i := slices.IndexFunc(providers, func(p map[string]any) bool { return p["issuer"] == c["iss"] })
		if i < 0 {
			return nil, fmt.Errorf("%s: no provider has the issuer %v", e.claims, c["iss"])
		}
		p := providers[i]
		if trusted, _ := p["trustedPayload"].(map[string]any); trusted != nil {
			name, _ := trusted["header"].(string)
			headers = append(headers, [2]string{strings.ToLower(name), base64.RawURLEncoding.EncodeToString([]byte(claims))})
		} else {
			key, typ := mint.New("explain", jose.ES256), "JWT"
			if types, _ := p["types"].([]any); len(types) > 0 {
				typ, _ = types[0].(string)
			}
			p["jwks"], p["algorithms"] = map[string]any{"inline": mint.Set(key)}, []string{"ES256"}
			headers = append(headers, [2]string{"authorization", "Bearer " + key.Typed(typ, json.RawMessage(claims))})
		}
	}
	list, err := json.Marshal(providers)
	config["providers"] = list
	return headers, err
}

// stamps explains edge-stamp.
func (e *explanation) stamps(out *report, config string, headers [][2]string, at time.Time, claims string) error {
	body, err := e.content()
	if err != nil {
		return err
	}
	p, d, err := decideStamp(config, headers, at, outside{identity: claims, peer: e.peer, body: body})
	if err != nil {
		return err
	}
	out.rules("rule", d.Rules())
	for _, x := range d.Differences() {
		out.line("stamp", x.Part+": expected "+x.Expected+", found "+x.Found)
	}
	v := d.Verdict()
	return out.verdict(p.RuleName(v.Rule), v, headerOf(headers, "content-type"))
}

// limits explains rate-limit, as a proxy would decide that has counted nothing yet.
func (e *explanation) limits(out *report, config string, headers [][2]string, at time.Time, claims string) error {
	p, err := limit.Parse(config)
	if err != nil {
		return err
	}
	p.SetSeed(gcra.Seed{})
	buckets := map[int][]byte{}
	d := &limit.Decision{}
	p.Decide(d, headers, at)
	for d.Step() != limit.Done {
		switch d.Step() {
		case limit.ReadIdentity:
			d.IdentityRead(claims, nil)
		case limit.ReadSource:
			d.SourceRead(e.source, nil)
		case limit.ReadPeer:
			d.PeerRead(e.peer, nil)
		case limit.TakeLocal:
			i := d.Bucket()
			if buckets[i] == nil {
				buckets[i] = gcra.Empty()
			}
			if next := d.Take(buckets[i]); next != nil {
				buckets[i] = slices.Clone(next)
			}
			d.Taken(nil)
		case limit.AskGlobal:
			for _, descriptor := range d.Asks().Descriptors {
				said := "descriptor"
				for _, entry := range descriptor.Entries {
					said += " " + entry.Key + "=" + entry.Value
				}
				out.line("the service is asked for", said)
			}
			_ = d.GlobalAnswered(ratelimit.Response{}, errNoProxy, at)
		}
	}
	limits, applied := d.Explain()
	out.rules("limit", limits)
	for _, a := range applied {
		said := fmt.Sprintf("%d requests per %v, burst %d, cost %d", a.Requests, a.Per, a.Burst, a.Cost)
		if a.Tier != "" {
			said += ", tier " + a.Tier
		}
		switch {
		case a.Missing:
			said += ", a part of its key is missing"
		case a.Bad:
			said += ", a part of its key cannot be read: one bucket for all such requests"
		case a.Key != "":
			said += ", key " + a.Key
		default:
			said += ", one bucket for all"
		}
		if a.Global {
			said += ", global: without the service, onError decides"
		}
		if a.Shadow {
			said += ", in shadow mode"
		}
		if a.Code != nil {
			said = a.Code.Name + ": " + said
		} else {
			said = "not counted: " + said
		}
		out.line("limit "+a.Name, said)
	}
	answer := d.Headers(nil)
	for _, h := range answer {
		out.line("header", h[0]+": "+h[1])
	}
	v := d.Verdict()
	return out.verdict(p.RuleName(v.Rule), v, headerOf(headers, "content-type"), answer...)
}
