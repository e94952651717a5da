// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwks

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/jose"
)

var start = time.Unix(1_700_000_000, 0)

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

func micro(seconds int) int64 { return at(seconds).UnixMicro() }

func TestReadDocument(t *testing.T) {
	oct := `{"kty":"oct","k":"` + strings.Repeat("A", 43) + `"}`
	a, b := p256(`"kid":"a"`), otherP256(`"kid":"a"`)
	for _, c := range []struct {
		name, body string
		usable     int
		passed     string // indexes and reasons
		want       string // the error; empty: the set is taken
	}{
		{"a set", keyed(a), 1, "", ""},
		{"a byte order mark", "\ufeff" + keyed(a), 1, "", ""},
		{"null and empty members",
			keyed(p256(`"kid":"a"`, `"d":null`, `"k":null`, `"alg":null`, `"use":null`, `"key_ops":null`),
				p384(`"kid":""`, `"alg":""`, `"use":""`, `"key_ops":[]`)), 2, "", ""},
		{"the use of a JWT-SVID", keyed(p256(`"kid":"a"`, `"use":"jwt-svid"`)), 1, "", ""},
		{"J24 the authority of X.509-SVIDs", keyed(p256(`"use":"x509-svid"`), a), 1, "0 ErrKeyUse", ""},
		{"a use that nobody knows, and one that is no text",
			keyed(p256(`"kid":"a"`, `"use":"sign"`), p384(`"kid":"b"`, `"use":7`)), 2, "", ""},
		{"operations in the singular",
			keyed(p256(`"kid":"a"`, `"key_ops":"verify"`), p384(`"kid":"b"`, `"key_ops":["sign"]`)), 2, "", ""},
		{"J24 operations of encryption", keyed(p256(`"key_ops":["encrypt"]`), p384(`"key_ops":"wrapKey"`), a), 1,
			"0 ErrKeyUse, 1 ErrKeyUse", ""},
		{"J24 keys that cannot be used are passed over",
			keyed(`{"kty":"AKP"}`, p256(`"use":"enc"`), p256(`"alg":"ES521"`), a), 1,
			"0 ErrKeyType, 1 ErrKeyUse, 2 ErrKeyAlg", ""},
		{"a key that is no object, and one without kty", keyed(`"x"`, `[]`, `null`, `{}`, a), 1,
			"0 ErrKeyType, 1 ErrKeyType, 2 ErrKeyType, 3 ErrKeyType", ""},
		{"a kid that is a number, and one that is long",
			keyed(p256(`"kid":7`), p256(`"kid":"`+strings.Repeat("x", 257)+`"`), a), 1, "0 ErrKeyID, 1 ErrKeyID", ""},
		{"J8 a key with a member twice", keyed(p256(`"alg":"ES256","alg":"ES384"`), a), 1, "0 ErrRepeated", ""},
		{"J8 a member twice that is nobody's", `{"x":1,"x":2,"keys":[` + a + `]}`, 1, "", ""},
		{"one kid for two curves", keyed(a, p384(`"kid":"a"`)), 2, "", ""},
		{"one kid for three algorithms",
			keyed(rsa(`"kid":"a"`, `"alg":"RS256"`), rsa(`"kid":"a"`, `"alg":"RS384"`),
				rsa(`"kid":"a"`, `"alg":"PS256"`)), 3, "", ""},
		{"one kid for RSA and EC", keyed(a, rsa(`"kid":"a"`)), 2, "", ""},
		{"the same key twice", keyed(a, a), 1, "1 ErrTwice", ""},
		{"J24 one kid for two keys that a token could mean", keyed(a, b), 1, "1 ErrRepeatedKID", ErrRepeatedKID.Error()},
		{"one kid for two keys, of which one says its algorithm", keyed(a, otherP256(`"kid":"a"`, `"alg":"ES256"`)), 2,
			"", ""},
		{"one key, with its algorithm and without", keyed(a, p256(`"kid":"a"`, `"alg":"ES256"`)), 2, "", ""},
		{"an empty list of other primes", keyed(rsa(`"oth":[]`)), 1, "", ""},
		{"J24 a list of other primes", keyed(a, rsa(`"oth":[{"r":"AQ"}]`)), 1, "1 ErrKeyPrivate", jose.ErrKeyPrivate.Error()},
		{"what nobody reads: NUL, half a surrogate pair, depth and large numbers", `{"x":["\u0000\ud800",` +
			strings.Repeat("[", 40) + strings.Repeat("]", 40) + `,1e999,` + strings.Repeat("9", 400) + `],"keys":[` +
			a + `]}`, 1, "", ""},
		{"J10 bytes that are no UTF-8", "{\"x\":\"\xff\",\"keys\":[" + a + "]}", 0, "",
			"the answer cannot be read: not valid UTF-8 at byte 6"},
		{"J24 a secret", keyed(a, oct), 1, "1 ErrSymmetric", ErrSymmetric.Error()},
		{"J24 a secret for encryption", keyed(a, strings.Replace(oct, "{", `{"use":"enc",`, 1)), 1, "1 ErrSymmetric",
			ErrSymmetric.Error()},
		{"J24 a private key", keyed(a, p384(`"d":"AAAA"`)), 1, "1 ErrKeyPrivate", jose.ErrKeyPrivate.Error()},
		{"J24 a private key for encryption", keyed(a, p384(`"d":"AAAA"`, `"use":"enc"`)), 1, "1 ErrKeyPrivate",
			jose.ErrKeyPrivate.Error()},
		{"J24 a private key of a kind that we do not know", keyed(a, `{"kty":"AKP","priv":"AAAA"}`), 1,
			"1 ErrKeyPrivate", jose.ErrKeyPrivate.Error()},
		{"J24 a private member twice, null at last", keyed(a, p384(`"d":"AAAA"`, `"d":null`)), 1, "1 ErrKeyPrivate",
			jose.ErrKeyPrivate.Error()},
		{"J24 a private member twice, null first", keyed(a, p384(`"d":null`, `"d":"AAAA"`)), 1, "1 ErrKeyPrivate",
			jose.ErrKeyPrivate.Error()},
		{"J24 nothing that can be used", keyed(`{"kty":"AKP"}`), 0, "0 ErrKeyType, -1 ErrNoKey", ErrNoKey.Error()},
		{"J24 no keys", keyed(), 0, "-1 ErrNoKey", ErrNoKey.Error()},
		{"J24 65 keys", keyed(strings.Split(strings.Repeat(p256(`"x5t":"A"`)+"|", 64)+p256(), "|")...), 1, "",
			ErrTooMany.Error()},
		{"J24 HTML", "<html>", 0, "", "the answer cannot be read: not JSON at byte 0"},
		{"compressed", "\x1f\x8b\x08", 0, "", ErrGzip.Error()},
		{"J8 keys twice", `{"keys":[],"keys":[` + p256() + `]}`, 0, "", ErrKeysTwice.Error()},
		{"J24 nothing", "", 0, "", ErrBody.Error()},
		{"J24 nothing but a byte order mark", "\ufeff", 0, "", ErrBody.Error()},
		{"J24 a huge body", strings.Repeat(" ", MaxBody) + keyed(p256()), 0, "", ErrBody.Error()},
		{"as huge as allowed", strings.Repeat(" ", MaxBody-len(keyed(p256()))) + keyed(p256()), 1, "", ""},
		{"an object of something else", `{"error":"x"}`, 0, "-1 ErrNoSet", ErrNoSet.Error()},
	} {
		set, passed, err := ReadDocument(c.body)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want || (err == nil) != (set != nil) || err == nil && set.Len() != c.usable {
			t.Errorf("%s: %v, %q; want %d keys, %q", c.name, set, got, c.usable, c.want)
		}
		var all []string
		for _, p := range passed {
			all = append(all, strconv.Itoa(p.Index)+" "+reasons[p.Err])
		}
		if got := strings.Join(all, ", "); got != c.passed && c.passed != "" {
			t.Errorf("%s: %s is passed over, want %s", c.name, got, c.passed)
		}
	}
}

