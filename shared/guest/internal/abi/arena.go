// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package abi

import "unsafe"

// arenaSize holds the headers of any request that Envoy accepts by default (60 KiB), several times over.
const arenaSize = 256 << 10

// The proxy asks for memory while a host call runs and writes its answer there. Taking that from
// Go's heap is the dearest part of a header read (measured: 16 µs instead of 20 with an arena), and
// all of it is garbage when the callback ends: so it is handed out here in order and taken back at
// once.
//
// Everything the SDK returns from a host call (strings, slices, whole header lists) points in here.
// It is valid until the outermost callback ends: what is kept longer must be copied (strings.Clone,
// bytes.Clone).
var (
	arena     [arenaSize]byte
	arenaUsed uint32
	oversize  [][]byte // blocks that the arena had no room for, reachable while the callback lasts
)

// Allocate returns size bytes for the proxy to write to, aligned to 8.
func Allocate(size uint32) unsafe.Pointer {
	if size <= arenaSize-arenaUsed {
		block := unsafe.Pointer(unsafe.SliceData(arena[min(arenaUsed, arenaSize-1):]))
		arenaUsed = min((arenaUsed+size+7)&^7, arenaSize)
		return block
	}
	return allocateOversize(size)
}

//go:noinline
func allocateOversize(size uint32) unsafe.Pointer {
	block := make([]byte, size)
	oversize = append(oversize, block)
	return unsafe.Pointer(unsafe.SliceData(block))
}

// Used is how much of the arena is in use, for Rewind.
func Used() uint32 { return arenaUsed }

// Rewind takes back what has been handed out since Used told that: nobody may hold on to it.
func Rewind(used uint32) { arenaUsed = min(used, arenaUsed) }

func releaseArena() {
	arenaUsed = 0
	if len(oversize) > 0 {
		clear(oversize)
		oversize = oversize[:0]
	}
}
