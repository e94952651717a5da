// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package wait

import (
	"strconv"
	"strings"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/guest/httpcall"
	"github.com/tollgate-wasm/tollgate/shared/host"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
)

// KeyFetcher keeps a published key set current, one fetch for all VMs of the proxy: whichever VM
// takes the lease in shared data fetches, and the others read what it has written. A VM that dies
// with the lease holds things up no longer than the lease lasts.
//
// The record is created at start and only swapped from then on. The document stands under a key of
// its own, which is read only when its version has changed.
type KeyFetcher struct {
	filter           string
	remote           *jwks.Remote
	record, document string // keys in shared data
	version          uint64 // of the document that source has
	jitter           float64
	gauges           gauges

	// Of the fetch that is under way:
	from  jwks.Place
	began time.Time
	asks  bool // for changes only: the keys that are in use come from there

	keysAt jwks.Place // that this VM has fetched last
}

// gauges are tollgate.<filter>.keys.<provider>.count, .passed_over and .age_seconds: what one of the VMs has read last.
type gauges struct {
	count, passed, age guest.Gauge
	told               bool
	seconds            int64
}

func defineGauges(prefix string) (g gauges, err error) {
	for _, gauge := range [...]struct {
		name string
		into *guest.Gauge
	}{{"count", &g.count}, {"passed_over", &g.passed}, {"age_seconds", &g.age}} {
		if err == nil {
			*gauge.into, err = guest.DefineGauge(prefix + gauge.name)
		}
	}
	return g, err
}

// NewKeyFetcher makes one and creates its record. now also chooses the jitter: VMs start at different nanoseconds.
func NewKeyFetcher(filter string, remote *jwks.Remote, now time.Time) (*KeyFetcher, error) {
	key := "tollgate.jwks.1\x00" + remote.Cluster + "\x00" + remote.Authority + "\x00" + remote.Path
	if d := remote.Discovery; d != nil {
		key += "\x00" + d.Issuer + "\x00" + d.Allowed() // what the keys' place depends on
	}
	f := &KeyFetcher{filter: filter, remote: remote, record: key, document: key + "\x00document",
		jitter: float64(now.Nanosecond()%1000) / 1000}
	var err error
	if f.gauges, err = defineGauges("tollgate." + filter + ".keys." + remote.Name + "."); err != nil {
		return nil, err
	}
	return f, host.CreateShared(f.record, new(jwks.Record).Encode())
}

