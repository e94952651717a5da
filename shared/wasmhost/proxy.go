// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package wasmhost

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"time"
)

// Options of a proxy. The zero value is a proxy without clusters whose clock is the real one.
type Options struct {
	Clock      func() time.Time
	Env        map[string]string
	Clusters   []string          // that HTTP calls can be made to
	Properties map[string]string // by their path joined with dots: "source.address"
	// Foreign adds or replaces foreign functions. A nil result with status 0 is an empty one.
	Foreign map[string]func(argument []byte) (result []byte, status Status)
	// Fault is asked before each host call, by its name ("proxy_get_shared_data"): with any status
	// but OK, that is all that comes of the call. nil: every call is made.
	Fault func(call string) Status
	// Lingers has a stream outlive its reply, until Close: what Envoy does not do, and a filter must bear.
	Lingers bool
}

// Status is a result of a host call, as in the ABI.
type Status uint32

// The results.
const (
	OK              Status = 0
	NotFound        Status = 1
	BadArgument     Status = 2
	InvalidMemory   Status = 6
	Empty           Status = 7
	CasMismatch     Status = 8
	InternalFailure Status = 10
	Unimplemented   Status = 12
)

// Proxy is what all workers share: one Envoy process with one vm_id.
type Proxy struct {
	module  *Module
	options Options
	data    map[string]datum // shared data
	cas     uint32
	queues  []*queue
	metrics []*metric // by name and type, shared by the VMs
	calls   []*Call
	log     []LogLine
	vms     int
}

type datum struct {
	value []byte
	cas   uint32
}

type queue struct {
	name  string
	items [][]byte
}

type metric struct {
	kind  uint32 // 0 counter, 1 gauge, 2 histogram
	name  string
	value uint64
}

// LogLine is one call of proxy_log, or what the module wrote to its standard output (level 2) or error (level 4).
type LogLine struct {
	Level uint32 // 0 trace … 5 critical
	Text  string
}

// Call is an HTTP call that the module has made and that nobody has answered yet.
type Call struct {
	Cluster  string
	Headers  [][2]string
	Trailers [][2]string
	Body     []byte
	Timeout  time.Duration
	id       uint32
	context  *pluginContext
}

// NewProxy makes a proxy that runs module.
func NewProxy(module *Module, o Options) *Proxy {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Proxy{module: module, options: o, data: map[string]datum{}}
}

// VMs counts the VMs made so far: one a worker, and one more for each that trapped and was used again.
func (p *Proxy) VMs() int { return p.vms }

// Log is what has been logged.
func (p *Proxy) Log() []LogLine { return slices.Clone(p.log) }

// LogText joins the log's lines.
func (p *Proxy) LogText() string {
	var b strings.Builder
	for _, l := range p.log {
		b.WriteString(l.Text + "\n")
	}
	return b.String()
}

// Metrics are the names of all that have been defined, each once.
func (p *Proxy) Metrics() (names []string) {
	for _, m := range p.metrics {
		names = append(names, m.name)
	}
	return names
}

// Counters are the counters that are not zero.
func (p *Proxy) Counters() map[string]uint64 {
	counters := map[string]uint64{}
	for _, m := range p.metrics {
		if m.kind == 0 && m.value > 0 {
			counters[m.name] = m.value
		}
	}
	return counters
}

// SharedData is a copy of the shared data.
func (p *Proxy) SharedData() map[string][]byte {
	all := map[string][]byte{}
	for k, d := range maps.All(p.data) {
		all[k] = bytes.Clone(d.value)
	}
	return all
}

// SetSharedData writes shared data as another VM with the same vm_id would.
func (p *Proxy) SetSharedData(key string, value []byte) { p.setData(key, value, 0) }

// Gauges are the gauges that have been written, by name.
func (p *Proxy) Gauges() map[string]uint64 {
	values := map[string]uint64{}
	for _, m := range p.metrics {
		if m.kind == 1 {
			values[m.name] = m.value
		}
	}
	return values
}

// Calls are the HTTP calls that wait for an answer, oldest first.
func (p *Proxy) Calls() []*Call { return slices.Clone(p.calls) }

// setData is shared_data.cc: a compare-and-swap on a key that does not exist always succeeds, and cas 0 overwrites.
func (p *Proxy) setData(key string, value []byte, cas uint32) Status {
	if d, ok := p.data[key]; ok && cas != 0 && cas != d.cas {
		return CasMismatch
	}
	if p.cas++; p.cas == 0 {
		p.cas++ // 0 means "no comparison"
	}
	p.data[key] = datum{bytes.Clone(value), p.cas}
	return OK
}

// queueByID finds a queue by its token, which is its place counted from 1.
func (p *Proxy) queueByID(id uint32) *queue {
	if id == 0 || int(id) > len(p.queues) {
		return nil
	}
	return p.queues[id-1]
}

func (p *Proxy) queueByName(name string) uint32 {
	for i, q := range p.queues {
		if q.name == name {
			return uint32(i + 1)
		}
	}
	return 0
}

// metricByName returns the metric of that kind and name; every VM that defines it gets an id of its
// own for the same value.
func (p *Proxy) metricByName(kind uint32, name string) *metric {
	for _, m := range p.metrics {
		if m.kind == kind && m.name == name {
			return m
		}
	}
	m := &metric{kind: kind, name: name}
	p.metrics = append(p.metrics, m)
	return m
}

// Answer completes the call. The module may have forgotten the stream that made it: the answer comes all the same.
func (c *Call) Answer(headers [][2]string, body []byte, trailers [][2]string) {
	c.finish(headers, body, trailers)
}

// Fail ends the call as a timeout or a reset does: without headers, body and trailers.
func (c *Call) Fail() { c.finish(nil, nil, nil) }

func (c *Call) finish(headers [][2]string, body []byte, trailers [][2]string) {
	w := c.context.worker
	i := slices.Index(w.proxy.calls, c)
	if i < 0 {
		return
	}
	w.proxy.calls = slices.Delete(w.proxy.calls, i, i+1)
	if w.dead || c.context.vm != w.vm {
		return // the VM that asked is gone, and its calls with it
	}
	c.context.callHeaders, c.context.callBody, c.context.callTrailers, c.context.inCall = headers, body, trailers, true
	w.call(nil, "proxy_on_http_call_response", uint64(c.context.id), uint64(c.id), uint64(len(headers)),
		uint64(len(body)), uint64(len(trailers)))
	c.context.callHeaders, c.context.callBody, c.context.callTrailers, c.context.inCall = nil, nil, nil, false
}
