// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package httpsig

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/e2e/vectors"
)

// verifies checks with the standard library alone. A key is a SubjectPublicKeyInfo or a shared secret.
func verifies(t *testing.T, algorithm string, key []byte, base string, signature []byte) bool {
	t.Helper()
	if algorithm == "hmac-sha256" {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(base))
		return hmac.Equal(mac.Sum(nil), signature)
	}
	public, err := x509.ParsePKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	switch key := public.(type) {
	case ed25519.PublicKey:
		return algorithm == "ed25519" && ed25519.Verify(key, []byte(base), signature)
	case *rsa.PublicKey:
		sum := sha512.Sum512([]byte(base))
		return algorithm == "rsa-pss-sha512" &&
			rsa.VerifyPSS(key, crypto.SHA512, sum[:], signature, &rsa.PSSOptions{SaltLength: 64}) == nil
	case *ecdsa.PublicKey:
		sum := sha256.Sum256([]byte(base))
		return algorithm == "ecdsa-p256-sha256" && len(signature) == 64 &&
			ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	}
	return false
}

// message reads an HTTP/1.1 message as the vectors have it.
func message(t *testing.T, file string) (m Message, body string) {
	t.Helper()
	text := strings.ReplaceAll(string(vectors.Read(t, "rfc9421/testdata/"+file)), "\r\n", "\n")
	head, body, ok := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	first := strings.SplitN(lines[0], " ", 3)
	if !ok || len(first) != 3 {
		t.Fatalf("%s is no message", file)
	}
	if status, err := strconv.Atoi(first[1]); err == nil {
		m.Status = status
	} else {
		m.Method, m.Path, m.Scheme = first[0], first[1], "https"
	}
	for _, l := range lines[1:] {
		name, value, ok := strings.Cut(l, ":")
		if !ok {
			t.Fatalf("%s: %q is no field", file, l)
		}
		if name = strings.ToLower(name); name == "host" {
			m.Authority = strings.TrimSpace(value)
		}
		m.Fields = append(m.Fields, [2]string{name, value})
	}
	return m, strings.TrimSuffix(body, "\n")
}

func (m *Message) field(name string) string {
	var lines []string
	for _, f := range m.Fields {
		if f[0] == name {
			lines = append(lines, strings.TrimSpace(f[1]))
		}
	}
	return strings.Join(lines, ", ")
}

// signed returns what a message says that is signed, and the base built from it.
func signed(t *testing.T, m *Message, label string) (in *Input, base string, signature []byte) {
	t.Helper()
	inputs, err := ParseInputs(m.field("signature-input"))
	if err != nil {
		t.Fatal(err)
	}
	signatures, err := Signatures(m.field("signature"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range inputs {
		if inputs[i].Label == label {
			if base, err = inputs[i].Base(m); err != nil {
				t.Fatal(err)
			}
			return &inputs[i], base, signatures[label]
		}
	}
	t.Fatalf("no signature %s", label)
	return nil, "", nil
}

func vectorKey(t *testing.T, file string) []byte {
	t.Helper()
	b := vectors.Read(t, "rfc9421/testdata/"+file)
	if file == "test-shared-secret" {
		secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(b)))
		if err != nil {
			t.Fatal(err)
		}
		return secret
	}
	block, _ := pem.Decode(b)
	if block == nil {
		t.Fatalf("%s is no PEM", file)
	}
	return block.Bytes
}

