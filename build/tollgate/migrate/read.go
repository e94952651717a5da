// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
)

// source is a resource, and where it was read.
type source struct {
	m               *Migrator
	file            string
	kind            string
	name, namespace string
	root            *yaml.Node
	broken          bool // something in it is not understood: it could mean anything
}

// id is how findings and comments speak of the resource.
func (s *source) id() string {
	return strings.TrimSpace(s.kind + " " + strings.Trim(s.namespace+"/"+s.name, "/"))
}

func (s *source) report(v value, severity check.Severity, problem string) {
	if v.node == nil {
		v.node = s.root
	}
	f := check.Finding{File: s.file, Severity: severity, Resource: s.id(), Path: v.path, Problem: problem}
	if v.node != nil {
		f.Line, f.Column = v.node.Line, v.node.Column
	}
	s.m.find(f)
}

// value is something that stands in a resource.
type value struct {
	text string // of a scalar
	node *yaml.Node
	path string
}

// object is a mapping of a resource whose members are asked for by name; end finds those that nobody has asked for.
type object struct {
	value
	from  *source
	asked []string
}

// object reads a mapping. null and a missing one have no members.
func (s *source) object(v value) *object {
	if v.node != nil && v.node.Kind != yaml.MappingNode && v.node.Tag != "!!null" {
		s.fault(v, "want an object")
	}
	return &object{value: v, from: s}
}

func (s *source) fault(v value, problem string) {
	s.broken = true
	s.report(v, check.Error, problem+noConfiguration)
}

const noConfiguration = ": no configuration is written for the workloads of this resource"

func (o *object) at(name string) value {
	o.asked = append(o.asked, name)
	v := value{path: strings.TrimPrefix(o.path+"."+name, ".")}
	if o.node != nil && o.node.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(o.node.Content); i += 2 {
			if o.node.Content[i].Value != name {
				continue
			}
			if v.node != nil {
				o.from.fault(v, "stands here twice")
			}
			v.node = o.node.Content[i+1]
		}
	}
	if v.node != nil && v.node.Tag == "!!null" {
		v.node = nil
	}
	return v
}

func (o *object) has(name string) bool { return o.at(name).node != nil }

func (o *object) object(name string) *object { return o.from.object(o.at(name)) }

func (s *source) list(v value) (list []value) {
	if v.node == nil {
		return nil
	}
	if v.node.Kind != yaml.SequenceNode {
		s.fault(v, "want a list")
		return nil
	}
	for i, n := range v.node.Content {
		item := value{node: n, path: fmt.Sprintf("%s[%d]", v.path, i)}
		if n.Tag == "!!null" { // Istio passes over a rule that is null; one without members fits everything
			s.fault(item, "is null")
			continue
		}
		list = append(list, item)
	}
	return list
}

func (o *object) objects(name string) (list []*object) {
	for _, v := range o.from.list(o.at(name)) {
		list = append(list, o.from.object(v))
	}
	return list
}

func (o *object) text(name string) value { return o.from.scalar(o.at(name), "!!str", "a text") }

func (o *object) texts(name string) (list []value) {
	for _, v := range o.from.list(o.at(name)) {
		list = append(list, o.from.scalar(v, "!!str", "a text"))
	}
	return list
}

func (o *object) boolean(name string) bool {
	return o.from.scalar(o.at(name), "!!bool", "true or false").text == "true"
}

func (s *source) scalar(v value, tag, what string) value {
	switch {
	case v.node == nil:
	case v.node.Kind != yaml.ScalarNode || v.node.ShortTag() != tag:
		s.fault(v, "want "+what)
	default:
		v.text = v.node.Value
	}
	return v
}

// end reports every member that nobody has asked for: what it says is not known here, and leaving
// it out could let requests pass.
func (o *object) end() {
	if o.node == nil || o.node.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(o.node.Content); i += 2 {
		if name := o.node.Content[i]; !slices.Contains(o.asked, name.Value) {
			o.from.fault(value{node: name, path: strings.TrimPrefix(o.path+"."+name.Value, ".")}, "is unknown here")
		}
	}
}

func words(list []value) (texts []string) {
	for _, v := range list {
		texts = append(texts, v.text)
	}
	return texts
}
