// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"net/netip"
	"strings"
	"testing"
)

// independent reads an address by net/netip.
func independent(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
			if a, err = netip.ParseAddr(s[1 : len(s)-1]); err != nil || !a.Is6() {
				return a, false
			}
		} else {
			host, port, ok := cutPort(s)
			if !ok || !isDigits(port) {
				return a, false
			}
			if strings.HasPrefix(host, "[") {
				if a, err = netip.ParseAddr(strings.TrimSuffix(host[1:], "]")); err != nil || !a.Is6() ||
					!strings.HasSuffix(host, "]") {
					return a, false
				}
			} else if a, err = netip.ParseAddr(host); err != nil || !a.Is4() {
				return a, false
			}
		}
	}
	return unmap(a), a.Zone() == ""
}

// unmap makes IPv4 of what stands for it, NAT64's addresses among that.
func unmap(a netip.Addr) netip.Addr {
	if a.Zone() == "" && netip.MustParsePrefix("64:ff9b::/96").Contains(a) {
		b := a.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a.Unmap()
}

func cutPort(s string) (host, port string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

func isDigits(s string) bool {
	return len(s) >= 1 && len(s) <= 5 && strings.Trim(s, "0123456789") == ""
}

var addresses = []string{
	"192.0.2.1", "192.0.2.1:443", "255.255.255.255:65535", "0.0.0.0", "2001:db8::1", "[2001:db8::1]:443", "[::1]", "::",
	"::1", "1::", "::ffff:192.0.2.1", "[::ffff:192.0.2.1]:1",
	"::FFFF:c000:0201", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:192.0.2.1", "64:ff9b::192.0.2.33", "::1:2:3:4:5:6:7",
	"1:2:3:4:5:6:7::", "FE80::A", "::ffff:0:192.0.2.1", "::192.0.2.1",
	// None of these is one.
	"", " 192.0.2.1", "192.0.2.1 ", "192.0.2", "192.0.2.1.5", "192.0.2.256", "192.0.2.01", "0x7f.0.0.1", "192.0.2.1:",
	"192.0.2.1:x", "192.0.2.1:123456", "192.0.2.-1", "192..2.1",
	"fe80::1%eth0", "[fe80::1%25eth0]:80", ":::", "1:::2", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
	"::1:2:3:4:5:6:7:8", "1:2:3:4::5:6:7:8", "12345::", "g::", ":1", "1:", "[::1", "::1]", "[::1]80",
	"[192.0.2.1]", "[192.0.2.1]:80", "[]", "[]:80", "[", "1:2:3:4:5:6:7:192.0.2.1", "::192.0.2.1:80", "::1.2.3",
	"::1.2.3.4.5", "@", "/run/proxy.sock", "unix:///x", "localhost", "_hidden", "unknown", "1::2:", "1.2.3.4:80:90",
}

func TestAddressesAsNetipReadsThem(t *testing.T) {
	good := 0
	for _, s := range addresses {
		if sameAddress(t, s) {
			good++
		}
	}
	if good != 21 {
		t.Errorf("%d of the texts are addresses", good)
	}
}

func sameAddress(t *testing.T, s string) bool {
	t.Helper()
	got, ok := parseAddress(s)
	want, wantOK := independent(s)
	if ok != wantOK || ok && string(got.bytes[:got.size]) != string(want.AsSlice()) {
		t.Errorf("%q: %v %v, net/netip says %v %v", s, got, ok, want, wantOK)
	}
	return ok
}

func FuzzAddress(f *testing.F) {
	for _, s := range addresses {
		f.Add(s, 20, 52)
	}
	f.Fuzz(func(t *testing.T, s string, v4, v6 int) {
		if !sameAddress(t, s) {
			return
		}
		p := prefixes{1 + int(uint(v4)%32), 1 + int(uint(v6)%128)}
		a, _ := parseAddress(s)
		want, _ := independent(s)
		bits := p.v4
		if want.Is6() {
			bits = p.v6
		}
		prefix, err := want.Prefix(bits)
		if got := p.masked(a); err != nil || string(got) != string(prefix.Addr().AsSlice()) {
			t.Errorf("%s/%d is %v, net/netip says %v", s, bits, got, prefix)
		}
	})
}
