// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package mounts

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
)

// The proxies and what their certificates name. Each has a mesh, and so an intermediate authority, of its own.
var proxies = []struct{ name, id string }{
	{"edge", "spiffe://edge.example.com/ns/edge/sa/gateway"},
	{"mesh", "spiffe://mesh.example.com/ns/mesh/sa/ingress"},
}

// leafLife is how long the proxies' certificates are good; they are made anew a day before. Whoever
// leaves the loop running for longer starts it again.
const leafLife = 14 * 24 * time.Hour

// secrets makes keys and certificates, as far as they are not there.
func (f *Folder) secrets() error {
	if err := f.authorities(); err != nil {
		return err
	}
	for _, p := range proxies {
		if err := f.leaf(p.name, p.id); err != nil {
			return fmt.Errorf("the certificate of %s: %w", p.name, err)
		}
	}
	tokens, err := f.key("tokens.jwk", "dev")
	if err != nil {
		return err
	}
	if err := f.write("edge/jwks.json", mint.Set(tokens), 0o644); err != nil {
		return err
	}
	stamps, err := f.key("stamps.jwk", "edge-dev")
	if err != nil {
		return err
	}
	// In quotes, within which both versions of compose leave everything as it is.
	if err := f.write("edge.env", []byte("EDGE_STAMP_KEY='"+stamps.PrivateJWK()+"'\n"), 0o600); err != nil {
		return err
	}
	for name, text := range map[string]func() string{
		"keycloak.env": func() string {
			return "KC_BOOTSTRAP_ADMIN_USERNAME=admin\nKC_BOOTSTRAP_ADMIN_PASSWORD=" + rand.Text() +
				"\nTOLLGATE_CLIENT_SECRET=" + rand.Text() + "\n"
		},
		"grafana.env": func() string { return "GF_SECURITY_ADMIN_PASSWORD=" + rand.Text() + "\n" },
	} {
		if _, err := os.Stat(f.path(name)); err == nil {
			continue
		}
		if err := f.write(name, []byte(text()), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// authorities makes one root, and an intermediate for each proxy's mesh, with the script that makes
// those of Istio's meshes.
func (f *Folder) authorities() error {
	for _, p := range proxies {
		if _, err := os.Stat(f.path("ca/" + p.name + "/cert-chain.pem")); err == nil {
			continue
		}
		// What an interrupted run has left is in the way.
		if err := os.RemoveAll(f.path("ca/" + p.name)); err != nil {
			return err
		}
		script := exec.Command(filepath.Join(f.root, "WasmPlugin/trust/make-ca.sh"), f.path("ca"), p.name)
		script.Env = append(os.Environ(), "ORGANIZATION=Tollgate's local loop")
		if out, err := script.CombinedOutput(); err != nil {
			return fmt.Errorf("WasmPlugin/trust/make-ca.sh: %w (is openssl there?)\n%s", err, out)
		}
	}
	return nil
}

// leaf issues a proxy's certificate, where there is none, it ends soon, or it is another authority's.
func (f *Folder) leaf(name, id string) error {
	issuer, key, err := readPair(f.path("ca/"+name+"/ca-cert.pem"), f.path("ca/"+name+"/ca-key.pem"))
	if err != nil {
		return err
	}
	dir := name + "/tls/"
	if present, _, err := readPair(f.path(dir+"chain.pem"), f.path(dir+"key.pem")); err == nil &&
		time.Until(present.NotAfter) > 24*time.Hour && present.CheckSignatureFrom(issuer) == nil {
		return nil
	}
	uri, err := url.Parse(id)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return err
	}
	leaf, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	// SPIFFE asks for one URI; the DNS names and the address are for people's own clients, which look for them.
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(leafLife),
		URIs:     []*url.URL{uri},
		DNSNames: []string{name, "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth,
			x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}, issuer, &leaf.PublicKey, key)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(leaf)
	if err != nil {
		return err
	}
	between, err := os.ReadFile(f.path("ca/" + name + "/ca-cert.pem"))
	if err != nil {
		return err
	}
	root, err := os.ReadFile(f.path("ca/" + name + "/root-cert.pem"))
	if err != nil {
		return err
	}
	chain := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), between...)
	return errors.Join(
		f.write(dir+"key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o644),
		f.write(dir+"chain.pem", chain, 0o644), f.write(dir+"root.pem", root, 0o644))
}

func readPair(certificate, key string) (*x509.Certificate, any, error) {
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, nil, err
	}
	c, err := x509.ParseCertificate(pair.Certificate[0])
	return c, pair.PrivateKey, err
}

// key reads a key for ES256 from a file with its JWK, which it makes the first time.
func (f *Folder) key(name, id string) (*mint.Key, error) {
	text, err := os.ReadFile(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		k := mint.New(id, jose.ES256)
		return k, f.write(name, []byte(k.PrivateJWK()), 0o600)
	}
	if err != nil {
		return nil, err
	}
	k, err := mint.Read(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; delete it to have another one made", f.path(name), err)
	}
	return k, nil
}

// TokenKey signs the tokens that the edge takes, StampKey the stamps that the mesh takes.
func (f *Folder) TokenKey() (*mint.Key, error) { return f.key("tokens.jwk", "dev") }
func (f *Folder) StampKey() (*mint.Key, error) { return f.key("stamps.jwk", "edge-dev") }

// Client is the TLS configuration of somebody with the certificate of a proxy; with an empty name,
// of somebody without any. Servers are verified.
func (f *Folder) Client(proxy string) (*tls.Config, error) {
	root, err := os.ReadFile(f.path("edge/tls/root.pem"))
	if err != nil {
		return nil, err
	}
	c := &tls.Config{RootCAs: x509.NewCertPool()}
	if !c.RootCAs.AppendCertsFromPEM(root) {
		return nil, errors.New("edge/tls/root.pem has no certificate")
	}
	if proxy == "" {
		return c, nil
	}
	pair, err := tls.LoadX509KeyPair(f.path(proxy+"/tls/chain.pem"), f.path(proxy+"/tls/key.pem"))
	c.Certificates = []tls.Certificate{pair}
	return c, err
}

// ClientSecret is that of the clients in Keycloak's realm.
func (f *Folder) ClientSecret() (string, error) {
	text, err := os.ReadFile(f.path("keycloak.env"))
	for line := range strings.Lines(string(text)) {
		if secret, ok := strings.CutPrefix(line, "TOLLGATE_CLIENT_SECRET="); ok {
			return strings.TrimSpace(secret), nil
		}
	}
	return "", err
}
