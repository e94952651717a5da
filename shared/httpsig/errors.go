// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package httpsig

import "errors"

// Why a field or a signature is refused. The errors carry no part of the message.
var (
	ErrSyntax    = errors.New("the field is not the structured field that it should be")
	ErrTooLarge  = errors.New("the field is too long or has too many members, parameters or components")
	ErrRepeated  = errors.New("a label, a member, a parameter or a component stands twice")
	ErrComponent = errors.New("a covered component is not a String with the name of a component")
	ErrParameter = errors.New("a signature parameter has a wrong type or value")

	// Of a signature base.
	ErrUnsupported = errors.New("a covered component or one of its parameters is not known here")
	ErrAbsent      = errors.New("a covered component is not in the message")
	ErrAmbiguous   = errors.New("a covered query parameter stands twice or its name or value is not UTF-8")
	ErrValue       = errors.New("a covered component has a value that cannot be signed")

	// Of Content-Digest.
	ErrNoDigest = errors.New("the field has neither sha-256 nor sha-512")
	ErrDigest   = errors.New("a digest does not have the length of its algorithm")
)
