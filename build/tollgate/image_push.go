// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/image"
)

func imagePushCommand() *cobra.Command {
	var p packing
	var layout, key string
	c := &cobra.Command{
		Use:   "push MODULE IMAGE | push --layout FILE IMAGE",
		Short: "Push an image to a registry",
		Long: `Push the image of a module, with its bill of materials and its provenance as referrers. Credentials are those of docker login.

` + withoutCheckout + `

--layout pushes what image build has written, such as an archive of a release, as it is: the digest stays the same in every registry. Its referrers are pushed with it.

--sign-key signs the image, as image sign does.

The result is what to write into a WasmPlugin's url.`,
		Example: "  tollgate image push tollgate registry.example.com/tollgate/tollgate:1.2.0 --version v1.2.0\n" +
			"  tollgate image push --layout tollgate.oci.tar registry.example.com/tollgate/tollgate:1.2.0",
		ValidArgs: filters.Images(),
		Args: func(c *cobra.Command, args []string) error {
			if layout != "" {
				return exactly(1)(c, args)
			}
			if err := exactly(2)(c, args); err != nil {
				return err
			}
			return areImages(c, args[:1])
		},
		RunE: func(c *cobra.Command, args []string) error {
			ref, err := reference(args[len(args)-1])
			if err != nil {
				return err
			}
			var signer *ecdsa.PrivateKey
			if key != "" {
				if signer, err = signingKey(key); err != nil {
					return err
				}
			}
			var made *image.Bundle
			if layout != "" {
				if err := onlyLayout(c); err != nil {
					return err
				}
				made, err = image.ReadLayout(layout)
			} else {
				made, err = p.pack(c.Context(), args[0], c.ErrOrStderr())
			}
			if err != nil {
				return err
			}
			return push(c, made, ref, signer)
		},
	}
	p.flags(c)
	c.Flags().StringVar(&layout, "layout", "", "an OCI image layout, a folder or an archive, in place of MODULE")
	c.Flags().StringVar(&key, "sign-key", "", "a private key to sign the image with: see image sign")
	return c
}

// onlyLayout refuses what would change an image that is made already.
func onlyLayout(c *cobra.Command) error {
	for _, flag := range []string{"form", "module", "sbom", "provenance", "version", "revision", "source", "created",
		"bare"} {
		if c.Flags().Changed(flag) {
			return usage{fmt.Errorf("--%s and --layout: the image of a layout is pushed as it is", flag)}
		}
	}
	return nil
}

func push(c *cobra.Command, made *image.Bundle, ref name.Reference, signer *ecdsa.PrivateKey) error {
	fmt.Fprintf(c.ErrOrStderr(), "pushing %s …\n", ref.Name())
	if err := made.Push(c.Context(), ref); err != nil {
		return err
	}
	digest, err := made.Image.Digest()
	if err != nil {
		return err
	}
	if signer != nil {
		// By its digest: meanwhile the tag may be another's.
		if _, err := image.Sign(c.Context(), ref.Context().Digest(digest.String()), signer); err != nil {
			return fmt.Errorf("%s has been pushed, and not signed: %w", ref.Name(), err)
		}
	}
	return printDigest(c.OutOrStdout(), "oci://"+ref.Context().Name()+"@", made.Image)
}

func reference(arg string) (name.Reference, error) {
	ref, err := name.ParseReference(strings.TrimPrefix(arg, "oci://"))
	if err != nil {
		return nil, usage{err}
	}
	for _, part := range strings.Split(ref.Context().RepositoryStr(), "/") {
		if part == "." || part == ".." { // registries that clean paths answer for another repository
			return nil, usage{fmt.Errorf("%s: %q is no part of a repository's name", arg, part)}
		}
	}
	return ref, nil
}

// passwordVariable is where cosign, too, looks for the password of its keys.
const passwordVariable = "COSIGN_PASSWORD"

func signingKey(path string) (*ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := image.PrivateKey(text, func() ([]byte, error) {
		password, ok := os.LookupEnv(passwordVariable)
		if !ok {
			return nil, errors.New("is encrypted: put its password into the environment variable " + passwordVariable)
		}
		return []byte(password), nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: the key %w", path, err)
	}
	return key, nil
}
