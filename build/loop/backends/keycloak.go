// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// KeycloakVersion is the pinned one. The distribution is org.keycloak:keycloak-quarkus-dist, type
// zip, in Maven Central; with the version its digest (SHA-256) changes.
const (
	KeycloakVersion = "26.4.0"
	keycloakDigest  = "1b6a11a2726ac8a8dc9c91d5fafe989a75ce4f1622d7f7b45c21d5bc16629c0a"
)

const (
	keycloakArchive = "keycloak-quarkus-dist-" + KeycloakVersion + ".zip"
	keycloakURL     = "https://repo1.maven.org/maven2/org/keycloak/keycloak-quarkus-dist/" + KeycloakVersion + "/" +
		keycloakArchive
	mavenCopy = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
)

// Keycloak puts its distribution into dir, an empty folder: bin/kc.sh starts it, with Java 17 or newer.
func Keycloak(w io.Writer, dir string) error {
	archive, err := keycloak(w)
	if err != nil {
		return err
	}
	return unzip(archive, dir)
}

// keycloak returns the cached archive.
func keycloak(w io.Writer) (string, error) {
	return cached(filepath.Join("keycloak", KeycloakVersion), keycloakArchive,
		func(ctx context.Context, dir string) error {
			began := time.Now()
			archive := filepath.Join(dir, keycloakArchive)
			if err := fetchKeycloak(ctx, w, archive); err != nil {
				return err
			}
			if err := checkDigest(archive, keycloakDigest); err != nil {
				return err
			}
			fmt.Fprintf(w, "Keycloak %s is there after %.0f s\n", KeycloakVersion, time.Since(began).Seconds())
			return nil
		})
}

// fetchKeycloak asks Maven first, because it knows the mirrors and proxies of the user's settings,
// and Maven Central itself where there is no Maven or it fails. What comes is not trusted in either
// case.
func fetchKeycloak(ctx context.Context, w io.Writer, file string) error {
	if mvn, err := exec.LookPath("mvn"); err == nil {
		fmt.Fprintf(w, "fetching Keycloak %s with Maven (160 MB) …\n", KeycloakVersion)
		cmd := exec.CommandContext(ctx, mvn, "--batch-mode", "--quiet", mavenCopy,
			"-Dartifact=org.keycloak:keycloak-quarkus-dist:"+KeycloakVersion+":zip", "-DoutputDirectory="+filepath.Dir(file))
		cmd.Dir = filepath.Dir(file) // away from any pom.xml
		out, err := cmd.CombinedOutput()
		if err == nil {
			return nil
		}
		first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		fmt.Fprintf(w, "Maven does not get it (%v: %s)\n", err, first)
	}
	fmt.Fprintf(w, "fetching Keycloak %s from Maven Central (160 MB) …\n", KeycloakVersion)
	if err := fetchFile(ctx, w, keycloakURL, file); err != nil {
		return fmt.Errorf("cannot fetch Keycloak (is the network there? a mirror is set in Maven's settings.xml): %w", err)
	}
	return nil
}

func fetchFile(ctx context.Context, w io.Writer, url, file string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(io.MultiWriter(f, &progress{w: w, of: resp.ContentLength}), resp.Body); err != nil {
		return err
	}
	return f.Close()
}

// progress prints a line for every quarter of what passes.
type progress struct {
	w            io.Writer
	of, got, out int64
}

func (p *progress) Write(b []byte) (int, error) {
	p.got += int64(len(b))
	if p.of > 0 {
		if quarter := 4 * p.got / p.of; quarter > p.out {
			p.out = quarter
			fmt.Fprintf(p.w, "  %d %%\n", 25*quarter)
		}
	}
	return len(b), nil
}

var errDigest = errors.New("this is not the file that was pinned: its SHA-256 differs")

func checkDigest(file, want string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return fmt.Errorf("%s: %w: %s, want %s", filepath.Base(file), errDigest, got, want)
	}
	return nil
}

// unzip writes the files of the archive, without the folder that holds them all, into dir.
func unzip(archive, dir string) error {
	r, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer r.Close()
	for _, f := range r.File {
		_, name, _ := strings.Cut(f.Name, "/")
		if name == "" || f.FileInfo().IsDir() {
			continue // folders come with their files; Keycloak makes those that would be empty
		}
		if !filepath.IsLocal(name) {
			return fmt.Errorf("%s: a file outside its folder: %q", filepath.Base(archive), f.Name)
		}
		if err := unzipFile(f, filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("%s: %s: %w", filepath.Base(archive), f.Name, err)
		}
	}
	return nil
}

func unzipFile(f *zip.File, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	from, err := f.Open()
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, f.Mode().Perm())
	if err != nil {
		return err
	}
	defer to.Close()
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	return to.Close()
}
