// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"strconv"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/replay"
)

// ReplayGuard is a table of package replay that all VMs of the proxy share.
type ReplayGuard struct{ buckets [][]byte } // the records' keys

// NewReplayGuard makes the table for that many ids at once, or finds the one that another VM has
// made. Tables of the same name are one.
func NewReplayGuard(name string, entries int) (*ReplayGuard, error) {
	g := &ReplayGuard{buckets: make([][]byte, replay.Buckets(entries))}
	for i := range g.buckets {
		key := "tollgate.replay.1\x00" + name + "\x00" + strconv.Itoa(len(g.buckets)) + "\x00" + strconv.Itoa(i)
		if err := CreateShared(key, replay.Empty()); err != nil {
			return nil, err
		}
		g.buckets[i] = []byte(key)
	}
	return g, nil
}

// Admit remembers id until expires, where it has not come before. An error means that nobody can tell whether it has.
func (g *ReplayGuard) Admit(id replay.ID, expires, now time.Time) (result replay.Result, err error) {
	err = SwapShared(g.buckets[id.Bucket(len(g.buckets))], func(bucket []byte) (next []byte) {
		next, result = replay.Admit(bucket, id, expires.Unix(), now.Unix())
		return next
	})
	if err != nil {
		return replay.Full, err
	}
	return result, nil
}
