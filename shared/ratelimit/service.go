// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"time"

	"github.com/tollgate-wasm/tollgate/shared/conf"
)

// Service says where a rate-limit service is, and how long a request waits for it.
type Service struct {
	Cluster   string // of the proxy; it speaks HTTP/2
	Authority string // :authority of the calls
	Domain    string // of the service's configuration
	Timeout   time.Duration
}

// ReadService reads the members of o that say so. The others are the caller's, and so is o.End.
func ReadService(o *conf.Object, timeout time.Duration) (s Service) {
	for _, field := range [...]struct {
		name string
		into *string
	}{{"cluster", &s.Cluster}, {"authority", &s.Authority}, {"domain", &s.Domain}} {
		if n, ok := o.Need(field.name); ok {
			*field.into = n.Text()
		}
	}
	s.Timeout = o.Duration("timeout", timeout, time.Millisecond, 10*time.Second)
	return s
}
