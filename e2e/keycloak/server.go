// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package keycloak runs a Keycloak for tests: jwt-scope is to admit what a real identity provider
// issues, as it issues it.
//
// The distribution is fetched once into the project's cache and unpacked anew for every run, so
// that what Keycloak writes into its own folder stays with that run. The tests themselves have the
// build tag keycloak, because they need Java and a minute more than the others: make test-keycloak.
package keycloak

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/build/loop/backends"
	"github.com/tollgate-wasm/tollgate/build/tools/process"
)

// startTimeout covers Keycloak on a busy machine: it first builds itself for its options.
const startTimeout = 180 * time.Second

// Server is a running Keycloak with one realm beside its own. Its secrets are made for it: no file and no log has them.
type Server struct {
	*process.Process
	Authority string // host:port

	realm, dir                    string
	admin, password, clientSecret string
	client                        http.Client
}

// Start runs Keycloak with the realm in the file, and returns when it serves. Progress of what
// takes long goes to w. When it does not serve, its log is in the error. The file may have variables,
// which the import replaces: ${TOLLGATE_CLIENT_SECRET}, and those in env, "NAME=value".
func Start(w io.Writer, realmFile string, env ...string) (*Server, error) {
	if _, err := exec.LookPath("java"); err != nil && os.Getenv("JAVA_HOME") == "" {
		return nil, errors.New("no java here: install Java 17 or newer (on Debian and Ubuntu: apt-get install " +
			"openjdk-17-jre-headless)")
	}
	dir, err := os.MkdirTemp("", "tollgate-keycloak-")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, admin: "admin", password: rand.Text(), clientSecret: rand.Text(),
		client: http.Client{Timeout: 30 * time.Second}}
	if err := s.start(w, realmFile, env); err != nil {
		if s.Process != nil {
			err = fmt.Errorf("no Keycloak serves: %w; its log:\n%s", err, s.Log())
		}
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Server) start(w io.Writer, realmFile string, env []string) error {
	began := time.Now()
	if err := backends.Keycloak(w, s.dir); err != nil {
		return err
	}
	text, err := os.ReadFile(realmFile)
	if err != nil {
		return err
	}
	var realm struct{ Realm string }
	if err := json.Unmarshal(text, &realm); err != nil || realm.Realm == "" {
		return fmt.Errorf("%s names no realm (%v)", realmFile, err)
	}
	s.realm = realm.Realm
	imports := filepath.Join(s.dir, "data", "import")
	if err := os.MkdirAll(imports, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(imports, filepath.Base(realmFile)), text, 0o644); err != nil {
		return err
	}
	// Keycloak must know its port beforehand, as part of its issuer's name; should another program
	// take it meanwhile, it ends and says so.
	free, err := process.FreePorts(1)
	if err != nil {
		return err
	}
	port := strconv.Itoa(free[0])
	s.Authority = net.JoinHostPort("127.0.0.1", port)
	cmd := exec.Command(filepath.Join(s.dir, "bin", "kc.sh"), "start-dev", "--import-realm", "--db=dev-mem",
		"--http-host=127.0.0.1", "--http-port="+port, "--hostname=http://"+s.Authority)
	// A Keycloak of the user's own may be configured by variables: none of that is for this one.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "KC_") })
	cmd.Env = append(cmd.Env, "KC_CACHE=local", "KC_BOOTSTRAP_ADMIN_USERNAME="+s.admin, "KC_BOOTSTRAP_ADMIN_PASSWORD="+
		s.password, "TOLLGATE_CLIENT_SECRET="+s.clientSecret)
	cmd.Env = append(cmd.Env, env...)
	fmt.Fprintf(w, "starting Keycloak %s (up to %s) …\n", backends.KeycloakVersion, startTimeout)
	if s.Process, err = process.Start(cmd); err != nil {
		return err
	}
	// It listens only when the realm has been imported.
	probe := http.Client{Timeout: 5 * time.Second}
	err = s.Await(func() bool {
		resp, err := probe.Get(s.Issuer() + "/.well-known/openid-configuration")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, startTimeout)
	if err == nil {
		fmt.Fprintf(w, "Keycloak serves after %.0f s\n", time.Since(began).Seconds())
	}
	return err
}

// Stop ends it and removes what it has written.
func (s *Server) Stop() {
	if s.Process != nil {
		s.Process.Stop()
	}
	_ = os.RemoveAll(s.dir) // a temporary folder
}

// Issuer is the realm's.
func (s *Server) Issuer() string { return "http://" + s.Authority + "/realms/" + s.realm }

// CertsPath is where the realm publishes its keys.
func (s *Server) CertsPath() string { return "/realms/" + s.realm + "/protocol/openid-connect/certs" }

// Port that it listens on.
func (s *Server) Port() int {
	_, port, _ := net.SplitHostPort(s.Authority)
	n, _ := strconv.Atoi(port)
	return n
}

// Token asks for one with a client's own credentials (RFC 6749 §4.4). The scopes are those beyond
// the client's default ones.
func (s *Server) Token(client string, scopes ...string) (string, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {client}, "client_secret": {s.clientSecret}}
	if len(scopes) > 0 {
		form.Set("scope", strings.Join(scopes, " "))
	}
	return s.token(s.realm, form)
}

