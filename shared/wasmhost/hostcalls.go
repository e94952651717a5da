// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package wasmhost

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// Maps, buffers and streams, as the ABI numbers them.
const (
	mapRequestHeaders, mapRequestTrailers, mapResponseHeaders, mapResponseTrailers = 0, 1, 2, 3
	mapCallHeaders, mapCallTrailers, mapMax                                        = 6, 7, 7

	bufferRequestBody, bufferResponseBody, bufferCallBody = 0, 1, 4
	bufferVMConfig, bufferPluginConfig, bufferMax         = 6, 7, 8

	streamRequest, streamResponse, streamMax = 0, 1, 3
)

// memory is a view of the module's memory for one host call. Each access that is out of bounds ends
// the call with InvalidMemory, as in exports.cc.
type memory struct {
	worker *Worker
	module api.Module
	bad    bool
}

func (m *memory) bytes(ptr, size uint32) []byte {
	b, ok := m.module.Memory().Read(ptr, size)
	m.bad = m.bad || !ok
	return slices.Clone(b)
}

func (m *memory) text(ptr, size uint32) string { return string(m.bytes(ptr, size)) }

func (m *memory) put32(ptr, value uint32) {
	m.bad = m.bad || !m.module.Memory().WriteUint32Le(ptr, value)
}

func (m *memory) put64(ptr uint32, value uint64) {
	m.bad = m.bad || !m.module.Memory().WriteUint64Le(ptr, value)
}

// give copies b into memory that the module allocates, which calls back into it. Nothing is
// allocated for nothing (Wasm::copyToPointerSize).
func (m *memory) give(b []byte, ptrPtr, sizePtr uint32) {
	var ptr uint32
	if len(b) > 0 {
		m.worker.crossings["proxy_on_memory_allocate"]++
		results, err := m.module.ExportedFunction("proxy_on_memory_allocate").Call(context.Background(), uint64(len(b)))
		if err != nil {
			panic(err) // a trap while allocating is a trap of the callback that runs
		}
		ptr = uint32(results[0])
		m.bad = m.bad || !m.module.Memory().Write(ptr, b)
	}
	m.put32(ptrPtr, ptr)
	m.put32(sizePtr, uint32(len(b)))
}

func (m *memory) result(s Status) Status {
	if m.bad {
		return InvalidMemory
	}
	return s
}

// hostCall is a function of the ABI: it reads its arguments, all 32 bits wide but where said, and gives a status.
type hostCall struct {
	params []api.ValueType
	do     func(w *Worker, m *memory, a []uint64) Status
}

func words(n int) []api.ValueType {
	return slices.Repeat([]api.ValueType{api.ValueTypeI32}, n)
}

// instantiateHost offers the module the functions it may import.
func (w *Worker) instantiateHost(ctx context.Context, r wazero.Runtime) error {
	b := r.NewHostModuleBuilder(env)
	for name, call := range hostCalls {
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, module api.Module,
			stack []uint64) {
			w.crossings[name]++
			if fault := w.proxy.options.Fault; fault != nil {
				if status := fault(name); status != OK {
					stack[0] = uint64(status)
					return
				}
			}
			m := &memory{worker: w, module: module}
			stack[0] = uint64(m.result(call.do(w, m, stack[:len(call.params)])))
		}), call.params, words(1)).Export(name)
	}
	if _, err := b.Instantiate(ctx); err != nil {
		return err
	}
	return w.instantiateWASI(ctx, r)
}

func u32(v uint64) uint32 { return uint32(v) }

