// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/tollgate-wasm/tollgate/build/tollgate/image"
)

// Registry is an OCI registry.
type Registry struct {
	Host string // "127.0.0.1:1234"

	mu       sync.Mutex
	user     string // "user:password"; empty: everybody may read
	requests []string
}

// StartRegistry runs one until the test ends.
func StartRegistry(t testing.TB) *Registry {
	t.Helper()
	r := &Registry{}
	store := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		r.requests = append(r.requests, request.Method+" "+request.URL.Path)
		want := r.user
		r.mu.Unlock()
		if user, password, _ := request.BasicAuth(); want != "" && user+":"+password != want {
			w.Header().Set("WWW-Authenticate", "Basic")
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
			return
		}
		store.ServeHTTP(w, request)
	}))
	t.Cleanup(server.Close)
	r.Host = strings.TrimPrefix(server.URL, "http://")
	return r
}

// Lock has it answer nobody but that user.
func (r *Registry) Lock(user, password string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.user = user + ":" + password
}

// Requests are what it was asked for, as "GET /v2/…", since the last call.
func (r *Registry) Requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.requests
	r.requests = nil
	return taken
}

// Image is what was pushed.
type Image struct {
	URL    string // of the tag: "oci://127.0.0.1:1234/tollgate/jwt-scope:v1"
	Digest string // of the manifest, without "sha256:"
}

// Pinned is the URL by digest.
func (i Image) Pinned() string {
	repository := i.URL[:strings.LastIndex(i.URL, ":")]
	return repository + "@sha256:" + i.Digest
}

// Push packs a module as tollgate image push does.
func (r *Registry) Push(t testing.TB, repository, tag string, form image.Form, module []byte) Image {
	t.Helper()
	img, err := image.New(module, form, image.Info{Name: repository, Version: tag})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(r.Host + "/tollgate/" + repository + ":" + tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return Image{URL: "oci://" + ref.String(), Digest: digest.Hex}
}
