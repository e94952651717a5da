// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/httpsig"
	"github.com/tollgate-wasm/tollgate/shared/sfv"
)

// isSignature reports whether a text is header lines of an HTTP message signature, or the value of
// Signature-Input, and no compact JWS: that has neither.
func isSignature(text string) bool { return strings.ContainsAny(text, ":(") }

// inspectMessage prints what HTTP message signatures say of themselves (RFC 9421).
func inspectMessage(out io.Writer, text string, now time.Time) error {
	fields := map[string][]string{}
	var names []string
	for _, line := range strings.Split(text, "\n") {
		name, value, ok := strings.Cut(line, ":")
		name = strings.ToLower(strings.TrimSpace(name))
		switch {
		case strings.TrimSpace(line) == "":
			continue
		case !ok || strings.ContainsAny(name, "=(\""):
			name, value = "signature-input", line // a value alone
		}
		if fields[name] == nil {
			names = append(names, name)
		}
		fields[name] = append(fields[name], strings.TrimSpace(value))
	}
	members, err := sfv.ParseDictionary(strings.Join(fields["signature-input"], ", "))
	switch {
	case fields["signature-input"] == nil:
		return errors.New("want a compact JWS, or header lines with Signature-Input among them")
	case err != nil:
		return fmt.Errorf("signature-input: %w", err)
	}
	for _, m := range members {
		fmt.Fprintf(out, "label %s\n", m.Name)
		if err := printSignature(out, m, fields["signature"], now); err != nil {
			fmt.Fprintf(out, "is no signature: %v\n", err)
		}
	}
	for _, name := range names {
		// The claims of a stamp stand in a header of their own, whatever that is called.
		for _, value := range fields[name] {
			if name == "signature-agent" {
				fmt.Fprintf(out, "keys are said to be at %s\n", value)
			}
			if b, err := base64.RawURLEncoding.DecodeString(value); err == nil && len(b) > 0 && b[0] == '{' {
				if err := printMembers(out, "claims in "+name, b, now); err != nil {
					return err
				}
			}
		}
	}
	fmt.Fprintln(out, "not verified")
	return nil
}

func printSignature(out io.Writer, m sfv.Member, signatures []string, now time.Time) error {
	text, err := sfv.AppendDictionary(nil, []sfv.Member{m})
	if err != nil {
		return err
	}
	list, err := httpsig.ParseInputs(string(text))
	if err != nil {
		return err
	}
	in := &list[0]
	covered := make([]string, len(in.Components))
	for i := range in.Components {
		b, err := sfv.AppendItem(nil, &in.Components[i])
		if err != nil {
			return err
		}
		covered[i] = string(b)
	}
	fmt.Fprintf(out, "covers %s\n", strings.Join(covered, " "))
	for _, p := range in.Parameters {
		switch p.Name {
		case "created", "expires":
			printTime(out, p.Name, p.Value.Int, now)
		default:
			b, err := sfv.AppendItem(nil, &sfv.Item{Value: p.Value})
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "%s is %s\n", p.Name, b)
		}
	}
	value, n := httpsig.Member(strings.Join(signatures, ", "), m.Name)
	if n != 1 {
		fmt.Fprintf(out, "Signature has the label %d times\n", n)
		return nil
	}
	all, err := httpsig.Signatures(value)
	if err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	fmt.Fprintf(out, "the signature has %d bytes\n", len(all[m.Name]))
	switch tag, ok := in.Tag(); {
	case tag == "edge-stamp" && m.Name == "edge":
		fmt.Fprintln(out, "it says that it is a stamp of profile rfc9421")
	case tag == "web-bot-auth":
		fmt.Fprintln(out, "it says that it is a signature of Web Bot Auth (trust[].signature)")
	case ok:
		fmt.Fprintln(out, "it says that it is no stamp, but a signature of another (trust[].signature)")
	default:
		fmt.Fprintln(out, "it does not say what it is for: trust[].signature takes it with tag: false")
	}
	return nil
}
