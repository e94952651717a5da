// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build !wasip1

package conf

import "sync"

var listener struct {
	sync.Mutex
	f func(Want)
}

// Observe runs read and tells f of everything that readers ask for meanwhile: of that,
// build/tollgate/schema makes JSON Schemas. One caller at a time.
func Observe(f func(Want), read func()) {
	listener.Lock()
	defer listener.Unlock()
	listener.f = f
	defer func() { listener.f = nil }()
	read()
}

func observe(n Node, w Want) {
	if listener.f != nil {
		w.Path = n.Path()
		listener.f(w)
	}
}
