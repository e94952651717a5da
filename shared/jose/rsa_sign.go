// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"filippo.io/bigmod"
)

// rsaPrivate is an RSA private key made ready for x^d mod n by the Chinese remainder theorem (RFC
// 8017 §5.1.2, 2b). Its arithmetic is the standard library's own, whose time does not depend on
// what it works on; rsaKey's does, and is for public keys.
type rsaPrivate struct {
	n, p, q *bigmod.Modulus
	e       uint
	dp, dq  []byte // as long as p and q: their length says nothing of them
	qi      *bigmod.Nat
}

// newRSAPrivate takes numbers without zeros in front, n and e such as Key.readRSA takes, and makes
// sure that all of them belong together.
func newRSAPrivate(m *material) (*rsaPrivate, error) {
	// FIPS 186-4 B.3.1 has primes of the same length: of a short one, the modulus would have only the strength.
	if 2*len(m.p) < len(m.n)-1 || 2*len(m.q) < len(m.n)-1 {
		return nil, ErrPrivateParts
	}
	k := &rsaPrivate{e: uint(limbs(m.e, 1)[0])}
	var err error
	if k.n, err = bigmod.NewModulus(m.n); err != nil {
		return nil, ErrPrivateParts
	}
	product, err := bigmod.NewModulusProduct(m.p, m.q)
	if err != nil || product.BitLen() != k.n.BitLen() || product.Nat().Equal(k.n.Nat()) != 1 {
		return nil, ErrPrivateParts
	}
	d, err := bigmod.NewNat().SetBytes(m.d, k.n)
	if err != nil {
		return nil, ErrPrivateParts
	}
	// n is odd, hence p and q are: with even ones, the powers below would panic.
	if k.p, k.dp, err = rsaHalf(m.p, m.dp, m.e, d); err != nil {
		return nil, err
	}
	if k.q, k.dq, err = rsaHalf(m.q, m.dq, m.e, d); err != nil {
		return nil, err
	}
	if k.qi, err = bigmod.NewNat().SetBytes(m.qi, k.p); err != nil {
		return nil, ErrPrivateParts
	}
	// With another qi, or with factors that are not prime, no signature is right. A wrong exponent
	// may be right for a quarter of them: hence rsaHalf.
	if k.signPKCS1(256, "") == nil {
		return nil, ErrPrivateParts
	}
	return k, nil
}

// rsaHalf reads a prime and its exponent: dp = d mod (p-1) and dp·e = 1 mod (p-1).
func rsaHalf(p, dp, e []byte, d *bigmod.Nat) (*bigmod.Modulus, []byte, error) {
	modulus, err := bigmod.NewModulus(p)
	if err != nil {
		return nil, nil, ErrPrivateParts
	}
	minusOne := append([]byte(nil), p...)
	minusOne[len(p)-1] &^= 1
	order, err := bigmod.NewModulus(minusOne)
	if err != nil {
		return nil, nil, ErrPrivateParts
	}
	exponent, err := bigmod.NewNat().SetBytes(dp, order)
	if err != nil || bigmod.NewNat().Mod(d, order).Equal(exponent) != 1 {
		return nil, nil, ErrPrivateParts
	}
	padded := exponent.Bytes(order)
	public, err := bigmod.NewNat().SetBytes(e, order)
	if err != nil || exponent.Mul(public, order).IsOne() != 1 {
		return nil, nil, ErrPrivateParts
	}
	return modulus, padded, nil
}

// power returns em^d mod n, as long as n, for em below n; nil where the result is wrong: one bit
// that fell over in one of the halves, and the signature would give the factors away (Boneh,
// DeMillo, Lipton: On the Importance of Checking Cryptographic Protocols for Faults).
func (k *rsaPrivate) power(em []byte) []byte {
	c, err := bigmod.NewNat().SetBytes(em, k.n)
	if err != nil {
		return nil
	}
	t := bigmod.NewNat()
	m := bigmod.NewNat().Exp(t.Mod(c, k.p), k.dp, k.p)
	m2 := bigmod.NewNat().Exp(t.Mod(c, k.q), k.dq, k.q)
	m.Sub(t.Mod(m2, k.p), k.p)
	m.Mul(k.qi, k.p)
	m.ExpandFor(k.n).Mul(t.Mod(k.q.Nat(), k.n), k.n)
	m.Add(t.Mod(m2, k.n), k.n)
	if bigmod.NewNat().ExpShortVarTime(m, k.e, k.n).Equal(c) != 1 {
		return nil
	}
	return m.Bytes(k.n)
}

// digestInfo is a PKCS#1 v1.5 signature's hash and its name (RFC 8017 §9.2, note 1).
func digestInfo(sum []byte) []byte {
	arc := byte(len(sum)/16 - 1) // 2.16.840.1.101.3.4.2: 1 for SHA-256, 2 for SHA-384, 3 for SHA-512
	algorithm := der(tagSequence, []byte{0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, arc}, derNull)
	return der(tagSequence, algorithm, der(tagOctets, sum))
}

// signPKCS1 is RSASSA-PKCS1-v1_5 (RFC 8017 §8.2.1); nil after a fault.
func (k *rsaPrivate) signPKCS1(hashBits int, text string) []byte {
	h := newHash(hashBits)()
	h.Write([]byte(text))
	info := digestInfo(h.Sum(nil))
	em := make([]byte, k.n.Size())
	for i := range em {
		em[i] = 0xff
	}
	em[0], em[1] = 0, 1
	em[len(em)-len(info)-1] = 0
	copy(em[len(em)-len(info):], info)
	return k.power(em)
}

// signPSS is RSASSA-PSS (RFC 8017 §8.1.1) with MGF1 and a salt as long as the hash; nil after a fault.
func (k *rsaPrivate) signPSS(hashBits int, text string, salt []byte) []byte {
	h := newHash(hashBits)()
	out := make([]byte, k.n.Size())
	emBits := k.n.BitLen() - 1
	em := out[len(out)-(emBits+7)/8:]
	tag := pssTag(h, text, salt)
	db := em[:len(em)-len(tag)-1]
	db[len(db)-len(salt)-1] = 1
	copy(db[len(db)-len(salt):], salt)
	mgf1(h, tag, db)
	db[0] &= 0xff >> (8*len(em) - emBits)
	copy(em[len(db):], tag)
	em[len(em)-1] = 0xbc
	return k.power(out)
}
