// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	ours "github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jose/proxycrypto"
)

func tokenCommand() *cobra.Command {
	return group("token", "Make tokens for development", tokenMintCommand())
}

func tokenMintCommand() *cobra.Command {
	var key, claims, typ, issuer, audience, subject, scope string
	var ttl time.Duration
	c := &cobra.Command{
		Use:   "mint",
		Short: "Make a token. For development only",
		Long: `Make a JSON Web Token with any claims, signed by a key of yours, to try a configuration with. FOR DEVELOPMENT ONLY: in production tokens come from an identity provider, which knows whom it gives them to.

Claims of --claims take the place of those of the other flags; null takes one away.`,
		Example: "  tollgate keys new --kid dev --output dev.pem > jwks.json\n  tollgate token mint --key " +
			"dev:ES256:dev.pem --issuer https://idp.example.com --audience orders-api --scope 'orders:read'",
		Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if key == "" {
				return usage{errors.New("--key is required: KID:ALG:FILE")}
			}
			private, err := readKey(key)
			if err != nil {
				return err
			}
			now := time.Now()
			all := map[string]any{"iat": now.Unix(), "exp": now.Add(ttl).Unix()}
			for name, value := range map[string]string{"iss": issuer, "aud": audience, "sub": subject, "scope": scope} {
				if value != "" {
					all[name] = value
				}
			}
			if claims != "" {
				text, err := os.ReadFile(claims)
				if err != nil {
					return err
				}
				var more map[string]any
				if err := json.Unmarshal(text, &more); err != nil {
					return fmt.Errorf("%s: %w", claims, err)
				}
				for name, value := range more {
					if all[name] = value; value == nil {
						delete(all, name)
					}
				}
			}
			token, err := mintToken(private, typ, all)
			if err != nil {
				return err
			}
			fmt.Fprintln(c.ErrOrStderr(), "for development only: whoever has the key can be anybody")
			_, err = fmt.Fprintln(c.OutOrStdout(), token)
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&key, "key", "", "the private key, KID:ALG:FILE")
	f.StringVar(&claims, "claims", "", "a file with more claims, a JSON object")
	f.StringVar(&typ, "typ", "JWT", "of the header: JWT, at+jwt")
	f.StringVar(&issuer, "issuer", "", "iss")
	f.StringVar(&audience, "audience", "", "aud")
	f.StringVar(&subject, "subject", "developer", "sub")
	f.StringVar(&scope, "scope", "", "scope, separated by spaces")
	f.DurationVar(&ttl, "ttl", time.Hour, "from now until exp")
	return c
}

// mintToken signs claims: a compact JWS (RFC 7515 §7.1).
func mintToken(key *ours.PrivateKey, typ string, claims any) (string, error) {
	var parts [2]string
	for i, part := range []any{map[string]string{"alg": key.Algorithm().String(), "kid": key.ID(), "typ": typ}, claims} {
		b, err := json.Marshal(part)
		if err != nil {
			return "", err
		}
		parts[i] = base64.RawURLEncoding.EncodeToString(b)
	}
	text := parts[0] + "." + parts[1]
	signature, err := sign(key, text)
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), err
}

func sign(key *ours.PrivateKey, text string) ([]byte, error) {
	if key.ByProxy() {
		signature, err := proxycrypto.Sign(key.Signing(text))
		if err != nil {
			return nil, err
		}
		return key.Finish(signature)
	}
	salt := make([]byte, key.SaltSize())
	if _, err := rand.Read(salt); err != nil {
		return nil, err
	}
	return key.Sign(text, salt)
}
