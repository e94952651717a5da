// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/spf13/cobra"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/image"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
)

func imageCommand() *cobra.Command {
	return group("image", "Pack modules as OCI images, and push them", imageBuildCommand(), imagePushCommand())
}

// packing is what an image is made of.
type packing struct {
	form, module string
	info         image.Info
	created      string
	bare         bool
}

func (p *packing) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&p.form, "form", string(image.OCI),
		"oci: one tar.gz layer with plugin.wasm; artifact: two layers; docker: a Docker v2s2 manifest. Istio takes "+
			"all of them")
	f.StringVar(&p.module, "module", "", "a compiled module to pack (default: it is compiled)")
	f.StringVar(&p.info.Version, "version", "", "of the release, for the annotations")
	f.StringVar(&p.info.Revision, "revision", "",
		"of the source (default: the checkout's commit, where nothing is changed)")
	f.StringVar(&p.info.Source, "source", "https://github.com/tollgate-wasm/tollgate", "where the source is")
	f.StringVar(&p.created, "created", "", "time of the source, RFC 3339 (default: $SOURCE_DATE_EPOCH, or the commit's)")
	f.BoolVar(&p.bare, "bare", false, "no referrers: no bill of materials (SPDX) and no provenance (in-toto)")
}

// packed is an image with its referrers.
type packed struct {
	image     v1.Image
	referrers []v1.Image
}

func (p *packing) pack(ctx context.Context, filter string, progress io.Writer) (*packed, error) {
	if !slices.Contains(image.Forms, image.Form(p.form)) {
		return nil, usage{fmt.Errorf("--form %q: want one of %v", p.form, image.Forms)}
	}
	root, err := envoybin.Root()
	if err != nil && p.module == "" {
		return nil, fmt.Errorf("modules are compiled in a checkout of Tollgate: %w; elsewhere, name a compiled one "+
			"by --module", err)
	}
	p.info.Name, p.info.Licences = filter, "Apache-2.0"
	if err := p.origin(ctx, root); err != nil {
		return nil, err
	}
	compiled := filepath.Join(root, "build", "out", filter+".wasm")
	path := p.module
	if path == "" {
		if path, err = compile(ctx, filter, progress); err != nil {
			return nil, err
		}
	}
	module, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if err := isModule(module, filter); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	result := &packed{}
	if result.image, err = image.New(module, image.Form(p.form), p.info); err != nil {
		return nil, err
	}
	if p.bare {
		return result, nil
	}
	if own, err := os.ReadFile(compiled); root == "" || err != nil || !bytes.Equal(own, module) {
		fmt.Fprintf(progress, "no bill of materials and no provenance: %s was not compiled by this checkout\n", path)
		return result, nil
	}
	dependencies, err := dependenciesOf(ctx, root, filter)
	if err != nil {
		return nil, err
	}
	materials, err := image.Materials(module, p.info, dependencies)
	if err != nil {
		return nil, err
	}
	provenance, err := image.Provenance(module, p.info, runtime.Version(),
		[]string{"make", "build/out/" + filter + ".wasm"}, dependencies)
	if err != nil {
		return nil, err
	}
	for _, r := range []struct {
		mediaType string
		content   []byte
	}{{image.SPDX, materials}, {image.InToto, provenance}} {
		referrer, err := image.Referrer(result.image, r.mediaType, r.content, p.info)
		if err != nil {
			return nil, err
		}
		result.referrers = append(result.referrers, referrer)
	}
	return result, nil
}

// isModule refuses a module under the name of another: a filter's is not the one with all, nor the other way round.
func isModule(module []byte, filter string) error {
	names, err := image.Names(module)
	switch {
	case err != nil:
		return err
	case len(names) == 0:
		return errors.New("does not say which module it is: it is none of Tollgate's, or older than those that do")
	case !slices.Contains(names, filter):
		return fmt.Errorf("is %s, and not %s", strings.Join(names, " and "), filter)
	}
	return nil
}

