// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"compress/gzip"
	"io"
)

// gzipTo compresses. flush has all that was written so far reach the client.
func gzipTo(w io.Writer) (out io.Writer, flush func() error) {
	z := gzip.NewWriter(w)
	return z, z.Flush
}

// brotli writes a stream of RFC 7932 whose meta-blocks are not compressed: to whoever does not decode it, it is as
// unreadable as any, and there is no compressor to keep.
type brotli struct {
	to    io.Writer
	begun bool
}

// Write writes a meta-block for each 65,536 bytes.
func (b *brotli) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		part := p[:min(len(p), 1<<16)]
		p = p[len(part):]
		// ISLAST 0, MNIBBLES 0 (4 of them), MLEN - 1, ISUNCOMPRESSED 1, and zeros up to the next byte (section 9.2).
		head := uint32(len(part)-1)<<3 | 1<<19
		if !b.begun {
			head <<= 1 // WBITS 0: a window of 65,536 bytes
			b.begun = true
		}
		if _, err := b.to.Write(append([]byte{byte(head), byte(head >> 8), byte(head >> 16)}, part...)); err != nil {
			return n, err
		}
		n += len(part)
	}
	return n, nil
}

// Close writes the last meta-block, which is empty.
func (b *brotli) Close() error {
	last := byte(3) // ISLAST 1, ISLASTEMPTY 1
	if !b.begun {
		last <<= 1
	}
	_, err := b.to.Write([]byte{last})
	return err
}