var hostCalls = map[string]hostCall{
	"proxy_log": {words(3), func(w *Worker, m *memory, a []uint64) Status {
		if u32(a[0]) > 5 {
			return BadArgument
		}
		w.proxy.log = append(w.proxy.log, LogLine{u32(a[0]), m.text(u32(a[1]), u32(a[2]))})
		return OK
	}},

	"proxy_get_current_time_nanoseconds": {words(1), func(w *Worker, m *memory, a []uint64) Status {
		m.put64(u32(a[0]), uint64(w.proxy.options.Clock().UnixNano()))
		return OK
	}},

	// Properties
	"proxy_get_property": {words(4), func(w *Worker, m *memory, a []uint64) Status {
		value, ok := w.property(m.text(u32(a[0]), u32(a[1])))
		if !ok {
			return NotFound
		}
		m.give(value, u32(a[2]), u32(a[3]))
		return OK
	}},
	"proxy_set_property": {words(4), func(w *Worker, m *memory, a []uint64) Status {
		s := w.stream()
		if s == nil {
			return NotFound // Context::setProperty: there is no stream info
		}
		s.state["wasm."+m.text(u32(a[0]), u32(a[1]))] = m.bytes(u32(a[2]), u32(a[3]))
		return OK
	}},

	// Headers and trailers
	"proxy_get_header_map_value": {words(5), func(w *Worker, m *memory, a []uint64) Status {
		headers := w.headers(u32(a[0]))
		if headers == nil {
			return BadArgument
		}
		value, ok := headers.get(strings.ToLower(m.text(u32(a[1]), u32(a[2]))))
		if !ok {
			return NotFound
		}
		m.give([]byte(value), u32(a[3]), u32(a[4]))
		return OK
	}},
	"proxy_get_header_map_pairs": {words(3), func(w *Worker, m *memory, a []uint64) Status {
		if u32(a[0]) > mapMax {
			return BadArgument
		}
		var b []byte
		if headers := w.headers(u32(a[0])); headers != nil && len(headers.pairs) > 0 {
			b = marshalPairs(headers.pairs)
		}
		m.give(b, u32(a[1]), u32(a[2])) // no map is an empty one here: Context::getHeaderMapPairs
		return OK
	}},
	"proxy_set_header_map_pairs": {words(3), func(w *Worker, m *memory, a []uint64) Status {
		headers := w.mutable(u32(a[0]))
		pairs, ok := unmarshalPairs(m.bytes(u32(a[1]), u32(a[2])))
		if headers == nil || !ok {
			return BadArgument
		}
		headers.pairs = lower(pairs)
		return OK
	}},
	"proxy_add_header_map_value": {words(5), func(w *Worker, m *memory, a []uint64) Status {
		return w.change(m, a, func(h *headerMap, name, value string) { h.add(name, value) })
	}},
	"proxy_replace_header_map_value": {words(5), func(w *Worker, m *memory, a []uint64) Status {
		return w.change(m, a, func(h *headerMap, name, value string) { h.replace(name, value) })
	}},
	"proxy_remove_header_map_value": {words(3), func(w *Worker, m *memory, a []uint64) Status {
		return w.change(m, append(slices.Clone(a), 0, 0), func(h *headerMap, name, _ string) { h.remove(name) })
	}},

	// Buffers
	"proxy_get_buffer_bytes": {words(5), func(w *Worker, m *memory, a []uint64) Status {
		b, ok := w.buffer(u32(a[0]))
		if !ok {
			return NotFound
		}
		var part []byte
		if start := int(u32(a[1])); b != nil && start < len(*b) {
			part = (*b)[start:min(len(*b), start+int(u32(a[2])))]
		}
		m.give(part, u32(a[3]), u32(a[4]))
		return OK
	}},
	"proxy_set_buffer_bytes": {words(5), func(w *Worker, m *memory, a []uint64) Status {
		b, ok := w.buffer(u32(a[0]))
		if !ok {
			return NotFound
		}
		if kind := u32(a[0]); b == nil || kind != bufferRequestBody && kind != bufferResponseBody {
			return BadArgument
		}
		data, start, size := m.bytes(u32(a[3]), u32(a[4])), int(u32(a[1])), int(u32(a[2]))
		switch { // Buffer::copyFrom of Envoy's context.cc: at the front or at the end, nowhere else
		case start == 0:
			*b = append(data, (*b)[min(size, len(*b)):]...)
		case start >= len(*b):
			*b = append(*b, data...)
		default:
			return BadArgument
		}
		return OK
	}},

	// Streams
	"proxy_send_local_response": {words(8), func(w *Worker, m *memory, a []uint64) Status {
		headers, _ := unmarshalPairs(m.bytes(u32(a[5]), u32(a[6])))
		r := &Reply{Status: u32(a[0]), Details: m.text(u32(a[1]), u32(a[2])), Body: m.text(u32(a[3]), u32(a[4])),
			Headers: headers, GRPCStatus: int32(u32(a[7]))}
		// For a context without stream this is OK and does nothing.
		if s := w.stream(); s != nil && !m.bad {
			w.after = append(w.after, func() { s.reply(r) })
		}
		return OK
	}},
	"proxy_continue_stream": {words(1), func(w *Worker, _ *memory, a []uint64) Status {
		if u32(a[0]) > streamResponse {
			return BadArgument
		}
		if s := w.stream(); s != nil {
			if u32(a[0]) == streamRequest {
				w.after = append(w.after, func() { s.Resumed = true })
			}
			s.request, s.requestBody, s.requestTrailers = nil, nil, nil
		}
		return OK
	}},
	"proxy_close_stream": {words(1), func(w *Worker, _ *memory, a []uint64) Status {
		if u32(a[0]) > streamMax {
			return BadArgument
		}
		if s := w.stream(); s != nil && u32(a[0]) <= streamResponse {
			s.Reset = true
		}
		return OK
	}},
	"proxy_set_effective_context": {words(1), func(w *Worker, _ *memory, a []uint64) Status {
		id := u32(a[0])
		if w.streams[id] == nil && !slices.ContainsFunc(w.plugins, func(p *pluginContext) bool { return p.id == id }) {
			return BadArgument
		}
		w.effective = id
		return OK
	}},
	"proxy_done": {nil, func(*Worker, *memory, []uint64) Status {
		return NotFound // Wasm::done: nothing is pending, for no context here has answered proxy_on_done with false
	}},

	// Shared data and queues
	"proxy_get_shared_data": {words(5), func(w *Worker, m *memory, a []uint64) Status {
		d, ok := w.proxy.data[m.text(u32(a[0]), u32(a[1]))]
		if !ok {
			return NotFound
		}
		m.give(d.value, u32(a[2]), u32(a[3]))
		m.put32(u32(a[4]), d.cas)
		return OK
	}},
	"proxy_set_shared_data": {words(5), func(w *Worker, m *memory, a []uint64) Status {
		key, value := m.text(u32(a[0]), u32(a[1])), m.bytes(u32(a[2]), u32(a[3]))
		if m.bad {
			return InvalidMemory
		}
		return w.proxy.setData(key, value, u32(a[4]))
	}},
	"proxy_register_shared_queue": {words(3), func(w *Worker, m *memory, a []uint64) Status {
		name := m.text(u32(a[0]), u32(a[1]))
		id := w.proxy.queueByName(name)
		if id == 0 {
			w.proxy.queues = append(w.proxy.queues, &queue{name: name})
			id = uint32(len(w.proxy.queues))
		}
		m.put32(u32(a[2]), id)
		return OK
	}},
	"proxy_resolve_shared_queue": {words(5), func(w *Worker, m *memory, a []uint64) Status {
		id := w.proxy.queueByName(m.text(u32(a[2]), u32(a[3])))
		if id == 0 {
			return NotFound
		}
		m.put32(u32(a[4]), id)
		return OK
	}},
	"proxy_enqueue_shared_queue": {words(3), func(w *Worker, m *memory, a []uint64) Status {
		q := w.proxy.queueByID(u32(a[0]))
		if q == nil {
			return NotFound
		}
		q.items = append(q.items, m.bytes(u32(a[1]), u32(a[2])))
		return OK
	}},
	"proxy_dequeue_shared_queue": {words(3), func(w *Worker, m *memory, a []uint64) Status {
		q := w.proxy.queueByID(u32(a[0]))
		if q == nil {
			return NotFound
		}
		if len(q.items) == 0 {
			return Empty
		}
		item := q.items[0]
		q.items = q.items[1:]
		m.give(item, u32(a[1]), u32(a[2]))
		return OK
	}},

	// Metrics
	"proxy_define_metric": {words(4), func(w *Worker, m *memory, a []uint64) Status {
		kind := u32(a[0])
		if kind > 2 {
			return BadArgument
		}
		w.metrics = append(w.metrics, w.proxy.metricByName(kind, m.text(u32(a[1]), u32(a[2]))))
		m.put32(u32(a[3]), uint32(len(w.metrics))<<2|kind) // wasm.h: the two lowest bits are the type
		return OK
	}},
	"proxy_increment_metric": {[]api.ValueType{api.ValueTypeI32, api.ValueTypeI64},
		func(w *Worker, _ *memory, a []uint64) Status {
			id, offset := u32(a[0]), int64(a[1])
			if kind := id & 3; kind > 1 || kind == 0 && offset <= 0 && w.metric(id) != nil {
				return BadArgument
			}
			if x := w.metric(id); x != nil {
				x.value += uint64(offset)
				return OK
			}
			return NotFound
		}},
	"proxy_record_metric": {[]api.ValueType{api.ValueTypeI32, api.ValueTypeI64},
		func(w *Worker, _ *memory, a []uint64) Status {
			x := w.metric(u32(a[0]))
			if x == nil {
				return NotFound
			}
			if x.kind == 0 {
				x.value += a[1]
			} else {
				x.value = a[1]
			}
			return OK
		}},
	"proxy_get_metric": {words(2), func(w *Worker, m *memory, a []uint64) Status {
		id := u32(a[0])
		if id&3 > 1 {
			return BadArgument
		}
		x := w.metric(id)
		if x == nil {
			return NotFound
		}
		m.put64(u32(a[1]), x.value)
		return OK
	}},

	// Calls
	"proxy_http_call": {words(10), func(w *Worker, m *memory, a []uint64) Status {
		cluster := m.text(u32(a[0]), u32(a[1]))
		headers, ok := unmarshalPairs(m.bytes(u32(a[2]), u32(a[3])))
		trailers, okTrailers := unmarshalPairs(m.bytes(u32(a[6]), u32(a[7])))
		h := &headerMap{lower(headers)}
		_, hasMethod := h.get(":method")
		_, hasPath := h.get(":path")
		_, hasAuthority := h.get(":authority")
		if !ok || !okTrailers || int32(u32(a[8])) < 0 || !slices.Contains(w.proxy.options.Clusters, cluster) ||
			!hasMethod || !hasPath || !hasAuthority {
			return BadArgument
		}
		w.nextCall++
		w.proxy.calls = append(w.proxy.calls, &Call{
			Cluster: cluster, Headers: h.pairs, Trailers: lower(trailers), Body: m.bytes(u32(a[4]), u32(a[5])),
			// calls belong to the root context
			Timeout: time.Duration(u32(a[8])) * time.Millisecond, id: w.nextCall, context: w.plugin(),
		})
		m.put32(u32(a[9]), w.nextCall)
		return OK
	}},
	"proxy_call_foreign_function": {words(6), func(w *Worker, m *memory, a []uint64) Status {
		name, argument := m.text(u32(a[0]), u32(a[1])), m.bytes(u32(a[2]), u32(a[3]))
		f := w.proxy.options.Foreign[name]
		if f == nil {
			f = foreign[name]
		}
		if f == nil {
			return NotFound
		}
		result, status := f(argument)
		m.give(result, u32(a[4]), u32(a[5]))
		return status
	}},
	"proxy_set_tick_period_milliseconds": {words(1), func(w *Worker, _ *memory, a []uint64) Status {
		w.plugin().tick = u32(a[0])
		return OK
	}},
}

