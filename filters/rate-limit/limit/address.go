// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import "strings"

// address is an IP address in one form: IPv6 that stands for IPv4 (::ffff:192.0.2.1, and
// 64:ff9b::192.0.2.1 behind NAT64) is IPv4. It is read here, since net/netip would bring package
// net's relatives along.
type address struct {
	bytes [16]byte // of IPv4 the first four
	size  int      // 4 or 16; 0: none
}

// parseAddress reads an address as proxies write it: 192.0.2.1, 192.0.2.1:80, 2001:db8::1,
// [2001:db8::1] and [2001:db8::1]:80. Zones are refused: they name an interface of whoever wrote
// them (but see parseSource). So is everything that some readers take for another address: zeros in
// front of a number, numbers in other bases, white space.
func parseAddress(s string) (a address, ok bool) {
	if len(s) > 0 && s[0] == '[' {
		end := strings.IndexByte(s, ']')
		if end < 0 || !isPort(s[end+1:]) {
			return address{}, false
		}
		a, ok = parseIPv6(s[1:end])
	} else if i := strings.IndexByte(s, ':'); i >= 0 && strings.IndexByte(s[i+1:], ':') >= 0 {
		a, ok = parseIPv6(s)
	} else {
		if i >= 0 {
			if !isPort(s[i:]) {
				return address{}, false
			}
			s = s[:i]
		}
		a.size = 4
		ok = parseIPv4(a.bytes[:4], s)
	}
	if !ok {
		return address{}, false
	}
	return a.unmapped(), true
}

// parseSource reads an address as the proxy has it of a connection. One that is good on a link only
// (fe80::1) has a zone there, which names an interface of this host: it is passed over.
func parseSource(s string) (address, bool) {
	if zone := strings.IndexByte(s, '%'); zone >= 0 {
		end := strings.IndexByte(s, ']')
		if end < zone {
			end = len(s)
		}
		if a, ok := parseAddress(s[:zone] + s[end:]); ok && a.size == 16 && end > zone+1 {
			return a, true
		}
		return address{}, false
	}
	return parseAddress(s)
}

// isPort accepts what may follow an address: nothing, or a colon and one to five digits.
func isPort(s string) bool {
	if s == "" {
		return true
	}
	if s[0] != ':' || len(s) < 2 || len(s) > 6 {
		return false
	}
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func parseIPv4(dst []byte, s string) bool {
	for i := range dst {
		n, digits := 0, 0
		for digits < len(s) && s[digits] >= '0' && s[digits] <= '9' {
			if n = 10*n + int(s[digits]-'0'); n > 255 || digits > 0 && s[0] == '0' {
				return false
			}
			digits++
		}
		if digits == 0 {
			return false
		}
		dst[i], s = byte(n), s[digits:]
		if i < len(dst)-1 {
			if s == "" || s[0] != '.' {
				return false
			}
			s = s[1:]
		}
	}
	return s == ""
}

// parseIPv6 reads the text forms of RFC 4291 §2.2.
func parseIPv6(s string) (a address, ok bool) {
	a.size = 16
	at, gap := 0, -1 // where the next group goes, and where :: stood
	if strings.HasPrefix(s, "::") {
		gap, s = 0, s[2:]
	}
	for s != "" {
		if at == 16 {
			return a, false
		}
		n, digits := 0, 0
		for digits < len(s) && digits < 5 {
			d := unhex(s[digits])
			if d > 15 {
				break
			}
			n, digits = n<<4|int(d), digits+1
		}
		if digits < len(s) && s[digits] == '.' {
			if at > 12 || !parseIPv4(a.bytes[at:at+4], s) {
				return a, false
			}
			at, s = at+4, ""
			break
		}
		if digits == 0 || digits > 4 {
			return a, false
		}
		a.bytes[at], a.bytes[at+1] = byte(n>>8), byte(n)
		at, s = at+2, s[digits:]
		if s == "" {
			break
		}
		if s[0] != ':' || len(s) == 1 {
			return a, false
		}
		if s = s[1:]; s[0] == ':' {
			if gap >= 0 {
				return a, false
			}
			gap, s = at, s[1:]
		}
	}
	switch {
	case gap < 0:
		return a, at == 16
	case at == 16:
		return a, false // :: stands for one group at least
	}
	copy(a.bytes[16-(at-gap):], a.bytes[gap:at])
	clear(a.bytes[gap : 16-(at-gap)])
	return a, true
}

func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 0xff
}

// mapped and translated are ::ffff:0:0/96 (RFC 4291 §2.5.5.2) and the well-known prefix of NAT64,
// 64:ff9b::/96 (RFC 6052 §2.1): all of IPv4 stands in what would be one /64.
const (
	mapped     = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff"
	translated = "\x00\x64\xff\x9b\x00\x00\x00\x00\x00\x00\x00\x00"
)

// unmapped makes IPv4 of what stands for it.
func (a address) unmapped() address {
	if prefix := string(a.bytes[:12]); a.size != 16 || prefix != mapped && prefix != translated {
		return a
	}
	v4 := address{size: 4}
	copy(v4.bytes[:4], a.bytes[12:])
	return v4
}

// prefixes are how many bits of an address tell one client from another.
type prefixes struct{ v4, v6 int }

// A host of IPv4 has one address; one of IPv6 has a whole /64, and chooses from it as it likes.
var hostPrefixes = prefixes{32, 64}

// masked returns the prefix of an address.
func (p prefixes) masked(a address) []byte {
	p.mask(&a)
	return a.bytes[:a.size]
}

// mask clears what stands behind the prefix.
func (p prefixes) mask(a *address) {
	bits := p.v4
	if a.size == 16 {
		bits = p.v6
	}
	for i := range a.bytes {
		switch keep := bits - 8*i; {
		case keep <= 0:
			a.bytes[i] = 0
		case keep < 8:
			a.bytes[i] &= 0xff << (8 - keep)
		}
	}
}
