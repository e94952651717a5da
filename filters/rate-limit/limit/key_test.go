// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

// keyOf reads the key parts, and returns the key of a request to /tenants/acme/x; ok is false where a part is missing.
func keyOf(t testing.TB, parts, identity, source, peer string, headers ...[2]string) (key string, ok bool) {
	t.Helper()
	p := parse(t, limitsConfig(limitConfig(`"match":[{"paths":["/tenants/{tenant}/{**}"]}],"key":[`+parts+`]`)))
	s := subject{headers: headers, peer: peer}
	s.source, _ = parseAddress(source)
	if identity != "" {
		var err error
		if s.claims, err = strictjson.Parse(identity, identityLimits); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.request.Set("GET", "API.example.com.:443", "/tenants/acme/x", false); err != nil {
		t.Fatal(err)
	}
	hits, err := p.index.All(&s.request, nil)
	if err != nil || len(hits) != 1 {
		t.Fatal(hits, err)
	}
	b, ok := s.appendKey(nil, &p.limits[0], &hits[0])
	return string(b), ok
}

func TestKeyParts(t *testing.T) {
	const identity = `{"sub":"ann","n":7,"big":1.0,"yes":true,"none":null,"empty":"","list":["a"],"obj":{"plan":"gold"}}`
	xff := func(values ...string) (h [][2]string) {
		for _, v := range values {
			h = append(h, [2]string{"x-forwarded-for", v})
		}
		return h
	}
	for _, c := range []struct {
		name, parts, source, peer string
		headers                   [][2]string
		want                      string // readable; empty: missing
	}{
		{"a claim", `{"claim":["sub"]}`, "", "", nil, "s:ann"},
		{"a claim within another", `{"claim":["obj","plan"]}`, "", "", nil, "s:gold"},
		{"a number", `{"claim":["n"]}`, "", "", nil, "n:7"},
		{"a number, as written", `{"claim":["big"]}`, "", "", nil, "n:1.0"},
		{"true", `{"claim":["yes"]}`, "", "", nil, "b:true"},
		{"null", `{"claim":["none"]}`, "", "", nil, ""},
		{"an empty claim", `{"claim":["empty"]}`, "", "", nil, ""},
		{"a list", `{"claim":["list"]}`, "", "", nil, ""},
		{"an object", `{"claim":["obj"]}`, "", "", nil, ""},
		{"no such claim", `{"claim":["tenant"]}`, "", "", nil, ""},
		{"a header", `{"header":"X-Api-Key"}`, "", "", [][2]string{{"x-api-key", "abc"}}, "h:abc"},
		{"no such header", `{"header":"x-api-key"}`, "", "", [][2]string{{"x-api-keys", "abc"}}, ""},
		{"an empty header", `{"header":"x-api-key"}`, "", "", [][2]string{{"x-api-key", ""}}, ""},
		{"P11: a header twice is one key, whatever is in it", `{"header":"x-api-key"}`, "", "", [][2]string{{"x-api-key", "abc"}, {"x-api-key", "def"}}, "*:"},
		{"the host", `{"host":true}`, "", "", nil, "o:api.example.com"},
		{"the method", `{"method":true}`, "", "", nil, "m:GET"},
		{"the template, not the path", `{"pathTemplate":true}`, "", "", nil, "t:/tenants/{tenant}/{**}"},
		{"a path variable", `{"pathVariable":"tenant"}`, "", "", nil, "v:acme"},
		{"the peer", `{"peer":true}`, "", "spiffe://a/b", nil, "p:spiffe://a/b"},
		{"no peer", `{"peer":true}`, "", "", nil, ""},
		{"a constant, escaped", `{"constant":"a|b %"}`, "", "", nil, "c:a%7Cb%20%25"},
		{"several parts", `{"claim":["sub"]},{"method":true}`, "", "", nil, "s:ann|m:GET"},
		{"several parts of which one is missing", `{"claim":["sub"]},{"peer":true}`, "", "", nil, ""},

		{"an address", `{"sourceAddress":true}`, "192.0.2.77:4711", "", nil, "a:192.0.2.77"},
		{"R10: a network", `{"sourceAddress":{"v4Prefix":24}}`, "192.0.2.77:4711", "", nil, "a:192.0.2.0"},
		{"R10: a network that ends within a byte", `{"sourceAddress":{"v4Prefix":27}}`, "192.0.2.77:4711", "", nil, "a:192.0.2.64"},
		{"R10: IPv6, whose hosts have 64 bits", `{"sourceAddress":{}}`, "[2001:DB8:1:2:3:4:5:6]:4711", "", nil, "a:2001:db8:1:2:0:0:0:0"},
		{"R10: a whole IPv6 address", `{"sourceAddress":{"v6Prefix":128}}`, "[2001:db8::6]:4711", "", nil, "a:2001:db8:0:0:0:0:0:6"},
		{"R10: IPv4 as IPv6 is IPv4", `{"sourceAddress":{}}`, "[::ffff:192.0.2.77]:4711", "", nil, "a:192.0.2.77"},
		{"a socket", `{"sourceAddress":{}}`, "/run/a.sock", "", nil, ""},
		{"a zone", `{"sourceAddress":{}}`, "[fe80::1%eth0]:1", "", nil, ""},

		{"R8 P22: the last forwarded address", `{"forwardedAddress":{"trustedHops":1}}`, "", "", xff("6.6.6.6, 192.0.2.1"), "a:192.0.2.1"},
		{"R8 P22: the last but one", `{"forwardedAddress":{"trustedHops":2}}`, "", "", xff("6.6.6.6, 192.0.2.1,10.0.0.1"), "a:192.0.2.1"},
		{"R8 P22: of several headers together", `{"forwardedAddress":{"trustedHops":3}}`, "", "", xff("6.6.6.6, 192.0.2.1", "10.0.0.1 , 10.0.0.2"), "a:192.0.2.1"},
		{"R8 P22: the first of all", `{"forwardedAddress":{"trustedHops":4}}`, "", "", xff("6.6.6.6, 192.0.2.1", "10.0.0.1 , 10.0.0.2"), "a:6.6.6.6"},
		{"R8 P22: fewer than are trusted", `{"forwardedAddress":{"trustedHops":5}}`, "", "", xff("6.6.6.6, 192.0.2.1", "10.0.0.1 , 10.0.0.2"), ""},
		{"R8 P22: none", `{"forwardedAddress":{"trustedHops":1}}`, "192.0.2.9:1", "", nil, ""},
		{"R8 P22: with a port", `{"forwardedAddress":{"trustedHops":1}}`, "", "", xff("[2001:db8:0:1::6]:80"), "a:2001:db8:0:1:0:0:0:0"},
		{"R8 P22: no address in that place", `{"forwardedAddress":{"trustedHops":1}}`, "", "", xff("192.0.2.1, unknown"), ""},
		{"R8 P22: nothing in that place", `{"forwardedAddress":{"trustedHops":1}}`, "", "", xff("192.0.2.1,"), ""},
		{"R8 P22: an empty header counts as a place", `{"forwardedAddress":{"trustedHops":2}}`, "", "", xff("192.0.2.1", ""), "a:192.0.2.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, ok := keyOf(t, c.parts, identity, c.source, c.peer, c.headers...)
			if ok != (c.want != "") || ok && readable([]byte(key)) != c.want {
				t.Errorf("%q %v, want %q", key, ok, c.want)
			}
		})
	}
}

