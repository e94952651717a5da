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
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/filters/edge-stamp/stamp"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

func stampCommand() *cobra.Command {
	return group("stamp", "Make, check and read the stamps of edge-stamp", stampSignCommand(), stampVerifyCommand(),
		stampInspectCommand())
}

func stampSignCommand() *cobra.Command {
	var r request
	var config, claims string
	c := &cobra.Command{
		Use:   "sign",
		Short: "Print the headers with which the edge would send a request on",
		Long: `Decide a request as edge-stamp with this configuration (role: sign) would, and print the headers that it sets. Keys are read as in the proxy: from the environment (env), or the configuration.

For trying a mesh by hand: whoever has the key can sign anything.`,
		Example: "  EDGE_KEY=$(cat edge.pem) tollgate stamp sign --config edge.json --request 'GET " +
			"https://api.example.com/orders/7'",
		Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := r.stamp(signs, config, &filters.Outside{Env: os.LookupEnv}, claims)
			if err != nil {
				return err
			}
			v := s.decision.Verdict()
			if !v.Admits() {
				err := fmt.Errorf("rule %s: %s", s.rule(), v.Reason().Name)
				if v.Reason() == stamp.ClaimsMissing {
					err = fmt.Errorf("%w: %s; give them with --claims", err, s.decision.Lacks())
				}
				return err
			}
			var e forward.Effect
			s.decision.Effect(&e)
			ours := append(e.Set, e.Add...)
			if len(ours) == 0 {
				return fmt.Errorf("rule %s does not sign", s.rule())
			}
			for _, h := range ours {
				fmt.Fprintf(c.OutOrStdout(), "%s: %s\n", h[0], h[1])
			}
			return nil
		},
	}
	r.flags(c)
	c.Flags().StringVar(&config, "config", "", "edge-stamp's configuration")
	c.Flags().StringVar(&claims, "claims", "",
		"a file with the claims that jwt-scope has verified, as JSON, for copyClaims")
	return c
}

// The roles, by what a command does.
const (
	signs    = "sign"
	verifies = "verify"
)

// checkRole says that a configuration is one of the other role, before anything is decided by it: whose fault a
// decision then tells is none of the request's.
func checkRole(want, config string) error {
	f, err := filters.Named("edge-stamp")
	if err != nil {
		return err
	}
	read, err := f.Parse(config, os.LookupEnv)
	if err != nil {
		return err
	}
	p, ok := read.(*stamp.Policy)
	has, whose := verifies, "the edge's"
	if ok && p.Signer() != nil {
		has, whose = signs, "a mesh's"
	}
	if has == want {
		return nil
	}
	return fmt.Errorf("role: is %s, and stamp %s wants role: %s: give it %s configuration", has, want, want, whose)
}

// stamped is a request that edge-stamp has decided.
type stamped struct {
	config   string
	request  *decide.Request
	outside  *filters.Outside
	policy   *stamp.Policy
	decision *stamp.Decision
}

// rule is the name of that which has decided.
func (s *stamped) rule() string { return s.policy.RuleName(s.decision.Verdict().Rule) }

// stamp decides the request of the flags, in that role. It gives o the request's body.
func (r *request) stamp(role, config string, o *filters.Outside, claims string) (*stamped, error) {
	text, err := readConfig(config)
	if err != nil {
		return nil, err
	}
	headers, err := r.pairs()
	if err != nil {
		return nil, err
	}
	at, err := r.time()
	if err != nil {
		return nil, err
	}
	if err := checkRole(role, text); err != nil {
		return nil, fmt.Errorf("%s:\n%w", config, err)
	}
	if o.Body, err = r.content(); err != nil {
		return nil, err
	}
	if claims != "" {
		b, err := os.ReadFile(claims)
		if err != nil {
			return nil, err
		}
		o.Identity = string(b)
	}
	s := &stamped{config: text, request: &decide.Request{Headers: headers, Empty: o.Body == nil, Now: at}, outside: o}
	s.policy, s.decision, err = filters.Stamp(text, s.request, o)
	if keys := (filters.KeysError{}); errors.As(err, &keys) {
		err = fmt.Errorf("%w, which this command does not fetch: give the set by --jwks", err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s:\n%w", config, err)
	}
	return s, nil
}

func stampVerifyCommand() *cobra.Command {
	var r request
	var config, peer, set string
	c := &cobra.Command{
		Use:   "verify",
		Short: "Say whether a mesh would admit a stamped request, and why not",
		Long: `Decide a request with its stamp as edge-stamp with this configuration (role: verify) would. Clients are never told the reason; this is: for every reason what was expected and what was found, such as which part of the
request differs, the times, the issuer, the audience and the keys that there are, and in profile rfc9421 the signature base. A signature does not say what it covered; where changing one part of the request, as proxies do it, makes the signature fit, that part is named.

Whether the stamp has been used before only a proxy knows: here it counts as new. Keys that the configuration has fetched (jwks.remote) come by --jwks.`,
		Example: "  tollgate stamp verify --config mesh.json --jwks jwks.json --request 'GET " +
			"https://api.example.com/orders/7' --header \"$(cat stamp.txt)\"",
		Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			keys, passed, err := readKeySet(set)
			if err != nil {
				return err
			}
			o := &filters.Outside{Env: os.LookupEnv, PeerURI: peer, Keys: keys}
			s, err := r.stamp(verifies, config, o, "")
			if err != nil {
				return err
			}
			for _, one := range passed {
				fmt.Fprintln(c.OutOrStdout(), "key set: "+one)
			}
			v := s.decision.Verdict()
			fmt.Fprintf(c.OutOrStdout(), "rule %s: %s, %s\n", s.rule(), v.Outcome(), v.Reason().Name)
			if v.Reason() != verdict.OK {
				s.why(c.OutOrStdout())
			}
			if !v.Admits() {
				return errors.New("refused")
			}
			return nil
		},
	}
	r.flags(c)
	c.Flags().StringVar(&config, "config", "", "edge-stamp's configuration")
	c.Flags().StringVar(&peer, "peer", "", "the SPIFFE ID of the connection's client")
	keySetFlag(c, &set)
	return c
}