// origin fills in what is known of the source. Changed sources have no revision: an image that names one is made of it.
func (p *packing) origin(ctx context.Context, root string) error {
	git := func(args ...string) string {
		if root == "" {
			return ""
		}
		command := exec.CommandContext(ctx, "git", args...)
		command.Dir = root
		out, err := command.Output()
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	}
	if p.info.Revision == "" && root != "" && git("status", "--porcelain", "--untracked-files=no") == "" {
		p.info.Revision = git("rev-parse", "HEAD")
	}
	if p.created == "" {
		if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
			seconds, err := time.ParseDuration(epoch + "s")
			if err != nil {
				return fmt.Errorf("SOURCE_DATE_EPOCH is no number: %q", epoch)
			}
			p.info.Created = time.Unix(0, 0).Add(seconds)
			return nil
		}
		p.created = git("log", "-1", "--format=%cI")
	}
	if p.created == "" {
		return nil
	}
	var err error
	if p.info.Created, err = time.Parse(time.RFC3339, p.created); err != nil {
		return usage{fmt.Errorf("--created: %w", err)}
	}
	return nil
}

// dependenciesOf lists the Go modules that are compiled into a Wasm module.
func dependenciesOf(ctx context.Context, root, filter string) ([]image.Dependency, error) {
	command := exec.CommandContext(ctx, "go", "list", "-deps", "-f",
		`{{with .Module}}{{if not .Main}}{"Path":"{{.Path}}","Version":"{{if not .Replace}}{{.Version}}{{end}}","Sum":"{{if not .Replace}}{{.Sum}}{{end}}"}{{end}}{{end}}`, "./filters/"+filter)
	command.Dir = root
	command.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	seen := map[string]bool{}
	list := []image.Dependency{{Path: "std", Version: strings.TrimPrefix(runtime.Version(), "go")}}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var m image.Dependency
		if err := d.Decode(&m); err == io.EOF {
			return list, nil
		} else if err != nil {
			return nil, err
		}
		if !seen[m.Path] {
			seen[m.Path] = true
			list = append(list, m)
		}
	}
}

func imageBuildCommand() *cobra.Command {
	var p packing
	var output string
	c := &cobra.Command{
		Use:   "build MODULE",
		Short: "Write an image to a folder or an archive, for registries that cannot be reached from here",
		Long: `Write the image of a filter's module, or of ` + filters.Module + `, which has all filters, with its bill of materials and its provenance as referrers, as an OCI image layout: a folder, or, where the name ends in .tar, an archive of it.
Its index has the image alone, so that other tools need not be told which to take; referrers.json lists the referrers, whose blobs are there, too. --module packs a module that has been compiled elsewhere, without a checkout.

The result is the digest of the manifest: what to pin, in oci://…@sha256:… or in a WasmPlugin's spec.sha256, which for oci:// means the manifest and not the module.
The same source gives the same digest.`,
		Example: "  tollgate image build jwt-scope --output jwt-scope.tar\n  skopeo copy oci-archive:jwt-scope.tar " +
			"docker://registry.example.com/tollgate/jwt-scope:v1.2.0",
		Args: cobra.MatchAll(exactly(1), areModules), ValidArgs: filters.Modules(),
		RunE: func(c *cobra.Command, args []string) error {
			if output == "" {
				return usage{errors.New("--output is required: a folder, or a name that ends in .tar")}
			}
			made, err := p.pack(c.Context(), args[0], c.ErrOrStderr())
			if err != nil {
				return err
			}
			if err := made.write(output); err != nil {
				return err
			}
			return printDigest(c.OutOrStdout(), "", made.image)
		},
	}
	p.flags(c)
	c.Flags().StringVarP(&output, "output", "o", "", "a folder that is not there yet, or a name that ends in .tar")
	return c
}

