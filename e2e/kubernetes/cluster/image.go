// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"os"
	"strings"
)

// Image is what a container runs.
type Image struct {
	Name       string            // the last part of its repository's: "proxyv2" of "docker.io/istio/proxyv2:1.30.0"
	Files      map[string]string // programs and files of this machine, by their paths in the container
	Entrypoint []string
	Env        []string // "NAME=value"
	User       int64    // where the pod says none
}

// Echo is an image with a service on port 8080 that answers what it has got: see Echoed.
func Echo() (Image, error) {
	self, err := os.Executable()
	return Image{Name: "echo", Files: map[string]string{"/echo": self}, Entrypoint: []string{"/echo"},
		Env: []string{program + "=echo"}, User: 1000}, err
}

// imageName is the part of a reference that an Image has as its name.
func imageName(reference string) string {
	reference, _, _ = strings.Cut(reference, "@")
	name := reference[strings.LastIndexByte(reference, '/')+1:]
	name, _, _ = strings.Cut(name, ":")
	return name
}
