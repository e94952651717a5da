// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build lean

package filter

// toldOfBodies is false in the lean modules: each part of a body is a call, which is most of what
// they save (RATIONALE.md, "Why are there lean modules?").
const toldOfBodies = false
