// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/image"
	"github.com/tollgate-wasm/tollgate/build/tools/checkout"
)

func imageCommand() *cobra.Command {
	return group("image", "Pack modules as OCI images, push, sign and verify them", imageBuildCommand(),
		imagePushCommand(), imageSignCommand(), imageVerifyCommand())
}

// packing is what an image is made of.
type packing struct {
	form, module          string
	materials, provenance string // files
	info                  image.Info
	created               string
	bare                  bool
}

func (p *packing) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&p.form, "form", string(image.OCI),
		"oci: one tar.gz layer with plugin.wasm; artifact: two layers; docker: a Docker v2s2 manifest. Istio takes "+
			"all of them")
	f.StringVar(&p.module, "module", "", "a compiled module to pack (default: it is compiled)")
	f.StringVar(&p.materials, "sbom", "", "the bill of materials of --module (default: FILE"+image.MaterialsSuffix+
		", if it is there)")
	f.StringVar(&p.provenance, "provenance", "", "the provenance of --module (default: FILE"+image.ProvenanceSuffix+
		", if it is there)")
	f.StringVar(&p.info.Version, "version", "", "of the release, for the annotations (default: what --sbom says)")
	f.StringVar(&p.info.Revision, "revision", "",
		"of the source (default: what --provenance says, or the checkout's commit, where nothing is changed)")
	f.StringVar(&p.info.Source, "source", "", "where the source is (default: what --sbom says, or "+image.Source+")")
	f.StringVar(&p.created, "created", "",
		"time of the source, RFC 3339 (default: what --sbom says, $SOURCE_DATE_EPOCH, or the commit's)")
	f.BoolVar(&p.bare, "bare", false, "no referrers: no bill of materials (SPDX) and no provenance (in-toto)")
}

func (p *packing) pack(ctx context.Context, name string, progress io.Writer) (*image.Bundle, error) {
	if !slices.Contains(image.Forms, image.Form(p.form)) {
		return nil, usage{fmt.Errorf("--form %q: want one of %v", p.form, image.Forms)}
	}
	root, err := checkout.Root()
	if err != nil && p.module == "" {
		return nil, fmt.Errorf("modules are compiled in a checkout of Tollgate: %w; elsewhere, name a compiled one "+
			"by --module", err)
	}
	path := p.module
	if path == "" {
		if path, err = compile(ctx, name, progress); err != nil {
			return nil, err
		}
	}
	module, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if err := isModule(module, name); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	evidence, err := p.evidence(module, name, progress)
	if err != nil {
		return nil, err
	}
	p.info.Name, p.info.Licences = name, "Apache-2.0"
	if err := p.origin(ctx, root, evidence.Info); err != nil {
		return nil, err
	}
	switch own, err := os.ReadFile(filepath.Join(root, "build", "out", name+".wasm")); {
	case p.bare:
		evidence = &image.Evidence{}
	case evidence.Materials != nil || evidence.Provenance != nil:
	case root == "" || err != nil || !bytes.Equal(own, module):
		fmt.Fprintf(progress, "no bill of materials and no provenance: %s was not compiled by this checkout, and has "+
			"neither %s nor %s beside it\n", path, filepath.Base(path)+image.MaterialsSuffix,
			filepath.Base(path)+image.ProvenanceSuffix)
	default:
		if evidence, err = image.Compiled(ctx, root, module, p.info); err != nil {
			return nil, err
		}
	}
	return image.Bundled(module, image.Form(p.form), p.info, evidence.Materials, evidence.Provenance)
}

// evidence reads what was published beside a module.
func (p *packing) evidence(module []byte, name string, progress io.Writer) (*image.Evidence, error) {
	none := &image.Evidence{}
	if p.module == "" {
		if p.materials != "" || p.provenance != "" {
			return nil, usage{errors.New("--sbom and --provenance are for a module that was compiled elsewhere: " +
				"name it by --module")}
		}
		return none, nil
	}
	if p.bare {
		if p.materials != "" || p.provenance != "" {
			return nil, usage{errors.New("--bare is without what --sbom and --provenance name")}
		}
		return none, nil
	}
	read := func(given, suffix string) ([]byte, error) {
		path := given
		if path == "" {
			path = p.module + suffix
		}
		text, err := os.ReadFile(path)
		if given == "" && errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err == nil {
			fmt.Fprintf(progress, "with %s\n", path)
		}
		return text, err
	}
	materials, err := read(p.materials, image.MaterialsSuffix)
	if err != nil {
		return nil, err
	}
	provenance, err := read(p.provenance, image.ProvenanceSuffix)
	if err != nil {
		return nil, err
	}
	if materials == nil && provenance == nil {
		return none, nil
	}
	evidence, err := image.ReadEvidence(module, name, materials, provenance)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.module, err)
	}
	return evidence, nil
}

