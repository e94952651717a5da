// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package wait

import (
	"strings"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/guest/httpcall"
	"github.com/tollgate-wasm/tollgate/shared/host"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
)

// KeyFetcher keeps a published key set current, one fetch for all VMs of the proxy: whichever VM takes the lease in shared data fetches, and the others read what it has
// written. A VM that dies with the lease holds things up no longer than the lease lasts.
//
// The record is created at start and only swapped from then on. The document stands under a key of its own, which is read only when its version has changed.
type KeyFetcher struct {
	filter           string
	remote           *jwks.Remote
	record, document string // keys in shared data
	version          uint64 // of the document that source has
	jitter           float64
}

// NewKeyFetcher makes one and creates its record. now also chooses the jitter: VMs start at different nanoseconds.
func NewKeyFetcher(filter string, remote *jwks.Remote, now time.Time) (*KeyFetcher, error) {
	key := "tollgate.jwks.1\x00" + remote.Cluster + "\x00" + remote.Authority + "\x00" + remote.Path
	f := &KeyFetcher{filter: filter, remote: remote, record: key, document: key + "\x00document", jitter: float64(now.Nanosecond()%1000) / 1000}
	return f, host.CreateShared(f.record, new(jwks.Record).Encode())
}

// Tick takes what other VMs have fetched and begins a fetch where one is due and nobody else has begun it. forced, asked once the source is current, tells whether requests
// wait for a kid that it does not have.
func (f *KeyFetcher) Tick(now time.Time, forced func() bool) {
	r, cas, ok := f.read()
	if !ok {
		return
	}
	f.take(r)
	t := now.UnixMicro()
	if forced() && t >= r.Lease && t-r.Forced >= jwks.ForcedInterval.Microseconds() && r.Fetched != 0 {
		r.Forced = t
	} else if !f.remote.Source.Due(&r, now, f.jitter) {
		return
	}
	r.Tried, r.Lease = t, t+(f.remote.Timeout+time.Second).Microseconds()
	if proxywasm.SetSharedData(f.record, r.Encode(), cas) == nil { // else another VM was first
		f.fetch()
	}
}

func (f *KeyFetcher) read() (r jwks.Record, cas uint32, ok bool) {
	b, cas, err := proxywasm.GetSharedData(f.record)
	if err != nil {
		proxywasm.LogError(f.filter + ": keys of " + f.remote.Authority + ": shared data cannot be read")
		return r, 0, false
	}
	r, ok = jwks.DecodeRecord(b)
	return r, cas, ok
}

// take hands the record to the source, with the document where that has changed.
func (f *KeyFetcher) take(r jwks.Record) {
	if r.Version == f.version {
		f.remote.Source.Update(r, nil)
		return
	}
	b, _, err := proxywasm.GetSharedData(f.document)
	if err != nil {
		return
	}
	_, body, _ := strings.Cut(string(b), "\n") // a copy: the set's keys keep parts of it
	set, err := jwks.ReadDocument(body)
	if err != nil {
		return // whoever wrote it has read it before; the next tick tries again
	}
	f.version = r.Version
	f.remote.Source.Update(r, set)
}

func (f *KeyFetcher) fetch() {
	headers := [][2]string{{":method", "GET"}, {":authority", f.remote.Authority}, {":path", f.remote.Path}, {"accept", "application/json"}}
	if etag := f.etag(); etag != "" {
		headers = append(headers, [2]string{"if-none-match", etag})
	}
	if httpcall.Send(0, 0, f.remote.Cluster, headers, nil, f.remote.Timeout, f.fetched) != nil {
		f.finish("cluster "+f.remote.Cluster+" cannot be called", nil)
	}
}

// etag of the document in shared data, which stands on its first line.
func (f *KeyFetcher) etag() string {
	b, _, err := proxywasm.GetSharedData(f.document)
	if err != nil {
		return ""
	}
	etag, _, _ := strings.Cut(string(b), "\n")
	return etag
}

func (f *KeyFetcher) fetched(answer httpcall.Answer) {
	if answer.Headers == 0 {
		f.finish("no answer", nil)
		return
	}
	headers, err := proxywasm.GetHttpCallResponseHeaders()
	if err != nil {
		f.finish("the answer's headers cannot be read", nil)
		return
	}
	switch status := forward.Header(headers, ":status"); {
	case status == "304" && f.version != 0:
		f.finish("", nil)
		return
	case status != "200": // a redirect, too: whoever could make us follow one could choose our keys
		f.finish("the answer has status "+status, nil)
		return
	case answer.Body == 0 || answer.Body > jwks.MaxBody:
		f.finish(jwks.ErrBody.Error(), nil)
		return
	}
	body, err := proxywasm.GetHttpCallResponseBody(0, answer.Body)
	if err != nil {
		f.finish("the answer's body cannot be read", nil)
		return
	}
	if _, err := jwks.ReadDocument(string(body)); err != nil {
		f.finish(err.Error(), nil)
		return
	}
	etag := forward.Header(headers, "etag")
	if strings.ContainsAny(etag, "\r\n") {
		etag = ""
	}
	f.finish("", append([]byte(etag+"\n"), body...))
}

// finish ends a fetch: with a problem, with a new document, or with neither where the document is unchanged.
func (f *KeyFetcher) finish(problem string, document []byte) {
	now := guest.Now().UnixMicro()
	if problem != "" {
		proxywasm.LogWarn(f.filter + ": keys of " + f.remote.Authority + ": " + problem + "; the keys in use stay")
	}
	// The lease keeps others from writing; but one that ran out may have been taken, hence the swap.
	for range 3 {
		r, cas, ok := f.read()
		if !ok {
			return
		}
		r.Lease = 0
		if problem != "" {
			r.Failures++
		} else {
			r.Failures, r.Fetched = 0, now
			if document != nil {
				if proxywasm.SetSharedData(f.document, document, 0) != nil {
					return
				}
				document = nil
				r.Version++
			}
		}
		if proxywasm.SetSharedData(f.record, r.Encode(), cas) == nil {
			f.take(r)
			return
		}
	}
}
