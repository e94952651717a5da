// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package yamlnode reads the nodes of a YAML document, which know their lines. What is not there,
// or is of another kind, is nil or empty: whoever asks looks for one thing in documents of any
// shape.
package yamlnode

import "go.yaml.in/yaml/v3"

// Member is a mapping's value; nil: it has none, or is no mapping.
func Member(n *yaml.Node, path ...string) *yaml.Node {
	for _, name := range path {
		if n == nil || n.Kind != yaml.MappingNode {
			return nil
		}
		var found *yaml.Node
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == name {
				found = n.Content[i+1]
			}
		}
		n = found
	}
	return n
}

// Text is a scalar's value; empty: there is none.
func Text(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// Items are a list's.
func Items(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

// Texts are those of a list of scalars.
func Texts(n *yaml.Node) (list []string) {
	for _, item := range Items(n) {
		list = append(list, Text(item))
	}
	return list
}