// R10: no two different keys are one, whatever stands in their parts.
func TestKeysAreTheirParts(t *testing.T) {
	seen := map[string]string{}
	values := []string{"a", "ab", "b", "a\x01b", "s\x01a", "h\x01a", "1", "true", strings.Repeat("a", 127), strings.Repeat("a", 128), strings.Repeat("a", 257), strings.Repeat("a", 258), "-", "*"}
	add := func(what, key string, ok bool) {
		if !ok {
			t.Errorf("%s is missing", what)
		}
		if other, double := seen[key]; double {
			t.Errorf("R10: %s and %s are one key", what, other)
		}
		seen[key] = what
	}
	for _, a := range values {
		for _, b := range values {
			key, ok := keyOf(t, `{"header":"a"},{"header":"b"}`, "", "", "", [2]string{"a", a}, [2]string{"b", b})
			add("headers "+a+" "+b, key, ok)
		}
	}
	for what, claims := range map[string]string{"the string 1": `"1"`, "the number 1": `1`, "the number 1.0": `1.0`, "true": `true`, "the string true": `"true"`} {
		key, ok := keyOf(t, `{"claim":["a"]}`, `{"a":`+claims+`}`, "", "")
		add(what, key, ok)
	}
	if other, double := seen[string(appendPart(nil, noPart, ""))]; double {
		t.Errorf("R10: a missing key and %s are one", other)
	}
	p := parse(t, limitsConfig(limitConfig(""), `{"name":"ab","rate":{"requests":5,"per":"1m"},"tiers":{"claim":["x"],"values":{"b":{"requests":1,"per":"1m"}}}}`))
	a, ab := &p.limits[0], &p.limits[1]
	tags := map[uint64]bool{a.rate.shared: true, ab.rate.shared: true, ab.tiers[0].shared: true, a.rate.fallbackShared: true, ab.rate.fallbackShared: true, ab.tiers[0].fallbackShared: true}
	for _, kind := range []byte{localTag, fallbackTag, globalTag, sharedTag} {
		for _, key := range []string{"", "b", "\x01b"} {
			tags[p.tag(a, &a.rate, kind, []byte(key))] = true
			tags[p.tag(ab, &ab.rate, kind, []byte(key))] = true
			tags[p.tag(ab, ab.tiers[0], kind, []byte(key))] = true
		}
	}
	if len(tags) != 6+4*3*3 {
		t.Errorf("R10: only %d different tags", len(tags))
	}
}

