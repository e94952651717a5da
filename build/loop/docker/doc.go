// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package docker runs Docker's engine for one test where there is none, and makes images in it of
// programs that are here: no image is pulled, nothing is installed, and nothing of it stays.
//
// The engine is apart from any other on the machine. It keeps away from the firewall and from the
// settings of the kernel: containers speak to each other over their bridge, published ports are
// served by docker-proxy, and there is no way out to the network, which nobody there needs. It must
// be root.
package docker