// Revoke takes a client's token back (RFC 7009).
func (s *Server) Revoke(client, token string) error {
	resp, err := s.client.PostForm("http://"+s.Authority+"/realms/"+s.realm+"/protocol/openid-connect/revoke",
		url.Values{"client_id": {client}, "client_secret": {s.clientSecret}, "token": {token}})
	if err != nil {
		return err
	}
	return read(resp, nil)
}

// AdminToken is one of another realm, the administrator's.
func (s *Server) AdminToken() (string, error) {
	return s.token("master", url.Values{"grant_type": {"password"}, "client_id": {"admin-cli"}, "username": {s.admin},
		"password": {s.password}})
}

func (s *Server) token(realm string, form url.Values) (string, error) {
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	resp, err := s.client.PostForm("http://"+s.Authority+"/realms/"+realm+"/protocol/openid-connect/token", form)
	if err != nil {
		return "", err
	}
	if err := read(resp, &answer); err != nil {
		return "", fmt.Errorf("a token of %s: %w", realm, err)
	}
	return answer.AccessToken, nil
}

// read decodes an answer. Its body is not in the error: it may be a token.
func read(resp *http.Response, into any) error {
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return errors.New(resp.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// PublishedKey is what matters here of a key in the published set.
type PublishedKey struct {
	ID        string `json:"kid"`
	Algorithm string `json:"alg"`
	Use       string `json:"use"`
}

// Published is the realm's key set as anybody sees it.
func (s *Server) Published() ([]PublishedKey, error) {
	var set struct {
		Keys []PublishedKey `json:"keys"`
	}
	resp, err := s.client.Get("http://" + s.Authority + s.CertsPath())
	if err != nil {
		return nil, err
	}
	return set.Keys, read(resp, &set)
}

// SigningKey is the key that tokens are signed with now.
type SigningKey struct {
	ID       string // kid
	Provider string // the component that holds it
	Priority int
}

// SigningKey asks which one it is.
func (s *Server) SigningKey() (SigningKey, error) {
	var answer struct {
		Active map[string]string `json:"active"` // kid by algorithm
		Keys   []struct {
			ID       string `json:"kid"`
			Provider string `json:"providerId"`
			Priority int    `json:"providerPriority"`
		} `json:"keys"`
	}
	if err := s.administer(http.MethodGet, "/keys", nil, &answer); err != nil {
		return SigningKey{}, err
	}
	for _, k := range answer.Keys {
		if k.ID == answer.Active["RS256"] {
			return SigningKey{k.ID, k.Provider, k.Priority}, nil
		}
	}
	return SigningKey{}, errors.New("the realm has no key for RS256")
}

type component struct {
	ID           string              `json:"id,omitempty"`
	Name         string              `json:"name"`
	ProviderID   string              `json:"providerId"`
	ProviderType string              `json:"providerType"`
	ParentID     string              `json:"parentId"`
	Config       map[string][]string `json:"config"`
}

// AddKey has a key made that tokens are signed with from now on, because it comes before the
// present one; that one stays published.
func (s *Server) AddKey(present SigningKey) error {
	var r struct {
		ID string `json:"id"`
	}
	if err := s.administer(http.MethodGet, "", nil, &r); err != nil {
		return err
	}
	priority := strconv.Itoa(present.Priority + 100)
	return s.administer(http.MethodPost, "/components", component{
		Name: "rsa-" + priority, ProviderID: "rsa-generated", ProviderType: "org.keycloak.keys.KeyProvider", ParentID: r.ID,
		Config: map[string][]string{"priority": {priority}, "enabled": {"true"}, "active": {"true"},
			"algorithm": {"RS256"}, "keySize": {"2048"}},
	}, nil)
}

// DisableKey takes a key out of the published set.
func (s *Server) DisableKey(k SigningKey) error {
	var c component
	if err := s.administer(http.MethodGet, "/components/"+k.Provider, nil, &c); err != nil {
		return err
	}
	c.Config["enabled"], c.Config["active"] = []string{"false"}, []string{"false"}
	return s.administer(http.MethodPut, "/components/"+k.Provider, c, nil)
}

// administer calls the realm's admin interface, each time with a fresh token: they live for a minute.
func (s *Server) administer(method, path string, body, into any) error {
	token, err := s.AdminToken()
	if err != nil {
		return err
	}
	var text []byte
	if body != nil {
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequest(method, "http://"+s.Authority+"/admin/realms/"+s.realm+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("authorization", "Bearer "+token)
	req.Header.Set("content-type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	if err := read(resp, into); err != nil {
		return fmt.Errorf("admin interface: %s %s: %w", method, path, err)
	}
	return nil
}
