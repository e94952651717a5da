// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package match

import (
	"strings"

	"github.com/tollgate-wasm/tollgate/shared/conf"
)

// Condition is one entry of a rule's match list: every field that is not nil must fit.
type Condition struct {
	Hosts   []string // "api.example.com", or "*.example.com" for one label or more in front
	Paths   []Template
	Methods []string
	Headers []Header // one of each name
}

// Template is a path pattern in the syntax of Istio's path templates.
type Template struct {
	text     string
	segments []segment
	tail     bool // ends in {**}
}

type segment struct {
	literal  string // canonical; of no meaning where wild
	wild     bool
	variable string // the name of {name}; empty for {*}
}

func (t Template) String() string { return t.text }

// Plain reports whether the pattern is one path.
func (t Template) Plain() bool {
	for _, s := range t.segments {
		if s.wild {
			return false
		}
	}
	return !t.tail
}

// Variables lists the template's names, in the order of the path.
func (t Template) Variables() []string {
	var names []string
	for _, s := range t.segments {
		if s.variable != "" {
			names = append(names, s.variable)
		}
	}
	return names
}

// ReadConditions reads a match list. An absent or empty list is nil: it fits every request. literal
// is that of Request.Set.
func ReadConditions(o *conf.Object, literal bool) []Condition {
	return ReadEntries(o, "match", literal, func(*conf.Object) {})
}

// ReadEntries is ReadConditions of the member called name, whose entries may have other members, too:
// more reads those.
//
//go:noinline
func ReadEntries(o *conf.Object, name string, literal bool, more func(entry *conf.Object)) []Condition {
	list, ok := o.At(name)
	if !ok {
		return nil
	}
	var conditions []Condition
	for _, n := range list.ListOrEmpty() {
		entry := n.Object()
		var c Condition
		c.Hosts = ReadHosts(entry)
		if paths, ok := entry.At("paths"); ok {
			for _, p := range paths.List() {
				text := p.Text()
				t, problem := ParseTemplate(text, literal)
				if problem != "" && text != "" {
					p.Fault(problem)
				}
				c.Paths = append(c.Paths, t)
			}
		}
		if methods, ok := entry.At("methods"); ok {
			for _, m := range methods.List() {
				text := m.Text()
				if text != "" && !upperCase(text) {
					m.Fault("want a method in upper case, such as GET: methods are compared exactly")
				}
				c.Methods = append(c.Methods, text)
			}
		}
		if headers, ok := entry.At("headers"); ok {
			c.Headers = readHeaders(headers)
		}
		more(entry)
		entry.End()
		conditions = append(conditions, c)
	}
	return conditions
}

// ReadHosts reads the member hosts of an object; nil: every host.
func ReadHosts(o *conf.Object) (hosts []string) {
	n, ok := o.At("hosts")
	if !ok {
		return nil
	}
	for _, h := range n.List() {
		hosts = append(hosts, readHost(h))
	}
	return hosts
}

func readHost(n conf.Node) string {
	text := n.Text()
	if text == "" {
		return ""
	}
	name := strings.TrimPrefix(text, "*.")
	host, err := canonicalHost(name)
	switch {
	case strings.Contains(name, "*"):
		n.Fault("a * stands for the first labels only, as in *.example.com; leave hosts out to fit every host")
	case err != nil:
		n.Fault("want a host name such as api.example.com or *.example.com")
	case host+"." == strings.ToLower(name):
		n.Warn("its trailing dot has no effect: it is not compared")
	case host != strings.ToLower(name):
		n.Fault("write the host without port: it is not compared, so that the rule is for every port")
	}
	if len(name) < len(text) {
		return "*." + host
	}
	return host
}

// ParseTemplate reads a path pattern, or says in one clause what is wrong with it.
func ParseTemplate(text string, literal bool) (t Template, problem string) {
	t.text = text
	if !strings.HasPrefix(text, "/") {
		return t, "a path starts with a slash"
	}
	if strings.ContainsAny(text, "?#") {
		return t, "a path has no ? and no #: the query is not compared"
	}
	parts := split(nil, text)
	names := map[string]bool{}
	for i, part := range parts {
		last := i == len(parts)-1
		switch {
		case part == "{**}":
			if !last {
				return t, "{**} stands at the end only"
			}
			t.tail = true
		case part == "{*}":
			t.segments = append(t.segments, segment{wild: true})
		case strings.HasPrefix(part, "{") && strings.HasSuffix(part, "}"):
			name := part[1 : len(part)-1]
			if !isName(name) {
				return t, "a path variable is named by letters, digits and _, as in {tenant}"
			}
			if names[name] {
				return t, "the path variable {" + name + "} stands here twice"
			}
			names[name] = true
			t.segments = append(t.segments, segment{wild: true, variable: name})
		case strings.ContainsAny(part, "{}*"):
			return t, "{*}, {name} and {**} stand for whole segments; a * alone is not a pattern"
		case strings.Contains(part, ";"):
			return t, "a path pattern has no ;parameters: a request is matched with and without them"
		default:
			canonical, problem := literalSegment(part, last, literal)
			if problem != "" {
				return t, problem
			}
			if strings.ContainsAny(canonical, ";?#") {
				return t, "a path pattern has no encoded ; ? or #: a request is matched with them and as if it ended there"
			}
			t.segments = append(t.segments, segment{literal: canonical})
		}
	}
	return t, ""
}

// literalSegment gives part the form it has in a Request, and refuses what no request can have.
func literalSegment(part string, last, literal bool) (canonical, problem string) {
	var r Request
	path := "/" + part
	if !last {
		path += "/x" // so that an empty part is an empty segment, not a trailing slash
	}
	if err := r.Set("GET", "", path, literal); err != nil {
		return "", "no request can have this path: " + err.Error()
	}
	return r.segments[0], ""
}

func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '_' && (c < '0' || c > '9' || i == 0) && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return s != ""
}
