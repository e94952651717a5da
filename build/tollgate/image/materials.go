// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Dependency is a Go module whose code is in a filter's.
type Dependency struct {
	// "github.com/tidwall/gjson", "v1.20.0"; the standard library is "std" with the toolchain's version
	Path, Version string
	Sum           string // as in go.sum, "h1:…"; empty: a replacement in the project itself
}

func (d *Dependency) purl() string {
	if d.Version == "" {
		return "pkg:golang/" + d.Path
	}
	return "pkg:golang/" + d.Path + "@" + d.Version
}

// digest is the hexadecimal form of Sum's SHA-256, which is over the module's files and their names
// (golang.org/x/mod/sumdb/dirhash), not over an archive.
func (d *Dependency) digest() string {
	b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(d.Sum, "h1:"))
	if err != nil || len(b) != sha256.Size {
		return ""
	}
	return hex.EncodeToString(b)
}

// Media types of the referrers.
const (
	SPDX   = "application/spdx+json"
	InToto = "application/vnd.in-toto+json"
)

// What a provenance is.
const (
	statementType = "https://in-toto.io/Statement/v1"
	predicateType = "https://slsa.dev/provenance/v1"
)

// Materials is the SPDX 2.3 bill of materials of a module.
func Materials(module []byte, info Info, dependencies []Dependency) ([]byte, error) {
	digest := sum(module)
	type reference struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	type checksum struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"checksumValue"`
	}
	type pkg struct {
		ID        string      `json:"SPDXID"`
		Name      string      `json:"name"`
		Version   string      `json:"versionInfo,omitempty"`
		Location  string      `json:"downloadLocation"`
		Analyzed  bool        `json:"filesAnalyzed"`
		Checksums []checksum  `json:"checksums,omitempty"`
		Concluded string      `json:"licenseConcluded"`
		Declared  string      `json:"licenseDeclared"`
		Copyright string      `json:"copyrightText"`
		External  []reference `json:"externalRefs,omitempty"`
	}
	type relation struct {
		Element string `json:"spdxElementId"`
		Type    string `json:"relationshipType"`
		Related string `json:"relatedSpdxElement"`
	}
	const none = "NOASSERTION"
	declared := info.Licences
	if declared == "" {
		declared = none
	}
	packages := []pkg{{ID: "SPDXRef-module", Name: info.Name, Version: info.Version, Location: orNone(info.Source),
		Checksums: []checksum{{"SHA256", digest}}, Concluded: none, Declared: declared, Copyright: none}}
	relations := []relation{{"SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-module"}}
	for i, d := range sorted(dependencies) {
		id := fmt.Sprintf("SPDXRef-dependency-%d", i)
		packages = append(packages,
			pkg{ID: id, Name: d.Path, Version: d.Version, Location: none, Concluded: none, Declared: none,
				Copyright: none, External: []reference{{"PACKAGE-MANAGER", "purl", d.purl()}}})
		relations = append(relations, relation{"SPDXRef-module", "STATIC_LINK", id})
	}
	return json.Marshal(map[string]any{
		"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": info.Name,
		"documentNamespace": "https://github.com/tollgate-wasm/tollgate/spdx/" + info.Name + "/" + digest,
		"creationInfo": map[string]any{"created": info.Created.UTC().Format(time.RFC3339),
			"creators": []string{"Tool: tollgate"}},
		"packages": packages, "relationships": relations,
	})
}

func orNone(text string) string {
	if text == "" {
		return "NOASSERTION"
	}
	return text
}

func sorted(dependencies []Dependency) []Dependency {
	list := slices.Clone(dependencies)
	slices.SortFunc(list, func(a, b Dependency) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// Provenance is an in-toto statement (SLSA provenance v1) of how a module came to be. It is signed by nobody: it
// tells, and cosign or another signs.
func Provenance(module []byte, info Info, toolchain string, command []string, dependencies []Dependency) ([]byte,
	error) {
	return Statement([]Subject{{plugin, sum(module)}}, info, map[string]any{"filter": info.Name}, toolchain, command,
		dependencies)
}

// Subject is a file that a statement is about, and its SHA-256 in hexadecimal.
type Subject struct{ Name, Digest string }

// Statement is an in-toto statement (SLSA provenance v1) about files. The builder is named by the program that runs the
// build, wherever it does: who ran it can only be said by a signature.
func Statement(subjects []Subject, info Info, parameters map[string]any, toolchain string, command []string,
	dependencies []Dependency) ([]byte, error) {
	type resource struct {
		Name   string            `json:"name,omitempty"`
		URI    string            `json:"uri,omitempty"`
		Digest map[string]string `json:"digest,omitempty"`
	}
	var about, materials []resource
	for _, s := range subjects {
		about = append(about, resource{Name: s.Name, Digest: map[string]string{"sha256": s.Digest}})
	}
	if info.Source != "" && info.Revision != "" {
		materials = append(materials, resource{URI: "git+" + info.Source + "@" + info.Revision,
			Digest: map[string]string{"gitCommit": info.Revision}})
	}
	for _, d := range sorted(dependencies) {
		r := resource{URI: d.purl()}
		if digest := d.digest(); digest != "" {
			r.Digest = map[string]string{"dirHash": digest}
		}
		materials = append(materials, r)
	}
	return json.Marshal(map[string]any{
		"_type": statementType, "predicateType": predicateType, "subject": about,
		"predicate": map[string]any{
			"buildDefinition": map[string]any{
				"buildType":          "https://github.com/tollgate-wasm/tollgate/build/v1",
				"externalParameters": parameters,
				"internalParameters": map[string]any{"toolchain": toolchain, "command": command}, "resolvedDependencies": materials,
			},
			"runDetails": map[string]any{
				"builder": map[string]string{"id": "https://github.com/tollgate-wasm/tollgate/build/tollgate"}},
		},
	})
}