// The examples of RFC 9421 §B.2: each base byte for byte, and each signature.
func TestExamplesOfTheRFC(t *testing.T) {
	for _, c := range []struct{ name, label, algorithm, key string }{
		{"b21_request", "sig-b21", "rsa-pss-sha512", "test-key-rsa-pss.pub"},
		{"b22_request", "sig-b22", "rsa-pss-sha512", "test-key-rsa-pss.pub"},
		{"b23_request", "sig-b23", "rsa-pss-sha512", "test-key-rsa-pss.pub"},
		{"b24_response", "sig-b24", "ecdsa-p256-sha256", "test-key-ecc-p256.pub"},
		{"b25_request", "sig-b25", "hmac-sha256", "test-shared-secret"},
		{"b26_request", "sig-b26", "ed25519", "test-key-ed25519.pub"},
	} {
		m, body := message(t, c.name+"_signed.txt")
		in, base, signature := signed(t, &m, c.label)
		if want := string(vectors.Read(t, "rfc9421/testdata/"+c.name+"_sigbase.txt")); base != want {
			t.Errorf("%s: the base is\n%s\nwant\n%s", c.name, base, want)
		}
		key := vectorKey(t, c.key)
		if !verifies(t, c.algorithm, key, base, signature) {
			t.Errorf("%s: the signature does not fit", c.name)
		}
		if verifies(t, c.algorithm, key, base+" ", signature) {
			t.Errorf("%s: the signature fits another base", c.name)
		}
		if keyID, ok := in.KeyID(); !ok || keyID != strings.TrimSuffix(c.key, ".pub") {
			t.Errorf("%s: keyid %q", c.name, keyID)
		}
		if created, ok := in.Created(); !ok || created != 1618884473 {
			t.Errorf("%s: created %d", c.name, created)
		}
		short, long, err := ParseContentDigest(m.field("content-digest"))
		if sum := sha512.Sum512([]byte(body)); err != nil || short != nil || !bytes.Equal(long, sum[:]) {
			t.Errorf("%s: the digest %x of %q, %v", c.name, long, body, err)
		}
	}
}

func TestOtherMessagesOfTheVectors(t *testing.T) {
	for file, labels := range map[string]int{"verify_request1.txt": 1, "verify_request2.txt": 2} {
		m, _ := message(t, file)
		_, base, signature := signed(t, &m, "sig-b21")
		if !verifies(t, "rsa-pss-sha512", vectorKey(t, "test-key-rsa-pss.pub"), base, signature) {
			t.Errorf("%s: the signature does not fit", file)
		}
		inputs, err := ParseInputs(m.field("signature-input"))
		if err != nil || len(inputs) != labels {
			t.Errorf("%s: %v, %v", file, inputs, err)
		}
		rest, _, readable := Without([]string{m.field("signature")}, "sig-b21")
		if left, err := Signatures(strings.Join(rest, ", ")); !readable || err != nil || len(left) != labels-1 {
			t.Errorf("%s: without its label: %q", file, rest)
		}
	}
	m, _ := message(t, "verify_request2.txt")
	if _, base, signature := signed(t, &m, "bad-sig"); verifies(t, "rsa-pss-sha512",
		vectorKey(t, "test-key-rsa-pss.pub"), base, signature) {
		t.Error("bad-sig fits")
	}
	m, _ = message(t, "request_multivalue.txt")
	if got, err := line(t, `"one"`, &m); got != "multivalue1, multivalue2" || err != nil {
		t.Errorf("several lines: %q, %v", got, err)
	}
	m, _ = message(t, "request_repeated_components.txt")
	if got, err := ParseInputs(`sig=("one" "two" "one" "three")`); err != ErrRepeated {
		t.Errorf("a component twice: %v, %v", got, err)
	}
	in := Input{Label: "sig", Components: Components("one", "two", "three", "two")}
	if base, err := in.Base(&m); err != ErrRepeated {
		t.Errorf("a component twice: %q, %v", base, err)
	}
	m, _ = message(t, "request_no_digest.txt")
	if got, err := line(t, `"content-digest"`, &m); err != ErrAbsent {
		t.Errorf("a digest that is not there: %q, %v", got, err)
	}
	m, body := message(t, "request_bad_digest.txt")
	_, long, err := ParseContentDigest(m.field("content-digest"))
	if sum := sha512.Sum512([]byte(body)); err != nil || bytes.Equal(long, sum[:]) {
		t.Errorf("the digest of another body fits: %v", err)
	}
}
