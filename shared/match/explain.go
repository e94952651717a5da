// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package match

import "strings"

// Fit is a rule that was looked at for a request.
type Fit struct {
	Name string
	Why  string // it does not fit; empty: it does
}

// Why tells why none of the conditions fits r, for people; empty: one does, or there are none. It
// asks an Index, so that it cannot tell another story than what decides.
func Why(conditions []Condition, r *Request) string {
	if len(conditions) == 0 || holds(r, conditions...) {
		return ""
	}
	var reasons []string
	for i := range conditions {
		reasons = append(reasons, conditions[i].why(r))
	}
	return strings.Join(reasons, "; ")
}

func holds(r *Request, conditions ...Condition) bool {
	_, ok, err := NewIndex([][]Condition{conditions}).First(r)
	return ok && err == nil
}

// why tells which of a condition's fields do not fit.
func (c *Condition) why(r *Request) string {
	var reasons []string
	if c.Hosts != nil && !holds(r, Condition{Hosts: c.Hosts}) {
		reasons = append(reasons, "the host "+quoted(r.Host)+" is none of "+strings.Join(c.Hosts, ", "))
	}
	if c.Methods != nil && !holds(r, Condition{Methods: c.Methods}) {
		reasons = append(reasons, "the method "+quoted(r.Method)+" is none of "+strings.Join(c.Methods, ", "))
	}
	if c.Paths != nil && !holds(r, Condition{Paths: c.Paths}) {
		var paths []string
		for _, t := range c.Paths {
			paths = append(paths, t.text)
		}
		reasons = append(reasons, "the path "+quoted(r.Path)+" is none of "+strings.Join(paths, ", "))
	}
	for i := range c.Headers {
		if h := &c.Headers[i]; !holds(r, Condition{Headers: []Header{*h}}) {
			reasons = append(reasons, "the header "+h.Name+" "+h.why(&r.asked[0]))
		}
	}
	if len(reasons) == 0 {
		return "another reading of the path does not fit"
	}
	return strings.Join(reasons, ", ")
}

// why tells what is wrong with a header that an Index has just looked at.
func (h *Header) why(a *asked) string {
	switch {
	case a.other:
		return "is there in another spelling: it is ambiguous"
	case a.twice && h.ofValue():
		return "is there twice: it is ambiguous"
	case !a.there:
		return "is not there"
	case h.Absent:
		return "is there"
	case h.Prefix != "":
		return "is " + quoted(a.value) + ", wanted is one that begins with " + quoted(h.Prefix)
	}
	var values []string
	for _, v := range h.Values {
		values = append(values, quoted(v))
	}
	return "is " + quoted(a.value) + ", wanted is " + strings.Join(values, " or ")
}

func quoted(s string) string { return `"` + s + `"` }
