// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package httpsig

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/shared/sfv"
)

var update = flag.Bool("update", false, "write testdata/ours.json anew, for testdata/independent.py to verify")

// exchanged is a message that one implementation has signed and the other verifies; see testdata/independent.py.
type exchanged struct {
	Name      string      `json:"name"`
	Algorithm string      `json:"algorithm"`
	Key       []byte      `json:"key"`
	Method    string      `json:"method,omitempty"`
	Scheme    string      `json:"scheme,omitempty"`
	Authority string      `json:"authority,omitempty"`
	Path      string      `json:"path,omitempty"`
	Status    int         `json:"status,omitempty"`
	Fields    [][2]string `json:"fields"`
	Covered   int         `json:"covered"`
	Input     string      `json:"input"`
	Signature string      `json:"signature"`
}

func (e *exchanged) message(t *testing.T) *Message {
	t.Helper()
	m := &Message{e.Method, e.Scheme, e.Authority, e.Path, e.Status, nil}
	for _, f := range e.Fields {
		var b []byte
		for _, r := range f[1] { // the file has bytes as Latin-1
			b = append(b, byte(r))
		}
		m.Fields = append(m.Fields, [2]string{f[0], string(b)})
	}
	m.Fields = append(m.Fields, [2]string{"signature-input", e.Input}, [2]string{"signature", e.Signature})
	return m
}

