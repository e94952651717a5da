// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/spf13/cobra"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	ours "github.com/tollgate-wasm/tollgate/shared/jose"
)

func keysCommand() *cobra.Command {
	return group("keys", "Make keys, and the public sets of them", keysNewCommand(), keysJWKSCommand(),
		keysRotateCommand())
}

func algorithmNames() string {
	var names []string
	for _, a := range mint.Algorithms {
		names = append(names, string(a))
	}
	return strings.Join(names, ", ")
}

func keysNewCommand() *cobra.Command {
	var kid, alg, output, format string
	c := &cobra.Command{
		Use:   "new",
		Short: "Make a private key, and print its public set",
		Long: `Make a private key, write it to a file that only you can read, and print the JWK Set of its public half, for a configuration or a URL.

As PEM, a key is PKCS#8 and has neither kid nor alg: write those into the configuration. Secrets (HS*) are written as JWKs, and nothing of them is printed.`,
		Example: "  tollgate keys new --alg ES256 --kid edge-2026-11 --output edge-2026-11.pem",
		Args:    exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case !slices.Contains(mint.Algorithms, jose.SignatureAlgorithm(alg)):
				return usage{fmt.Errorf("--alg %q: want one of %s", alg, algorithmNames())}
			case kid == "" || output == "":
				return usage{errors.New("--kid and --output are required")}
			case format != "pem" && format != "jwk":
				return usage{fmt.Errorf("--format %q: want pem or jwk", format)}
			}
			if got, _, _, ok := splitKey(kid + ":" + alg + ":x"); !ok || got != kid {
				return usage{fmt.Errorf("--kid %q: an algorithm between colons is no part of a kid: --key "+
					"KID:ALG:FILE could not name it", kid)}
			}
			key := mint.New(kid, jose.SignatureAlgorithm(alg))
			jwk := jose.JSONWebKey{Key: key.Private(), KeyID: kid, Algorithm: alg, Use: "sig"}
			secret := strings.HasPrefix(alg, "HS")
			var text []byte
			var err error
			if format == "jwk" || secret {
				text, err = json.MarshalIndent(jwk, "", "  ")
				text = append(text, '\n')
			} else {
				text = []byte(key.PrivatePEM())
			}
			if err != nil {
				return err
			}
			if output == "-" { // for another program: the key and nothing else
				fmt.Fprintln(c.ErrOrStderr(),
					"the private key goes to standard output; tollgate keys jwks prints the public set of it")
				_, err := c.OutOrStdout().Write(text)
				return err
			}
			if err := writeSecret(output, text); err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "the private key is in %s\n", output)
			if secret {
				return nil
			}
			return printSet(c.OutOrStdout(), []jose.JSONWebKey{jwk.Public()})
		},
	}
	c.Flags().StringVar(&alg, "alg", "ES256", algorithmNames())
	c.Flags().StringVar(&kid, "kid", "", "what the key is called in tokens and stamps")
	c.Flags().StringVarP(&output, "output", "o", "",
		"a file that is not there yet, or - for standard output, without the public set")
	c.Flags().StringVar(&format, "format", "pem", "pem (PKCS#8) or jwk")
	return c
}

// writeSecret writes a file that was not there and that nobody else can read.
func writeSecret(path string, text []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

func printSet(out io.Writer, keys []jose.JSONWebKey) error {
	text, err := json.MarshalIndent(jose.JSONWebKeySet{Keys: keys}, "", "  ")
	if err == nil {
		_, err = fmt.Fprintf(out, "%s\n", text)
	}
	return err
}

func keysJWKSCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "jwks KID:ALG:FILE…",
		Short: "Print the public JWK Set of private keys",
		Long: `Print the JWK Set with the public halves of private keys, each a file in PEM (PKCS#8, PKCS#1, SEC 1) or a JWK. They are read as edge-stamp reads its keys, so that what is taken here is taken there.

Secrets (HS*) have no public half and are refused.`,
		Example: "  tollgate keys jwks edge-2026-11:ES256:edge-2026-11.pem edge-2026-10:ES256:edge-2026-10.pem > jwks.json",
		Args:    atLeastOne("key: KID:ALG:FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			set := []json.RawMessage{}
			seen := map[string]bool{}
			for _, arg := range args {
				key, err := readKey(arg)
				if err != nil {
					return err
				}
				if seen[key.ID()] {
					return fmt.Errorf("%s: two keys with the kid %q: who verifies could not tell which is meant", arg, key.ID())
				}
				seen[key.ID()] = true
				if key.PublicJWK() == "" {
					return fmt.Errorf("%s: a secret has no public half: both sides need the secret itself", arg)
				}
				set = append(set, json.RawMessage(key.PublicJWK()))
			}
			text, err := json.MarshalIndent(map[string]any{"keys": set}, "", "  ")
			if err == nil {
				_, err = fmt.Fprintf(c.OutOrStdout(), "%s\n", text)
			}
			return err
		},
	}
}