func TestDescriptorKeys(t *testing.T) {
	key := appendPart(nil, 's', "ann")
	// printf 's\003ann' | sha256sum | xxd -r -p | head -c 16 | basenc --base64url
	if got := descriptorKey(key, false); got != "vXvq9pM9LwUaz1i58HSGZQ" {
		t.Errorf("%s", got)
	}
	if got := descriptorKey(key, true); got != "s:ann" {
		t.Errorf("%s", got)
	}
	long := appendPart(nil, 'h', strings.Repeat("x", 300))
	if got := descriptorKey(long, true); got != descriptorKey(long, false) || len(got) != 22 {
		t.Errorf("a long key is not hashed: %s", got)
	}
	if got := descriptorKey(appendPart(nil, noPart, ""), true); got != "-:" {
		t.Errorf("%s", got)
	}
}

func TestTiers(t *testing.T) {
	p := parse(t, limitsConfig(limitConfig(`"tiers":{"claim":["a","plan"],"values":{"gold":{"requests":50,"per":"1m"},"2":{"requests":20,"per":"1m"},"true":{"requests":30,"per":"1m"}}}`)))
	for identity, want := range map[string]int64{`{"a":{"plan":"gold"}}`: 50, `{"a":{"plan":"Gold"}}`: 5, `{"a":{"plan":2}}`: 20, `{"a":{"plan":"2"}}`: 20, `{"a":{"plan":true}}`: 30, `{"a":{"plan":["gold"]}}`: 5, `{"a":{"plan":null}}`: 5,
		`{"plan":"gold"}`: 5, `{"a":{"plan":""}}`: 5, `{}`: 5} {
		claims, err := strictjson.Parse(identity, identityLimits)
		if got := p.limits[0].tierOf(claims).requests; err != nil || got != want {
			t.Errorf("%s: %d, want %d", identity, got, want)
		}
	}
}

