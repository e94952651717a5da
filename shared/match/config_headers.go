// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package match

import (
	"slices"
	"strings"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/forward"
)

// readHeaders reads the conditions on headers of one entry, and makes one of those on the same header.
func readHeaders(list conf.Node) (headers []Header) {
	var nodes []conf.Node // of headers
	for _, n := range list.List() {
		h, ok := readHeader(n.Object())
		if !ok {
			continue
		}
		at, folded := 0, forward.Fold(h.Name)
		for at < len(headers) && forward.Fold(headers[at].Name) != folded {
			at++
		}
		if at == len(headers) {
			headers, nodes = append(headers, h), append(nodes, n)
			continue
		}
		first := &headers[at]
		sum, ok := first.and(h)
		switch {
		case first.Name != h.Name:
			n.Fault("is another spelling of a header that this entry asks for: a request that has either is ambiguous")
		case !ok:
			n.Fault("can never hold beside the other condition on this header")
		case sum.saysNoMore(first):
			n.Warn(idle)
		case sum.saysNoMore(&h):
			nodes[at].Warn(idle)
			nodes[at] = n
		}
		*first = sum
	}
	return headers
}

const idle = "has no effect beside the other condition on this header"

// readHeader reads one condition: a name and one operator. ok is false where a part of it is missing.
func readHeader(o *conf.Object) (h Header, ok bool) {
	if n, has := o.Need("name"); has {
		h.Name = readHeaderName(n)
	}
	operators := 0
	if n, has := o.At("exact"); has {
		operators++
		h.Values = appendValue(nil, n)
		ok = h.Values != nil
	}
	if n, has := o.At("any"); has {
		operators++
		for _, item := range n.List() {
			h.Values = appendValue(h.Values, item)
		}
		ok = h.Values != nil
	}
	if n, has := o.At("prefix"); has {
		operators++
		h.Prefix = readPrefix(n)
		ok = h.Prefix != ""
	}
	if n, has := o.At("present"); has {
		operators++
		h.Absent, ok = !n.Bool(), true
	}
	if operators != 1 && o.IsObject() {
		o.Fault("want one of exact, any, prefix and present")
	}
	o.End()
	return h, ok && operators == 1 && h.Name != ""
}

func readHeaderName(n conf.Node) string {
	name := strings.ToLower(n.Text())
	if name != "" && name[0] == ':' || name == "host" {
		n.Fault("is part of the request line: use hosts, paths or methods")
		return ""
	}
	for i := range len(name) {
		if !forward.IsTokenChar(name[i]) {
			n.Fault("want the name of a header")
			return ""
		}
	}
	return name
}

func appendValue(list []string, n conf.Node) []string {
	text := n.Text()
	switch {
	case text == "":
		return list
	case slices.Contains(list, text):
		n.Warn(conf.Repeated)
		return list
	case !canBegin(text) || strings.TrimRight(text, " \t") != text:
		n.Fault(impossible)
	}
	return append(list, text)
}

func readPrefix(n conf.Node) string {
	if n.IsString() && n.Value().Str == "" {
		n.Fault("must not be empty: use present for any value")
		return ""
	}
	text := n.Text()
	if text != "" && !canBegin(text) {
		n.Fault(impossible)
	}
	return text
}

const impossible = "no header has such a value: control characters, or white space around it"

// canBegin reports whether a value can begin with text, which is not empty (RFC 9110 §5.5).
func canBegin(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return text[0] != ' ' && text[0] != '\t'
}

// and is what two conditions on one header ask for together; ok is false where no request has that.
func (h *Header) and(o Header) (sum Header, ok bool) {
	long, short := h.Prefix, o.Prefix
	if len(long) < len(short) {
		long, short = short, long
	}
	if h.Absent != o.Absent || !strings.HasPrefix(long, short) {
		return *h, false
	}
	if h.Values == nil && o.Values == nil {
		return Header{Name: h.Name, Prefix: long, Absent: h.Absent}, true
	}
	values, others := h.Values, o.Values
	if values == nil {
		values, others = others, nil
	}
	sum.Name = h.Name
	for _, v := range values {
		if strings.HasPrefix(v, long) && (others == nil || slices.Contains(others, v)) {
			sum.Values = append(sum.Values, v)
		}
	}
	return sum, sum.Values != nil
}

// saysNoMore reports whether a sum is what one of its parts is.
func (h *Header) saysNoMore(part *Header) bool {
	return len(h.Values) == len(part.Values) && (h.Values != nil || h.Prefix == part.Prefix)
}
