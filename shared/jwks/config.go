// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwks

import (
	"slices"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

// Remote is a key set that an issuer publishes. Where to fetch it is the glue's business; what of
// it may be used is the Source's.
type Remote struct {
	Name      string        // of whose keys they are: the provider's
	Place                   // of the set, or of the metadata that says where it is
	Discovery *Discovery    // nil: the keys are at Path
	Timeout   time.Duration // of one fetch, and the longest that a request waits for one
	Source    Source
}

// Keys are what one issuer's signatures are verified with: a set that stands in the configuration, or a published one.
type Keys struct {
	inline *Set
	Remote *Remote // nil where the keys are inline
}

// Inline are keys that are there from the start.
func Inline(s *Set) Keys { return Keys{inline: s} }

// ReadKeys reads the member jwks of an issuer called name, for the algorithms that it may sign with.
// issuer is what it calls itself; empty: it has no single name.
//
//go:noinline
func ReadKeys(o *conf.Object, name, issuer string, algorithms []jose.Algorithm) (k Keys) {
	n, ok := o.Need("jwks")
	if !ok {
		return k
	}
	source := n.Object()
	inline, hasInline := source.At("inline")
	remote, hasRemote := source.At("remote")
	switch {
	case hasInline == hasRemote:
		if n.IsObject() {
			n.Fault("want one of inline and remote")
		}
	case hasRemote:
		k.Remote = readRemote(remote, issuer, algorithms)
		k.Remote.Name = name
	default:
		k.inline = readInline(inline, algorithms)
		if k.inline != nil && !k.inline.HasKeyFor(algorithms) {
			inline.Fault("has no key for any of the algorithms: no token could be verified")
		}
	}
	source.End()
	return k
}

// Set is what to verify with now; nil where there is nothing.
func (k *Keys) Set(now time.Time) *Set {
	if k.Remote != nil {
		return k.Remote.Source.Keys(now)
	}
	return k.inline
}

// ReadAlgorithms reads the member algorithms: a list of names, or def where it is absent.
func ReadAlgorithms(o *conf.Object, def ...jose.Algorithm) []jose.Algorithm {
	n, ok := o.At("algorithms")
	if !ok {
		return def
	}
	var list []jose.Algorithm
	for _, item := range n.List() {
		a, known := jose.ParseAlgorithm(item.Enum(jose.AlgorithmNames()...))
		if known && a.String() == item.Value().Str && slices.Contains(list, a) {
			item.Warn(conf.Repeated)
			continue
		}
		list = append(list, a)
	}
	return list
}

// readInline takes a JWK Set that the user wrote or pasted: what a remote set may leave unusable is a fault here.
//
//go:noinline
func readInline(n conf.Node, algorithms []jose.Algorithm) *Set {
	// The reader of the configuration has left repeated names to whoever looks at an object; a key
	// is looked at by name only.
	if err := strictjson.Scan(n.Raw(), strictjson.Limits{Depth: 8, Members: 4096, Number: 32}); err != nil {
		n.Fault(err.Err.Error())
		return nil
	}
	symmetric := false
	for _, a := range algorithms {
		symmetric = symmetric || a.Symmetric()
	}
	set, faults := Parse(n.Value(), symmetric)
	refused := false
	for _, f := range faults {
		if f.Err == jose.ErrKeyUse || f.Err == ErrTwice || f.Err == ErrNoKey && refused {
			continue // issuers publish their encryption keys beside the others
		}
		refused = true
		if f.Index < 0 {
			n.Fault(f.Err.Error())
			continue
		}
		list := n.Object()
		if keys, ok := list.At("keys"); ok {
			keys.ListOrEmpty()[f.Index].Fault(f.Err.Error())
		}
	}
	if refused {
		return nil
	}
	return set
}

// ReadPlace reads cluster, authority and path, which is def where it is absent; empty: it must not be.
//
//go:noinline
func ReadPlace(o *conf.Object, def string) (at Place) {
	at.Path = def
	for _, field := range [...]struct {
		name string
		into *string
	}{{"cluster", &at.Cluster}, {"authority", &at.Authority}, {"path", &at.Path}} {
		need := o.Need
		if *field.into != "" {
			need = o.At
		}
		if n, ok := need(field.name); ok {
			*field.into = n.Text()
			if strings.ContainsAny(*field.into, " \r\n\x00") {
				n.Fault("has white space in it")
			} else if field.name == "authority" && *field.into != "" && !isAuthority(*field.into) {
				n.Fault("want a host, and its port where it is not the scheme's")
			}
		}
	}
	if at.Path != "" && at.Path[0] != '/' {
		o.FaultAt("path", "a path starts with a slash")
	}
	return at
}

//go:noinline
func readRemote(n conf.Node, issuer string, algorithms []jose.Algorithm) *Remote {
	o := n.Object()
	r := &Remote{Discovery: readDiscovery(o, issuer)}
	if r.Discovery != nil {
		r.Path = defaultMetadata
	}
	r.Place = ReadPlace(o, r.Path)
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
	if r.Discovery != nil {
		r.Discovery.own = r.Place
		for _, at := range r.Discovery.clusters {
			if match.Authority(at.Authority) == match.Authority(r.Authority) {
				o.WarnAt("discoverAuthorities", "has no effect for "+at.Authority+": keys at the metadata's own authority come "+
					"through its cluster")
			}
		}
	}
	o.End()
	return r
}
