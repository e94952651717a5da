// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package wasmhost

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
)

// headerMap is Envoy's HeaderMap as a filter sees it: an ordered list of pairs with names in lower case.
type headerMap struct{ pairs [][2]string }

func (m *headerMap) get(name string) (string, bool) {
	for _, p := range m.pairs {
		if p[0] == name {
			return p[1], true // Context::getHeaderMapValue: the first one only
		}
	}
	return "", false
}

func (m *headerMap) add(name, value string) { m.pairs = append(m.pairs, [2]string{name, value}) }

func (m *headerMap) remove(name string) {
	m.pairs = slices.DeleteFunc(m.pairs, func(p [2]string) bool { return p[0] == name })
}

// replace is HeaderMap::setCopy: all pairs of that name go, and one with the value is added behind the others.
func (m *headerMap) replace(name, value string) {
	m.remove(name)
	m.add(name, value)
}

func lower(pairs [][2]string) [][2]string {
	out := make([][2]string, len(pairs))
	for i, p := range pairs {
		out[i] = [2]string{strings.ToLower(p[0]), p[1]}
	}
	return out
}

// marshalPairs is PairsUtil::marshalPairs: the count, all lengths, then all strings, each with a zero byte behind it.
func marshalPairs(pairs [][2]string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(pairs)))
	for _, p := range pairs {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p[0])))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p[1])))
	}
	for _, p := range pairs {
		b = append(append(append(append(b, p[0]...), 0), p[1]...), 0)
	}
	return b
}

func unmarshalPairs(b []byte) (pairs [][2]string, ok bool) {
	if len(b) < 4 {
		return nil, len(b) == 0
	}
	count := int(binary.LittleEndian.Uint32(b))
	at := 4 + 8*count
	if count > 1024 || at > len(b) { // limits.h: PROXY_WASM_HOST_PAIRS_MAX_COUNT
		return nil, false
	}
	take := func(size uint32) (string, bool) {
		if at+int(size) >= len(b) {
			return "", false
		}
		s := string(b[at : at+int(size)])
		at += int(size) + 1
		return s, true
	}
	for i := range count {
		name, ok := take(binary.LittleEndian.Uint32(b[4+8*i:]))
		if !ok {
			return nil, false
		}
		value, ok := take(binary.LittleEndian.Uint32(b[8+8*i:]))
		if !ok {
			return nil, false
		}
		pairs = append(pairs, [2]string{name, value})
	}
	return pairs, true
}

func digits(n uint32) string { return strconv.Itoa(int(n)) }
