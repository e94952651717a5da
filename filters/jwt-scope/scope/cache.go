// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/jwks"
)

// verified are claims that may be believed, for as long as their validity lasts and the keys that verified them are in use.
type verified struct {
	provider *provider
	claims   gjson.Result // a JSON object
	scopes   []string
	validity validity
	encoded  string // the claims in base64url, as they came

	// Of a cached token:
	token        string
	keys         *jwks.Set
	newer, older *verified
}

// cache remembers verified tokens. It is keyed by the whole token (Go's maps hash it with a seed of their own), so that a token differing in one byte is another one; the
// least recently used goes first. Refused tokens are not remembered: whoever sends many of them pushes nobody out.
type cache struct {
	limit          int
	tokens         map[string]*verified
	newest, oldest *verified
}

func newCache(limit int) *cache { return &cache{limit: limit, tokens: map[string]*verified{}} }

// get returns what is known of token, unless its provider has other keys by now, or none.
func (c *cache) get(token string, now time.Time) *verified {
	v := c.tokens[token]
	if v == nil {
		return nil
	}
	c.unlink(v)
	if v.keys != v.provider.keySet(now) {
		delete(c.tokens, v.token)
		return nil
	}
	c.link(v)
	return v
}

// put remembers v, whose token may alias memory that is reused: it is copied.
func (c *cache) put(v *verified) {
	if c.limit == 0 {
		return
	}
	if len(c.tokens) >= c.limit {
		delete(c.tokens, c.oldest.token)
		c.unlink(c.oldest)
	}
	v.token = strings.Clone(v.token)
	_, rest, _ := strings.Cut(v.token, ".")
	v.encoded, _, _ = strings.Cut(rest, ".")
	c.tokens[v.token] = v
	c.link(v)
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
