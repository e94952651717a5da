// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
)

// Authority issues certificates for one test.
type Authority struct {
	t      testing.TB
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	parent *Authority // of an intermediate; nil: a root
	PEM    string     // its own certificate
}

// Certificate is one that an Authority has issued, with its key.
type Certificate struct {
	TLS       tls.Certificate
	DER       []byte
	Chain     string // PEM
	KeyPEM    string
	authority *Authority
}

// NewAuthority makes one with a certificate of its own signing.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	return newAuthority(t, nil)
}

// Intermediate makes an authority whose own certificate a has issued. Its certificates are shown
// together with that, and whoever trusts a's root trusts them.
func (a *Authority) Intermediate() *Authority {
	a.t.Helper()
	return newAuthority(a.t, a)
}

func newAuthority(t testing.TB, parent *Authority) *Authority {
	t.Helper()
	a := &Authority{t: t, parent: parent}
	template := &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: "an authority of one test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.key = newKey(t)
	issuer, issuerKey := template, a.key
	if parent != nil {
		template.Subject.CommonName = "an intermediate authority of one test"
		issuer, issuerKey = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &a.key.PublicKey, issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.PEM = toPEM("CERTIFICATE", der)
	return a
}

// Issue makes a certificate for a server at 127.0.0.1 or a client; id, where not empty, is a SPIFFE ID.
func (a *Authority) Issue(id string) *Certificate {
	a.t.Helper()
	template := &x509.Certificate{
		SerialNumber: serial(a.t), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth,
			x509.ExtKeyUsageClientAuth},
	}
	if id != "" {
		uri, err := url.Parse(id)
		if err != nil {
			a.t.Fatal(err)
		}
		template.URIs = []*url.URL{uri}
	}
	key := newKey(a.t)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &Certificate{TLS: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, DER: der,
		Chain: toPEM("CERTIFICATE", der), KeyPEM: toPEM("PRIVATE KEY", pkcs8), authority: a}
	for between := a; between.parent != nil; between = between.parent {
		c.TLS.Certificate = append(c.TLS.Certificate, between.cert.Raw)
		c.Chain += between.PEM
	}
	return c
}

func (a *Authority) root() *Authority {
	for a.parent != nil {
		a = a.parent
	}
	return a
}

// Listen has a listener speak TLS with this certificate; clients may show certificates of the same root, and need not.
func (c *Certificate) Listen(listener bootstrap.M) bootstrap.M {
	return c.ListenTo(listener, c.authority)
}

// ListenTo is Listen for clients with certificates of another root.
func (c *Certificate) ListenTo(listener bootstrap.M, clients *Authority) bootstrap.M {
	socket := bootstrap.Filter("envoy.transport_sockets.tls",
		"extensions.transport_sockets.tls.v3.DownstreamTlsContext", bootstrap.M{
			"common_tls_context": c.context(bootstrap.M{"trusted_ca": bootstrap.M{"inline_string": clients.root().PEM}}),
		})
	for _, chain := range listener["filter_chains"].([]bootstrap.M) {
		chain["transport_socket"] = socket
	}
	return listener
}

// Connect has a cluster speak TLS: it shows this certificate, and takes a server with that SPIFFE
// ID in a certificate of that root.
func (c *Certificate) Connect(cluster bootstrap.M, servers *Authority, id string) bootstrap.M {
	cluster["transport_socket"] = bootstrap.Filter("envoy.transport_sockets.tls",
		"extensions.transport_sockets.tls.v3.UpstreamTlsContext", bootstrap.M{
			"common_tls_context": c.context(bootstrap.M{
				"trusted_ca":                    bootstrap.M{"inline_string": servers.root().PEM},
				"match_typed_subject_alt_names": []bootstrap.M{{"san_type": "URI", "matcher": bootstrap.M{"exact": id}}},
			}),
		})
	return cluster
}

func (c *Certificate) context(validation bootstrap.M) bootstrap.M {
	return bootstrap.M{
		"tls_certificates": []bootstrap.M{{"certificate_chain": bootstrap.M{"inline_string": c.Chain},
			"private_key": bootstrap.M{"inline_string": c.KeyPEM}}},
		"validation_context": validation,
	}
}

// Client speaks HTTPS on a new connection for each request, and shows the certificate, if it is not nil.
func (a *Authority) Client(c *Certificate) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(a.root().cert)
	config := &tls.Config{RootCAs: pool}
	if c != nil {
		config.Certificates = []tls.Certificate{c.TLS}
	}
	return &http.Client{Timeout: timeout, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func toPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
