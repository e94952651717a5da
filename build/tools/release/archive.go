// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// file is one in an archive.
type file struct {
	name    string
	mode    fs.FileMode
	content []byte
}

// tarred is a tar.gz archive. Of the machine nothing is in it: its files have no owners, and the time of the commit.
func tarred(files []file, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(z)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: int64(f.mode), Size: int64(len(f.content)),
			ModTime: at, Typeflag: tar.TypeReg, Format: tar.FormatPAX}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	err = z.Close()
	return b.Bytes(), err
}

// zipped is the same as a zip archive.
func zipped(files []file, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: at.UTC()}
		h.SetMode(f.mode)
		entry, err := w.CreateHeader(h)
		if err != nil {
			return nil, err
		}
		if _, err := entry.Write(f.content); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

// chart is the archive of the chart, as helm package makes it: its files in a folder of its name, Chart.yaml first.
func chart(tree map[string][]byte, at time.Time) ([]byte, error) {
	rules := strings.Split(string(tree[".helmignore"]), "\n")
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(tree)), func(name string) bool { return ignored(rules, name) })
	first := []string{"Chart.yaml", "values.yaml", "values.schema.json"}
	slices.SortStableFunc(names, func(a, b string) int { return rank(first, a) - rank(first, b) })
	var files []file
	for _, name := range names {
		files = append(files, file{"tollgate/" + name, 0o644, tree[name]})
	}
	return tarred(files, at)
}

func rank(first []string, name string) int {
	if i := slices.Index(first, name); i >= 0 {
		return i
	}
	return len(first)
}

// ignored reports whether a file is none of the chart's by the rules of its .helmignore: a name is one in any folder, a
// path is one from the top, and what ends in a slash is a folder. There are no patterns and no exceptions in ours.
func ignored(rules []string, name string) bool {
	for at, isFolder := name, false; at != "."; at, isFolder = path.Dir(at), true {
		for _, rule := range rules {
			rule = strings.TrimSpace(rule)
			folder, ofFolder := strings.CutSuffix(rule, "/")
			if rule == "" || strings.HasPrefix(rule, "#") || ofFolder && !isFolder {
				continue
			}
			if folder == at || folder == path.Base(at) {
				return true
			}
		}
	}
	return false
}