// headers is Context::getConstMap.
func (w *Worker) headers(kind uint32) *headerMap {
	if kind == mapCallHeaders || kind == mapCallTrailers {
		p := w.plugin()
		if p == nil || !p.inCall {
			return nil
		}
		if kind == mapCallHeaders {
			return &headerMap{lower(p.callHeaders)}
		}
		return &headerMap{lower(p.callTrailers)}
	}
	return w.mutable(kind)
}

// mutable is Context::getMap.
func (w *Worker) mutable(kind uint32) *headerMap {
	s := w.stream()
	if s == nil {
		return nil
	}
	switch kind {
	case mapRequestHeaders:
		return s.request
	case mapRequestTrailers:
		return s.requestTrailers
	case mapResponseHeaders:
		return s.response
	case mapResponseTrailers:
		return s.responseTrailers
	}
	return nil
}

func (w *Worker) change(m *memory, a []uint64, do func(h *headerMap, name, value string)) Status {
	h := w.mutable(u32(a[0]))
	if h == nil {
		return BadArgument
	}
	name, value := strings.ToLower(m.text(u32(a[1]), u32(a[2]))), m.text(u32(a[3]), u32(a[4]))
	if !m.bad {
		do(h, name, value)
	}
	return OK
}

// buffer is Context::getBuffer: ok is false where there is none of that kind now, and the buffer
// nil where it is not set.
func (w *Worker) buffer(kind uint32) (b *[]byte, ok bool) {
	s, p := w.stream(), w.plugin()
	switch {
	case kind == bufferRequestBody && s != nil:
		return s.requestBody, true
	case kind == bufferResponseBody && s != nil:
		return s.responseBody, true
	case kind == bufferRequestBody, kind == bufferResponseBody, kind == bufferVMConfig:
		return nil, true
	case kind == bufferCallBody && p != nil && p.inCall:
		b := bytes.Clone(p.callBody)
		return &b, true
	case kind == bufferPluginConfig && p != nil && p.configuring:
		return &p.config, true
	}
	return nil, false
}

// property is Context::getProperty for the paths that tests set up, and for filter state: one part
// names what a filter has set, ["filter_state", key] anything.
func (w *Worker) property(path string) ([]byte, bool) {
	parts := strings.Split(path, "\x00")
	if value, ok := w.proxy.options.Properties[strings.Join(parts, ".")]; ok {
		return []byte(value), true
	}
	s := w.stream()
	if s == nil {
		return nil, false
	}
	if len(parts) == 1 {
		value, ok := s.state["wasm."+parts[0]]
		return value, ok
	}
	if len(parts) == 2 && parts[0] == "filter_state" {
		value, ok := s.state[parts[1]]
		return value, ok
	}
	return nil, false
}

func (w *Worker) metric(id uint32) *metric {
	i := int(id >> 2)
	if i == 0 || i > len(w.metrics) || w.metrics[i-1].kind != id&3 {
		return nil
	}
	return w.metrics[i-1]
}

var le = binary.LittleEndian
