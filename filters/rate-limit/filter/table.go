// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"strconv"

	"github.com/tollgate-wasm/tollgate/shared/gcra"
	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/host"
)

// table is the one that all VMs of the proxy share: a record of shared data for each bucket. It
// outlives VMs and configurations, and goes by the filter's name, so that who is over a limit stays
// so.
type table struct {
	key    []byte // of a record: what all have in common, and a bucket's number
	common int
}

// openTable makes the table, or finds the one that another VM has made, and returns the seed of the
// hash that its keys are found by.
func openTable(filter string, buckets int) (t *table, seed gcra.Seed, err error) {
	name := "tollgate.limit.1\x00" + filter + "\x00"
	if err = host.ShareRandom(name+"seed", seed[:]); err != nil {
		return nil, seed, err
	}
	t, err = openBuckets(name, buckets, gcra.Empty())
	return t, seed, err
}

// openBuckets makes the records of a table's buckets where there are none.
func openBuckets(name string, buckets int, empty []byte) (*table, error) {
	t := &table{key: []byte(name + strconv.Itoa(buckets) + "\x00")}
	t.common = len(t.key)
	// Whoever has made all of them leaves a mark, so that a VM that is made anew asks once.
	complete := string(t.key) + "complete"
	if _, _, err := guest.SharedData([]byte(complete)); err == nil {
		return t, nil
	}
	for i := range buckets {
		if err := host.CreateShared(string(t.bucket(i)), empty); err != nil {
			return nil, err
		}
	}
	return t, host.CreateShared(complete, []byte{1})
}

// bucket is the key of a bucket's record, until the next call.
func (t *table) bucket(i int) []byte {
	t.key = strconv.AppendInt(t.key[:t.common], int64(i), 10)
	return t.key
}

// swap is decide.World.Swap.
func (t *table) swap(bucket int, change func([]byte) []byte) error {
	return host.SwapShared(t.bucket(bucket), change)
}
