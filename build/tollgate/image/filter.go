// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
)

// mark is what the name of a function begins with by which a module says which it is: a filter's, or the one with all.
const mark = "tollgate_filter_"

// errModule is what is wrong with a module that ends within a section.
var errModule = errors.New("the WebAssembly module is not whole")

// Names are what a module says it is, by what it exports: a filter, or the module with all of them. A lean one is
// without the callback for the bodies of answers.
func Names(module []byte) (names []string, lean bool, err error) {
	lean = true
	err = exports(module, func(name string) {
		if filter, ok := strings.CutPrefix(name, mark); ok {
			names = append(names, strings.ReplaceAll(filter, "_", "-"))
		}
		if name == "proxy_on_response_body" {
			lean = false
		}
	})
	return names, lean, err
}

// exports calls a function with the name of all that a module exports.
func exports(module []byte, each func(name string)) error {
	rest, ok := bytes.CutPrefix(module, []byte(magic))
	if !ok {
		return errNoModule
	}
	for len(rest) > 0 {
		id := rest[0]
		section, after, ok := sized(rest[1:])
		if !ok {
			return errModule
		}
		rest = after
		if id != 7 { // the export section (WebAssembly 5.5.10)
			continue
		}
		count, n := binary.Uvarint(section)
		if n <= 0 {
			return errModule
		}
		for section = section[n:]; count > 0; count-- {
			name, after, ok := sized(section)
			if !ok || len(after) == 0 {
				return errModule
			}
			_, n := binary.Uvarint(after[1:]) // the kind, and an index
			if n <= 0 {
				return errModule
			}
			section = after[1+n:]
			each(string(name))
		}
	}
	return nil
}

// sized are the bytes behind their number, and what follows them.
func sized(b []byte) (content, rest []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, nil, false
	}
	return b[n : n+int(size)], b[n+int(size):], true
}
