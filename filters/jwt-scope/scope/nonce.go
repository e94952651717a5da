// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// A nonce for DPoP proofs (RFC 9449 §9) is the second in which it was made, and a keyed hash of it:
// whoever has the key can check it, and nobody has to remember it.
const (
	nonceAge    = 5 * time.Minute // how long one is good
	nonceTag    = 16              // bytes of the hash
	nonceKeyLen = 32              // bytes of a key at least
)

// readNonceKey reads nonceKeyEnv: proxies that share it take each other's nonces.
func (c *config) readNonceKey(o *conf.Object, from Surroundings) {
	n, ok := o.At("nonceKeyEnv")
	if !ok {
		return
	}
	key, ok := n.Variable(from.Env)
	switch {
	case !ok:
	case !c.nonces:
		n.Warn("has no effect without nonce: required")
	case len(key) < nonceKeyLen:
		n.Fault("the variable's value is too short for a key: want 32 random bytes or more")
	default:
		c.nonceKey = []byte(key)
	}
}

// WantsNonceKey reports whether nonces are made and the configuration has no key for them.
func (p *Policy) WantsNonceKey() bool { return p.nonces && p.nonceKey == nil && p.ProofEntries() > 0 }

// SetNonceKey gives the key that WantsNonceKey asks for: 32 bytes that nobody can guess, the same for all workers.
func (p *Policy) SetNonceKey(key [nonceKeyLen]byte) { p.nonceKey = key[:] }

// nonce is the one of that second.
func (p *Policy) nonce(second int64) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(second))
	b = append(b, jose.MAC(p.nonceKey, "DPoP-Nonce\x00"+string(b))[:nonceTag]...)
	return base64.RawURLEncoding.EncodeToString(b)
}

// checkNonce holds a proof's nonce against those that are good now.
//
//go:noinline
func (p *Policy) checkNonce(nonce string, now time.Time) *verdict.Code {
	if p.nonceKey == nil {
		return verdict.Internal
	}
	b, err := jose.DecodeBase64(nonce)
	if err != nil || len(b) != 8+nonceTag {
		return ProofNonce
	}
	second := int64(binary.BigEndian.Uint64(b))
	if age := now.Unix() - second; age < 0 || age >= int64(nonceAge/time.Second) ||
		subtle.ConstantTimeCompare([]byte(nonce), []byte(p.nonce(second))) != 1 {
		return ProofNonce
	}
	return nil
}

// Headers appends what a refusal has beside its challenge: the nonce that the client's next proof needs.
func (d *Decision) Headers(dst [][2]string) [][2]string {
	if d.verdict.Code == ProofNonce {
		dst = append(dst, [2]string{"dpop-nonce", d.policy.nonce(d.now.Unix())})
	}
	return dst
}