// readKey reads what KID:ALG:FILE names.
func readKey(arg string) (*ours.PrivateKey, error) {
	kid, name, file, ok := splitKey(arg)
	if !ok {
		return nil, usage{fmt.Errorf("%q is not KID:ALG:FILE, with ALG one of %s", arg, algorithmNames())}
	}
	alg, _ := ours.ParseAlgorithm(name)
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	key, err := ours.ParsePrivateKey(string(text), kid, alg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", arg, err)
	}
	return key, nil
}

// splitKey takes KID:ALG:FILE apart at the first algorithm: a kid may have colons in it, and so may a file.
func splitKey(arg string) (kid, alg, file string, ok bool) {
	parts := strings.Split(arg, ":")
	for i := 1; i+1 < len(parts); i++ {
		if _, known := ours.ParseAlgorithm(parts[i]); known {
			return strings.Join(parts[:i], ":"), parts[i], strings.Join(parts[i+1:], ":"), true
		}
	}
	return "", "", "", false
}

func keysRotateCommand() *cobra.Command {
	var stage string
	c := &cobra.Command{
		Use:   "rotate CONFIG OLD NEW",
		Short: "Write the next configuration of a rotation of edge-stamp's keys",
		Long: `Write edge-stamp's configuration (role: sign) for the next stage of a rotation, so that no request is refused:

  publish   both keys are published, the old one signs. Then wait until every mesh has fetched the set: its refresh, and 5 minutes where a cache stands between.
  sign      the new key signs, both are published. Then wait until the last old stamp has expired: ttl and clockSkew.
  retire    the old key is gone. Destroy it.

OLD is a kid that the configuration has; NEW is an entry for keys, such as {"kid": "edge-2026-12", "alg": "ES256", "env": "EDGE_KEY_2"}.`,
		Example: `  tollgate keys rotate edge.json edge-2026-11 '{"kid": "edge-2026-12", "alg": "ES256", "env": "EDGE_KEY_2"}' --stage publish > next.json`,
		Args:    exactly(3),
		RunE: func(c *cobra.Command, args []string) error {
			text, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			next, err := rotated(text, args[1], args[2], stage)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s\n", next)
			return err
		},
	}
	c.Flags().StringVar(&stage, "stage", "", "publish, sign or retire")
	return c
}

// rotated is a configuration with its keys as a stage of the rotation has them. Everything else
// stays as it is, but for white space and the members' order.
func rotated(config []byte, old, entry, stage string) ([]byte, error) {
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(config, &whole); err != nil {
		return nil, err
	}
	var keys []json.RawMessage
	if err := json.Unmarshal(whole["keys"], &keys); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	kid := func(key json.RawMessage) string {
		var k struct{ Kid string }
		_ = json.Unmarshal(key, &k) // what is no object has no kid
		return k.Kid
	}
	added := kid(json.RawMessage(entry))
	if added == "" || added == old {
		return nil, usage{errors.New("NEW must be a JSON object with a kid of its own")}
	}
	var former json.RawMessage
	var others []json.RawMessage
	for _, k := range keys {
		switch kid(k) {
		case old:
			former = k
		case added:
		default:
			others = append(others, k)
		}
	}
	if former == nil {
		return nil, fmt.Errorf("keys: none has the kid %q", old)
	}
	switch stage {
	case "publish":
		keys = []json.RawMessage{former, json.RawMessage(entry)}
	case "sign":
		keys = []json.RawMessage{json.RawMessage(entry), former}
	case "retire":
		keys = []json.RawMessage{json.RawMessage(entry)}
	default:
		return nil, usage{fmt.Errorf("--stage %q: want publish, sign or retire", stage)}
	}
	list, err := json.Marshal(append(keys, others...))
	if err != nil {
		return nil, err
	}
	whole["keys"] = list
	return json.MarshalIndent(whole, "", "  ")
}
