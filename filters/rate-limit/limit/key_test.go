// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// keyOf reads the key parts, and returns the key of a request to /tenants/acme/x.
func keyOf(t testing.TB, parts, identity, source, peer string, headers ...[2]string) (key string, how reading) {
	t.Helper()
	p := parse(t, limitsConfig(limitConfig(`"match":[{"paths":["/tenants/{tenant}/{**}"]}],"key":[`+parts+`]`)))
	s := subject{headers: headers, peer: peer, from: absent}
	if source != "" {
		ok := false
		if s.source, ok = parseSource(source); ok {
			s.from = found
		} else {
			s.from = unreadable
		}
	}
	if identity != "" {
		var err error
		if s.claims, err = decide.ParseIdentity(identity); err != nil {
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
	b, how := s.appendKey(nil, &p.limits[0], &hits[0])
	return string(b), how
}

func TestKeyParts(t *testing.T) {
	const identity = `{"sub":"ann","n":7,"big":1.0,"yes":true,"none":null,"empty":"","list":["ann"],"obj":{"plan":"gold"},"groups":["dev","ops"],"swapped":["ops","dev","ops"],"mixed":["1",1,true,1.0,null],
		"nothing":[],"nulls":[null],"nested":[["ann"]],"objects":["ann",{}],"blank":["ann",""],"many":["|l:2"],"id":9007199254740993,"ids":[9007199254740992]}`
	xff := func(values ...string) (h [][2]string) {
		for _, v := range values {
			h = append(h, [2]string{"x-forwarded-for", v})
		}
		return h
	}
	for _, c := range []struct {
		name, parts, source, peer string
		headers                   [][2]string
		want                      string // readable; empty: missing; *: unreadable
	}{
		{"a claim", `{"claim":["sub"]}`, "", "", nil, "s:ann"},
		{"a claim within another", `{"claim":["obj","plan"]}`, "", "", nil, "s:gold"},
		{"a number", `{"claim":["n"]}`, "", "", nil, "n:7"},
		{"a number in another spelling", `{"claim":["big"]}`, "", "", nil, "n:1"},
		{"a number that a float64 has not", `{"claim":["id"]}`, "", "", nil, "n:9007199254740993"},
		{"true", `{"claim":["yes"]}`, "", "", nil, "b:true"},
		{"null", `{"claim":["none"]}`, "", "", nil, ""},
		{"an empty claim", `{"claim":["empty"]}`, "", "", nil, "*:"},
		{"a list of one, as that one", `{"claim":["list"]}`, "", "", nil, "s:ann"},
		{"a list", `{"claim":["groups"]}`, "", "", nil, "l:2|s:dev|s:ops"},
		{"a list in another order, with one item twice", `{"claim":["swapped"]}`, "", "", nil, "l:2|s:dev|s:ops"},
		{"a list of all kinds", `{"claim":["mixed"]}`, "", "", nil, "l:3|b:true|n:1|s:1"},
		{"a list of one that looks like a list", `{"claim":["many"]}`, "", "", nil, "s:%7Cl:2"},
		{"a list of a number", `{"claim":["ids"]}`, "", "", nil, "n:9007199254740992"},
		{"a list of nothing", `{"claim":["nothing"]}`, "", "", nil, "*:"},
		{"a list of nulls", `{"claim":["nulls"]}`, "", "", nil, "*:"},
		{"a list in a list", `{"claim":["nested"]}`, "", "", nil, "*:"},
		{"a list with an object", `{"claim":["objects"]}`, "", "", nil, "*:"},
		{"a list with an empty string", `{"claim":["blank"]}`, "", "", nil, "*:"},
		{"an object", `{"claim":["obj"]}`, "", "", nil, "*:"},
		{"a member of what is no object", `{"claim":["sub","name"]}`, "", "", nil, "*:"},
		{"a member of a list", `{"claim":["groups","dev"]}`, "", "", nil, "*:"},
		{"a member of null", `{"claim":["none","name"]}`, "", "", nil, ""},
		{"no such claim", `{"claim":["tenant"]}`, "", "", nil, ""},
		{"a header", `{"header":"X-Api-Key"}`, "", "", [][2]string{{"x-api-key", "abc"}}, "h:abc"},
		{"no such header", `{"header":"x-api-key"}`, "", "", [][2]string{{"x-api-keys", "abc"}}, ""},
		{"an empty header", `{"header":"x-api-key"}`, "", "", [][2]string{{"x-api-key", ""}}, "*:"},
		{"P11: a header twice is one key, whatever is in it", `{"header":"x-api-key"}`, "", "",
			[][2]string{{"x-api-key", "abc"}, {"x-api-key", "def"}}, "*:"},
		{"the host", `{"host":true}`, "", "", nil, "o:api.example.com"},
		{"the method", `{"method":true}`, "", "", nil, "m:GET"},
		{"the template, not the path", `{"pathTemplate":true}`, "", "", nil, "t:/tenants/{tenant}/{**}"},
		{"a path variable", `{"pathVariable":"tenant"}`, "", "", nil, "v:acme"},
		{"the peer", `{"peer":true}`, "", "spiffe://a/b", nil, "p:spiffe://a/b"},
		{"no peer", `{"peer":true}`, "", "", nil, ""},
		{"a constant, escaped", `{"constant":"a|b %"}`, "", "", nil, "c:a%7Cb%20%25"},
		{"several parts", `{"claim":["sub"]},{"method":true}`, "", "", nil, "s:ann|m:GET"},
		{"several parts of which one cannot be read", `{"claim":["sub"]},{"header":"x"}`, "", "",
			[][2]string{{"x", "a"}, {"x", "b"}}, "*:"},
		{"one missing, and one that cannot be read", `{"peer":true},{"header":"x"}`, "", "",
			[][2]string{{"x", "a"}, {"x", "b"}}, "*:"},
		{"one that cannot be read, and one missing", `{"header":"x"},{"peer":true}`, "", "",
			[][2]string{{"x", "a"}, {"x", "b"}}, "*:"},
		{"several parts of which one is missing", `{"claim":["sub"]},{"peer":true}`, "", "", nil, ""},

		{"an address", `{"sourceAddress":true}`, "192.0.2.77:4711", "", nil, "a:192.0.2.77"},
		{"R10: a network", `{"sourceAddress":{"v4Prefix":24}}`, "192.0.2.77:4711", "", nil, "a:192.0.2.0"},
		{"R10: a network that ends within a byte", `{"sourceAddress":{"v4Prefix":27}}`, "192.0.2.77:4711", "", nil,
			"a:192.0.2.64"},
		{"R10: IPv6, whose hosts have 64 bits", `{"sourceAddress":{}}`, "[2001:DB8:1:2:3:4:5:6]:4711", "", nil,
			"a:2001:db8:1:2:0:0:0:0"},
		{"R10: a whole IPv6 address", `{"sourceAddress":{"v6Prefix":128}}`, "[2001:db8::6]:4711", "", nil,
			"a:2001:db8:0:0:0:0:0:6"},
		{"R10: IPv4 as IPv6 is IPv4", `{"sourceAddress":{}}`, "[::ffff:192.0.2.77]:4711", "", nil, "a:192.0.2.77"},
		{"R10: IPv4 behind NAT64 is IPv4", `{"sourceAddress":{"v4Prefix":24}}`, "[64:ff9b::192.0.2.77]:4711", "", nil,
			"a:192.0.2.0"},
		{"a socket", `{"sourceAddress":{}}`, "/run/a.sock", "", nil, "*:"},
		{"an internal listener's", `{"sourceAddress":{}}`, "envoy://internal_client_address/", "", nil, "*:"},
		{"nothing", `{"sourceAddress":{}}`, "", "", nil, ""},
		{"a zone", `{"sourceAddress":{"v6Prefix":128}}`, "[fe80::1%eth0]:1", "", nil, "a:fe80:0:0:0:0:0:0:1"},
		{"a zone by its number, without a port", `{"sourceAddress":{"v6Prefix":128}}`, "fe80::1%4", "", nil,
			"a:fe80:0:0:0:0:0:0:1"},
		{"a zone of no name", `{"sourceAddress":{}}`, "[fe80::1%]:1", "", nil, "*:"},
		{"a zone of an IPv4 address", `{"sourceAddress":{}}`, "192.0.2.1%4:1", "", nil, "*:"},

		{"R8 P22: the last forwarded address", `{"forwardedAddress":{"trustedHops":1}}`, "", "",
			xff("6.6.6.6, 192.0.2.1"), "a:192.0.2.1"},
		{"R8 P22: the last but one", `{"forwardedAddress":{"trustedHops":2}}`, "", "",
			xff("6.6.6.6, 192.0.2.1,10.0.0.1"), "a:192.0.2.1"},
		{"R8 P22: of several headers together", `{"forwardedAddress":{"trustedHops":3}}`, "", "",
			xff("6.6.6.6, 192.0.2.1", "10.0.0.1 , 10.0.0.2"), "a:192.0.2.1"},
		{"R8 P22: the first of all", `{"forwardedAddress":{"trustedHops":4}}`, "", "",
			xff("6.6.6.6, 192.0.2.1", "10.0.0.1 , 10.0.0.2"), "a:6.6.6.6"},
		{"R8 P22: fewer than are trusted", `{"forwardedAddress":{"trustedHops":5}}`, "", "",
			xff("6.6.6.6, 192.0.2.1", "10.0.0.1 , 10.0.0.2"), ""},
		{"R8 P22: none", `{"forwardedAddress":{"trustedHops":1}}`, "192.0.2.9:1", "", nil, ""},
		{"R8 P22: with a port", `{"forwardedAddress":{"trustedHops":1}}`, "", "", xff("[2001:db8:0:1::6]:80"),
			"a:2001:db8:0:1:0:0:0:0"},
		{"R8 P22: no address in that place", `{"forwardedAddress":{"trustedHops":1}}`, "", "",
			xff("192.0.2.1, unknown"), "*:"},
		{"R8 P22: nothing in that place", `{"forwardedAddress":{"trustedHops":1}}`, "", "", xff("192.0.2.1,"), "*:"},
		{"R8 P22: a port without brackets", `{"forwardedAddress":{"trustedHops":1}}`, "", "", xff("2001:db8::1:44321"), "*:"},
		{"R8 P22: a zone that another host has written", `{"forwardedAddress":{"trustedHops":1}}`, "", "",
			xff("fe80::1%eth0"), "*:"},
		{"R8 P22: a name in place of an address", `{"forwardedAddress":{"trustedHops":1}}`, "", "", xff("_hidden"), "*:"},
		{"R8 P22: an empty header", `{"forwardedAddress":{"trustedHops":1}}`, "", "", xff(""), "*:"},
		{"R8 P22: with an IPv4 port", `{"forwardedAddress":{"trustedHops":1}}`, "", "", xff("192.0.2.1:44321"),
			"a:192.0.2.1"},
		{"R10: its network", `{"forwardedAddress":{"trustedHops":1,"v4Prefix":24,"v6Prefix":56}}`, "", "",
			xff("192.0.2.77"), "a:192.0.2.0"},
		{"R10: its network, in IPv6", `{"forwardedAddress":{"trustedHops":1,"v4Prefix":24,"v6Prefix":56}}`, "", "",
			xff("2001:db8:0:1ff::1"), "a:2001:db8:0:100:0:0:0:0"},
		{"R10: a forwarded address behind NAT64", `{"forwardedAddress":{"trustedHops":1}}`, "", "",
			xff("64:ff9b::c000:21"), "a:192.0.0.33"},
		{"R8 P22: an empty header counts as a place", `{"forwardedAddress":{"trustedHops":2}}`, "", "",
			xff("192.0.2.1", ""), "a:192.0.2.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, how := keyOf(t, c.parts, identity, c.source, c.peer, c.headers...)
			want := found
			switch c.want {
			case "":
				want = absent
			case "*:":
				want = unreadable
			}
			if how != want || how != absent && readable([]byte(key)) != c.want {
				t.Errorf("%q %v, want %q", key, how, c.want)
			}
		})
	}
}

// R10: no two different keys are one, whatever stands in their parts.
func TestKeysAreTheirParts(t *testing.T) {
	seen := map[string]string{}
	values := []string{"a", "ab", "b", "a\x01b", "s\x01a", "h\x01a", "1", "true", strings.Repeat("a", 127),
		strings.Repeat("a", 128), strings.Repeat("a", 257), strings.Repeat("a", 258), "-", "*"}
	add := func(what, key string, how reading) {
		if how != found {
			t.Errorf("%s is missing", what)
		}
		if other, double := seen[key]; double {
			t.Errorf("R10: %s and %s are one key", what, other)
		}
		seen[key] = what
	}
	for _, a := range values {
		for _, b := range values {
			key, how := keyOf(t, `{"header":"a"},{"header":"b"}`, "", "", "", [2]string{"a", a}, [2]string{"b", b})
			add("headers "+a+" "+b, key, how)
		}
	}
	for what, claims := range map[string]string{"the string 1": `"1"`, "the number 1": `1`, "the number 1.5": `1.5`,
		"the number 15": `15`, "true": `true`, "the string true": `"true"`, "two": `["a","b"]`, "two others": `["a","b","c"]`,
		"two in one": `["as\u0001b"]`, "two that look like others": `["a\u0001","b"]`} {
		key, how := keyOf(t, `{"claim":["a"]}`, `{"a":`+claims+`}`, "", "")
		add(what, key, how)
	}
	// A list says how many items it has: the next part's are none of them.
	for what, claims := range map[string]string{"two and one": `{"a":["x","y"],"b":"z"}`,
		"one and two": `{"a":"x","b":["y","z"]}`, "two and two": `{"a":["x","y"],"b":["y","z"]}`} {
		key, how := keyOf(t, `{"claim":["a"]},{"claim":["b"]}`, claims, "", "")
		add(what, key, how)
	}
	if other, double := seen[string(appendPart(nil, noPart, ""))]; double {
		t.Errorf("R10: a missing key and %s are one", other)
	}
	p := parse(t, limitsConfig(limitConfig(""),
		`{"name":"ab","rate":{"requests":5,"per":"1m"},"tiers":{"claim":["x"],"values":{"b":{"requests":1,"per":"1m"}}}}`))
	a, ab := &p.limits[0], &p.limits[1]
	tags := map[uint64]bool{a.rate.shared: true, ab.rate.shared: true, ab.tiers[0].shared: true,
		a.rate.fallbackShared: true, ab.rate.fallbackShared: true, ab.tiers[0].fallbackShared: true}
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
	p := parse(t, limitsConfig(
		limitConfig(`"tiers":{"claim":["a","plan"],"values":{"gold":{"requests":50,"per":"1m"},"2":{"requests":20,"per":"1m"},"true":{"requests":30,"per":"1m"}}}`)))
	for identity, want := range map[string]int64{`{"a":{"plan":"gold"}}`: 50, `{"a":{"plan":"Gold"}}`: 5,
		`{"a":{"plan":2}}`: 20, `{"a":{"plan":"2"}}`: 20, `{"a":{"plan":true}}`: 30, `{"a":{"plan":["gold"]}}`: 50,
		`{"a":{"plan":null}}`:              5,
		`{"a":{"plan":["true",2,"gold"]}}`: 50, `{"a":{"plan":["tin",2,true]}}`: 20,
		`{"a":{"plan":["tin",["gold"],{"gold":"gold"}]}}`: 5, `{"a":{"plan":[]}}`: 5, `{"a":{"plan":{"gold":true}}}`: 5,
		`{"a":{"plan":2.0}}`: 20, `{"a":{"plan":0.2e1}}`: 20,
		`{"plan":"gold"}`: 5, `{"a":{"plan":""}}`: 5, `{}`: 5} {
		claims, err := decide.ParseIdentity(identity)
		if got := p.limits[0].tierOf(&subject{claims: claims}).requests; err != nil || got != want {
			t.Errorf("%s: %d, want %d", identity, got, want)
		}
	}
}

// All spellings of a number are one, and of another value none is.
func TestCanonicalNumber(t *testing.T) {
	for want, spellings := range map[string][]string{
		"0": {"0", "-0", "0.0", "0e5", "-0.00e-3"}, "1": {"1", "1.0", "1e0", "10e-1", "0.1e1", "1E+0", "1000e-3"},
		"-1": {"-1", "-1.0", "-10e-1"}, "15e-1": {"1.5", "15e-1", "0.15E1", "1.50"},
		"100": {"100", "1e2", "100.0"}, "9007199254740993": {"9007199254740993", "9007199254740993.0"},
		"1e21": {"1e21", "1000000000000000000000"}, "100000000000000000000": {"1e20"}, "5e-1": {"0.5", "5e-1"},
		"123456789012345678901234567890": {"123456789012345678901234567890"},
	} {
		for _, raw := range spellings {
			if got := canonicalNumber(raw); got != want {
				t.Errorf("%s: %s, want %s", raw, got, want)
			}
		}
	}
	if one, other := canonicalNumber("1e99999999999999999999"),
		canonicalNumber("1e-99999999999999999999"); one == "1" || other == "1" {
		t.Errorf("out of all ranges: %s, %s", one, other)
	}
}

// R8: what cannot be read is not missing: such requests are one key's, or denied, and no spelling
// of them gets around the limit.
func TestUnreadableIsNotMissing(t *testing.T) {
	for name, c := range map[string]struct {
		key, identity, source string
		headers               [][2]string
	}{
		"a claim that is an object":     {`{"claim":["sub"]}`, `{"sub":{"a":1}}`, "", nil},
		"a claim that is empty":         {`{"claim":["sub"]}`, `{"sub":""}`, "", nil},
		"a header twice":                {`{"header":"x-key"}`, "", "", [][2]string{{"x-key", "a"}, {"x-key", "b"}}},
		"a header that is empty":        {`{"header":"x-key"}`, "", "", [][2]string{{"x-key", ""}}},
		"an address that is a socket's": {`{"sourceAddress":true}`, "", "/run/a.sock", nil},
		"no address": {`{"forwardedAddress":{"trustedHops":1}}`, "", "",
			[][2]string{{"x-forwarded-for", "unknown"}}},
		"no address, and one missing": {`{"claim":["sub"]},{"forwardedAddress":{"trustedHops":1}}`, "{}", "",
			[][2]string{{"x-forwarded-for", "2001:db8::1:44321"}}},
	} {
		for mode, want := range map[string][3]*verdict.Code{"skip": {verdict.OK, verdict.OK, RateLimited},
			"shared": {verdict.OK, verdict.OK, RateLimited}, "deny": {KeyMissing, KeyMissing, KeyMissing}} {
			x := newProxy(t, limitsConfig(`{"name":"a","rate":{"requests":2,"per":"1h"},"key":[`+c.key+
				`],"onMissingKey":"`+mode+`"}`))
			x.identity, x.source = c.identity, c.source
			for i, code := range want {
				if got := x.get("/", c.headers...).Verdict().Code; got != code {
					t.Errorf("%s, %s, request %d: %s, want %s", name, mode, i+1, got.Name, code.Name)
				}
			}
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
		{"nothing", nil, 3}, {"the default", []string{"3"}, 3}, {"more", []string{"4"}, 4}, {"less than the default",
			[]string{"1"}, 3}, {"nothing at all", []string{"0"}, 3}, {"the maximum", []string{"50"}, 50},
		{"more than that", []string{"51"}, 50},
		{"R7: far more than that", []string{strings.Repeat("9", 5000)}, 50}, {"R7: what is 1 in 64 bits",
			[]string{"18446744073709551617"}, 50}, {"negative", []string{"-5"}, 50}, {"signed", []string{"+5"}, 50},
		{"with decimals", []string{"5.0"}, 5}, {"a fraction, rounded up", []string{"5.01"}, 6},
		{"a fraction of the maximum", []string{"50.5"}, 50}, {"no number", []string{"5."}, 5},
		{"no number before the point", []string{".5"}, 50}, {"two points", []string{"5.0.0"}, 50}, {"an exponent",
			[]string{"1e1"}, 50}, {"hexadecimal", []string{"0x10"}, 50}, {"zeros in front", []string{"007"}, 7},
		{"empty", []string{""}, 50}, {"a list of nothing", []string{" , "}, 50}, {"an empty item", []string{"5,"}, 5},
		{"an empty one beside another", []string{"5", ""}, 50}, {"other digits", []string{"٥"}, 50}, {"P11: twice",
			[]string{"5", "9"}, 9}, {"P11: twice, the other way round", []string{"9", "5"}, 9},
		{"P11: in one line", []string{"5, 9 ,7"}, 9}, {"P11: once readable", []string{"x", "9"}, 50},
		{"P11: once readable, in one line", []string{"9, x"}, 50},
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
		if got, how := forwardedFor(headers, n); how != found ||
			string(got.bytes[:got.size]) != string(unmap(want).AsSlice()) {
			t.Fatalf("%v %v, want %v of %q", got, how, want, headers)
		}
		if _, how := forwardedFor(headers, 1000000); how != absent {
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

// R10: envoyproxy/ratelimit joins the entries of a descriptor with underscores
// (limiter/cache_key.go). No key that is sent is another one and its tier to Redis, hashed or
// readable.
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
