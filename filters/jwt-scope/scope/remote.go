// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// RemoteKeys is a key set that an issuer publishes. Where to fetch it is the glue's business; what of it may be used is the Source's.
type RemoteKeys struct {
	Cluster   string        // of the proxy
	Authority string        // :authority of the request
	Path      string        // with its query
	Timeout   time.Duration // of one fetch, and the longest that a request waits for one
	Source    jwks.Source
}

func readRemote(n conf.Node, algorithms []jose.Algorithm) *RemoteKeys {
	o := n.Object()
	r := &RemoteKeys{}
	for _, field := range [...]struct {
		name string
		into *string
	}{{"cluster", &r.Cluster}, {"authority", &r.Authority}, {"path", &r.Path}} {
		if n, ok := o.Need(field.name); ok {
			*field.into = n.Text()
			if strings.ContainsAny(*field.into, " \r\n\x00") {
				n.Fault("has white space in it")
			}
		}
	}
	if r.Path != "" && r.Path[0] != '/' {
		o.FaultAt("path", "a path starts with a slash")
	}
	r.Timeout = o.Duration("timeout", 2*time.Second, 10*time.Millisecond, 30*time.Second)
	r.Source.Refresh = o.Duration("refresh", 5*time.Minute, time.Second, 24*time.Hour)
	r.Source.MaxStale = o.Duration("maxStale", 24*time.Hour, time.Second, 30*24*time.Hour)
	if r.Source.MaxStale < r.Source.Refresh {
		o.FaultAt("maxStale", "is shorter than refresh: the keys would be too old before they are fetched again")
	}
	for _, a := range algorithms {
		if a.Symmetric() {
			n.Fault("cannot have keys for " + a.String() + ": a secret is not published")
		}
	}
	o.End()
	return r
}

// Remotes are the key sets that have to be fetched.
func (p *Policy) Remotes() []*RemoteKeys {
	var list []*RemoteKeys
	for _, provider := range p.providers {
		if provider.remote != nil {
			list = append(list, provider.remote)
		}
	}
	return list
}

// keySet is what the provider's tokens are verified with now; nil where there is nothing to verify them with.
func (p *provider) keySet(now time.Time) *jwks.Set {
	if p.remote != nil {
		return p.remote.Source.Keys(now)
	}
	return p.keys
}

// waitForKeys lets the decision wait for a fetch, once.
func (d *Decision) waitForKeys(remote *RemoteKeys, otherwise *verdict.Code) *verdict.Code {
	if d.waited {
		return otherwise
	}
	d.remote = remote
	return verdict.Internal // until the keys are there
}

// KeysWanted is the key set that the decision waits for; nil where it waits for none. Force it to be fetched, and when it has been, or when its Timeout is over, call
// DecideAfterWait with the same headers.
func (d *Decision) KeysWanted() *RemoteKeys { return d.remote }
