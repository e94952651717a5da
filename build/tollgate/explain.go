// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/filters/tollgate/chain"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// explanation is what the flags of explain say.
type explanation struct {
	request
	result
	config, filter, resource                     string
	token, tokenFile, claims, jwks, source, peer string
	introspection                                string
	claimsText                                   string // what --claims names
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
that the configuration has fetched (jwks.remote) come by --jwks, and what an introspection endpoint says of the token by --introspection. Counters and memories are a fresh proxy's.

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
	f.StringVar(&e.filter, "filter", "", "whose configuration it is: "+strings.Join(filters.Modules(), ", ")+
		" (default: its filter says so, or its keys)")
	f.StringVar(&e.resource, "resource", "", "which of several, such as 'WasmPlugin shop/orders'")
	f.BoolVar(&e.all, "all", false, "print every rule that does not fit")
	f.StringVar(&e.token, "token", "", "a token, for the header authorization")
	f.StringVar(&e.tokenFile, "token-file", "", "a file with the token; - is standard input")
	f.StringVar(&e.claims, "claims", "", "a file with claims, a JSON object")
	keySetFlag(c, &e.jwks)
	f.StringVar(&e.introspection, "introspection", "", "a file with what the introspection endpoint answers (RFC 7662), "+
		"in JSON")
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
	case e.filter != "" && !slices.Contains(filters.Modules(), e.filter):
		return none, usage{fmt.Errorf("--filter %q: want one of %s", e.filter, strings.Join(filters.Modules(), ", "))}
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
	r, o, err := e.surroundings(headers, at)
	if err != nil {
		return err
	}
	said := &report{all: e.all, Steps: []step{}}
	if err = e.keys(said, o); err != nil {
		return err
	}
	err = e.explain(said, found, r, o)
	if keys := (filters.KeysError{}); errors.As(err, &keys) {
		err = fmt.Errorf("%w: give the set by --jwks", err)
	}
	if endpoint := (filters.IntrospectionError{}); errors.As(err, &endpoint) {
		err = fmt.Errorf("%w: give its answer by --introspection", err)
	}
	if err != nil && !errors.Is(err, errRefused) {
		return fmt.Errorf("%s:\n%w", e.config, err)
	}
	if written := e.write(c, func(w io.Writer) error { return said.print(w, e.format) }); written != nil {
		return written
	}
	return err
}

// surroundings are the request, and what else there is to decide it by.
func (e *explanation) surroundings(headers [][2]string, at time.Time) (*decide.Request, *filters.Outside, error) {
	body, err := e.content()
	if err != nil {
		return nil, nil, err
	}
	o := &filters.Outside{Env: os.LookupEnv, Source: e.source, PeerURI: e.peer, PeerDigest: e.peer, Body: body}
	if e.claims != "" {
		b, err := os.ReadFile(e.claims)
		if err != nil {
			return nil, nil, err
		}
		e.claimsText, o.Identity = string(b), string(b)
	}
	if e.introspection != "" {
		b, err := os.ReadFile(e.introspection)
		if err != nil {
			return nil, nil, err
		}
		o.Introspection = string(b)
	}
	return &decide.Request{Headers: headers, Empty: body == nil, Now: at}, o, nil
}

// explain decides by one filter, or by the steps of a chain.
func (e *explanation) explain(out *report, found check.Found, r *decide.Request, o *filters.Outside) error {
	steps := []chain.Step{{Filter: found.Filter, Config: found.JSON}}
	if found.Filter == filters.Module {
		var err error
		if steps, err = filters.ParseModule(found.JSON, o.Env); err != nil {
			return err
		}
	}
	if err := e.credential(steps, r, o); err != nil {
		return err
	}
	if steps[0].Path == "" { // one filter, with this module or its own
		out.Filter = steps[0].Filter
		_, err := e.step(out, steps[0], r, o)
		return err
	}
	out.Filter = filters.Module
	var owed [][2]string // to the answer, by the steps so far
	for _, s := range steps {
		one := &report{all: e.all, Filter: s.Filter, Name: s.Name, Steps: []step{}}
		out.Chain = append(out.Chain, one)
		d, err := e.step(one, s, r, o)
		if err != nil {
			if !errors.Is(err, errRefused) {
				return fmt.Errorf("step %s: %w", s.Name, err)
			}
			out.verdictOf(one)
			out.Answer = &clientGot{one.Answer.Status, append(one.Answer.Headers, owed...), one.Answer.Body}
			return err
		}
		out.verdictOf(one)
		if one.Answer != nil { // it has what was asked for: nobody behind it sees the request
			out.Answer = &clientGot{one.Answer.Status, append(one.Answer.Headers, owed...), one.Answer.Body}
			return nil
		}
		owed = append(d.Headers, owed...) // answers pass the steps in the opposite order
		r = &decide.Request{Headers: d.Effect.Apply(r.Headers), Empty: r.Empty, Now: r.Now}
		if d.Effect.Identity != "" {
			o.Identity = d.Effect.Identity
		}
	}
	return nil
}