// isModule refuses a module under the name of another: a filter's is not the one with all, nor the other way round.
func isModule(module []byte, name string) error {
	names, lean, err := image.Names(module)
	filter, wantLean := strings.CutSuffix(name, "-lean")
	switch {
	case err != nil:
		return err
	case len(names) == 0:
		return errors.New("does not say which module it is: it is none of Tollgate's, or older than those that do")
	case !slices.Contains(names, filter):
		return fmt.Errorf("is %s, and not %s", strings.Join(names, " and "), name)
	case slices.Contains(filters.Lean, filter) && lean != wantLean:
		return fmt.Errorf("is %s, and not %s", map[bool]string{true: filter + "-lean", false: filter}[lean], name)
	}
	return nil
}

// origin fills in what is known of the source: what is said on the command line, else what was published with the
// module, else what the checkout knows. Changed sources have no revision: an image that names one is made of it.
func (p *packing) origin(ctx context.Context, root string, published image.Info) error {
	for _, v := range []struct {
		flag      string
		value     *string
		published string
	}{{"version", &p.info.Version, published.Version}, {"revision", &p.info.Revision, published.Revision},
		{"source", &p.info.Source, published.Source}} {
		if *v.value == "" {
			*v.value = v.published
		} else if v.published != "" && *v.value != v.published {
			return usage{fmt.Errorf("--%s %q: what was published with the module says %q", v.flag, *v.value, v.published)}
		}
	}
	if p.info.Source == "" {
		p.info.Source = image.Source
	}
	switch epoch := os.Getenv("SOURCE_DATE_EPOCH"); {
	case p.created != "":
		var err error
		if p.info.Created, err = time.Parse(time.RFC3339, p.created); err != nil {
			return usage{fmt.Errorf("--created: %w", err)}
		}
		if !published.Created.IsZero() && !p.info.Created.Equal(published.Created) {
			return usage{fmt.Errorf("--created %s: what was published with the module says %s", p.created,
				published.Created.Format(time.RFC3339))}
		}
	case !published.Created.IsZero():
		p.info.Created = published.Created
	case epoch != "":
		seconds, err := time.ParseDuration(epoch + "s")
		if err != nil {
			return fmt.Errorf("SOURCE_DATE_EPOCH is no number: %q", epoch)
		}
		p.info.Created = time.Unix(0, 0).Add(seconds)
	}
	return p.checkedOut(ctx, root, published)
}

// checkedOut fills in what is still missing from the checkout. Of a module that has evidence of its own, the checkout
// around it knows nothing.
func (p *packing) checkedOut(ctx context.Context, root string, published image.Info) error {
	if root == "" || published.Name != "" {
		return nil
	}
	git := func(args ...string) string {
		command := exec.CommandContext(ctx, "git", args...)
		command.Dir = root
		out, err := command.Output()
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	}
	if p.info.Revision == "" && git("status", "--porcelain", "--untracked-files=no") == "" {
		p.info.Revision = git("rev-parse", "HEAD")
	}
	if committed := git("log", "-1", "--format=%cI"); p.info.Created.IsZero() && committed != "" {
		var err error
		if p.info.Created, err = time.Parse(time.RFC3339, committed); err != nil {
			return err
		}
	}
	return nil
}

func imageBuildCommand() *cobra.Command {
	var p packing
	var output string
	c := &cobra.Command{
		Use:   "build MODULE",
		Short: "Write an image to a folder or an archive, for registries that cannot be reached from here",
		Long: `Write the image of a module, with its bill of materials and its provenance as referrers, as an OCI image layout: a folder, or, where the name ends in .tar, an archive of it.
Its index has the image alone, so that other tools need not be told which to take; referrers.json lists the referrers, whose blobs are there, too.

` + withoutCheckout + `

The result is the digest of the manifest: what to pin, in oci://…@sha256:… or in a WasmPlugin's spec.sha256, which for oci:// means the manifest and not the module.
The same source gives the same digest.`,
		Example: "  tollgate image build jwt-scope --output jwt-scope.tar\n  skopeo copy oci-archive:jwt-scope.tar " +
			"docker://registry.example.com/tollgate/jwt-scope:v1.2.0",
		Args: cobra.MatchAll(exactly(1), areImages), ValidArgs: filters.Images(),
		RunE: func(c *cobra.Command, args []string) error {
			if output == "" {
				return usage{errors.New("--output is required: a folder, or a name that ends in .tar")}
			}
			made, err := p.pack(c.Context(), args[0], c.ErrOrStderr())
			if err != nil {
				return err
			}
			if err := made.Write(output); err != nil {
				return err
			}
			return printDigest(c.OutOrStdout(), "", made.Image)
		},
	}
	p.flags(c)
	c.Flags().StringVarP(&output, "output", "o", "", "a folder that is not there yet, or a name that ends in .tar")
	return c
}

// withoutCheckout tells how to pack what others have compiled.
const withoutCheckout = `--module packs a module that was compiled elsewhere, such as one of a release. It needs no checkout. A bill of materials and a provenance that lie beside it are packed, too, if they are of this module; others are refused. They say version, revision and time, so that the image has the digest of the release's.`

func printDigest(out io.Writer, before string, img v1.Image) error {
	digest, err := img.Digest()
	if err == nil {
		_, err = fmt.Fprintln(out, before+digest.String())
	}
	return err
}