// Two implementations that are not ours have signed these: http-message-signatures of PyPI
// (testdata/independent.py) and that of npm (testdata/independent.mjs).
func TestWhatOthersHaveSigned(t *testing.T) {
	for file, c := range map[string]struct {
		keyID                string
		messages, algorithms int
	}{"theirs.json": {`k "1"\`, 13, 4}, "theirs-npm.json": {"edge-1", 9, 3}} {
		b, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		var list []exchanged
		if err := json.Unmarshal(b, &list); err != nil {
			t.Fatal(err)
		}
		algorithms := map[string]bool{}
		for _, e := range list {
			algorithms[e.Algorithm] = true
			in, base, signature := signed(t, e.message(t), "edge")
			if !verifies(t, e.Algorithm, e.Key, base, signature) {
				t.Errorf("%s: %s, %s: the signature does not fit\n%s", file, e.Name, e.Algorithm, base)
			}
			created, _ := in.Created()
			expires, _ := in.Expires()
			nonce, _ := in.Nonce()
			keyID, _ := in.KeyID()
			tag, _ := in.Tag()
			alg, hasAlg := in.Alg()
			if created != 1767225600 || expires != 1767225630 || nonce != "bm9uY2U" || keyID != c.keyID ||
				tag != "edge-stamp" || hasAlg && alg != e.Algorithm || len(in.Components) != e.Covered {
				t.Errorf("%s: %s, %s: %+v", file, e.Name, e.Algorithm, in)
			}
		}
		if len(list) != c.messages || len(algorithms) != c.algorithms {
			t.Errorf("%s: %d messages with %d algorithms", file, len(list), len(algorithms))
		}
	}
}

// The others have verified what is in testdata/ours.json (that of npm, the stamps among it); this
// is what is signed today.
func TestWhatAnotherHasVerified(t *testing.T) {
	seed := bytes.Repeat([]byte{7}, 32)
	private := ed25519.NewKeyFromSeed(seed)
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	body := sha256.Sum256([]byte("hello"))
	digest := [2]string{"content-digest", ContentDigest(body[:])}
	names := Components("@method", "@authority", "@path", "@query", "content-digest")
	component := func(name string, parameters ...sfv.Parameter) sfv.Item {
		c := Components(name)[0]
		c.Parameters = parameters
		return c
	}
	yes := sfv.Value{Kind: sfv.Boolean, Int: 1}
	var list []exchanged
	for _, c := range []struct {
		e          exchanged
		components []sfv.Item
	}{
		{exchanged{Name: "the stamp", Method: "POST", Scheme: "https", Authority: "API.Example.com:443",
			Path: "/a/b%2Fc?x=1&y=%20"}, names},
		{exchanged{Name: "no query and another port", Method: "DELETE", Scheme: "https", Authority: "example.com:8443",
			Path: "/"}, names},
		{exchanged{Name: "every derived component of a request", Method: "GET", Scheme: "http",
			Authority: "example.com", Path: "/a?x=1&fa%c3%a7ade=+%7e"},
			append(Components("@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query"),
				component("@query-param", String("name", "x")), component("@query-param", String("name", "fa%C3%A7ade")))},
		{exchanged{Name: "fields", Method: "GET", Scheme: "http", Authority: "example.com", Path: "/",
			Fields: [][2]string{{"x-one", " a "}, {"example-dict", "a=1, b=(c   d);e"}, {"x-one", "b,  c"}}},
			[]sfv.Item{component("x-one"), component("x-one", sfv.Parameter{Name: "bs", Value: yes}),
				component("example-dict", String("key", "b")), component("content-digest", sfv.Parameter{Name: "sf", Value: yes})}},
		{exchanged{Name: "a response", Status: 200}, Components("@status", "content-digest")},
	} {
		for _, algorithm := range []string{"ed25519", "hmac-sha256"} {
			e := c.e
			e.Algorithm, e.Key, e.Covered = algorithm, public, len(c.components)
			e.Fields = append(e.Fields[:len(e.Fields):len(e.Fields)], digest)
			m := Message{e.Method, e.Scheme, e.Authority, e.Path, e.Status, e.Fields}
			in := Input{"edge", c.components,
				[]sfv.Parameter{Integer("created", 1767225600), Integer("expires", 4102444800),
					String("nonce", "AAECAwQFBgcICQoLDA0ODw"), String("keyid", `edge "1"\`), String("tag", "edge-stamp")}}
			base, err := in.Base(&m)
			if err != nil {
				t.Fatalf("%s: %v", e.Name, err)
			}
			signature := ed25519.Sign(private, []byte(base))
			if algorithm == "hmac-sha256" {
				e.Key = seed
				mac := hmac.New(sha256.New, seed)
				mac.Write([]byte(base))
				signature = mac.Sum(nil)
			}
			input, err := in.AppendInput(nil)
			if err != nil {
				t.Fatal(err)
			}
			value, err := AppendSignature(nil, "edge", signature)
			if err != nil {
				t.Fatal(err)
			}
			e.Input, e.Signature = string(input), string(value)
			list = append(list, e)
		}
	}
	b, err := json.MarshalIndent(list, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, '\n')
	if *update {
		if err := os.WriteFile("testdata/ours.json", b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/ours.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, want) {
		t.Error("what is signed is not what another implementation has verified: go test ./shared/httpsig -update, " +
			"then python3 shared/httpsig/testdata/independent.py")
	}
}

// S2: every parameter is signed. No bit of Signature-Input can change without the field being
// refused, the signature being of another label, or the base being another.
func TestEveryBitOfAnInputCounts(t *testing.T) {
	in := Input{"edge", Components("@method", "@authority", "@path", "@query", "content-digest"), stamp.Parameters}
	in.Components = append(in.Components,
		sfv.Item{Value: sfv.Value{Kind: sfv.String, Text: "@query-param"}, Parameters: []sfv.Parameter{String("name", "y")}})
	m := with(func(m *Message) { m.Fields = [][2]string{{"content-digest", ContentDigest(make([]byte, 32))}} })
	b, err := in.AppendInput(nil)
	if err != nil {
		t.Fatal(err)
	}
	want, err := in.Base(m)
	if err != nil {
		t.Fatal(err)
	}
	unread, relabelled, unbuilt, changed := 0, 0, 0, 0
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			inputs, err := ParseInputs(string(b))
			switch {
			case err != nil:
				unread++
			case len(inputs) != 1 || inputs[0].Label != "edge":
				relabelled++
			default:
				if base, err := inputs[0].Base(m); err != nil {
					unbuilt++
				} else if base == want {
					t.Errorf("bit %d of byte %d: %s is taken for the same", bit, i, b)
				} else {
					changed++
				}
			}
			b[i] ^= 1 << bit
		}
	}
	t.Logf("of %d bits: %d make the field unreadable, %d change the label, %d name what the message has not, %d "+
		"change the base", 8*len(b), unread, relabelled, unbuilt, changed)
	if relabelled > 8*len("edge") || changed == 0 || unbuilt == 0 || unread+relabelled+unbuilt+changed != 8*len(b) {
		t.Error("the figures above")
	}
	// White space is all that may differ (RFC 9651 §4.2), and what is no more than another spelling of a value.
	for _, same := range []string{"  " + string(b), string(b) + " ", strings.Replace(string(b), "(", "(  ", 1),
		strings.Replace(string(b), ";created", "; created", 1), strings.Replace(string(b), "created=", "created=00", 1)} {
		inputs, err := ParseInputs(same)
		if err != nil {
			t.Errorf("%s: %v", same, err)
			continue
		}
		if base, err := inputs[0].Base(m); base != want || err != nil {
			t.Errorf("%s: another base, %v", same, err)
		}
	}
}