// credential has the request come with the claims of --claims, where a step looks for a credential:
// then they count once they are verified, and else as verified before.
func (e *explanation) credential(steps []chain.Step, r *decide.Request, o *filters.Outside) (err error) {
	if e.claims == "" {
		return nil
	}
	key, made := mint.New("explain", jose.ES256), false
	for i := range steps {
		f, named := filters.Named(steps[i].Filter)
		if named != nil || f.Credential == nil {
			continue
		}
		o.Identity = ""
		changed, header, fails := f.Credential(steps[i].Config, e.claimsText, key)
		if fails != nil {
			err = fmt.Errorf("%s: %w", e.claims, fails)
			continue
		}
		steps[i].Config = changed
		if !slices.ContainsFunc(r.Headers, func(h [2]string) bool { return h[0] == header[0] && made }) {
			r.Headers = append(r.Headers, header)
		}
		made = true
	}
	if made {
		return nil
	}
	return err
}

// verdictOf has a step's verdict stand for the whole chain's, so far.
func (r *report) verdictOf(step *report) {
	v := *step.Verdict
	v.By = step.Name + ": " + v.By
	r.Verdict = &v
}

// step decides by one filter, and notes what came of it.
func (e *explanation) step(out *report, s chain.Step, r *decide.Request,
	o *filters.Outside) (*filters.Decided, error) {
	f, err := filters.Named(s.Filter)
	if err != nil {
		return nil, err
	}
	d, err := f.Decide(s.Config, r, o)
	if err != nil {
		return nil, err
	}
	for _, asked := range d.Asked {
		out.line("the service is asked for", asked)
	}
	out.rules(f.Rule, d.Why.Rules)
	for _, c := range d.Why.Checks {
		out.line(c.What, c.String())
	}
	for _, h := range d.Headers {
		out.line("header", h[0]+": "+h[1])
	}
	if d.Answer != nil {
		out.Answer = &clientGot{d.Answer.Status, d.Answer.Headers, d.Answer.Body}
	}
	return d, out.verdict(d.Rule, &d.Verdict, forward.Header(r.Headers, "content-type"), d.Headers...)
}

// keys reads the set that would be fetched, and tells of keys that are passed over.
func (e *explanation) keys(out *report, o *filters.Outside) error {
	set, passed, err := readKeySet(e.jwks)
	for _, one := range passed {
		out.line("key set", one)
	}
	o.Keys = set
	return err
}

var errRefused = errors.New("refused")

// report is what is printed.
type report struct {
	Name    string     `json:"name,omitempty"` // of a step of a chain
	Filter  string     `json:"filter"`
	Steps   []step     `json:"steps"`
	Chain   []*report  `json:"chain,omitempty"` // up to the step that refuses
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

func (s *said) text() string {
	text := s.Outcome + ", " + s.Code
	if s.Shadow {
		text += ", in shadow mode"
	}
	return text + ", by " + s.By
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
	for _, one := range r.Chain {
		line("step "+one.Name, one.Filter)
		for _, s := range one.Steps {
			line("  "+s.What, s.Said)
		}
		line("  verdict", one.Verdict.text())
	}
	if v := r.Verdict; v != nil {
		line("verdict", v.text())
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
		elsewhere := strings.HasPrefix(f.Why, "the path") || strings.HasPrefix(f.Why, "the host") ||
			strings.HasPrefix(f.Why, "the header") && !strings.HasSuffix(f.Why, "ambiguous")
		switch {
		case f.Why == "":
			r.line(what+" "+f.Name, "fits")
		case !r.all && misses > few && elsewhere:
			passed++
		default:
			r.line(what+" "+f.Name, "does not fit: "+f.Why)
		}
	}
	if passed > 0 {
		r.line(fmt.Sprintf("%d other %ss", passed, what), "are for other hosts, paths or headers")
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
	a := v.Reason().Answer(name, contentType, headers...)
	r.Answer = &clientGot{int(a.Status), append([][2]string{}, a.Headers...), string(a.Body)}
	return errRefused
}