// Tick takes what other VMs have fetched and begins a fetch where one is due and nobody else has
// begun it. forced, asked once the source is current, tells whether requests wait for a kid that it
// does not have.
func (f *KeyFetcher) Tick(now time.Time, forced func() bool) {
	r, cas, ok := f.read()
	if !ok {
		return
	}
	f.take(r)
	t := now.UnixMicro()
	f.tellAge(&r, t)
	if forced() && t >= r.Lease && r.MayForce(t) && r.Fetched != 0 {
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
	set, passed, err := jwks.ReadDocument(body)
	if err != nil {
		return // whoever wrote it has read it before; the next tick tries again
	}
	f.version = r.Version
	f.remote.Source.Update(r, set)
	f.gauges.tell(f.gauges.count, int64(set.Len()))
	f.gauges.tell(f.gauges.passed, int64(len(passed)))
}

// tellAge writes how long ago the set was confirmed, once a second at most; before the first, that there are no keys.
func (f *KeyFetcher) tellAge(r *jwks.Record, now int64) {
	g := &f.gauges
	if r.Fetched == 0 {
		if !g.told {
			g.told = true
			g.tell(g.count, 0)
		}
		return
	}
	if seconds := max(now-r.Fetched, 0) / 1e6; seconds != g.seconds {
		g.seconds = seconds
		g.tell(g.age, seconds)
	}
}

// tell writes a gauge. A proxy that refuses it has no less keys for that.
func (g *gauges) tell(gauge guest.Gauge, value int64) {
	if gauge.Set(uint64(value)) != nil {
		proxywasm.LogError("the proxy refuses to write a gauge")
	}
}

// accept asks for a JWK Set as RFC 7517 §8.5.2 calls it: the API server of Kubernetes serves
// nothing else, and answers 406 to whoever wants application/json only.
const accept = "application/jwk-set+json, application/json;q=0.9, */*;q=0.5"

func (f *KeyFetcher) fetch() {
	f.began = guest.Now()
	if f.remote.Discovery == nil {
		f.fetchKeys(f.remote.Place)
		return
	}
	f.call(f.remote.Place, "application/json", "", f.discovered)
}

// discovered reads the issuer's metadata, and fetches the keys from where that says.
func (f *KeyFetcher) discovered(answer httpcall.Answer) {
	_, body, problem := f.read200(answer)
	if problem != "" {
		f.finish("metadata: "+problem, nil)
		return
	}
	at, err := f.remote.Discovery.KeysAt(string(body))
	if err != nil {
		f.finish(err.Error(), nil)
		return
	}
	f.fetchKeys(at)
}

func (f *KeyFetcher) fetchKeys(at jwks.Place) {
	etag := ""
	// An etag is that of a document, and its issuer may have moved it.
	if f.asks = f.remote.Discovery == nil || f.keysAt == at; f.asks {
		etag = f.etag()
	}
	f.call(at, accept, etag, f.fetched)
}

// call asks for a document, within what is left of the fetch's time.
func (f *KeyFetcher) call(at jwks.Place, accept, etag string, done func(httpcall.Answer)) {
	f.from = at
	headers := [][2]string{{":method", "GET"}, {":authority", at.Authority}, {":path", at.Path}, {"accept", accept}}
	if etag != "" {
		headers = append(headers, [2]string{"if-none-match", etag})
	}
	left := max(f.remote.Timeout-guest.Now().Sub(f.began), time.Millisecond)
	if httpcall.Send(0, 0, at.Cluster, headers, nil, left, done) != nil {
		f.finish("cluster "+at.Cluster+" cannot be called", nil)
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

// read200 reads an answer of status 200, or says what came instead: a redirect, too, since whoever
// could make us follow one could choose our keys.
func (f *KeyFetcher) read200(answer httpcall.Answer) (headers [][2]string, body []byte, problem string) {
	headers, body, problem = Read200(answer, jwks.MaxBody, func(status string, headers [][2]string) string {
		return f.refusal(status, headers, answer)
	})
	if problem == "" && body == nil {
		problem = jwks.ErrBody.Error()
	}
	return headers, body, problem
}

func (f *KeyFetcher) fetched(answer httpcall.Answer) {
	headers, body, problem := f.read200(answer)
	if f.asks && f.version != 0 && forward.Header(headers, ":status") == "304" {
		f.finish("", nil)
		return
	}
	if problem != "" {
		f.finish(problem, nil)
		return
	}
	text := string(body)
	if document, _, err := proxywasm.GetSharedData(f.document); err == nil && f.version != 0 {
		if _, known, _ := strings.Cut(string(document), "\n"); known == text {
			f.keysAt = f.from
			f.finish("", nil)
			return
		}
	}
	_, passed, err := jwks.ReadDocument(text)
	for i := range passed {
		f.tellPassed(&passed[i])
	}
	if err != nil {
		f.finish(err.Error(), nil)
		return
	}
	etag := forward.Header(headers, "etag")
	if strings.ContainsAny(etag, "\r\n") {
		etag = ""
	}
	f.keysAt = f.from
	f.finish("", append([]byte(etag+"\n"), body...))
}

// tellPassed logs why a key of a document is not used: issuers publish keys for encryption beside
// the others, and any other reason may be why tokens are refused.
func (f *KeyFetcher) tellPassed(p *jwks.Fault) {
	if p.Index < 0 {
		return // of the document as a whole
	}
	text := f.filter + ": keys of " + f.remote.Authority + ": key " + strconv.Itoa(p.Index) + ", kid " + quoted(p.KID) +
		", is passed over: " + p.Err.Error()
	if p.Err == jose.ErrKeyUse || p.Err == jwks.ErrTwice {
		proxywasm.LogInfo(text)
	} else {
		proxywasm.LogWarn(text)
	}
}

// quoted is a text of somebody else's for the log: short, on one line.
func quoted(text string) string {
	const most = 100
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strconv.QuoteToASCII(text)
}

// refusal says what came instead of a document. A proxy that answers itself says why in its body
// (Envoy's ProdMessageUtil and Utility::prepareLocalReply).
func (f *KeyFetcher) refusal(status string, headers [][2]string, answer httpcall.Answer) string {
	if Unreached(status, headers) {
		const most = 400
		if body, err := proxywasm.GetHttpCallResponseBody(0, min(answer.Body, most)); err == nil {
			return CannotReach(f.from.Cluster) + ", the proxy says: " + strconv.QuoteToASCII(string(body))
		}
	}
	return "the answer has status " + status
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
