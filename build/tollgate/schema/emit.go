// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tollgate-wasm/tollgate/shared/conf"
)

// duration is what time.ParseDuration takes, without a sign: no reader takes a negative one.
const duration = `^([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+$`

// asTheyStand are the places that readers take as they are: scalars of any type, and JWK Sets, of
// which another reader knows more.
var asTheyStand = []string{
	"trust[].require.bind[]", // there is none: the list must be empty
	"providers[].jwks.inline", "trust[].jwks.inline",
}

// scalars are keys below which readers take values of any type as they are, wherever claims are compared.
var scalars = []string{".claims[].any[]", ".claims[].all[]", ".claims[].none[]", ".claims[].atLeast",
	".claims[].atMost"}

func standsAsItIs(path string) bool {
	return slices.Contains(asTheyStand, path) ||
		slices.ContainsFunc(scalars, func(end string) bool { return strings.HasSuffix(path, end) })
}

// refused are the keys that readers know in order to say why they may not be there: secrets in a
// configuration that everybody can read.
var refused = []string{"trust[].keys[].pem", "trust[].keys[].jwk", "trust[].keys[].publicOnly"}

// schema writes what is known at path.
func (v *value) schema(path string) (object, error) {
	if slices.Contains(refused, path) {
		return object{{"not", object{}}}, nil
	}
	var either []object
	if v.read > 0 {
		o, err := v.object(path)
		if err != nil {
			return nil, err
		}
		either = append(either, o)
	}
	if v.is(conf.ListOrEmpty) {
		o := object{{"type", "array"}}
		if v.filled {
			o = append(o, pair{"minItems", 1})
		}
		items := v.items
		if items == nil {
			items = &value{}
		}
		items.texts = v.texts
		schema, err := items.schema(path + "[]")
		if err != nil {
			return nil, err
		}
		either = append(either, append(o, pair{"items", schema}))
	}
	if v.is(conf.Enum) {
		either = append(either, object{{"enum", v.words}})
	} else if v.is(conf.Duration) {
		either = append(either, object{{"type", "string"}, {"pattern", duration}})
	} else if v.is(conf.Text) {
		o := object{{"type", "string"}, {"minLength", 1}}
		if p := slices.Compact(slices.Sorted(slices.Values(v.patterns))); p[len(p)-1] != "" {
			o = append(o, pair{"pattern", p[len(p)-1]}) // what Name asks for is a Text besides
		}
		either = append(either, o)
	}
	if v.is(conf.Bool) {
		either = append(either, object{{"type", "boolean"}})
	}
	if v.is(conf.Int) {
		either = append(either, object{{"type", "integer"}, {"minimum", v.low}, {"maximum", v.high}})
	}
	switch len(either) {
	case 0:
		if !standsAsItIs(path) {
			return nil, fmt.Errorf("none has %s: add one, and the reader will tell what it is", path)
		}
		return object{}, nil
	case 1:
		return either[0], nil
	}
	return object{{"anyOf", either}}, nil
}

// object writes one with members.
func (v *value) object(path string) (object, error) {
	o := object{{"type", "object"}}
	if v.is(conf.Names) {
		all := &value{texts: v.texts}
		for _, m := range v.members {
			all.merge(m.value)
		}
		values, err := all.schema(path + ".*")
		return append(o, pair{"minProperties", 1}, pair{"additionalProperties", values}), err
	}
	if len(v.members) == 0 {
		return o, nil // read as it stands, by a reader that knows more: a JWK
	}
	var properties object
	var required []string
	for _, m := range v.members {
		if !m.asked {
			continue
		}
		at := strings.TrimPrefix(path+"."+m.name, ".")
		m.value.texts = v.texts
		p, err := m.value.schema(at)
		if err != nil {
			return nil, err
		}
		if text := v.text(at); text != "" {
			p = append(object{{"description", text}}, p...)
		}
		properties = append(properties, pair{m.name, p})
		if m.need == v.read {
			required = append(required, m.name)
		}
	}
	if required != nil {
		o = append(o, pair{"required", required})
	}
	return append(o, pair{"additionalProperties", false}, pair{"properties", properties}), nil
}

// merge takes in what is known of another place.
func (v *value) merge(w *value) {
	v.kinds, v.words, v.patterns = append(v.kinds, w.kinds...), append(v.words, w.words...), append(v.patterns,
		w.patterns...)
	if w.is(conf.Int) {
		v.low, v.high = w.low, w.high
	}
	v.filled = v.filled || w.filled
	v.read += w.read
	if w.items != nil {
		if v.items == nil {
			v.items = &value{}
		}
		v.items.merge(w.items)
	}
	for _, m := range w.members {
		into := v.member(m.name)
		into.asked, into.need = into.asked || m.asked, into.need+m.need
		into.value.merge(m.value)
	}
}
