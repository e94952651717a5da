// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"strconv"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/shared/replay"
)

// ErrBusy means that other VMs changed a record each time that this one tried to.
var ErrBusy = errors.New("shared data changes too fast")

// ReplayGuard is a table of package replay that all VMs of the proxy share.
type ReplayGuard struct{ buckets []string }

// maxSwaps bounds how often one VM tries to change a record that others change, too.
const maxSwaps = 16

// NewReplayGuard makes the table for that many ids at once, or finds the one that another VM has made. Tables of the same name are one.
func NewReplayGuard(name string, entries int) (*ReplayGuard, error) {
	g := &ReplayGuard{buckets: make([]string, replay.Buckets(entries))}
	for i := range g.buckets {
		g.buckets[i] = "tollgate.replay.1\x00" + name + "\x00" + strconv.Itoa(len(g.buckets)) + "\x00" + strconv.Itoa(i)
		if err := CreateShared(g.buckets[i], replay.Empty()); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// Admit remembers id until expires, where it has not come before. An error means that nobody can tell whether it has.
func (g *ReplayGuard) Admit(id replay.ID, expires, now time.Time) (replay.Result, error) {
	key := g.buckets[id.Bucket(len(g.buckets))]
	for range maxSwaps {
		bucket, cas, err := proxywasm.GetSharedData(key)
		if err != nil {
			return replay.Full, err
		}
		next, result := replay.Admit(bucket, id, expires.Unix(), now.Unix())
		if result != replay.Fresh {
			return result, nil
		}
		if err = proxywasm.SetSharedData(key, next, cas); err != types.ErrorStatusCasMismatch {
			return result, err
		}
	}
	return replay.Full, ErrBusy
}
