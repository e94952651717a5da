// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
)

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// pushed is the image in a registry.
func pushed(t *testing.T) name.Tag {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	tag := must(name.NewTag(strings.TrimPrefix(server.URL, "http://") + "/tollgate/jwt-scope:1"))
	if err := bundle().Push(t.Context(), tag); err != nil {
		t.Fatal(err)
	}
	return tag
}

func TestSign(t *testing.T) {
	tag, first, second := pushed(t), newKey(), newKey()
	want := tag.Context().Digest(must(bundle().Image.Digest()).String())
	if d := must(Sign(t.Context(), tag, first)); d != want {
		t.Errorf("%s was signed, want %s", d, want)
	}
	for range 2 { // the second time there is nothing to do
		must(Sign(t.Context(), want, second))
	}
	img := must(remote.Image(tag.Context().Tag("sha256-" + must(bundle().Image.Digest()).Hex + ".sig")))
	m := must(img.Manifest())
	if len(m.Layers) != 2 || m.Layers[0].MediaType != "application/vnd.dev.cosign.simplesigning.v1+json" ||
		m.Layers[0].Annotations["dev.cosignproject.cosign/signature"] == "" {
		t.Errorf("%+v", m)
	}
	text := string(must(layerOf(img, m.Layers[0])))
	if text != `{"critical":{"identity":{"docker-reference":"`+tag.Context().Name()+
		`"},"image":{"docker-manifest-digest":"`+want.DigestStr()+
		`"},"type":"cosign container image signature"},"optional":null}` {
		t.Errorf("%s", text)
	}
	for _, key := range []*ecdsa.PrivateKey{first, second} {
		if d, as, err := Verify(t.Context(), tag, &key.PublicKey); err != nil || d != want ||
			as != tag.Context().Name() {
			t.Errorf("%s as %s: %v", d, as, err)
		}
	}
	if _, _, err := Verify(t.Context(), tag, &newKey().PublicKey); err == nil ||
		!strings.Contains(err.Error(), "none of its 2 signatures is by this key") {
		t.Errorf("%v", err)
	}
}

// attach puts signatures where those of an image are looked for.
func attach(t *testing.T, tag name.Tag, list ...signature) {
	t.Helper()
	at := signatureTag(tag.Context().Digest(must(bundle().Image.Digest()).String()))
	if err := remote.Write(at, must(signatureImage(list))); err != nil {
		t.Fatal(err)
	}
}

func signed(key *ecdsa.PrivateKey, text string) signature {
	hash := sha256.Sum256([]byte(text))
	return signature{[]byte(text), map[string]string{signatureAnnotation: base64.StdEncoding.EncodeToString(
		must(ecdsa.SignASN1(rand.Reader, key, hash[:])))}}
}

