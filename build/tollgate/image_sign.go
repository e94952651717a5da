// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/tollgate-wasm/tollgate/build/tollgate/image"
)

func imageSignCommand() *cobra.Command {
	var key, public string
	c := &cobra.Command{
		Use:   "sign IMAGE",
		Short: "Sign an image in a registry, in cosign's format",
		Long: `Sign the image that a reference means, and push the signature beside it, at the tag sha256-….sig. cosign verify --key takes it, and so do Kyverno and sigstore's policy-controller. Signatures that are there stay. Name the image by its digest: by a tag, what is signed is whatever the tag means now.

--key is an ECDSA key on P-256 in PEM: of tollgate keys new --alg ES256, or of cosign generate-key-pair, with its password in ` + passwordVariable + `. --public-key writes the public half of it, for those who verify.

There is no entry in a transparency log, and cosign asks for one: say --insecure-ignore-tlog there. The result is the image with the digest that was signed.`,
		Example: "  tollgate keys new --alg ES256 --kid images --output images.pem\n" +
			"  tollgate image sign --key images.pem --public-key cosign.pub " +
			"registry.example.com/tollgate/tollgate:1.2.0",
		Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			ref, err := reference(args[0])
			if err != nil {
				return err
			}
			if key == "" {
				return usage{errors.New("--key is required: a private key")}
			}
			signer, err := signingKey(key)
			if err != nil {
				return err
			}
			if same(key, public) {
				return usage{fmt.Errorf("--public-key %s is the file of the private key, which it would replace", public)}
			}
			digest, err := image.Sign(c.Context(), ref, signer)
			if err != nil {
				return err
			}
			if public != "" {
				text, err := image.PublicPEM(signer)
				if err != nil {
					return err
				}
				if err := os.WriteFile(public, text, 0o644); err != nil {
					return err
				}
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), "oci://"+digest.Name())
			return err
		},
	}
	c.Flags().StringVar(&key, "key", "", "a private key in PEM")
	c.Flags().StringVar(&public, "public-key", "", "a file to write the public key to")
	return c
}

func imageVerifyCommand() *cobra.Command {
	var key string
	c := &cobra.Command{
		Use:   "verify IMAGE",
		Short: "Verify the signature of an image in a registry",
		Long: `Verify that the image that a reference means has a signature in cosign's format by a key, and of this digest. It does not matter in which repository the image was signed: copies have the same digest. So a signature says that this key has signed these bytes, and nothing of their name: an older release, or another module, signed by the same key is verified under any tag. The name that it was signed under is printed beside the result. Pin what you have chosen. Signatures without a key, by a certificate of an identity, are cosign's to verify.

The result is the image with the digest that was verified: what to pin. A WasmPlugin whose sha256 is this digest runs nothing else.`,
		Example: "  tollgate image verify --key cosign.pub registry.example.com/tollgate/tollgate:1.2.0",
		Args:    exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			ref, err := reference(args[0])
			if err != nil {
				return err
			}
			if key == "" {
				return usage{errors.New("--key is required: a public key, such as cosign.pub")}
			}
			text, err := os.ReadFile(key)
			if err != nil {
				return err
			}
			public, err := image.PublicKey(text)
			if err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			digest, as, err := image.Verify(c.Context(), ref, public)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "signed as %q\n", as)
			_, err = fmt.Fprintln(c.OutOrStdout(), "oci://"+digest.Name())
			return err
		},
	}
	c.Flags().StringVar(&key, "key", "", "a public key in PEM")
	return c
}

// same says whether two paths are of one file, which is there.
func same(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
