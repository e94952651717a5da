// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"strconv"
	"strings"

	"github.com/tollgate-wasm/tollgate/shared/conf"
)

// network is a range of addresses: all that begin with the same bits.
type network struct {
	prefix address
	bits   int
}

func (n *network) has(a address) bool {
	if a.size != n.prefix.size {
		return false
	}
	whole := n.bits / 8
	for i := range whole {
		if a.bytes[i] != n.prefix.bytes[i] {
			return false
		}
	}
	rest := n.bits % 8
	return rest == 0 || (a.bytes[whole]^n.prefix.bytes[whole])>>(8-rest) == 0
}

func hasAddress(list []network, a address) bool {
	for i := range list {
		if list[i].has(a) {
			return true
		}
	}
	return false
}

// readNetworks reads the member sources of an entry; nil: every address.
func readNetworks(o *conf.Object) (list []network) {
	n, ok := o.At("sources")
	if !ok {
		return nil
	}
	for _, item := range n.List() {
		network, problem := parseNetwork(item.Text())
		if problem != "" && item.IsString() && item.Value().Str != "" {
			item.Fault(problem)
		}
		list = append(list, network)
	}
	return list
}

// parseNetwork reads a range as RFC 4632 writes it, or one address, or says in one clause what is wrong with it.
func parseNetwork(text string) (n network, problem string) {
	const want = "want a range of addresses, such as 10.0.0.0/8 or 2001:db8::/32, or one address"
	base, digits, ranged := strings.Cut(text, "/")
	ok := false
	if strings.IndexByte(base, ':') < 0 {
		n.prefix.size = 4
		ok = parseIPv4(n.prefix.bytes[:4], base)
	} else {
		n.prefix, ok = parseIPv6(base)
	}
	n.bits = 8 * n.prefix.size
	if ranged {
		bits, err := strconv.ParseUint(digits, 10, 8)
		ok = ok && err == nil && int(bits) <= n.bits && (digits == "0" || digits[0] != '0')
		n.bits = int(bits)
	}
	if !ok {
		return n, want
	}
	if v4 := n.prefix.unmapped(); v4.size == 4 && n.prefix.size == 16 && n.bits >= 96 {
		return n, "stands for IPv4 addresses, which are compared as such: write " + network{v4, n.bits - 96}.canonical()
	}
	if c := n.masked(); c != n {
		if v4 := n.prefix.unmapped(); v4.size == 4 && n.bits <= 32 {
			n = network{v4, n.bits}
		}
		return n, "has bits behind its prefix: write " + n.canonical()
	}
	return n, ""
}

// masked has nothing behind its prefix.
func (n network) masked() network {
	a := n.prefix
	prefixes{n.bits, n.bits}.mask(&a)
	return network{a, n.bits}
}

// canonical is how the range is written.
func (n network) canonical() string {
	n = n.masked()
	text := string(appendAddressText(nil, n.prefix.bytes[:n.prefix.size]))
	if n.prefix.size == 16 {
		text = shortened(n.prefix)
	}
	if n.bits == 8*n.prefix.size {
		return text
	}
	return text + "/" + strconv.Itoa(n.bits)
}

// shortened writes an IPv6 address with :: for its zeros at the end, as ranges have them.
func shortened(a address) string {
	groups := 8
	for groups > 0 && a.bytes[2*groups-1] == 0 && a.bytes[2*groups-2] == 0 {
		groups--
	}
	text := string(appendAddressText(nil, a.bytes[:16]))
	if groups >= 7 {
		return text
	}
	if groups == 0 {
		return "::"
	}
	for i := range text {
		if text[i] == ':' {
			if groups--; groups == 0 {
				return text[:i] + "::"
			}
		}
	}
	return text
}
