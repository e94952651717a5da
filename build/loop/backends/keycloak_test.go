// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"archive/zip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// archive writes a zip with these files, the executable ones ending in .sh.
func archive(t *testing.T, names ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.zip")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z := zip.NewWriter(f)
	for _, name := range names {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		h.SetMode(0o644)
		if strings.HasSuffix(name, ".sh") {
			h.SetMode(0o755)
		}
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, "of "+name); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUnzip(t *testing.T) {
	dir := t.TempDir()
	if err := unzip(archive(t, "top/bin/kc.sh", "top/lib/a.jar"), dir); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "lib", "a.jar")); err != nil || string(b) != "of top/lib/a.jar" {
		t.Errorf("%q, %v", b, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "bin", "kc.sh")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the script cannot be run: %v, %v", info, err)
	}
	for _, name := range []string{"top/../../evil", "top//etc/evil"} {
		if err := unzip(archive(t, name), t.TempDir()); err == nil {
			t.Errorf("%q was unpacked", name)
		}
	}
}

// Without Maven the archive comes over HTTPS; in either case only the pinned one is taken.
func TestFetchFile(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/a.zip" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, "abc")
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "a.zip")
	var said strings.Builder
	if err := fetchFile(t.Context(), &said, server.URL+"/a.zip", file); err != nil ||
		!strings.HasSuffix(said.String(), "  100 %\n") {
		t.Errorf("%v; %q", err, said.String())
	}
	if err := checkDigest(file, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"); err != nil {
		t.Errorf("the file that was pinned: %v", err)
	}
	if err := checkDigest(file, keycloakDigest); !errors.Is(err, errDigest) {
		t.Errorf("another file: %v", err)
	}
	if err := fetchFile(t.Context(), &said, server.URL+"/b.zip", file); err == nil ||
		!strings.Contains(err.Error(), "404") {
		t.Errorf("a file that is not there: %v", err)
	}
}
