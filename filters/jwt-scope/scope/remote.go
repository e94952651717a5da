// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Remotes are the key sets that have to be fetched.
func (p *Policy) Remotes() []*jwks.Remote {
	var list []*jwks.Remote
	for _, provider := range p.providers {
		if provider.keys.Remote != nil {
			list = append(list, provider.keys.Remote)
		}
	}
	return list
}

// waitForKeys lets the decision wait for a fetch, once.
func (d *Decision) waitForKeys(remote *jwks.Remote, otherwise *verdict.Code) *verdict.Code {
	if d.waited {
		return otherwise
	}
	d.remote, d.step = remote, decide.FetchKeys
	return nil
}

// KeysWanted is the key set that the decision waits for (decide.FetchKeys); nil where it waits for
// none. Force it to be fetched, and when it has been, or when its Timeout is over, call
// DecideAfterWait with the same headers.
func (d *Decision) KeysWanted() *jwks.Remote { return d.remote }