// A signature counts for the image that it names, and over the bytes that are there.
func TestVerifyRefuses(t *testing.T) {
	key := newKey()
	is := must(bundle().Image.Digest()).String()
	doc := func(kind, digest string) string {
		return `{"critical":{"image":{"docker-manifest-digest":"` + digest + `"},"type":"` + kind + `"}}`
	}
	changed := signed(key, doc(signatureType, is))
	changed.payload = append(changed.payload, ' ')
	coded := signed(key, doc(signatureType, is))
	coded.annotations[signatureAnnotation] = "%"
	for want, list := range map[string][]signature{
		"is of another image: sha256:00":     {signed(key, doc(signatureType, "sha256:00"))},
		`is a "atomic container signature"`:  {signed(key, doc("atomic container signature", is))},
		"is over no simple signing document": {signed(key, "x")},
		"none of its 1 signatures":           {changed},
		"none of its 2 signatures":           {coded, {[]byte("x"), nil}},
		"has 257 signatures":                 make([]signature, maxSignatures+1),
		"which is no signature":              {{[]byte(strings.Repeat("x", maxPayload+1)), nil}},
	} {
		tag := pushed(t)
		attach(t, tag, list...)
		if _, _, err := Verify(t.Context(), tag, &key.PublicKey); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	// One that is good is enough, whatever lies beside it.
	tag := pushed(t)
	attach(t, tag, changed, signed(key, doc(signatureType, "sha256:00")), signed(key, doc(signatureType, is)), coded)
	verify(t, tag, key)
	// An image of something else lies where signatures are looked for.
	tag = pushed(t)
	at := signatureTag(tag.Context().Digest(is))
	if err := remote.Write(at, bundle().Image); err != nil {
		t.Fatal(err)
	}
	_, _, unverified := Verify(t.Context(), tag, &key.PublicKey)
	_, unsigned := Sign(t.Context(), tag, key)
	for what, err := range map[string]error{"Verify": unverified, "Sign": unsigned} {
		if err == nil || !strings.Contains(err.Error(), "which is no signature") {
			t.Errorf("%s: %v", what, err)
		}
	}
	// A signature of something else at that place is none of this image: it is signed.
	tag = pushed(t)
	attach(t, tag, signed(key, doc(signatureType, "sha256:00")))
	must(Sign(t.Context(), tag, key))
	verify(t, tag, key)
	// A registry that does not tell is not one without signatures.
	gone := must(name.NewTag("127.0.0.1:1/x:1"))
	if _, _, err := Verify(t.Context(), gone, &key.PublicKey); err == nil {
		t.Error("a registry that is not there has good signatures")
	}
}

func verify(t *testing.T, ref name.Reference, key *ecdsa.PrivateKey) {
	t.Helper()
	if _, _, err := Verify(t.Context(), ref, &key.PublicKey); err != nil {
		t.Error(err)
	}
}

// What Sign has written Verify reads, up to the last that it looks at.
func TestSignFull(t *testing.T) {
	tag, others, key := pushed(t), newKey(), newKey()
	list := make([]signature, maxSignatures)
	for i := range list {
		list[i] = signed(others, "{}")
	}
	attach(t, tag, list[1:]...)
	must(Sign(t.Context(), tag, key))
	verify(t, tag, key)
	must(Sign(t.Context(), tag, key)) // which has signed it already
	if _, err := Sign(t.Context(), tag, newKey()); err == nil || !strings.Contains(err.Error(), "looks at no more") {
		t.Errorf("%v", err)
	}
}

// A registry that answers with other bytes than it says is not believed, also where the library would: a manifest of
// Docker's first kind is signed in itself, so that its digest is not that of its bytes.
func TestRegistryLies(t *testing.T) {
	good := must(bundle().Image.Digest()).String()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/manifests/1") {
			w.Header().Set("Content-Type", string(types.DockerManifestSchema1Signed))
			w.Header().Set("Docker-Content-Digest", good)
			_, _ = io.WriteString(w, `{"schemaVersion":1}`)
		}
	}))
	t.Cleanup(server.Close)
	tag := must(name.NewTag(strings.TrimPrefix(server.URL, "http://") + "/tollgate/jwt-scope:1"))
	_, _, unverified := Verify(t.Context(), tag, &newKey().PublicKey)
	_, unsigned := Sign(t.Context(), tag, newKey())
	for what, err := range map[string]error{"Verify": unverified, "Sign": unsigned} {
		if err == nil || !strings.Contains(err.Error(), "its registry says that it is "+good) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Signatures of others stay as they are, with what else cosign has written beside them.
func TestSignKeepsOthers(t *testing.T) {
	tag, others := pushed(t), newKey()
	list := []signature{signed(others, "{}")}
	list[0].annotations["dev.sigstore.cosign/certificate"] = "kept"
	attach(t, tag, list...)
	digest := must(Sign(t.Context(), tag, newKey()))
	m := must(must(remote.Image(signatureTag(digest))).Manifest())
	if len(m.Layers) != 2 || m.Layers[0].Annotations["dev.sigstore.cosign/certificate"] != "kept" {
		t.Errorf("%+v", m.Layers)
	}
	if m.Layers[1].Digest.Algorithm != "sha256" || m.Config.MediaType != types.OCIConfigJSON ||
		m.Layers[1].Digest == (v1.Hash{}) {
		t.Errorf("%+v", m)
	}
}

func TestKeys(t *testing.T) {
	key := newKey()
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	pkcs8 := must(x509.MarshalPKCS8PrivateKey(key))
	secret := must(encrypted.Encrypt(pkcs8, []byte("secret")))
	password := func() ([]byte, error) { return []byte("secret"), nil }
	for name, text := range map[string][]byte{
		"PKCS#8": block("PRIVATE KEY", pkcs8), "SEC 1": block("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(key))),
		"openssl's": append(block("EC PARAMETERS", []byte("x")), block("EC PRIVATE KEY",
			must(x509.MarshalECPrivateKey(key)))...),
		"cosign's":   block("ENCRYPTED SIGSTORE PRIVATE KEY", secret),
		"cosign 1's": block("ENCRYPTED COSIGN PRIVATE KEY", secret),
	} {
		if got, err := PrivateKey(text, password); err != nil || !got.Equal(key) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := PublicKey(must(PublicPEM(key))); err != nil || !got.Equal(&key.PublicKey) {
		t.Errorf("%v", err)
	}
	large := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	none := func() ([]byte, error) { return nil, errors.New("no password") }
	wrong := func() ([]byte, error) { return []byte("wrong"), nil }
	for _, c := range []struct {
		want     string
		text     []byte
		password func() ([]byte, error)
	}{
		{"is no PEM", []byte("x"), none},
		{"is no PEM", block("EC PARAMETERS", []byte("x")), none},
		{"want a private key", must(PublicPEM(key)), none},
		{"is no ECDSA key on P-256", block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(large))), none},
		{"is no ECDSA key on P-256", block("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(large))), none},
		{"is no ECDSA key on P-256", block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ed))), none},
		{"no password", block("ENCRYPTED SIGSTORE PRIVATE KEY", secret), none},
		{"cannot be decrypted", block("ENCRYPTED SIGSTORE PRIVATE KEY", secret), wrong},
		{"asn1", block("PRIVATE KEY", []byte("x")), none},
		{"asn1", block("EC PRIVATE KEY", []byte("x")), none},
	} {
		if _, err := PrivateKey(c.text, c.password); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	for want, text := range map[string][]byte{"is no PEM of a PUBLIC KEY": block("PRIVATE KEY", pkcs8),
		"is no PEM": []byte("x"), "asn1": block("PUBLIC KEY", []byte("x")),
		"is no ECDSA key on P-256": block("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(&large.PublicKey)))} {
		if _, err := PublicKey(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
