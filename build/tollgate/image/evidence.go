// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Evidence is what was published beside a module, and what it says of the module's source.
type Evidence struct {
	Materials, Provenance []byte // SPDX and in-toto; nil: none
	Info                  Info   // Licences are never in it
}

// ReadEvidence reads a bill of materials and a provenance, one of which may be nil, and refuses those of another
// module.
func ReadEvidence(module []byte, name string, materials, provenance []byte) (*Evidence, error) {
	e := &Evidence{Materials: materials, Provenance: provenance, Info: Info{Name: name}}
	digest := sum(module)
	if materials != nil {
		if err := e.readMaterials(digest); err != nil {
			return nil, fmt.Errorf("the bill of materials %w", err)
		}
	}
	if provenance != nil {
		if err := e.readProvenance(digest); err != nil {
			return nil, fmt.Errorf("the provenance %w", err)
		}
	}
	return e, nil
}

func (e *Evidence) readMaterials(digest string) error {
	var doc struct {
		Version      string `json:"spdxVersion"`
		CreationInfo struct{ Created string }
		Packages     []struct {
			ID          string `json:"SPDXID"`
			Name        string
			VersionInfo string
			Location    string `json:"downloadLocation"`
			Checksums   []struct {
				Algorithm string
				Value     string `json:"checksumValue"`
			}
		}
		Relationships []struct {
			Element string `json:"spdxElementId"`
			Type    string `json:"relationshipType"`
			Related string `json:"relatedSpdxElement"`
		}
	}
	if err := json.Unmarshal(e.Materials, &doc); err != nil {
		return fmt.Errorf("is no JSON: %w", err)
	}
	if !strings.HasPrefix(doc.Version, "SPDX-2.") {
		return fmt.Errorf("is no SPDX 2 document: spdxVersion is %q", doc.Version)
	}
	var described []string
	for _, r := range doc.Relationships {
		if r.Element == "SPDXRef-DOCUMENT" && r.Type == "DESCRIBES" {
			described = append(described, r.Related)
		}
	}
	for _, p := range doc.Packages {
		if len(described) != 1 || p.ID != described[0] {
			continue
		}
		for _, c := range p.Checksums {
			if c.Algorithm != "SHA256" {
				continue
			}
			if c.Value != digest {
				return another(c.Value, digest)
			}
			if p.Name != e.Info.Name {
				return fmt.Errorf("describes %s, and not %s", p.Name, e.Info.Name)
			}
			e.Info.Version = p.VersionInfo
			if p.Location != "NOASSERTION" {
				e.Info.Source = p.Location
			}
			var err error
			if e.Info.Created, err = time.Parse(time.RFC3339, doc.CreationInfo.Created); err != nil {
				return fmt.Errorf("has no time in creationInfo.created: %w", err)
			}
			return nil
		}
	}
	return fmt.Errorf("describes no package with a SHA256 checksum: it must be the module's, %s", digest)
}

func another(said, is string) error {
	return fmt.Errorf("is of another module: it names sha256 %s, and this one has %s; take the files of one release",
		said, is)
}

func (e *Evidence) readProvenance(digest string) error {
	var doc struct {
		Type          string `json:"_type"`
		PredicateType string
		Subject       []struct{ Digest map[string]string }
		Predicate     struct {
			BuildDefinition struct {
				ExternalParameters   map[string]any
				ResolvedDependencies []struct {
					URI    string
					Digest map[string]string
				}
			}
		}
	}
	if err := json.Unmarshal(e.Provenance, &doc); err != nil {
		return fmt.Errorf("is no JSON: %w", err)
	}
	if doc.Type != statementType || doc.PredicateType != predicateType {
		return fmt.Errorf("is no in-toto statement with SLSA provenance v1: _type %q, predicateType %q", doc.Type,
			doc.PredicateType)
	}
	if len(doc.Subject) != 1 {
		return fmt.Errorf("has %d subjects: want one, the module %s", len(doc.Subject), digest)
	}
	if said := doc.Subject[0].Digest["sha256"]; said != digest {
		return another(said, digest)
	}
	if of, _ := doc.Predicate.BuildDefinition.ExternalParameters["filter"].(string); of != e.Info.Name {
		return fmt.Errorf("is of %q, and not of %s", of, e.Info.Name)
	}
	for _, d := range doc.Predicate.BuildDefinition.ResolvedDependencies {
		if commit := d.Digest["gitCommit"]; commit != "" {
			e.Info.Revision = commit
			source := strings.TrimSuffix(strings.TrimPrefix(d.URI, "git+"), "@"+commit)
			if e.Info.Source != "" && e.Info.Source != source {
				return fmt.Errorf("has the source %s, and the bill of materials %s", source, e.Info.Source)
			}
			e.Info.Source = source
		}
	}
	return nil
}

// What the files of a release are called that belong to one of its files.
const (
	MaterialsSuffix  = ".spdx.json"
	ProvenanceSuffix = ".provenance.json"
)

// Compiled makes the evidence of a module that has been compiled in a checkout, from what Go knows there.
func Compiled(ctx context.Context, root string, module []byte, info Info) (*Evidence, error) {
	toolchain, err := Toolchain(ctx, root)
	if err != nil {
		return nil, err
	}
	dependencies, err := Dependencies(ctx, root, info.Name, toolchain)
	if err != nil {
		return nil, err
	}
	e := &Evidence{Info: info}
	if e.Materials, err = Materials(module, info, dependencies); err != nil {
		return nil, err
	}
	e.Provenance, err = Provenance(module, info, toolchain, []string{"make", "build/out/" + info.Name + ".wasm"},
		dependencies)
	return e, err
}

// Toolchain is the Go that compiles in a checkout: "go1.26.8". It may be another than the command was compiled by.
func Toolchain(ctx context.Context, root string) (string, error) {
	command := exec.CommandContext(ctx, "go", "env", "GOVERSION")
	command.Dir = root
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Dependencies lists the Go modules that are compiled into a Wasm module of a checkout by that toolchain.
func Dependencies(ctx context.Context, root, module, toolchain string) ([]Dependency, error) {
	filter, lean := strings.CutSuffix(module, "-lean")
	tags := "-tags="
	if lean {
		tags += "lean"
	}
	command := exec.CommandContext(ctx, "go", "list", tags, "-deps", "-f",
		`{{with .Module}}{{if not .Main}}{"Path":"{{.Path}}","Version":"{{if not .Replace}}{{.Version}}{{end}}",`+
			`"Sum":"{{if not .Replace}}{{.Sum}}{{end}}"}{{end}}{{end}}`, "./filters/"+filter)
	command.Dir = root
	command.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	list := []Dependency{{Path: "std", Version: strings.TrimPrefix(toolchain, "go")}}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var m Dependency
		if err := d.Decode(&m); err == io.EOF {
			return list, nil
		} else if err != nil {
			return nil, err
		}
		if !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
}
