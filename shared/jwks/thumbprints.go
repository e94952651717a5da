// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwks

// DescribeByThumbprint is Describe with each key's thumbprint (RFC 7638), which the keyid of a signature may be.
func (s *Set) DescribeByThumbprint() (keys []string) {
	for _, k := range s.keys {
		said := k.String()
		if name := k.Thumbprint(); name != "" { // a secret has none
			said += " with the thumbprint " + name
		}
		keys = append(keys, said)
	}
	return keys
}
