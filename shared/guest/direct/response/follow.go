// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package response

import "github.com/tollgate-wasm/tollgate/shared/guest/direct"

// Follower is who wants to know what becomes of a stream. It is functions: an interface would have
// the linker keep whatever its type reaches (RATIONALE.md).
type Follower struct {
	// Headers of the response are there, to be read by guest.ResponseHeaders.
	Headers func(stream uint32)

	// Body: so many bytes of it are there, to be read by guest.ResponseBody.
	Body func(stream uint32, size int)

	// Answered says that the response is complete: all of it has passed.
	Answered func(stream uint32)

	// End says that the stream is no more, however it has ended. It is no longer the current context.
	End func(stream uint32)
}

// following is who follows one stream.
type following struct {
	first    *Follower
	others   []*Follower // steps behind that one
	answered bool
}

var followed = map[uint32]following{}

func init() { direct.OnOver = over }

// Follow has f told of the response and of the end of the current stream.
func Follow(stream uint32, f *Follower) {
	s, ok := followed[stream]
	if ok {
		s.others = append(s.others, f)
	} else {
		s.first = f
	}
	followed[stream] = s
	direct.Followed = len(followed)
}

// Following reports whether any stream is followed.
func Following() bool { return len(followed) > 0 }

// headers tells of a response's headers. end: it has no body.
func headers(stream uint32, end bool) {
	s, ok := followed[stream]
	if !ok || s.answered {
		return
	}
	s.each(func(f *Follower) { f.Headers(stream) })
	if end {
		s.complete(stream)
	}
}

// Body is for the exports of package body: it tells of a part of a response's body, or of trailers behind it.
func Body(stream uint32, size int, end bool) {
	s, ok := followed[stream]
	if !ok || s.answered {
		return
	}
	if size > 0 {
		s.each(func(f *Follower) { f.Body(stream, size) })
	}
	if end {
		s.complete(stream)
	}
}

func (s following) complete(stream uint32) {
	s.answered = true
	followed[stream] = s
	s.each(func(f *Follower) { f.Answered(stream) })
}

// each tells all followers, also those behind one that panics.
func (s following) each(tell func(f *Follower)) {
	if len(s.others) > 0 {
		defer following{first: s.others[0], others: s.others[1:]}.each(tell)
	}
	tell(s.first)
}

// over tells that a stream is no more.
func over(stream uint32) {
	s, ok := followed[stream]
	if !ok {
		return
	}
	delete(followed, stream)
	direct.Followed = len(followed)
	s.each(func(f *Follower) { f.End(stream) })
}
