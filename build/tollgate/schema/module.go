// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/json"
	"fmt"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/filters/tollgate/chain"
	"github.com/tollgate-wasm/tollgate/shared/conf"
)

// ofModule is the schema of the module with all filters: a chain, as its reader asks for it, or one filter's
// configuration, which says whose it is. What a filter reads is that filter's own schema, once, under definitions.
func ofModule() (object, error) {
	root, words := &value{}, filters.Names()
	documents, err := Samples(filters.Module)
	if err != nil {
		return nil, err
	}
	conf.Observe(root.add, func() { _, err = chain.Parse(documents[0], words...) })
	if err != nil {
		return nil, fmt.Errorf("sample 1 of %s: %w", filters.Module, err)
	}
	if root.texts, err = descriptions(filters.Module); err != nil {
		return nil, err
	}
	chained, err := root.schema("")
	if err != nil {
		return nil, fmt.Errorf("the samples of %s: %w", filters.Module, err)
	}
	var definitions object
	var steps, alone []object
	for _, filter := range words {
		body, err := bodyOf(filter)
		if err != nil {
			return nil, err
		}
		definitions = append(definitions, pair{filter, body})
		is := object{{"required", []string{"filter"}},
			{"properties", object{{"filter", object{{"const", filter}}}}}}
		own := object{{"$ref", "#/definitions/" + filter}}
		steps = append(steps, object{{"if", is}, {"then", object{{"properties", object{{"config", own}}}}}})
		alone = append(alone, object{{"if", is}, {"then", own}})
	}
	step, ok := chained.member("properties").member("chain").find("items")
	if !ok {
		return nil, fmt.Errorf("the reader of %s asks for no steps", filters.Module)
	}
	step.value = append(step.value.(object), pair{"allOf", steps})
	filter := object{{"enum", words}}
	if text := root.text("filter"); text != "" {
		filter = append(object{{"description", text}}, filter...)
	}
	return object{
		{"if", object{{"required", []string{"chain"}}}},
		{"then", chained},
		{"else", object{{"type", "object"}, {"required", []string{"filter"}},
			{"properties", object{{"filter", filter}}}, {"allOf", alone}}},
		{"definitions", definitions},
	}, nil
}

// find is a member of an object, to be changed in its place.
func (o object) find(name string) (*pair, bool) {
	for i := range o {
		if o[i].name == name {
			return &o[i], true
		}
	}
	return nil, false
}

// member is an object in an object; nil: there is none.
func (o object) member(name string) object {
	p, ok := o.find(name)
	if !ok {
		return nil
	}
	child, _ := p.value.(object)
	return child
}

// samplesOfModule are a chain of all filters with the first sample of each, and each by itself.
func samplesOfModule() (documents []string, err error) {
	var steps []filters.Step
	for _, f := range filters.All {
		samples, err := Samples(f.Name)
		if err != nil {
			return nil, err
		}
		step := filters.Step{Name: "step-" + f.Name, Filter: f.Name, Config: json.RawMessage(samples[0])}
		steps = append(steps, step)
		one, err := step.Alone()
		if err != nil {
			return nil, err
		}
		documents = append(documents, string(one))
	}
	all, err := json.Marshal(map[string]any{"chain": steps, "publishIdentity": true})
	return append([]string{string(all)}, documents...), err
}
