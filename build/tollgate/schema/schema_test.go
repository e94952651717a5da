// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/shared/conf"
)

func generated(t *testing.T, filter string) []byte {
	t.Helper()
	text, err := Of(filter)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// The schemas beside the filters are those that the readers tell of.
func TestCommitted(t *testing.T) {
	root, err := envoybin.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, filter := range filters.Modules() {
		text, err := os.ReadFile(filepath.Join(root, "filters", filter, "schema.json"))
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(text, generated(t, filter)) {
			t.Errorf("filters/%s/schema.json is not what the reader says: run make schemas", filter)
		}
	}
}

// Each reader takes a configuration that says it is its own, and none that says it is another's.
func TestFilter(t *testing.T) {
	for _, filter := range filters.Names() {
		documents, err := Samples(filter)
		if err != nil {
			t.Fatal(err)
		}
		for _, named := range filters.Names() {
			text := strings.Replace(documents[0], `"filter":"`+filter+`"`, `"filter":"`+named+`"`, 1)
			err := Parse(filter, text)
			if (err == nil) != (named == filter) || err != nil && !strings.HasPrefix(err.Error(), "filter: want "+filter) {
				t.Errorf("%s, which says that it is %s's: %v", filter, named, err)
			}
		}
	}
}

// Editors show what a key is for: every key says it, or what it belongs to does.
func TestDescriptions(t *testing.T) {
	for _, filter := range filters.Modules() {
		var document any
		if err := json.Unmarshal(generated(t, filter), &document); err != nil {
			t.Fatal(err)
		}
		with, without := 0, []string(nil)
		var visit func(n any, path string)
		visit = func(n any, path string) {
			switch n := n.(type) {
			case []any:
				for _, one := range n {
					visit(one, path)
				}
			case map[string]any:
				properties, _ := n["properties"].(map[string]any)
				for name, p := range properties {
					one := p.(map[string]any)
					if _, isKey := one["description"].(string); isKey {
						with++
					} else {
						without = append(without, path+"."+name)
					}
					visit(p, path+"."+name)
				}
				for _, below := range []string{"items", "anyOf", "additionalProperties", "then", "else"} {
					visit(n[below], path)
				}
				definitions, _ := n["definitions"].(map[string]any)
				for name, d := range definitions {
					visit(d, path+"<"+name+">")
				}
			}
		}
		visit(document, "")
		if len(without) > 0 {
			t.Errorf("%s: %d keys say what they are for, and these do not: %v", filter, with, without)
		}
	}
}

func compile(t *testing.T, filter string) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(generated(t, filter)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// Whatever stands in the place of any value of a sample: what the reader takes, the schema takes,
// so that no editor finds fault with what is right. And the schema refuses most of what is wrong,
// or it would be of no use.
func TestAgainstReaders(t *testing.T) {
	for _, filter := range filters.Modules() {
		t.Run(filter, func(t *testing.T) {
			schema := compile(t, filter)
			documents, err := Samples(filter)
			if err != nil {
				t.Fatal(err)
			}
			tried, refused, both, values := 0, 0, 0, 0
			for i, text := range documents {
				var sample any
				if err := json.Unmarshal([]byte(text), &sample); err != nil {
					t.Fatal(err)
				}
				if err := schema.Validate(sample); err != nil {
					t.Errorf("sample %d: %v", i+1, err)
				}
				walk(sample, "", func(path string, set func(any)) {
					// What stands below a filter's configuration is tried with that filter: here one value in eight shows
					// that its schema is in the module's.
					if values++; filter == filters.Module && (i > 0 || strings.Contains(path, ".config.")) && values%8 != 0 {
						return
					}
					for _, other := range []any{nil, true, false, "", "zz", "5m", -1.0, 0.5, 7.0, 1e12, []any{},
						[]any{"zz"}, []any{7.0}, map[string]any{}, map[string]any{"zz": 1.0}} {
						set(other)
						changed, err := json.Marshal(sample)
						if err != nil {
							t.Fatal(err)
						}
						byReader, bySchema := Parse(filter, string(changed)), schema.Validate(sample)
						tried++
						if byReader != nil {
							refused++
							if bySchema != nil {
								both++
							}
						} else if bySchema != nil {
							t.Errorf("sample %d, %v at %s: the reader takes it, and the schema says: %v", i+1, other, path, bySchema)
						}
					}
				})
			}
			t.Logf("of %d changes the reader refuses %d, the schema %d", tried, refused, both)
			if both*10 < refused*7 {
				t.Errorf("the schema refuses %d of %d faults", both, refused)
			}
		})
	}
}

// Each sample of a filter is good for the module by itself and as a step, and what people mistype in
// a chain is refused.
func TestModule(t *testing.T) {
	schema := compile(t, filters.Module)
	try := func(what, text string, good bool) {
		t.Helper()
		var document any
		if err := json.Unmarshal([]byte(text), &document); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		byReader, bySchema := Parse(filters.Module, text), schema.Validate(document)
		if (byReader == nil) != good || (bySchema == nil) != good {
			t.Errorf("%s: the reader says %v, the schema %v", what, byReader, bySchema)
		}
	}
	step := func(name, filter, config string) string {
		return `{"name": "` + name + `", "filter": "` + filter + `", "config": ` + config + `}`
	}
	for _, f := range filters.All {
		documents, err := Samples(f.Name)
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range documents {
			what := fmt.Sprintf("sample %d of %s", i+1, f.Name)
			rest := strings.TrimPrefix(text, "{")
			if !strings.Contains(text, `"filter":"`+f.Name+`"`) {
				rest = `"filter":"` + f.Name + `",` + rest
			}
			try(what, "{"+rest, true)
			try(what+" as a step", `{"chain": [`+step("a", f.Name, text)+`], "publishIdentity": false}`, true)
		}
		good := f.Smallest
		for what, text := range map[string]string{
			"no filter":         good,
			"an unknown filter": `{"filter": "jwt-scopes",` + good[1:],
			"another filter": `{"filter": "` +
				filters.All[(slices.Index(filters.Names(), f.Name)+1)%len(filters.All)].Name + `",` + good[1:],
			"a chain besides":                    `{"filter": "` + f.Name + `", "chain": [` + step("a", f.Name, good) + `]}`,
			"an empty chain":                     `{"chain": []}`,
			"a step without a name":              `{"chain": [{"filter": "` + f.Name + `", "config": ` + good + `}]}`,
			"a name of two words":                `{"chain": [` + step("a b", f.Name, good) + `]}`,
			"a step of an unknown filter":        `{"chain": [` + step("a", "jwtscope", good) + `]}`,
			"a step without a configuration":     `{"chain": [{"name": "a", "filter": "` + f.Name + `"}]}`,
			"a step with a mistyped key":         `{"chain": [` + step("a", f.Name, `{"nope": 1,`+good[1:]) + `]}`,
			"a step with a key beside config":    `{"chain": [` + step("a", f.Name, good+`, "mode": "shadow"`) + `]}`,
			"a step with an empty configuration": `{"chain": [` + step("a", f.Name, `{}`) + `]}`,
			"publishIdentity for one filter":     `{"publishIdentity": true, "filter": "` + f.Name + `",` + good[1:],
		} {
			try(f.Name+": "+what, text, false)
		}
	}
}

// A member that nobody knows is refused wherever it stands, by the reader and by the schema: no
// mistyped key goes unseen. In JWK Sets it is not, as RFC 7517 has it.
func TestUnknownKeys(t *testing.T) {
	for _, filter := range filters.Modules() {
		schema := compile(t, filter)
		documents, err := Samples(filter)
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range documents {
			var sample any
			if err := json.Unmarshal([]byte(text), &sample); err != nil {
				t.Fatal(err)
			}
			objects := 0
			walk(map[string]any{"": sample}, "", func(path string, _ func(any)) {
				path = strings.TrimPrefix(path, ".")
				if _, free := at(sample, path).(map[string]any); !free || strings.Contains(path, "jwks.inline") ||
					strings.HasSuffix(path, "jwk") || strings.HasSuffix(path, "publicOnly") ||
					strings.HasSuffix(path, "tiers.values") || strings.HasSuffix(path, "discoverAuthorities") ||
					strings.HasSuffix(path, "copyClaims.tctx") || strings.HasSuffix(path, "copyClaims.rctx") {
					return
				}
				objects++
				object := at(sample, path).(map[string]any)
				object["unheard-of"] = true
				changed, err := json.Marshal(sample)
				if err != nil {
					t.Fatal(err)
				}
				var faults conf.Faults
				if err := Parse(filter, string(changed)); !errors.As(err, &faults) ||
					!slices.ContainsFunc(faults, func(f conf.Fault) bool { return strings.HasPrefix(f.Problem, "unknown key") }) {
					t.Errorf("%s, sample %d: the reader does not mind an unknown key at %q: %v", filter, i+1, path, err)
				}
				if schema.Validate(sample) == nil {
					t.Errorf("%s, sample %d: the schema does not mind an unknown key at %q", filter, i+1, path)
				}
				delete(object, "unheard-of")
			})
			if objects < 3 {
				t.Errorf("%s, sample %d: only %d objects were tried", filter, i+1, objects)
			}
		}
	}
}

// walk shows each value below v, with its path and a way to change it; afterwards it is as before.
func walk(v any, path string, visit func(path string, set func(any))) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			visit(path+"."+name, func(other any) { v[name] = other })
			v[name] = member
			walk(member, path+"."+name, visit)
		}
	case []any:
		for i, item := range v {
			visit(fmt.Sprintf("%s[%d]", path, i), func(other any) { v[i] = other })
			v[i] = item
			walk(item, fmt.Sprintf("%s[%d]", path, i), visit)
		}
	}
}

// at returns the value at a path as walk writes it.
func at(v any, path string) any {
	for _, step := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' }) {
		if number, ok := strings.CutSuffix(step, "]"); ok {
			var i int
			fmt.Sscan(number, &i)
			v = v.([]any)[i]
		} else {
			v = v.(map[string]any)[step]
		}
	}
	return v
}
