// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package guest

import "errors"

// Errors of the calls that this package makes itself.
var (
	ErrHeaders  = errors.New("the proxy gave no request headers")
	ErrProperty = errors.New("the proxy refused a property")
)

// RequestHeaders returns the current request's headers in order, in one call and without allocating: the list, too, is valid until the callback ends only.
func RequestHeaders() ([][2]string, error) {
	list, status := requestHeaders()
	if status != 0 {
		return nil, ErrHeaders
	}
	return list, nil
}

// SetProperty sets a property whose path has one part.
func SetProperty(name, value string) error {
	if setProperty(name, value) != 0 {
		return ErrProperty
	}
	return nil
}
