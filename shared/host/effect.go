// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// identity is where later filters and access logs find the verified claims: wasm.tollgate.identity,
// which no client can write.
const identity = "tollgate.identity"

// IdentityPath is the property (guest.Property) that has the verified claims that an earlier filter
// has published, as JSON.
const IdentityPath = "filter_state\x00wasm." + identity

// Rewrite does to the request's headers what was decided, and reports whether it has changed any.
// It panics where the proxy refuses: the request would be half done, and that is no pass.
func Rewrite(e *forward.Effect) (changed bool) {
	if len(e.Remove)+len(e.Set)+len(e.Add) == 0 {
		return false
	}
	rewrite(e)
	return true
}

// Publish has later filters and access logs find the verified claims. It panics where the proxy refuses.
func Publish(claims string) {
	if err := guest.SetProperty(identity, claims); err != nil {
		panic(err)
	}
}

//go:noinline
func rewrite(e *forward.Effect) {
	for _, name := range e.Remove {
		if err := proxywasm.RemoveHttpRequestHeader(name); err != nil {
			panic(err)
		}
	}
	for _, h := range e.Set {
		if err := proxywasm.ReplaceHttpRequestHeader(h[0], h[1]); err != nil {
			panic(err)
		}
	}
	for _, h := range e.Add {
		if err := proxywasm.AddHttpRequestHeader(h[0], h[1]); err != nil {
			panic(err)
		}
	}
}

// Conclude counts the verdict of the rule with that name and reports whether the request goes on.
// Where it does not, the request is answered, with the headers of answer among others, and the
// callback must return types.ActionPause.
//
//go:noinline
func (c *Counters) Conclude(rule string, v *verdict.Verdict, headers [][2]string, answer ...[2]string) (admitted bool) {
	if err := c.Count(rule, v); err != nil {
		panic(err)
	}
	if v.Reason() == verdict.OK {
		return true
	}
	LogDecision(c.filter, rule, v)
	if v.Admits() {
		return true
	}
	if err := Reply(c.filter, rule, v, forward.Header(headers, "content-type"), answer...); err != nil {
		panic(err)
	}
	return false
}
