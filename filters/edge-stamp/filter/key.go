// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"errors"

	"github.com/tollgate-wasm/tollgate/shared/host"
	"github.com/tollgate-wasm/tollgate/shared/jose"
)

// proof is a text that no stamp is.
const proof = "tollgate proves its key"

// proveKey has the key sign once and verifies that: whether the halves of an EC key belong
// together, and whether this proxy can sign at all, only this tells.
func (s *state) proveKey() error {
	key := s.policy.Signer()
	if key == nil {
		return nil
	}
	alg := key.Algorithm()
	if !alg.ByProxy() {
		return nil // proven by ParsePrivateKey
	}
	signature, err := host.Sign(key.Signing(proof))
	switch {
	case err == host.ErrNoSign && !key.ByProxy():
		return nil // it signs here
	case err != nil:
		return errors.New("keys[0]: " + alg.String() + ": " + err.Error())
	}
	if signature, err = key.Finish(signature); err != nil {
		return errors.New("keys[0]: the proxy's signature has not the form that " + alg.String() + " has")
	}
	v, err := jose.Signed(proof, signature).Verification(alg, key.Public())
	if err == nil {
		var good bool
		if good, err = host.VerifySignature(v); err == nil && !good {
			err = jose.ErrPrivatePublic
		}
	}
	if err != nil {
		return errors.New("keys[0]: " + err.Error())
	}
	s.policy.SignByProxy()
	return nil
}
