// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// compare names the files in which two builds differ.
func compare(first, second string) error {
	a, err := readTree(first)
	if err != nil {
		return err
	}
	b, err := readTree(second)
	if err != nil {
		return err
	}
	var different []error
	names := maps.Clone(a)
	maps.Copy(names, b)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		mine, inA := a[name]
		yours, inB := b[name]
		switch {
		case !inA || !inB:
			different = append(different, fmt.Errorf("%s is in one of the two builds only", name))
		case !bytes.Equal(mine, yours):
			different = append(different, fmt.Errorf("%s differs between the two builds", name))
		}
	}
	return errors.Join(different...)
}

// privateKey is one in PEM, and not only the words (lines may end as in JSON, and headers may stand before the key), or
// in a JSON Web Key: its member d.
var privateKey = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----(?:\\r|\\n|\s|[A-Za-z-]+: [^\n\\]*)+[A-Za-z0-9+/=]{16}` +
	`|"d"\s*:\s*"[A-Za-z0-9_-]{32,}"`)

// privatePaths are the folders of this machine that must be in no file.
func privatePaths(ctx context.Context, root, work string) ([]string, error) {
	folders := []string{root, work}
	for _, name := range []string{"GOROOT", "GOMODCACHE", "GOCACHE"} {
		folder, err := output(ctx, root, nil, "go", "env", name)
		if err != nil {
			return nil, err
		}
		folders = append(folders, folder)
	}
	if home, err := os.UserHomeDir(); err == nil {
		folders = append(folders, home+"/")
	}
	// Short ones, such as /root/, are words that any program may have.
	return slices.DeleteFunc(folders, func(folder string) bool { return len(folder) < len("/home/x/") }), nil
}

// scan names each file that has something in it that must not be released, also within archives.
func scan(folder string, private []string) error {
	files, err := readTree(folder)
	if err != nil {
		return err
	}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(files)) {
		faults = append(faults, scanFile(name, files[name], private, 0))
	}
	return errors.Join(faults...)
}

// depth is how many archives may stand in each other: a layer in a layout is the deepest.
const depth = 4

func scanFile(name string, content []byte, private []string, within int) error {
	var faults []error
	// In a program, as many zeros are somebody's table of digits: digests of images stand in texts.
	if bytes.IndexByte(content, 0) < 0 && bytes.Contains(content, []byte(placeholder)) {
		faults = append(faults, fmt.Errorf("%s has a placeholder, and not the digest of an image", name))
	}
	if privateKey.Match(content) {
		faults = append(faults, fmt.Errorf("%s has a private key", name))
	}
	for _, path := range private {
		if bytes.Contains(content, []byte(path)) {
			faults = append(faults, fmt.Errorf("%s has a path of this machine: %s", name, path))
		}
	}
	inner, err := unpack(content)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if len(inner) > 0 && within == depth {
		return fmt.Errorf("%s: too many archives in each other", name)
	}
	for _, f := range inner {
		faults = append(faults, scanFile(strings.TrimSuffix(name+": "+f.name, ": "), f.content, private, within+1))
	}
	return errors.Join(faults...)
}

// unpack returns what is in an archive, told by its first bytes. What is none has nothing in it.
func unpack(content []byte) (files []file, err error) {
	switch {
	case bytes.HasPrefix(content, []byte("\x1f\x8b")):
		z, err := gzip.NewReader(bytes.NewReader(content))
		if err != nil {
			return nil, err
		}
		plain, err := io.ReadAll(z)
		return []file{{content: plain}}, err
	case bytes.HasPrefix(content, []byte("PK\x03\x04")):
		z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			return nil, err
		}
		for _, f := range z.File {
			r, err := f.Open()
			if err != nil {
				return nil, err
			}
			plain, err := io.ReadAll(r)
			if err := errors.Join(err, r.Close()); err != nil {
				return nil, err
			}
			files = append(files, file{f.Name, f.Mode(), plain})
		}
		return files, nil
	case len(content) > 262 && string(content[257:262]) == "ustar":
		for t := tar.NewReader(bytes.NewReader(content)); ; {
			h, err := t.Next()
			if err == io.EOF {
				return files, nil
			}
			if err != nil {
				return nil, err
			}
			plain, err := io.ReadAll(t)
			if err != nil {
				return nil, err
			}
			files = append(files, file{h.Name, h.FileInfo().Mode(), plain})
		}
	}
	return nil, nil
}
