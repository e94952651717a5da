// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package guest

import "errors"

// Errors of calls about the current request.
var (
	ErrHeaders  = errors.New("the proxy gave no request headers")
	ErrProperty = errors.New("the proxy refused a property")
	ErrResponse = errors.New("the proxy gave no response headers, or less of the response's body than it has")
)

// RequestHeaders returns the current request's headers in order, in one call and without
// allocating: the list, too, is valid until the callback ends only.
func RequestHeaders() ([][2]string, error) {
	list, status := requestHeaders()
	if status != 0 {
		return nil, ErrHeaders
	}
	return list, nil
}

// ResponseHeaders is RequestHeaders for the current response.
func ResponseHeaders() ([][2]string, error) {
	list, status := responseHeaders()
	if status != 0 {
		return nil, ErrResponse
	}
	return list, nil
}

// piece is how much of a body is read at once. The memory for a piece is used again for the next.
const piece = 32 << 10

// ResponseBody hands to each, one after the other, the size bytes of the response's body that the
// proxy has in this callback. What each gets is valid until it returns.
func ResponseBody(size int, each func(part []byte)) error {
	for start := 0; start < size; {
		mark := used()
		part, status := responseBody(start, min(piece, size-start))
		if status != 0 || len(part) == 0 {
			return ErrResponse
		}
		each(part)
		start += len(part)
		rewind(mark)
	}
	return nil
}

// Property returns the value of a property, whose path's parts stand with a NUL between them
// ("source\x00address"); nil where there is none.
func Property(path string) ([]byte, error) {
	value, status := property(path)
	switch status {
	case 0:
		return value, nil
	case notFound:
		return nil, nil
	}
	return nil, ErrProperty
}

const notFound = 1 // a status of the ABI

// SetProperty sets a property whose path has one part.
func SetProperty(name, value string) error {
	if setProperty(name, value) != 0 {
		return ErrProperty
	}
	return nil
}
