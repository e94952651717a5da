// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Unreadable is a document that is no YAML.
type Unreadable struct {
	Line    int // from 1; 0: not known
	Problem string
}

func (u *Unreadable) Error() string {
	if u.Line == 0 {
		return u.Problem
	}
	return "line " + strconv.Itoa(u.Line) + ": " + u.Problem
}

// Documents reads the YAML or JSON documents of a file. The error joins an Unreadable for each that
// is none; the others are read.
func Documents(text []byte) (list []*yaml.Node, err error) {
	var faults []error
	for _, d := range separated(string(text)) {
		n, fault := d.read()
		switch {
		case fault != nil:
			faults = append(faults, fault)
		case n != nil:
			list = append(list, n)
		}
	}
	return list, errors.Join(faults...)
}

// Faults are the documents that Documents could not read.
func Faults(err error) (list []*Unreadable) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			list = append(list, Faults(one)...)
		}
		return list
	}
	var u *Unreadable
	if errors.As(err, &u) {
		list = append(list, u)
	}
	return list
}

// document is the text of one, and how many lines stand before it.
type document struct {
	text   string
	before int
}

// separated takes documents apart: each is read by itself, so that a fault in one hides none of the
// others. A line of --- or ... at its beginning is nothing else, in whatever quotes or block it
// stands (YAML 1.2, 9.1.2).
func separated(text string) (list []document) {
	text = strings.TrimPrefix(text, "\ufeff")
	var d document
	lines := 0
	flush := func() {
		if strings.TrimSpace(d.text) != "" {
			list = append(list, d)
		}
	}
	start := 0
	for at := 0; at < len(text); {
		end := len(text)
		if i := strings.IndexByte(text[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		line := strings.TrimRight(text[at:end], "\r\n")
		if marks(line, "---") || marks(line, "...") {
			// Directives belong to what comes behind.
			if d.text = text[start:at]; !directives(d.text) {
				flush()
				start, d.before = at, lines
			}
			if marks(line, "...") {
				start, d.before = end, lines+1
			}
		}
		at = end
		lines++
	}
	d.text = text[start:]
	flush()
	return list
}

func marks(line, mark string) bool {
	rest, ok := strings.CutPrefix(line, mark)
	return ok && (rest == "" || rest[0] == ' ' || rest[0] == '\t')
}

func directives(text string) bool {
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return line[0] == '%'
		}
	}
	return false
}

func (d document) read() (*yaml.Node, error) {
	var n yaml.Node
	switch err := yaml.NewDecoder(strings.NewReader(d.text)).Decode(&n); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, d.unreadable(err)
	case len(n.Content) != 1:
		return nil, nil
	}
	room := maxExpanded
	whole := expanded(n.Content[0], &room, maxDepth, false)
	if room < 0 {
		return nil, &Unreadable{d.before + 1, "its aliases come to more than people write, or to themselves"}
	}
	if d.before > 0 {
		move(whole, func(line, column int) (int, int) { return line + d.before, column })
	}
	return whole, nil
}

var syntax = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// unreadable finds the line of a fault. yaml tells where what is wrong began, or nothing, so the
// first line is looked for with which the fault is there.
func (d document) unreadable(err error) *Unreadable {
	u := &Unreadable{Line: d.before + 1, Problem: err.Error()}
	message := func(err error) (line int, text string) {
		if m := syntax.FindStringSubmatch(err.Error()); m != nil {
			line, _ = strconv.Atoi(m[1]) // 0 where it has none
			text = m[2]
		}
		return line, text
	}
	said, problem := message(err)
	if problem == "" {
		return u
	}
	u.Problem = "yaml: " + problem
	lines := strings.SplitAfter(d.text, "\n")
	if said > 0 {
		u.Line = d.before + min(said, len(lines))
	}
	if len(d.text) > maxSearched {
		return u
	}
	for n := max(said-1, 1); n <= len(lines); n++ {
		var part yaml.Node
		err := yaml.Unmarshal([]byte(strings.Join(lines[:n], "")), &part)
		if err == nil {
			continue
		}
		if _, text := message(err); text == problem {
			u.Line = d.before + n
			break
		}
	}
	return u
}

const (
	maxExpanded = 1 << 18 // nodes that aliases may add: a few lines could come to any number
	maxDepth    = 1 << 8
	maxSearched = 1 << 17 // bytes of a document whose faulty line is looked for
)

// expanded puts copies in the places of aliases, until there is no room for what they add.
func expanded(n *yaml.Node, room *int, depth int, added bool) *yaml.Node {
	if added {
		*room--
	}
	if depth == 0 {
		*room = -1
	}
	if *room < 0 {
		return n
	}
	if n.Kind == yaml.AliasNode {
		return expanded(n.Alias, room, depth-1, true)
	}
	c := *n
	c.Content = make([]*yaml.Node, len(n.Content))
	for i := range n.Content {
		c.Content[i] = expanded(n.Content[i], room, depth-1, added)
	}
	return &c
}

// ToJSON writes a node as Kubernetes does on its way to a filter: repeated names stay repeated, so
// that whoever reads it strictly sees them.
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
				if after, ok := strings.CutPrefix(path, name); ok && len(name) >= len(best) &&
					(after == "" || after[0] == '.' || after[0] == '[') {
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

// inner reads JSON or YAML that stands in a string, and moves it to where the string stands: a
// position within it is the string's, since escapes and indentation hide where it began, unless it
// is a block.
func inner(n *yaml.Node) (*yaml.Node, error) {
	list, err := Documents([]byte(n.Value))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the text is neither JSON nor YAML: %w", err)
	case len(list) == 0:
		return nil, errors.New("is empty: without a configuration the filter does not start")
	case len(list) > 1:
		return nil, errors.New("has several documents: a filter reads one")
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