// R7: what a client sends never makes a request cheaper than the default, and never dearer than the maximum.
func TestCost(t *testing.T) {
	c := cost{"x-cost", 3, 50}
	for _, x := range []struct {
		name string
		sent []string
		want int64
	}{
		{"nothing", nil, 3}, {"the default", []string{"3"}, 3}, {"more", []string{"4"}, 4}, {"less than the default", []string{"1"}, 3}, {"nothing at all", []string{"0"}, 3}, {"the maximum", []string{"50"}, 50}, {"more than that", []string{"51"}, 50},
		{"R7: far more than that", []string{strings.Repeat("9", 5000)}, 50}, {"R7: what is 1 in 64 bits", []string{"18446744073709551617"}, 50}, {"negative", []string{"-5"}, 3}, {"signed", []string{"+5"}, 3}, {"a fraction", []string{"5.0"}, 3}, {"hexadecimal", []string{"0x10"}, 3}, {"zeros in front", []string{"007"}, 7},
		{"empty", []string{""}, 3}, {"other digits", []string{"٥"}, 3}, {"P11: twice", []string{"5", "9"}, 9}, {"P11: twice, the other way round", []string{"9", "5"}, 9}, {"P11: in one line", []string{"5, 9 ,7"}, 9}, {"P11: once readable", []string{"x", "9"}, 9},
	} {
		headers := [][2]string{{"x-costs", "40"}}
		for _, v := range x.sent {
			headers = append(headers, [2]string{"x-cost", v})
		}
		if got := c.of(headers); got != x.want {
			t.Errorf("%s: %d, want %d", x.name, got, x.want)
		}
	}
}

// R8: whatever a client writes in front of what trusted proxies append, the address is the one that they have appended.
func FuzzForwardedFor(f *testing.F) {
	f.Add("6.6.6.6", "", "192.0.2.1", uint8(1))
	f.Add(",,[::1]:80,", "x", "2001:db8::1", uint8(3))
	f.Fuzz(func(t *testing.T, sent, more, client string, hops uint8) {
		n := 1 + int(hops%8)
		headers := [][2]string{{"x-forwarded-for", sent}, {"x-forwarded-for", more}, {"x-other", "1.1.1.1"}}
		want, err := netip.ParseAddr(client)
		if err != nil || want.Zone() != "" {
			return
		}
		line := client
		for i := range n - 1 {
			if i%3 == 2 { // another proxy writes a line of its own
				headers, line = append(headers, [2]string{"x-forwarded-for", line}), "10.0.0.1"
			} else {
				line += ", 10.0.0.1"
			}
		}
		headers = append(headers, [2]string{"x-forwarded-for", line})
		if got := forwardedFor(headers, n); string(got.bytes[:got.size]) != string(want.Unmap().AsSlice()) {
			t.Fatalf("%v, want %v of %q", got, want, headers)
		}
		if forwardedFor(headers, 1000000).size != 0 {
			t.Fatal("an address from nowhere")
		}
	})
}

func FuzzReadable(f *testing.F) {
	f.Add("ann", "192.0.2.1")
	f.Fuzz(func(t *testing.T, a, b string) {
		one := readable(appendPart(appendPart(nil, 'h', a), 'c', b))
		for _, x := range [][2]string{{a + b, ""}, {"", a + b}, {b, a}} {
			if other := readable(appendPart(appendPart(nil, 'h', x[0]), 'c', x[1])); (x != [2]string{a, b}) == (one == other) {
				t.Fatalf("%q and %q: %s, %s", [2]string{a, b}, x, one, other)
			}
		}
	})
}

// R10: envoyproxy/ratelimit joins the entries of a descriptor with underscores (limiter/cache_key.go). No key that is sent is another one and its tier to Redis, hashed or readable.
func TestDescriptorKeyEndsWhereItEnds(t *testing.T) {
	joined := func(key, tier string) string {
		text := "tollgate_limit_a_key_" + descriptorKey(appendPart(nil, 'h', key), true) + "_"
		if tier != "" {
			text += "tier_" + tier + "_"
		}
		return text
	}
	if one, other := joined("ann", "gold"), joined("ann_tier_gold", ""); one == other {
		t.Errorf("both are %s", one)
	}
	if hashed := descriptorKey(appendPart(nil, 'h', "ann_tier_gold"), false); len(hashed) != 22 {
		t.Errorf("a hash of %d characters can be ambiguous: %s", len(hashed), hashed)
	}
}
