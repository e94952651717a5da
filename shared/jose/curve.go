// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose

import "math/bits"

// curve is a short Weierstrass curve with a = -3, as all of NIST's are (FIPS 186-4 D.1.2).
type curve struct {
	name string
	size int
	p, b string // hexadecimal
	oid  []byte
}

var curves = [...]curve{
	{"P-256", 32, "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
		"5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b", oidP256},
	{"P-384", 48, "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff",
		"b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef", oidP384},
	{"P-521", 66, "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00", oidP521},
}

// contains reports whether y² = x³ - 3x + b (mod p): a point off the curve leads ECDSA into
// another, weak group. It runs when keys are loaded, never for a request, and on public values
// only: simple beats fast and constant-time here, and math/big would add a twentieth to the module.
func (c *curve) contains(x, y []byte) bool {
	if len(x) != c.size || len(y) != c.size { // RFC 7518 §6.2.1.2: the full size of a coordinate
		return false
	}
	p := fromHex(c.p)
	nx, ny := fromBytes(x), fromBytes(y)
	if !less(nx, p) || !less(ny, p) {
		return false
	}
	left := mul(ny, ny, p)
	right := mul(mul(nx, nx, p), nx, p) // x³
	for range 3 {
		right = sub(right, nx, p)
	}
	return left == add(right, fromHex(c.b), p)
}

// number is a natural number below 2^576, lowest limb first: a coordinate of P-521 with room for one carry.
type number [9]uint64

func fromBytes(b []byte) (n number) {
	for i := range b {
		bit := 8 * (len(b) - 1 - i)
		n[bit/64] |= uint64(b[i]) << (bit % 64)
	}
	return n
}

func fromHex(s string) number {
	b := make([]byte, len(s)/2)
	for i := range b {
		b[i] = hexDigit(s[2*i])<<4 | hexDigit(s[2*i+1])
	}
	return fromBytes(b)
}

func hexDigit(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

func less(a, b number) bool {
	_, borrow := minus(a, b)
	return borrow == 1
}

func minus(a, b number) (d number, borrow uint64) {
	for i := range a {
		d[i], borrow = bits.Sub64(a[i], b[i], borrow)
	}
	return d, borrow
}

// add returns a + b mod p for a and b below p.
func add(a, b, p number) (sum number) {
	var carry uint64
	for i := range a {
		sum[i], carry = bits.Add64(a[i], b[i], carry)
	}
	if !less(sum, p) {
		sum, _ = minus(sum, p)
	}
	return sum
}

// sub returns a - b mod p for a and b below p.
func sub(a, b, p number) number {
	d, borrow := minus(a, b)
	if borrow == 0 {
		return d
	}
	d, _ = minus(p, b)
	return add(a, d, p)
}

// mul returns a · b mod p for a and b below p, by doubling and adding from b's highest bit down.
func mul(a, b, p number) (product number) {
	for i := len(b)*64 - 1; i >= 0; i-- {
		product = add(product, product, p)
		if b[i/64]>>(i%64)&1 == 1 {
			product = add(product, a, p)
		}
	}
	return product
}
