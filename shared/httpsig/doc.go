// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package httpsig reads and writes HTTP Message Signatures (RFC 9421) and Content-Digest (RFC
// 9530), and builds the signature base of a message: the text that is signed. It does no
// cryptography.
//
// What one reader might take in another way than the next has no meaning here: a label, a parameter
// or a covered component that stands twice, a value with a control character. What a signature
// covers is for the message to say and for the caller to demand: see Input.Covers. Its label is not
// signed (§4.1): choose by Tag.
//
// Components of the request in the signature of a response (req, §2.4) and of trailers (tr, §2.1.4)
// are refused, as a filter that sees the headers of a request cannot know them.
package httpsig
