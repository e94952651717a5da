// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"hash/maphash"
	"strings"
	"time"
	"unsafe"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/jwks"
	"github.com/tollgate-wasm/tollgate/shared/jwt"
)

// verified are claims that may be believed, for as long as their validity lasts and the keys that
// verified them are in use.
type verified struct {
	provider *provider
	claims   gjson.Result // a JSON object
	scopes   []string
	validity jwt.Dates

	confirmation confirmation // where the provider asks for it
	encoded      string       // the claims in base64url, as they came
	until        int64        // introspected: the endpoint is asked again after this, in microseconds

	// Of a cached token:
	token        string
	keys         *jwks.Set
	next         *verified // in its bucket
	newer, older *verified
}

// cache remembers verified tokens. It compares whole tokens, so that one differing in one byte is
// another one; the least recently used goes first. Refused tokens are not remembered: whoever sends
// many of them pushes nobody out.
type cache struct {
	limit, count   int
	buckets        []*verified // as many as a power of two; a bucket is linked by next
	factor         uint64
	newest, oldest *verified
}

func newCache(limit int) *cache {
	size := 1
	for size < limit {
		size *= 2
	}
	return &cache{limit: limit, buckets: make([]*verified, size), factor: maphash.String(maphash.MakeSeed(), "") | 1}
}

// bucket is where a token belongs. The end of a verified token is the end of its signature, as good
// as random, and the secret factor keeps even those who make tokens from crowding one bucket.
func (c *cache) bucket(token string) *(*verified) {
	end := uint64(0)
	for _, b := range []byte(token[max(0, len(token)-8):]) {
		end = end<<8 | uint64(b)
	}
	return &c.buckets[end*c.factor>>32&uint64(len(c.buckets)-1)]
}

// find returns what is known of token; nil: nothing.
func (c *cache) find(token string) *verified {
	v := *c.bucket(token)
	for v != nil && !same(v.token, token) {
		v = v.next
	}
	return v
}

// same is ==, eight bytes at a time: Go compares strings byte by byte in WebAssembly
// (internal/bytealg/equal_wasm.s), which for a token takes longer than all the rest of finding it.
func same(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	x, y := unsafe.Pointer(unsafe.StringData(a)), unsafe.Pointer(unsafe.StringData(b))
	i := 0
	for ; i+8 <= len(a); i += 8 {
		if *(*uint64)(unsafe.Add(x, i)) != *(*uint64)(unsafe.Add(y, i)) {
			return false
		}
	}
	return a[i:] == b[i:]
}

// use takes note that v is used now, and reports false where its provider has other keys by now, or none.
func (c *cache) use(v *verified, now time.Time) bool {
	if v.keys != v.provider.keys.Set(now) {
		c.remove(v)
		return false
	}
	if v != c.newest {
		c.touch(v)
	}
	return true
}

// touch takes note that v is used now.
//
//go:noinline
func (c *cache) touch(v *verified) {
	c.unlink(v)
	c.link(v)
}

// put remembers v, whose token is not known yet; one that keys have verified may alias memory that
// is reused, so it is copied.
func (c *cache) put(v *verified) {
	if c.limit == 0 {
		return
	}
	if c.count >= c.limit {
		c.remove(c.oldest)
	}
	if v.keys != nil {
		v.token = strings.Clone(v.token)
		_, rest, _ := strings.Cut(v.token, ".")
		v.encoded, _, _ = strings.Cut(rest, ".")
	}
	b := c.bucket(v.token)
	v.next, *b = *b, v
	c.count++
	c.link(v)
}

//go:noinline
func (c *cache) remove(v *verified) {
	at := c.bucket(v.token)
	for *at != v {
		at = &(*at).next
	}
	*at = v.next
	c.count--
	c.unlink(v)
}

func (c *cache) link(v *verified) {
	v.older, v.newer = c.newest, nil
	if c.newest != nil {
		c.newest.newer = v
	} else {
		c.oldest = v
	}
	c.newest = v
}

func (c *cache) unlink(v *verified) {
	if v.newer != nil {
		v.newer.older = v.older
	} else {
		c.newest = v.older
	}
	if v.older != nil {
		v.older.newer = v.newer
	} else {
		c.oldest = v.newer
	}
}