var reasons = map[error]string{
	jose.ErrKeyType: "ErrKeyType", jose.ErrKeyUse: "ErrKeyUse", jose.ErrKeyAlg: "ErrKeyAlg", jose.ErrKeyID: "ErrKeyID",
	jose.ErrKeyPrivate: "ErrKeyPrivate",
	ErrRepeated:        "ErrRepeated", ErrTwice: "ErrTwice", ErrRepeatedKID: "ErrRepeatedKID",
	ErrSymmetric: "ErrSymmetric",
	ErrNoKey:     "ErrNoKey", ErrNoSet: "ErrNoSet", ErrTooMany: "ErrTooMany",
}

func TestRecord(t *testing.T) {
	r := Record{1, -2, 3, 1 << 60, 5, 6}
	if got, ok := DecodeRecord(r.Encode()); !ok || got != r {
		t.Errorf("%+v, %v", got, ok)
	}
	for _, b := range [][]byte{nil, r.Encode()[1:], append(r.Encode(), 0)} {
		if _, ok := DecodeRecord(b); ok {
			t.Errorf("%d bytes are a record", len(b))
		}
	}
}

// J26: the last good set is used until maxStale, and nothing after.
func TestKeysUntilMaxStale(t *testing.T) {
	set, _, err := ReadDocument(keyed(p256()))
	if err != nil {
		t.Fatal(err)
	}
	s := Source{MaxStale: time.Hour}
	if s.Keys(at(0)) != nil {
		t.Error("keys before any were fetched")
	}
	s.Update(Record{Version: 1, Fetched: micro(0)}, set)
	for seconds, want := range map[int]bool{0: true, 3600: true, 3601: false, -100: true} {
		if got := s.Keys(at(seconds)) != nil; got != want {
			t.Errorf("after %d seconds: %v", seconds, got)
		}
	}
	s.Update(Record{Version: 1, Fetched: micro(3000), Failures: 3}, nil)
	if s.Keys(at(6600)) != set || s.Keys(at(6601)) != nil {
		t.Error("a confirmed set is not used for as long again")
	}
}

