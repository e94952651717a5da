// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
)

// Cosign's format of a signature (sigstore/cosign, specs/SIGNATURE_SPEC.md): an image at a tag made of the digest that
// is signed. Each layer is a payload, with its signature in an annotation.
const (
	signatureAnnotation = "dev.cosignproject.cosign/signature"
	signatureType       = "cosign container image signature"
)

const simpleSigning types.MediaType = "application/vnd.dev.cosign.simplesigning.v1+json"

// maxPayload is how long a payload may be, and maxSignatures how many are looked at: whoever may write to the registry
// may add any number.
const (
	maxPayload    = 64 << 10
	maxSignatures = 256
)

// payload is what is signed: a simple signing document (containers/image, docs/containers-signature.5.md).
type payload struct {
	Critical struct {
		Identity struct {
			Reference string `json:"docker-reference"`
		} `json:"identity"`
		Image struct {
			Digest string `json:"docker-manifest-digest"`
		} `json:"image"`
		Type string `json:"type"`
	} `json:"critical"`
	Optional map[string]any `json:"optional"`
}

// The kinds of PEM blocks.
const (
	publicBlock  = "PUBLIC KEY"
	pkcs8Block   = "PRIVATE KEY"
	sec1Block    = "EC PRIVATE KEY"
	sigstorePEM  = "ENCRYPTED SIGSTORE PRIVATE KEY" // of cosign generate-key-pair
	oldCosignPEM = "ENCRYPTED COSIGN PRIVATE KEY"   // before cosign 2

	parametersBlock = "EC PARAMETERS" // openssl ecparam -genkey writes it before the key, which has the curve, too
)

// PrivateKey reads a key to sign with, in PEM: PKCS#8, SEC 1, or encrypted as cosign writes it. password is asked for
// only then.
func PrivateKey(text []byte, password func() ([]byte, error)) (*ecdsa.PrivateKey, error) {
	block, rest := pem.Decode(text)
	if block != nil && block.Type == parametersBlock {
		block, _ = pem.Decode(rest)
	}
	if block == nil {
		return nil, errors.New("is no PEM: want a private key, as tollgate keys new or cosign generate-key-pair writes it")
	}
	der := block.Bytes
	switch block.Type {
	case pkcs8Block:
	case sec1Block:
		key, err := x509.ParseECPrivateKey(der)
		if err != nil {
			return nil, err
		}
		return onP256(key)
	case sigstorePEM, oldCosignPEM:
		secret, err := password()
		if err != nil {
			return nil, err
		}
		if der, err = encrypted.Decrypt(der, secret); err != nil {
			return nil, fmt.Errorf("cannot be decrypted: %w", err)
		}
	default:
		return nil, fmt.Errorf("is a PEM block %q: want a private key", block.Type)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	return onP256(key)
}

func onP256(key any) (*ecdsa.PrivateKey, error) {
	if k, ok := key.(*ecdsa.PrivateKey); ok && k.Curve == elliptic.P256() {
		return k, nil
	}
	return nil, errKind
}

var errKind = errors.New("is no ECDSA key on P-256, which image signatures are made with: " +
	"make one by tollgate keys new --alg ES256")

// PublicKey reads a key to verify with, in PEM, as cosign writes it.
func PublicKey(text []byte) (*ecdsa.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != publicBlock {
		return nil, errors.New("is no PEM of a PUBLIC KEY: want one as tollgate image sign --public-key or " +
			"cosign generate-key-pair writes it")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	if k, ok := key.(*ecdsa.PublicKey); ok && k.Curve == elliptic.P256() {
		return k, nil
	}
	return nil, errKind
}

// PublicPEM is the public half of a key, as PublicKey and cosign read it.
func PublicPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicBlock, Bytes: der}), nil
}

// Sign signs what a reference means, and returns its digest. The signature is added to those that are there; one of the
// same key is not made twice.
func Sign(ctx context.Context, ref name.Reference, key *ecdsa.PrivateKey) (name.Digest, error) {
	digest, signatures, err := signaturesOf(ctx, ref)
	if err != nil {
		return digest, err
	}
	for _, s := range signatures {
		if _, err := s.of(digest.DigestStr()); err == nil && s.by(&key.PublicKey) {
			return digest, nil
		}
	}
	if len(signatures) == maxSignatures {
		return digest, fmt.Errorf("%s has %d signatures, and verify looks at no more: delete %s first", digest,
			maxSignatures, signatureTag(digest))
	}
	var p payload
	p.Critical.Identity.Reference = digest.Context().Name()
	p.Critical.Image.Digest = digest.DigestStr()
	p.Critical.Type = signatureType
	s := signature{annotations: map[string]string{}}
	if s.payload, err = json.Marshal(p); err != nil {
		return digest, err
	}
	hash := sha256.Sum256(s.payload)
	der, err := ecdsa.SignASN1(rand.Reader, key, hash[:])
	if err != nil {
		return digest, err
	}
	s.annotations[signatureAnnotation] = base64.StdEncoding.EncodeToString(der)
	img, err := signatureImage(append(signatures, s))
	if err != nil {
		return digest, err
	}
	return digest, remote.Write(signatureTag(digest), img, options(ctx)...)
}

