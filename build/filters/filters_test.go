// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filters_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/schema"
	"github.com/tollgate-wasm/tollgate/e2e/checkout"
	"github.com/tollgate-wasm/tollgate/shared/conf"
)

// The filters that there are, are the programs under filters/.
func TestAll(t *testing.T) {
	mains, err := filepath.Glob(filepath.Join(checkout.Root(t), "filters", "*", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, m := range mains {
		if folder := filepath.Base(filepath.Dir(m)); folder != filters.Module {
			folders = append(folders, folder)
		}
	}
	names := slices.Sorted(slices.Values(filters.Names()))
	if !slices.Equal(folders, names) {
		t.Errorf("filters/ has the programs %q, and All the filters %q", folders, names)
	}
	for _, f := range filters.All {
		folder := filepath.Join(checkout.Root(t), "filters", f.Name, f.Core)
		if info, err := os.Stat(folder); err != nil || !info.IsDir() || f.Core == "" {
			t.Errorf("%s: the core %q: %v", f.Name, f.Core, err)
		}
		if f.Code == 0 || f.Samples == "" || !slices.IsSorted(f.Places) || len(f.Places) == 0 {
			t.Errorf("%s: the bound %d, %d bytes of samples, the places %q", f.Name, f.Code, len(f.Samples), f.Places)
		}
		if named, err := filters.Named(f.Name); err != nil || named.Name != f.Name {
			t.Errorf("%s is found as %q, %v", f.Name, named.Name, err)
		}
	}
	if _, err := filters.Named("foo"); err == nil || !strings.Contains(err.Error(), strings.Join(filters.Names(), ", ")) {
		t.Errorf("a filter that there is not: %v", err)
	}
}

// The smallest configuration of each is a whole one of its own, without a warning, and nobody else's.
func TestSmallest(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	for _, f := range filters.All {
		policy, err := f.Parse(f.Smallest, none)
		if err != nil {
			t.Errorf("%s: %v", f.Name, err)
			continue
		}
		if w := policy.Warnings(); len(w) > 0 {
			t.Errorf("%s: %v", f.Name, w)
		}
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(f.Smallest), &n); err != nil {
			t.Fatal(err)
		}
		config := n.Content[0]
		for _, other := range filters.All {
			if other.Distinct(config) != (other.Name == f.Name) || other.Whole(config) != (other.Name == f.Name) {
				t.Errorf("%s's smallest, to %s: distinct %t, whole %t", f.Name, other.Name, other.Distinct(config),
					other.Whole(config))
			}
		}
	}
}

// Keys are what the reader knows, no more and no less: a key that is missing here would keep a
// configuration from being recognised.
func TestKeys(t *testing.T) {
	for _, f := range filters.All {
		documents, err := schema.Samples(f.Name)
		if err != nil {
			t.Fatal(err)
		}
		asked := map[string]bool{}
		conf.Observe(func(w conf.Want) {
			if w.Path == "" && w.Kind == conf.Member {
				asked[w.Name] = true
			}
		}, func() {
			for _, text := range documents {
				if err := schema.Parse(f.Name, text); err != nil {
					t.Errorf("%s: %v", f.Name, err)
				}
			}
		})
		for name := range asked {
			if !slices.Contains(f.Keys, name) {
				t.Errorf("%s: the reader knows %s, and Keys has it not", f.Name, name)
			}
		}
		for _, name := range f.Keys {
			if !asked[name] {
				t.Errorf("%s: Keys has %s, which no reader asks for", f.Name, name)
			}
		}
	}
}

// A chain is read with the readers of its filters, and faults have the whole path.
func TestModule(t *testing.T) {
	var steps []string
	for _, f := range filters.All {
		steps = append(steps, `{"name":"`+f.Name+`","filter":"`+f.Name+`","config":`+f.Smallest+`}`)
	}
	none := func(string) (string, bool) { return "", false }
	if err := filters.Read(filters.Module, `{"chain":[`+strings.Join(steps, ",")+`]}`, none); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]string{
		`{"chain":[` + steps[0] + `,{"name":"b","filter":"rate-limit","config":{}}]}`: "chain[1].config.limits: is required",
		`{"filter":"rate-limit"}`: "limits: is required",
		`{}`:                      "filter: is required, or chain",
	} {
		if err := filters.Read(filters.Module, text, none); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
