// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package abi

import (
	"encoding/binary"
	"unsafe"
)

// readPairs reads a header map as the proxy writes it: the number of pairs, the sizes of each name
// and value, then these, each with a NUL behind it; all numbers are 32 bits, little-endian. The
// list is put into dst where it has the room; the strings point into b. What does not fit into b
// panics.
func readPairs(b []byte, dst [][2]string) [][2]string {
	if len(b) < 4 {
		panic(badPairs)
	}
	n := int(binary.LittleEndian.Uint32(b))
	if n > len(b)/8 {
		panic(badPairs)
	}
	if n > cap(dst) {
		dst = make([][2]string, 2*n)
	}
	dst = dst[:n]
	start := unsafe.Pointer(unsafe.SliceData(b))
	at := 4 + 8*n
	for i := range dst {
		if at > len(b) {
			break
		}
		name := int(*(*uint32)(unsafe.Add(start, 4+8*i)))
		value := int(*(*uint32)(unsafe.Add(start, 8+8*i)))
		dst[i] = [2]string{unsafe.String((*byte)(unsafe.Add(start, at)), name),
			unsafe.String((*byte)(unsafe.Add(start, at+name+1)), value)}
		at += name + value + 2
	}
	if at > len(b) {
		panic(badPairs)
	}
	return dst
}

const badPairs = "the proxy's header map is cut off"

// writePairs is how the proxy reads a header map.
//
//go:noinline
func writePairs(list [][2]string) []byte {
	size := 4
	for i := range list {
		size += 8 + len(list[i][0]) + len(list[i][1]) + 2
	}
	b := make([]byte, size) // with the NULs behind names and values
	binary.LittleEndian.PutUint32(b, uint32(len(list)))
	number, text := 4, 4+8*len(list)
	for i := range list {
		for _, s := range &list[i] {
			binary.LittleEndian.PutUint32(b[number:], uint32(len(s)))
			number += 4
			text += copy(b[text:], s) + 1
		}
	}
	return b
}
