// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package advice

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Documents reads the YAML or JSON documents of a file.
func Documents(text []byte) (list []*yaml.Node, err error) {
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var n yaml.Node
		switch err := d.Decode(&n); {
		case errors.Is(err, io.EOF):
			return list, nil
		case err != nil:
			return list, err
		}
		if len(n.Content) == 1 {
			room := maxNodes
			document := expanded(n.Content[0], &room, maxDepth)
			if room < 0 {
				return list, errors.New("its aliases come to more than people write, or to themselves")
			}
			list = append(list, document)
		}
	}
}

// More than any file has: aliases could make a few lines into any number, or into themselves.
const (
	maxNodes = 1 << 18
	maxDepth = 1 << 8
)

// expanded puts copies in the places of aliases, until there is no room.
func expanded(n *yaml.Node, room *int, depth int) *yaml.Node {
	if *room--; depth == 0 {
		*room = -1
	}
	if *room < 0 {
		return n
	}
	if n.Kind == yaml.AliasNode {
		return expanded(n.Alias, room, depth-1)
	}
	c := *n
	c.Content = make([]*yaml.Node, len(n.Content))
	for i := range n.Content {
		c.Content[i] = expanded(n.Content[i], room, depth-1)
	}
	return &c
}

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

// texts are those of a list of scalars.
func texts(n *yaml.Node) (list []string) {
	for _, item := range Items(n) {
		list = append(list, Text(item))
	}
	return list
}

// ToJSON writes a node as Kubernetes does on its way to a filter: repeated names stay repeated, so that whoever reads it strictly sees them.
func ToJSON(n *yaml.Node) ([]byte, error) {
	if n == nil {
		return []byte("null"), nil
	}
	var b []byte
	switch n.Kind {
	case yaml.MappingNode:
		b = append(b, '{')
		for i := 0; i+1 < len(n.Content); i += 2 {
			if i > 0 {
				b = append(b, ',')
			}
			name, err := json.Marshal(n.Content[i].Value)
			if err != nil {
				return nil, err
			}
			value, err := ToJSON(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			b = append(append(append(b, name...), ':'), value...)
		}
		return append(b, '}'), nil
	case yaml.SequenceNode:
		b = append(b, '[')
		for i, item := range n.Content {
			if i > 0 {
				b = append(b, ',')
			}
			value, err := ToJSON(item)
			if err != nil {
				return nil, err
			}
			b = append(b, value...)
		}
		return append(b, ']'), nil
	}
	if value, ok := oldBoolean(n); ok {
		return strconv.AppendBool(nil, value), nil
	}
	var value any
	if err := n.Decode(&value); err != nil {
		return nil, err
	}
	switch value.(type) {
	case nil, bool, string, int, int64, uint64, float64:
		return json.Marshal(value)
	}
	return json.Marshal(n.Value) // a date, which JSON has not
}

// oldBoolean tells of words that are booleans in YAML 1.1, which is what Kubernetes reads.
func oldBoolean(n *yaml.Node) (value, ok bool) {
	if n.Kind != yaml.ScalarNode || n.Style != 0 {
		return false, false
	}
	switch n.Value {
	case "on", "On", "ON", "yes", "Yes", "YES":
		return true, true
	case "off", "Off", "OFF", "no", "No", "NO":
		return false, true
	}
	return false, false
}

// at finds what a fault's path ("rules[2].require.scopes") leads to: the last node on its way that is there.
func at(n *yaml.Node, path string) *yaml.Node {
	for path != "" {
		var next *yaml.Node
		var rest string
		if path[0] == '[' {
			number, after, _ := strings.Cut(path[1:], "]")
			if i, err := strconv.Atoi(number); err == nil && n.Kind == yaml.SequenceNode && i < len(n.Content) {
				next = n.Content[i]
			}
			rest = after
		} else if n.Kind == yaml.MappingNode {
			// A name may have dots in it: the longest one that is there counts.
			best := ""
			for i := 0; i+1 < len(n.Content); i += 2 {
				name := n.Content[i].Value
				if after, ok := strings.CutPrefix(path, name); ok && len(name) >= len(best) && (after == "" || after[0] == '.' || after[0] == '[') {
					best, rest = name, after
					// The name is what an editor is to go to: of one that is unknown or stands there twice, it is what is wrong.
					if next = n.Content[i]; after != "" {
						next = n.Content[i+1]
					}
				}
			}
		}
		if next == nil {
			return n
		}
		n, path = next, strings.TrimPrefix(rest, ".")
	}
	return n
}

// inner reads JSON or YAML that stands in a string, and moves it to where the string stands: a position within it is the string's, since escapes and indentation hide where it began, unless
// it is a block.
func inner(n *yaml.Node) (*yaml.Node, error) {
	list, err := Documents([]byte(n.Value))
	if err != nil || len(list) != 1 {
		return nil, fmt.Errorf("the text is neither JSON nor YAML: %w", err)
	}
	if n.Style == yaml.LiteralStyle {
		move(list[0], func(line, column int) (int, int) { return n.Line + line, column })
	} else {
		move(list[0], func(int, int) (int, int) { return n.Line, n.Column })
	}
	return list[0], nil
}

func move(n *yaml.Node, to func(line, column int) (int, int)) {
	n.Line, n.Column = to(n.Line, n.Column)
	for _, c := range n.Content {
		move(c, to)
	}
}