// write writes an OCI image layout.
func (p *packed) write(output string) error {
	folder := output
	if strings.HasSuffix(output, ".tar") {
		var err error
		if folder, err = os.MkdirTemp("", "tollgate-image"); err != nil {
			return err
		}
		defer os.RemoveAll(folder)
	} else if _, err := os.Stat(output); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already", output)
	}
	path, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	// The index has the image alone: skopeo and others take each manifest there for one to choose.
	if err := path.AppendImage(p.image); err != nil {
		return err
	}
	if err := p.writeReferrers(path); err != nil {
		return err
	}
	if folder == output {
		return nil
	}
	return archive(folder, output)
}

// referrersFile lists the referrers of the image in a layout, as a registry's referrers API would
// (OCI distribution-spec 1.1): an image index.
const referrersFile = "referrers.json"

func (p *packed) writeReferrers(path layout.Path) error {
	if p.referrers == nil {
		return nil
	}
	list := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}
	for _, r := range p.referrers {
		if err := path.WriteImage(r); err != nil {
			return err
		}
		d, err := partial.Descriptor(r)
		if err != nil {
			return err
		}
		m, err := r.Manifest()
		if err != nil {
			return err
		}
		d.ArtifactType = m.ArtifactType
		list.Manifests = append(list.Manifests, *d)
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return path.WriteFile(referrersFile, text, 0o644)
}

// archive writes a folder's files to a tar archive, which has no times and no owners: the same
// files give the same bytes.
func archive(folder, output string) (err error) {
	f, err := os.Create(output)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tar.NewWriter(f)
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: filepath.ToSlash(name), Mode: 0o644, Size: int64(len(b)),
			Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}); err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	})
	return errors.Join(err, w.Close())
}

func imagePushCommand() *cobra.Command {
	var p packing
	c := &cobra.Command{
		Use:   "push MODULE IMAGE",
		Short: "Push an image to a registry",
		Long: `Push the image of a filter's module, or of ` + filters.Module + `, which has all filters, with its bill of materials and its provenance as referrers. Credentials are those of docker login.

The result is what to write into a WasmPlugin's url.`,
		Example: "  tollgate image push jwt-scope registry.example.com/tollgate/jwt-scope:v1.2.0 --version v1.2.0\n" +
			"  tollgate image push tollgate registry.example.com/tollgate/tollgate:v1.2.0 --version v1.2.0",
		Args: cobra.MatchAll(exactly(2),
			func(c *cobra.Command, args []string) error { return areModules(c, args[:1]) }), ValidArgs: filters.Modules(),
		RunE: func(c *cobra.Command, args []string) error {
			ref, err := name.ParseReference(strings.TrimPrefix(args[1], "oci://"))
			if err != nil {
				return usage{err}
			}
			made, err := p.pack(c.Context(), args[0], c.ErrOrStderr())
			if err != nil {
				return err
			}
			if err := made.push(c.Context(), ref, c.ErrOrStderr()); err != nil {
				return err
			}
			return printDigest(c.OutOrStdout(), "oci://"+ref.Context().Name()+"@", made.image)
		},
	}
	p.flags(c)
	return c
}

func (p *packed) push(ctx context.Context, ref name.Reference, progress io.Writer) error {
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain),
		remote.WithUserAgent("tollgate")}
	fmt.Fprintf(progress, "pushing %s …\n", ref.Name())
	if err := remote.Write(ref, p.image, options...); err != nil {
		return err
	}
	for _, r := range p.referrers {
		digest, err := r.Digest()
		if err != nil {
			return err
		}
		if err := remote.Write(ref.Context().Digest(digest.String()), r, options...); err != nil {
			return fmt.Errorf("a referrer of %s, which has been pushed: %w", ref.Name(), err)
		}
	}
	return nil
}

func printDigest(out io.Writer, before string, img v1.Image) error {
	digest, err := img.Digest()
	if err == nil {
		_, err = fmt.Fprintln(out, before+digest.String())
	}
	return err
}