// Verify returns the digest of what a reference means, if one of its signatures is by that key, and of this digest. as
// is the name that it was signed under, without a tag: whoever copies an image leaves it as it was.
func Verify(ctx context.Context, ref name.Reference, key *ecdsa.PublicKey) (digest name.Digest, as string, err error) {
	digest, signatures, err := signaturesOf(ctx, ref)
	if err != nil {
		return digest, "", err
	}
	if len(signatures) == 0 {
		return digest, "", fmt.Errorf("%s has no signature in cosign's format: there is no %s", digest,
			signatureTag(digest))
	}
	for _, s := range signatures {
		if !s.by(key) {
			continue
		}
		if as, err = s.of(digest.DigestStr()); err == nil {
			return digest, as, nil
		}
	}
	if err != nil {
		return digest, "", fmt.Errorf("%s: the signature by this key %w", digest, err)
	}
	return digest, "", fmt.Errorf("%s: none of its %d signatures is by this key", digest, len(signatures))
}

// signature is one of those that an image has.
type signature struct {
	payload     []byte
	annotations map[string]string // the signature, and what else cosign writes, such as a certificate
}

// by reports whether a signature is by that key.
func (s *signature) by(key *ecdsa.PublicKey) bool {
	der, err := base64.StdEncoding.DecodeString(s.annotations[signatureAnnotation])
	if err != nil {
		return false
	}
	hash := sha256.Sum256(s.payload)
	return ecdsa.VerifyASN1(key, hash[:], der)
}

// of returns the name that an image was signed under, or an error unless it has that digest. A payload that has been
// copied from the signature of another image has another. The name is not compared: images are copied to registries of
// one's own.
func (s *signature) of(digest string) (string, error) {
	var p payload
	if err := json.Unmarshal(s.payload, &p); err != nil {
		return "", fmt.Errorf("is over no simple signing document: %w", err)
	}
	if p.Critical.Type != signatureType {
		return "", fmt.Errorf("is a %q, and not a %q", p.Critical.Type, signatureType)
	}
	if p.Critical.Image.Digest != digest {
		return "", fmt.Errorf("is of another image: %s", p.Critical.Image.Digest)
	}
	return p.Critical.Identity.Reference, nil
}

// signatureTag is where cosign writes the signatures of an image.
func signatureTag(digest name.Digest) name.Tag {
	return digest.Context().Tag(strings.Replace(digest.DigestStr(), ":", "-", 1) + ".sig")
}

// signaturesOf asks the registry for the digest of a reference, and for the signatures of that.
func signaturesOf(ctx context.Context, ref name.Reference) (digest name.Digest, list []signature, err error) {
	manifest, err := remote.Get(ref, options(ctx)...)
	if err != nil {
		return digest, nil, err
	}
	// Of manifests of an old kind, the library takes the registry's word for the digest.
	if said := manifest.Digest.String(); said != "sha256:"+sum(manifest.Manifest) {
		return digest, nil, fmt.Errorf("%s: its registry says that it is %s, and it is sha256:%s", ref.Name(), said,
			sum(manifest.Manifest))
	}
	digest = ref.Context().Digest(manifest.Digest.String())
	img, err := remote.Image(signatureTag(digest), options(ctx)...)
	var problem *transport.Error
	if errors.As(err, &problem) && problem.StatusCode == http.StatusNotFound {
		return digest, nil, nil
	}
	if err != nil {
		return digest, nil, err
	}
	m, err := img.Manifest()
	if err != nil {
		return digest, nil, err
	}
	if len(m.Layers) > maxSignatures {
		return digest, nil, fmt.Errorf("%s has %d signatures: at most %d are looked at", digest, len(m.Layers),
			maxSignatures)
	}
	for _, d := range m.Layers {
		if d.MediaType != simpleSigning || d.Size > maxPayload {
			return digest, nil, fmt.Errorf("%s has a layer of type %q with %d bytes, which is no signature",
				signatureTag(digest), d.MediaType, d.Size)
		}
		content, err := layerOf(img, d)
		if err != nil {
			return digest, nil, err
		}
		list = append(list, signature{content, d.Annotations})
	}
	return digest, list, nil
}

// layerOf reads a layer of at most maxPayload bytes. The library holds it against its digest.
func layerOf(img v1.Image, d v1.Descriptor) ([]byte, error) {
	layer, err := img.LayerByDigest(d.Digest)
	if err != nil {
		return nil, err
	}
	r, err := layer.Compressed()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var b bytes.Buffer
	_, err = io.Copy(&b, io.LimitReader(r, maxPayload+1))
	return b.Bytes(), err
}

// signatureImage is the image of signatures. Its configuration is that of an image with these layers, as cosign writes
// it.
func signatureImage(list []signature) (v1.Image, error) {
	config := v1.ConfigFile{RootFS: v1.RootFS{Type: "layers"}}
	var layers []*blob
	for _, s := range list {
		l := newBlob(s.payload, simpleSigning)
		l.descriptor.Annotations = s.annotations
		layers = append(layers, l)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.descriptor.Digest)
	}
	text, err := json.Marshal(&config)
	if err != nil {
		return nil, err
	}
	return pack(types.OCIManifestSchema1, types.OCIConfigJSON, "", text, nil, nil, layers...)
}