func TestDue(t *testing.T) {
	s := Source{Refresh: 300 * time.Second}
	for _, c := range []struct {
		name string
		r    Record
		now  int
		j    float64
		want bool
	}{
		{"never fetched", Record{}, 0, 0, true},
		{"somebody is fetching", Record{Tried: micro(0), Lease: micro(3)}, 2, 0, false},
		{"whoever fetched has died: the lease is over", Record{Tried: micro(0), Lease: micro(3)}, 3, 0, true},
		{"just failed", Record{Tried: micro(0), Failures: 1}, 0, 0, false},
		{"failed a second ago", Record{Tried: micro(0), Failures: 1}, 1, 0, true},
		{"failed three times, three seconds ago", Record{Tried: micro(0), Failures: 3}, 3, 0, false},
		{"failed three times, four seconds ago", Record{Tried: micro(0), Failures: 3}, 4, 0, true},
		{"failed a hundred times, half a minute ago", Record{Tried: micro(0), Failures: 100}, 30, 0, true},
		{"fresh", Record{Fetched: micro(0), Tried: micro(0)}, 299, 0, false},
		{"old", Record{Fetched: micro(0), Tried: micro(0)}, 300, 0, true},
		{"old for the jitter of this VM", Record{Fetched: micro(0), Tried: micro(0)}, 285, 1, true},
		{"not yet, whatever the jitter", Record{Fetched: micro(0), Tried: micro(0)}, 269, 1, false},
		{"an unknown kid asks", Record{Fetched: micro(0), Tried: micro(0), Forced: micro(40)}, 40, 0, true},
		{"an unknown kid has asked, and was answered", Record{Fetched: micro(40), Tried: micro(40), Forced: micro(40)},
			41, 0, false},
	} {
		if got := s.Due(&c.r, at(c.now), c.j); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// J25: made-up kids ask for a fetch once in thirty seconds, all of them together, and a kid that
// was looked for is not looked for again for a while.
func TestUnknownKid(t *testing.T) {
	var s Source
	s.Update(Record{Version: 1, Fetched: micro(0), Forced: micro(0)}, &Set{})
	for seconds, want := range map[int]bool{0: false, 9: false, 10: true, 11: true, -1: true} {
		if got := s.MayForce("kid", at(seconds)); got != want {
			t.Errorf("after %d seconds: %v", seconds, got)
		}
	}
	s.Update(Record{Version: 1, Fetched: micro(0), Forced: micro(10), Lease: micro(13)}, nil)
	if !s.MayForce("kid", at(11)) {
		t.Error("it does not wait for the fetch that is under way")
	}
	s.Update(Record{Version: 1, Fetched: micro(0)}, nil)
	s.Unknown("kid", at(100))
	if s.MayForce("kid", at(109)) || !s.MayForce("kid", at(110)) || !s.MayForce("other", at(109)) {
		t.Error("what was looked for is not remembered, or too much of it")
	}
	s.Unknown("kid", at(105))
	if !s.MayForce("kid", at(110)) {
		t.Error("a token that keeps coming is remembered for longer")
	}
	for i := range 10_000 {
		s.Unknown("k"+strconv.Itoa(i), at(100))
	}
	if len(s.unknown) > maxUnknown {
		t.Errorf("%d unknown kids are remembered", len(s.unknown))
	}
}

func TestSettled(t *testing.T) {
	var s Source
	for _, c := range []struct {
		name string
		r    Record
		want bool
	}{
		{"nothing has happened", Record{Tried: micro(0)}, false},
		{"a fetch is under way", Record{Tried: micro(10), Lease: micro(13)}, false},
		{"a fetch has failed", Record{Tried: micro(10), Failures: 1}, true},
		{"a fetch that had begun before has come back, and another may be asked for",
			Record{Tried: micro(4), Fetched: micro(6)}, false},
		{"a fetch that had begun before has come back, and no other may be asked for yet",
			Record{Tried: micro(4), Fetched: micro(6), Forced: micro(-3)}, true},
		{"nobody may ask for another so soon", Record{Tried: micro(1), Fetched: micro(2), Forced: micro(1)}, true},
	} {
		if s.Update(c.r, nil); s.Settled(micro(5), micro(6)) != c.want {
			t.Errorf("%s: %v", c.name, !c.want)
		}
	}
	if !s.Hopeful() {
		t.Error("nothing has failed and nothing is there: hope")
	}
	if s.Update(Record{Failures: 1}, nil); s.Hopeful() {
		t.Error("it has failed: no hope")
	}
}
