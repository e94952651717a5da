// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// placeholder stands for the digest of an image that is not there yet.
var placeholder = strings.Repeat("0", 64)

// pins are what is written into the resources of a release in place of what stands in the repository.
type pins struct {
	from, to     string // registries
	tag, version string // of the images
	digests      map[string]string
}

// near is how many lines below the name of an image its digest may stand.
const near = 3

// keyed is a placeholder whose module stands before it: "  tollgate.sha256: "000…"".
var keyed = regexp.MustCompile(`^\s*([a-z-]+?)(\.sha256)?: "0{64}"`)

// pin returns the resources with registry, tag and digests. Every placeholder must be of a module: of that whose image
// is named in the lines above, or whose name is the key.
func (p *pins) pin(tree map[string][]byte) (map[string][]byte, error) {
	image := regexp.MustCompile(regexp.QuoteMeta(p.from) + `/([a-z-]+):` + regexp.QuoteMeta(p.tag) + `\b`)
	pinned := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		lines := strings.Split(string(tree[name]), "\n")
		module, at := "", 0
		for i, line := range lines {
			if m := image.FindStringSubmatch(line); m != nil {
				module, at = m[1], i
			}
			if strings.Contains(line, placeholder) {
				of := module
				if i-at > near {
					of = ""
				}
				if m := keyed.FindStringSubmatch(line); m != nil {
					of = m[1]
				}
				digest, ok := p.digests[of]
				if !ok {
					return nil, fmt.Errorf("WasmPlugin/%s:%d: a placeholder of no module: its image must be named at most %d "+
						"lines above", name, i+1, near)
				}
				line = strings.ReplaceAll(line, placeholder, digest)
			}
			line = image.ReplaceAllString(line, p.from+"/$1:"+p.version)
			line = strings.ReplaceAll(line, "v"+p.tag, "v"+p.version) // tags of the source, in what pages show
			lines[i] = strings.ReplaceAll(line, p.from, p.to)
		}
		pinned[name] = []byte(strings.Join(lines, "\n"))
	}
	for _, c := range []struct{ file, old, new string }{
		{"values.yaml", "\n  tag: " + p.tag + "\n", "\n  tag: " + p.version + "\n"},
		{"Chart.yaml", "\nversion: " + p.tag + "\n", "\nversion: " + p.version + "\n"},
		{"Chart.yaml", "\nappVersion: " + p.tag + "\n", "\nappVersion: " + p.version + "\n"},
	} {
		if n := bytes.Count(pinned[c.file], []byte(c.old)); n != 1 {
			return nil, fmt.Errorf("WasmPlugin/%s: %q stands there %d times: want once", c.file, strings.TrimSpace(c.old), n)
		}
		pinned[c.file] = bytes.Replace(pinned[c.file], []byte(c.old), []byte(c.new), 1)
	}
	return pinned, nil
}