// why says why the mesh refuses a request: what was expected and what was found, and what a signature has to fit.
func (s *stamped) why(out io.Writer) {
	if x, found := filters.StampDifference(s.config, s.request, s.outside, s.decision); found {
		fmt.Fprintln(out, x)
	}
	for _, line := range s.decision.Why() {
		fmt.Fprintln(out, line)
	}
	base := s.decision.SignatureBase()
	if base == "" {
		return
	}
	fmt.Fprintln(out, "the signature base, of this request:")
	for _, line := range strings.Split(base, "\n") {
		fmt.Fprintln(out, "  "+line)
	}
}

func stampInspectCommand() *cobra.Command {
	var at string
	c := &cobra.Command{
		Use:   "inspect [STAMP]",
		Short: "Read a stamp, or any other JWS or HTTP message signature, without checking it",
		Long: `Print the header and the claims of a stamp in profile jws or txn-token, or of any other compact JWS, with its times in words. Of profile rfc9421, and of any other HTTP message signature, such as Web Bot Auth's, give the
header lines (Signature-Input, Signature, and that of the claims or Signature-Agent): what each label covers is printed, with its parameters and what its tag says that it is. A header line with a stamp in it, as stamp sign prints it, does as well. Without an argument the text is read from standard input.

Nothing is verified: whoever made it may have written anything into it.`,
		Example: "  tollgate stamp inspect eyJhbGciOiJFUzI1NiIsInR5cCI6ImVkZ2Utc3RhbXArand0In0.e30.c2ln\n  tollgate " +
			"stamp sign --config edge.json -r 'GET https://a/' | tollgate stamp inspect",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage{errors.New("want one stamp")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			r := request{at: at}
			now, err := r.time()
			if err != nil {
				return err
			}
			text := strings.Join(args, "")
			if text == "" {
				b, err := io.ReadAll(c.InOrStdin())
				if err != nil {
					return err
				}
				text = string(b)
			}
			return inspect(c.OutOrStdout(), strings.TrimSpace(text), now)
		},
	}
	c.Flags().StringVar(&at, "at", "", "the time to compare with, RFC 3339 (default: now)")
	return c
}

func inspect(out io.Writer, text string, now time.Time) error {
	// A JWS in a header line, as stamp sign prints it.
	if name, value, ok := strings.Cut(text, ":"); ok && !strings.ContainsAny(value, "\n:(=") &&
		!strings.ContainsAny(name, "=(") && strings.Count(value, ".") == 2 {
		text = strings.TrimPrefix(strings.TrimSpace(value), "Bearer ")
	}
	if isSignature(text) {
		return inspectMessage(out, text, now)
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return errors.New("a compact JWS has three parts with dots between them")
	}
	for i, name := range []string{"header", "claims"} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := printMembers(out, name, b, now); err != nil {
			return err
		}
		if i == 0 {
			fmt.Fprintln(out, "the header says: "+kindOf(b))
		}
	}
	fmt.Fprintln(out, "not verified")
	return nil
}

// kindOf says what a token with that header is.
func kindOf(header []byte) string {
	var h struct{ Typ string }
	_ = json.Unmarshal(header, &h) // printed before
	switch strings.TrimPrefix(strings.ToLower(h.Typ), "application/") {
	case "edge-stamp+jwt":
		return "a stamp of profile jws"
	case "txntoken+jwt":
		return "a Transaction Token, of profile txn-token"
	}
	return "no stamp, but a JWS of type " + strconv.Quote(h.Typ)
}

// printMembers prints a JSON object, and its times in words.
func printMembers(out io.Writer, name string, text []byte, now time.Time) error {
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	pretty, err := json.MarshalIndent(members, "", "  ")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s %s\n", name, pretty)
	for _, claim := range []string{"iat", "nbf", "exp"} {
		if seconds, ok := members[claim].(float64); ok {
			printTime(out, claim, int64(seconds), now)
		}
	}
	return nil
}

func printTime(out io.Writer, name string, seconds int64, now time.Time) {
	t := time.Unix(seconds, 0).UTC()
	fmt.Fprintf(out, "%s is %s, %s\n", name, t.Format(time.RFC3339), relative(t, now))
}

func relative(t, now time.Time) string {
	if d := t.Sub(now).Round(time.Second); d >= 0 {
		return "in " + d.String()
	} else {
		return (-d).String() + " ago"
	}
}
