// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"bytes"
	"hash"
	"math/bits"
)

// rsaKey is an RSA public key made ready for x^e mod n. crypto/rsa would bring math/big, and with
// it fmt and reflection: a fifth of the module, for one public operation without secrets that takes
// a page. It serves PS*; RS* is the proxy's.
type rsaKey struct {
	n    []uint64 // limbs, lowest first; odd
	rr   []uint64 // 2^(2·64·len(n)) mod n, which takes numbers into Montgomery's form
	n0   uint64   // -1/n mod 2^64
	e    uint32
	bits int // of n
}

// newRSAKey takes n, odd and without leading zeros, and e.
func newRSAKey(n []byte, e uint32) *rsaKey {
	k := &rsaKey{n: limbs(n, (len(n)+7)/8), e: e, bits: len(n)*8 - bits.LeadingZeros8(n[0])}
	inverse := k.n[0] // right in its lowest 3 bits; each step doubles them
	for range 5 {
		inverse *= 2 - k.n[0]*inverse
	}
	k.n0 = -inverse
	k.rr = make([]uint64, len(k.n))
	k.rr[0] = 1
	for range 2 * 64 * len(k.n) {
		k.double(k.rr)
	}
	return k
}

// limbs reads a big-endian number.
func limbs(b []byte, size int) []uint64 {
	x := make([]uint64, size)
	for i := range b {
		bit := 8 * (len(b) - 1 - i)
		x[bit/64] |= uint64(b[i]) << (bit % 64)
	}
	return x
}

// double sets x to 2x mod n, for x below n.
func (k *rsaKey) double(x []uint64) {
	var carry uint64
	for i := range x {
		x[i], carry = bits.Add64(x[i], x[i], carry)
	}
	k.reduce(x, carry)
}

// reduce subtracts n once where carry·2^(64·len) + x is not below it.
func (k *rsaKey) reduce(x []uint64, carry uint64) {
	if carry == 0 && k.below(x) {
		return
	}
	var borrow uint64
	for i := range x {
		x[i], borrow = bits.Sub64(x[i], k.n[i], borrow)
	}
}

func (k *rsaKey) below(x []uint64) bool {
	for i := len(x) - 1; i >= 0; i-- {
		if x[i] != k.n[i] {
			return x[i] < k.n[i]
		}
	}
	return false
}

// multiply sets out to x·y/2^(64·len(n)) mod n (Montgomery, operand scanning); out is neither x nor y.
func (k *rsaKey) multiply(out, x, y []uint64) {
	size := len(k.n)
	clear(out)
	var top uint64
	for i := range size {
		top += addProduct(out, x, y[i])
		carry := addProduct(out, k.n, out[0]*k.n0)
		// The lowest limb is 0 now: shift by it.
		copy(out, out[1:])
		out[size-1], carry = bits.Add64(top, carry, 0)
		top = carry
	}
	k.reduce(out, top)
}

// addProduct adds x·y to z and returns the carry.
func addProduct(z, x []uint64, y uint64) (carry uint64) {
	for i := range z {
		high, low := bits.Mul64(x[i], y)
		low, c := bits.Add64(low, z[i], 0)
		high += c
		z[i], c = bits.Add64(low, carry, 0)
		carry = high + c
	}
	return carry
}

// power returns x^e mod n as big-endian bytes as long as n, or nil where x is not below n or has
// another length (RFC 8017 §5.2.2).
func (k *rsaKey) power(x []byte) []byte {
	size := len(k.n)
	if len(x) != (k.bits+7)/8 {
		return nil
	}
	base := limbs(x, size)
	if !k.below(base) {
		return nil
	}
	form, result, spare := make([]uint64, size), make([]uint64, size), make([]uint64, size)
	k.multiply(form, base, k.rr)
	copy(result, form)
	for i := 30 - bits.LeadingZeros32(k.e); i >= 0; i-- {
		k.multiply(spare, result, result)
		result, spare = spare, result
		if k.e>>i&1 == 1 {
			k.multiply(spare, result, form)
			result, spare = spare, result
		}
	}
	one := make([]uint64, size)
	one[0] = 1
	k.multiply(spare, result, one)
	out := make([]byte, len(x))
	for i := range out {
		bit := 8 * (len(out) - 1 - i)
		out[i] = byte(spare[bit/64] >> (bit % 64))
	}
	return out
}

// verifyPSS is RSASSA-PSS-VERIFY (RFC 8017 §8.1.2, §9.1.2) with MGF1 and a salt as long as the
// hash, as RFC 7518 §3.5 has it.
func (k *rsaKey) verifyPSS(hashBits int, text string, signature []byte) bool {
	em := k.power(signature)
	if em == nil {
		return false
	}
	emBits := k.bits - 1
	if emBits%8 == 0 {
		if em[0] != 0 {
			return false
		}
		em = em[1:]
	}
	newHash := newHash(hashBits)
	h := newHash()
	size := h.Size()
	if len(em) < 2*size+2 || em[len(em)-1] != 0xbc {
		return false
	}
	db, tag := em[:len(em)-size-1], em[len(em)-size-1:len(em)-1]
	unused := byte(0xff) << (8 - (8*len(em) - emBits)) // the highest bits, which n does not reach
	if db[0]&unused != 0 {
		return false
	}
	mgf1(h, tag, db)
	db[0] &^= unused
	padding, salt := db[:len(db)-size], db[len(db)-size:]
	if padding[len(padding)-1] != 1 || !isZero(padding[:len(padding)-1]) {
		return false
	}
	return bytes.Equal(pssTag(h, text, salt), tag)
}

// mgf1 masks db with what MGF1 makes of seed (RFC 8017 §B.2.1).
//
//go:noinline
func mgf1(h hash.Hash, seed, db []byte) {
	mask := make([]byte, 0, len(db)+h.Size())
	for counter := byte(0); len(mask) < len(db); counter++ { // at most 1024/32 rounds
		h.Reset()
		h.Write(seed)
		h.Write([]byte{0, 0, 0, counter})
		mask = h.Sum(mask)
	}
	for i := range db {
		db[i] ^= mask[i]
	}
}

// pssTag is the hash that PSS puts into a signature: of the text's hash and the salt (RFC 8017 §9.1.1, steps 2 to 6).
//
//go:noinline
func pssTag(h hash.Hash, text string, salt []byte) []byte {
	h.Reset()
	h.Write([]byte(text))
	sum := h.Sum(nil)
	h.Reset()
	h.Write(make([]byte, 8))
	h.Write(sum)
	h.Write(salt)
	return h.Sum(nil)
}
