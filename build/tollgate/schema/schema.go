// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package schema makes JSON Schemas of the filters' configurations, for editors. They are made of
// the readers themselves: those say what they ask for while they read samples that have every key.
//
// A schema says less than a reader knows: what belongs together, what contradicts, which keys
// exclude each other. What a reader takes, the schema takes; tollgate check knows the rest.
package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/go-jose/go-jose/v4"
	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/shared/conf"
)

// Parse reads a configuration with the filter's own reader, or with those of the module that has
// all. Variables that keys are read from have keys of the algorithms that the samples name.
func Parse(filter, text string) error { return filters.Read(filter, text, environment) }

// environment has a key in the variable KEY_<algorithm>.
func environment(name string) (string, bool) {
	for _, alg := range mint.Algorithms {
		if name == "KEY_"+string(alg) {
			return mint.New("", alg).PrivateJWK(), true
		}
	}
	return "", false
}

// Of returns the JSON Schema (draft 7, which every editor knows) of the configuration of a filter,
// or of the module that has all.
func Of(module string) ([]byte, error) {
	of := bodyOf
	if module == filters.Module {
		of = func(string) (object, error) { return ofModule() }
	}
	body, err := of(module)
	if err != nil {
		return nil, err
	}
	head := object{{"$schema", "http://json-schema.org/draft-07/schema#"},
		{"title", "Configuration of Tollgate's " + module}}
	text, err := json.MarshalIndent(append(head, body...), "", "  ")
	return append(text, '\n'), err
}

// bodyOf is the schema of a filter's configuration, without its head.
func bodyOf(filter string) (object, error) {
	root := &value{}
	documents, err := Samples(filter)
	if err != nil {
		return nil, err
	}
	for i, text := range documents {
		conf.Observe(root.add, func() { err = Parse(filter, text) })
		if err != nil {
			return nil, fmt.Errorf("sample %d of %s: %w", i+1, filter, err)
		}
	}
	if root.texts, err = descriptions(filter); err != nil {
		return nil, err
	}
	body, err := root.schema("")
	if err != nil {
		return nil, fmt.Errorf("the samples of %s: %w", filter, err)
	}
	return body, nil
}

// Samples are a filter's, in JSON. Together they have every key. Those of the module that has all
// have every key of its own.
func Samples(filter string) (documents []string, err error) {
	if filter == filters.Module {
		return samplesOfModule()
	}
	f, err := filters.Named(filter)
	if err != nil {
		return nil, err
	}
	// No private key is written down, not even one that nobody uses.
	key := mint.New("c", jose.ES256)
	text := strings.NewReplacer("@JWK", key.PrivateJWK(), "@PEM", strconv.Quote(key.PrivatePEM())).Replace(f.Samples)
	for d := yamlv3.NewDecoder(strings.NewReader(text)); ; {
		var n yamlv3.Node
		if err := d.Decode(&n); err == io.EOF {
			return documents, nil
		} else if err != nil {
			return nil, err
		}
		one, err := yamlv3.Marshal(&n)
		if err != nil {
			return nil, err
		}
		document, err := yaml.YAMLToJSON(one)
		if err != nil {
			return nil, err
		}
		documents = append(documents, string(document))
	}
}

// value is what is known of the values at one place.
type value struct {
	kinds     []conf.Kind
	words     []string
	low, high int
	patterns  []string // of strings; "" among them: any
	filled    bool     // of lists: no reader takes an empty one
	items     *value
	read      int // how often an object was read here
	members   []*member
	texts     map[string]string // descriptions by path; of the root
}

type member struct {
	name  string
	asked bool // by name
	need  int  // how often it was required
	value *value
}

func (v *value) is(kind conf.Kind) bool { return slices.Contains(v.kinds, kind) }

// add takes in what a reader asks for.
func (v *value) add(w conf.Want) {
	at := v.at(w.Path)
	switch w.Kind {
	case conf.Member:
		at.member(w.Name).asked = true
		return
	case conf.Required:
		at.member(w.Name).need++
		return
	case conf.Members:
		at.read++
	case conf.List:
		at.filled = true
		return // it is a ListOrEmpty, too
	case conf.Enum:
		for _, word := range w.Words {
			if !slices.Contains(at.words, word) {
				at.words = append(at.words, word)
			}
		}
	case conf.Int:
		at.low, at.high = w.Low, w.High
	case conf.Text:
		at.patterns = append(at.patterns, w.Pattern)
	}
	if !at.is(w.Kind) {
		at.kinds = append(at.kinds, w.Kind)
	}
}

func (v *value) member(name string) *member {
	for _, m := range v.members {
		if m.name == name {
			return m
		}
	}
	m := &member{name: name, value: &value{}}
	v.members = append(v.members, m)
	return m
}

// at returns the value at a path as conf writes them: names behind dots, quoted ones and indices in
// brackets. All items of a list are one.
func (v *value) at(path string) *value {
	for path != "" {
		switch {
		case strings.HasPrefix(path, `["`):
			end := strings.Index(path, `"]`)
			v, path = v.member(path[2:end]).value, path[end+2:]
		case path[0] == '[':
			if v.items == nil {
				v.items = &value{}
			}
			v, path = v.items, path[strings.IndexByte(path, ']')+1:]
		default:
			path = strings.TrimPrefix(path, ".")
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			v, path = v.member(path[:end]).value, path[end:]
		}
	}
	return v
}

// object is a JSON object whose members keep their order.
type object []pair

type pair struct {
	name  string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	b := bytes.NewBufferString("{")
	for i, p := range o {
		name, err := json.Marshal(p.name)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(p.value)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(b, "%s:%s", name, text)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
