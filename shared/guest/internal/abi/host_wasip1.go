// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build wasip1

package abi

import (
	"unsafe"

	_ "github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm" // brings the package that owns currentHost
)

// currentHost is where the SDK sends its host calls. Its own type is an interface whose methods
// have the same names and, but for named integer types, the same signatures; an interface value is
// two words either way, and the methods are laid out by name.
//
//go:linkname currentHost github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.currentHost
var currentHost sdkHost

// keepMethods is never set. The linker drops methods that no reachable code calls through an
// interface with their very signature, and the SDK's calls go through its own interface, with its
// named types: without the calls in keep, which the compiler cannot know to be dead, the first host
// call would end in "unreachable method called".
var keepMethods bool

func init() {
	currentHost = &host{}
	if keepMethods {
		keep(currentHost)
	}
}

// sdkHost mirrors the SDK's internal.ProxyWasmHost (v0.24.0, abi_hostcalls_mock.go).
type sdkHost interface {
	ProxyLog(level uint32, message *byte, messageLen int) uint32
	ProxySetProperty(path *byte, pathLen int, value *byte, valueLen int) uint32
	ProxyGetProperty(path *byte, pathLen int, value **byte, valueLen *int) uint32
	ProxySendLocalResponse(status uint32, details *byte, detailsLen int, body *byte, bodyLen int, headers *byte,
		headersLen int, grpcStatus int32) uint32
	ProxyGetSharedData(key *byte, keyLen int, value **byte, valueLen *int, cas *uint32) uint32
	ProxySetSharedData(key *byte, keyLen int, value *byte, valueLen int, cas uint32) uint32
	ProxyRegisterSharedQueue(name *byte, nameLen int, queue *uint32) uint32
	ProxyResolveSharedQueue(vmID *byte, vmIDLen int, name *byte, nameLen int, queue *uint32) uint32
	ProxyDequeueSharedQueue(queue uint32, value **byte, valueLen *int) uint32
	ProxyEnqueueSharedQueue(queue uint32, value *byte, valueLen int) uint32
	ProxyGetHeaderMapValue(mapType uint32, key *byte, keyLen int, value **byte, valueLen *int) uint32
	ProxyAddHeaderMapValue(mapType uint32, key *byte, keyLen int, value *byte, valueLen int) uint32
	ProxyReplaceHeaderMapValue(mapType uint32, key *byte, keyLen int, value *byte, valueLen int) uint32
	ProxyContinueStream(stream uint32) uint32
	ProxyCloseStream(stream uint32) uint32
	ProxyRemoveHeaderMapValue(mapType uint32, key *byte, keyLen int) uint32
	ProxyGetHeaderMapPairs(mapType uint32, pairs **byte, pairsLen *int) uint32
	ProxySetHeaderMapPairs(mapType uint32, pairs *byte, pairsLen int) uint32
	ProxyGetBufferBytes(bufferType uint32, start int, size int, value **byte, valueLen *int) uint32
	ProxySetBufferBytes(bufferType uint32, start int, size int, value *byte, valueLen int) uint32
	ProxyHttpCall(cluster *byte, clusterLen int, headers *byte, headersLen int, body *byte, bodyLen int, trailers *byte,
		trailersLen int, timeout uint32, call *uint32) uint32
	ProxyCallForeignFunction(name *byte, nameLen int, argument *byte, argumentLen int, result **byte,
		resultLen *int) uint32
	ProxySetTickPeriodMilliseconds(period uint32) uint32
	ProxySetEffectiveContext(contextID uint32) uint32
	ProxyDone() uint32
	ProxyDefineMetric(metricType uint32, name *byte, nameLen int, metric *uint32) uint32
	ProxyIncrementMetric(metric uint32, offset int64) uint32
	ProxyRecordMetric(metric uint32, value uint64) uint32
	ProxyGetMetric(metric uint32, value *uint64) uint32
}

type host struct{}

//go:wasmimport env proxy_log
//go:noescape
func importLog(level uint32, message unsafe.Pointer, messageLen uint32) uint32

func (*host) ProxyLog(level uint32, message *byte, messageLen int) uint32 {
	return importLog(level, unsafe.Pointer(message), uint32(messageLen))
}

//go:wasmimport env proxy_set_property
//go:noescape
func importSetProperty(path unsafe.Pointer, pathLen uint32, value unsafe.Pointer, valueLen uint32) uint32

func (*host) ProxySetProperty(path *byte, pathLen int, value *byte, valueLen int) uint32 {
	return importSetProperty(unsafe.Pointer(path), uint32(pathLen), unsafe.Pointer(value), uint32(valueLen))
}

//go:wasmimport env proxy_get_property
//go:noescape
func importGetProperty(path unsafe.Pointer, pathLen uint32, value unsafe.Pointer, valueLen unsafe.Pointer) uint32

func (*host) ProxyGetProperty(path *byte, pathLen int, value **byte, valueLen *int) uint32 {
	return importGetProperty(unsafe.Pointer(path), uint32(pathLen), unsafe.Pointer(value), unsafe.Pointer(valueLen))
}

//go:wasmimport env proxy_send_local_response
//go:noescape
func importSendLocalResponse(status uint32, details unsafe.Pointer, detailsLen uint32, body unsafe.Pointer,
	bodyLen uint32, headers unsafe.Pointer, headersLen uint32, grpcStatus int32) uint32

func (*host) ProxySendLocalResponse(status uint32, details *byte, detailsLen int, body *byte, bodyLen int,
	headers *byte, headersLen int, grpcStatus int32) uint32 {
	if detailsLen == 0 && ReplyDetails != "" {
		details, detailsLen = unsafe.StringData(ReplyDetails), len(ReplyDetails)
	}
	return importSendLocalResponse(status, unsafe.Pointer(details), uint32(detailsLen), unsafe.Pointer(body),
		uint32(bodyLen), unsafe.Pointer(headers), uint32(headersLen), grpcStatus)
}

//go:wasmimport env proxy_get_shared_data
//go:noescape
func importGetSharedData(key unsafe.Pointer, keyLen uint32, value unsafe.Pointer, valueLen unsafe.Pointer,
	cas unsafe.Pointer) uint32

func (*host) ProxyGetSharedData(key *byte, keyLen int, value **byte, valueLen *int, cas *uint32) uint32 {
	return importGetSharedData(unsafe.Pointer(key), uint32(keyLen), unsafe.Pointer(value), unsafe.Pointer(valueLen),
		unsafe.Pointer(cas))
}

//go:wasmimport env proxy_set_shared_data
//go:noescape
func importSetSharedData(key unsafe.Pointer, keyLen uint32, value unsafe.Pointer, valueLen uint32, cas uint32) uint32

func (*host) ProxySetSharedData(key *byte, keyLen int, value *byte, valueLen int, cas uint32) uint32 {
	return importSetSharedData(unsafe.Pointer(key), uint32(keyLen), unsafe.Pointer(value), uint32(valueLen), cas)
}

//go:wasmimport env proxy_register_shared_queue
//go:noescape
func importRegisterSharedQueue(name unsafe.Pointer, nameLen uint32, queue unsafe.Pointer) uint32

func (*host) ProxyRegisterSharedQueue(name *byte, nameLen int, queue *uint32) uint32 {
	return importRegisterSharedQueue(unsafe.Pointer(name), uint32(nameLen), unsafe.Pointer(queue))
}

//go:wasmimport env proxy_resolve_shared_queue
//go:noescape
func importResolveSharedQueue(vmID unsafe.Pointer, vmIDLen uint32, name unsafe.Pointer, nameLen uint32,
	queue unsafe.Pointer) uint32

func (*host) ProxyResolveSharedQueue(vmID *byte, vmIDLen int, name *byte, nameLen int, queue *uint32) uint32 {
	return importResolveSharedQueue(unsafe.Pointer(vmID), uint32(vmIDLen), unsafe.Pointer(name), uint32(nameLen),
		unsafe.Pointer(queue))
}

//go:wasmimport env proxy_dequeue_shared_queue
//go:noescape
func importDequeueSharedQueue(queue uint32, value unsafe.Pointer, valueLen unsafe.Pointer) uint32

func (*host) ProxyDequeueSharedQueue(queue uint32, value **byte, valueLen *int) uint32 {
	return importDequeueSharedQueue(queue, unsafe.Pointer(value), unsafe.Pointer(valueLen))
}

//go:wasmimport env proxy_enqueue_shared_queue
//go:noescape
func importEnqueueSharedQueue(queue uint32, value unsafe.Pointer, valueLen uint32) uint32

func (*host) ProxyEnqueueSharedQueue(queue uint32, value *byte, valueLen int) uint32 {
	return importEnqueueSharedQueue(queue, unsafe.Pointer(value), uint32(valueLen))
}

//go:wasmimport env proxy_get_header_map_value
//go:noescape
func importGetHeaderMapValue(mapType uint32, key unsafe.Pointer, keyLen uint32, value unsafe.Pointer,
	valueLen unsafe.Pointer) uint32

func (*host) ProxyGetHeaderMapValue(mapType uint32, key *byte, keyLen int, value **byte, valueLen *int) uint32 {
	return importGetHeaderMapValue(mapType, unsafe.Pointer(key), uint32(keyLen), unsafe.Pointer(value),
		unsafe.Pointer(valueLen))
}

//go:wasmimport env proxy_add_header_map_value
//go:noescape
func importAddHeaderMapValue(mapType uint32, key unsafe.Pointer, keyLen uint32, value unsafe.Pointer,
	valueLen uint32) uint32

func (*host) ProxyAddHeaderMapValue(mapType uint32, key *byte, keyLen int, value *byte, valueLen int) uint32 {
	return importAddHeaderMapValue(mapType, unsafe.Pointer(key), uint32(keyLen), unsafe.Pointer(value), uint32(valueLen))
}

//go:wasmimport env proxy_replace_header_map_value
//go:noescape
func importReplaceHeaderMapValue(mapType uint32, key unsafe.Pointer, keyLen uint32, value unsafe.Pointer,
	valueLen uint32) uint32

func (*host) ProxyReplaceHeaderMapValue(mapType uint32, key *byte, keyLen int, value *byte, valueLen int) uint32 {
	return importReplaceHeaderMapValue(mapType, unsafe.Pointer(key), uint32(keyLen), unsafe.Pointer(value),
		uint32(valueLen))
}

//go:wasmimport env proxy_continue_stream
//go:noescape
func importContinueStream(stream uint32) uint32

func (*host) ProxyContinueStream(stream uint32) uint32 {
	return importContinueStream(stream)
}

//go:wasmimport env proxy_close_stream
//go:noescape
func importCloseStream(stream uint32) uint32

func (*host) ProxyCloseStream(stream uint32) uint32 {
	return importCloseStream(stream)
}

//go:wasmimport env proxy_remove_header_map_value
//go:noescape
func importRemoveHeaderMapValue(mapType uint32, key unsafe.Pointer, keyLen uint32) uint32

func (*host) ProxyRemoveHeaderMapValue(mapType uint32, key *byte, keyLen int) uint32 {
	return importRemoveHeaderMapValue(mapType, unsafe.Pointer(key), uint32(keyLen))
}

//go:wasmimport env proxy_get_header_map_pairs
//go:noescape
func importGetHeaderMapPairs(mapType uint32, pairs unsafe.Pointer, pairsLen unsafe.Pointer) uint32

func (*host) ProxyGetHeaderMapPairs(mapType uint32, pairs **byte, pairsLen *int) uint32 {
	return importGetHeaderMapPairs(mapType, unsafe.Pointer(pairs), unsafe.Pointer(pairsLen))
}

//go:wasmimport env proxy_set_header_map_pairs
//go:noescape
func importSetHeaderMapPairs(mapType uint32, pairs unsafe.Pointer, pairsLen uint32) uint32

func (*host) ProxySetHeaderMapPairs(mapType uint32, pairs *byte, pairsLen int) uint32 {
	return importSetHeaderMapPairs(mapType, unsafe.Pointer(pairs), uint32(pairsLen))
}

//go:wasmimport env proxy_get_buffer_bytes
//go:noescape
func importGetBufferBytes(bufferType uint32, start uint32, size uint32, value unsafe.Pointer,
	valueLen unsafe.Pointer) uint32

func (*host) ProxyGetBufferBytes(bufferType uint32, start int, size int, value **byte, valueLen *int) uint32 {
	return importGetBufferBytes(bufferType, uint32(start), uint32(size), unsafe.Pointer(value), unsafe.Pointer(valueLen))
}

//go:wasmimport env proxy_set_buffer_bytes
//go:noescape
func importSetBufferBytes(bufferType uint32, start uint32, size uint32, value unsafe.Pointer, valueLen uint32) uint32

func (*host) ProxySetBufferBytes(bufferType uint32, start int, size int, value *byte, valueLen int) uint32 {
	return importSetBufferBytes(bufferType, uint32(start), uint32(size), unsafe.Pointer(value), uint32(valueLen))
}

//go:wasmimport env proxy_http_call
//go:noescape
func importHttpCall(cluster unsafe.Pointer, clusterLen uint32, headers unsafe.Pointer, headersLen uint32,
	body unsafe.Pointer, bodyLen uint32, trailers unsafe.Pointer, trailersLen uint32, timeout uint32,
	call unsafe.Pointer) uint32

func (*host) ProxyHttpCall(cluster *byte, clusterLen int, headers *byte, headersLen int, body *byte, bodyLen int,
	trailers *byte, trailersLen int, timeout uint32, call *uint32) uint32 {
	return importHttpCall(unsafe.Pointer(cluster), uint32(clusterLen), unsafe.Pointer(headers), uint32(headersLen),
		unsafe.Pointer(body), uint32(bodyLen), unsafe.Pointer(trailers), uint32(trailersLen), timeout, unsafe.Pointer(call))
}

//go:wasmimport env proxy_call_foreign_function
//go:noescape
func importCallForeignFunction(name unsafe.Pointer, nameLen uint32, argument unsafe.Pointer, argumentLen uint32,
	result unsafe.Pointer, resultLen unsafe.Pointer) uint32

func (*host) ProxyCallForeignFunction(name *byte, nameLen int, argument *byte, argumentLen int, result **byte,
	resultLen *int) uint32 {
	return importCallForeignFunction(unsafe.Pointer(name), uint32(nameLen), unsafe.Pointer(argument),
		uint32(argumentLen), unsafe.Pointer(result), unsafe.Pointer(resultLen))
}

//go:wasmimport env proxy_set_tick_period_milliseconds
//go:noescape
func importSetTickPeriodMilliseconds(period uint32) uint32

func (*host) ProxySetTickPeriodMilliseconds(period uint32) uint32 {
	return importSetTickPeriodMilliseconds(period)
}

//go:wasmimport env proxy_set_effective_context
//go:noescape
func importSetEffectiveContext(contextID uint32) uint32

func (*host) ProxySetEffectiveContext(contextID uint32) uint32 {
	return importSetEffectiveContext(contextID)
}

//go:wasmimport env proxy_done
//go:noescape
func importDone() uint32

func (*host) ProxyDone() uint32 {
	return importDone()
}

//go:wasmimport env proxy_define_metric
//go:noescape
func importDefineMetric(metricType uint32, name unsafe.Pointer, nameLen uint32, metric unsafe.Pointer) uint32

func (*host) ProxyDefineMetric(metricType uint32, name *byte, nameLen int, metric *uint32) uint32 {
	return importDefineMetric(metricType, unsafe.Pointer(name), uint32(nameLen), unsafe.Pointer(metric))
}

//go:wasmimport env proxy_increment_metric
//go:noescape
func importIncrementMetric(metric uint32, offset int64) uint32

func (*host) ProxyIncrementMetric(metric uint32, offset int64) uint32 {
	return importIncrementMetric(metric, offset)
}

//go:wasmimport env proxy_record_metric
//go:noescape
func importRecordMetric(metric uint32, value uint64) uint32

func (*host) ProxyRecordMetric(metric uint32, value uint64) uint32 {
	return importRecordMetric(metric, value)
}

//go:wasmimport env proxy_get_metric
//go:noescape
func importGetMetric(metric uint32, value unsafe.Pointer) uint32

func (*host) ProxyGetMetric(metric uint32, value *uint64) uint32 {
	return importGetMetric(metric, unsafe.Pointer(value))
}

//go:noinline
func keep(h sdkHost) {
	h.ProxyLog(0, nil, 0)
	h.ProxySetProperty(nil, 0, nil, 0)
	h.ProxyGetProperty(nil, 0, nil, nil)
	h.ProxySendLocalResponse(0, nil, 0, nil, 0, nil, 0, 0)
	h.ProxyGetSharedData(nil, 0, nil, nil, nil)
	h.ProxySetSharedData(nil, 0, nil, 0, 0)
	h.ProxyRegisterSharedQueue(nil, 0, nil)
	h.ProxyResolveSharedQueue(nil, 0, nil, 0, nil)
	h.ProxyDequeueSharedQueue(0, nil, nil)
	h.ProxyEnqueueSharedQueue(0, nil, 0)
	h.ProxyGetHeaderMapValue(0, nil, 0, nil, nil)
	h.ProxyAddHeaderMapValue(0, nil, 0, nil, 0)
	h.ProxyReplaceHeaderMapValue(0, nil, 0, nil, 0)
	h.ProxyContinueStream(0)
	h.ProxyCloseStream(0)
	h.ProxyRemoveHeaderMapValue(0, nil, 0)
	h.ProxyGetHeaderMapPairs(0, nil, nil)
	h.ProxySetHeaderMapPairs(0, nil, 0)
	h.ProxyGetBufferBytes(0, 0, 0, nil, nil)
	h.ProxySetBufferBytes(0, 0, 0, nil, 0)
	h.ProxyHttpCall(nil, 0, nil, 0, nil, 0, nil, 0, 0, nil)
	h.ProxyCallForeignFunction(nil, 0, nil, 0, nil, nil)
	h.ProxySetTickPeriodMilliseconds(0)
	h.ProxySetEffectiveContext(0)
	h.ProxyDone()
	h.ProxyDefineMetric(0, nil, 0, nil)
	h.ProxyIncrementMetric(0, 0)
	h.ProxyRecordMetric(0, 0)
	h.ProxyGetMetric(0, nil)
}

// DefineCounter is proxy_define_metric for a counter.
func DefineCounter(name string) (id, status uint32) {
	status = currentHost.ProxyDefineMetric(0, unsafe.StringData(name), len(name), &id)
	return id, status
}

// DefineGauge is proxy_define_metric for a gauge.
func DefineGauge(name string) (id, status uint32) {
	status = currentHost.ProxyDefineMetric(1, unsafe.StringData(name), len(name), &id)
	return id, status
}

// RecordMetric gives a gauge its value.
func RecordMetric(id uint32, value uint64) (status uint32) { return importRecordMetric(id, value) }

// IncrementCounter adds one.
func IncrementCounter(id uint32) (status uint32) { return importIncrementMetric(id, 1) }

// AddToCounter adds n.
func AddToCounter(id uint32, n int64) (status uint32) { return importIncrementMetric(id, n) }

//go:wasmimport env proxy_get_current_time_nanoseconds
//go:noescape
func importGetCurrentTimeNanoseconds(result unsafe.Pointer) uint32

// Nanoseconds since the epoch, by the proxy's clock.
func Nanoseconds() (ns int64, status uint32) {
	status = importGetCurrentTimeNanoseconds(unsafe.Pointer(&ns))
	return ns, status
}

// pairs is used again by every request.
var pairs [][2]string

// RequestHeaders reads the current stream's request headers.
func RequestHeaders() (list [][2]string, status uint32) {
	var address, size uint32
	if status = importGetHeaderMapPairs(0, unsafe.Pointer(&address), unsafe.Pointer(&size)); status != 0 {
		return nil, status
	}
	pairs = readPairs(allocated(address, size), pairs[:0])
	return pairs, 0
}

// responsePairs is used again by every response.
var responsePairs [][2]string

// ResponseHeaders reads the headers of the current stream's response.
func ResponseHeaders() (list [][2]string, status uint32) {
	var address, size uint32
	if status = importGetHeaderMapPairs(responseHeaders, unsafe.Pointer(&address), unsafe.Pointer(&size)); status != 0 {
		return nil, status
	}
	responsePairs = readPairs(allocated(address, size), responsePairs[:0])
	return responsePairs, 0
}

// ResponseBody reads size bytes of what the proxy has of the response's body, from start on.
func ResponseBody(start, size int) (part []byte, status uint32) {
	var address, n uint32
	status = importGetBufferBytes(responseBody, uint32(start), uint32(size), unsafe.Pointer(&address), unsafe.Pointer(&n))
	if status != 0 {
		return nil, status
	}
	return block(address, n), 0
}

const responseBody = 1 // a buffer's type

// SetProperty is proxy_set_property for a path of one part.
func SetProperty(name, value string) (status uint32) {
	return importSetProperty(unsafe.Pointer(unsafe.StringData(name)), uint32(len(name)),
		unsafe.Pointer(unsafe.StringData(value)), uint32(len(value)))
}

// Property is proxy_get_property; the parts of its path stand in path with a NUL between them. The
// value is valid until the callback ends.
func Property(path string) (value []byte, status uint32) {
	var address, size uint32
	if status = importGetProperty(unsafe.Pointer(unsafe.StringData(path)), uint32(len(path)), unsafe.Pointer(&address),
		unsafe.Pointer(&size)); status != 0 {
		return nil, status
	}
	return block(address, size), 0
}

// SharedData is proxy_get_shared_data. The value is valid until the callback ends.
func SharedData(key []byte) (value []byte, cas, status uint32) {
	var address, size uint32
	if status = importGetSharedData(unsafe.Pointer(unsafe.SliceData(key)), uint32(len(key)), unsafe.Pointer(&address),
		unsafe.Pointer(&size), unsafe.Pointer(&cas)); status != 0 {
		return nil, 0, status
	}
	return block(address, size), cas, 0
}

// SetSharedData is proxy_set_shared_data.
func SetSharedData(key, value []byte, cas uint32) (status uint32) {
	return importSetSharedData(unsafe.Pointer(unsafe.SliceData(key)), uint32(len(key)),
		unsafe.Pointer(unsafe.SliceData(value)), uint32(len(value)), cas)
}

// AddResponseHeader is proxy_add_header_map_value for the response's headers, and
// ReplaceResponseHeader proxy_replace_header_map_value.
func AddResponseHeader(name string, value []byte) (status uint32) {
	return importAddHeaderMapValue(responseHeaders, unsafe.Pointer(unsafe.StringData(name)), uint32(len(name)),
		unsafe.Pointer(unsafe.SliceData(value)), uint32(len(value)))
}

// ReplaceResponseHeader is described at AddResponseHeader.
func ReplaceResponseHeader(name string, value []byte) (status uint32) {
	return importReplaceHeaderMapValue(responseHeaders, unsafe.Pointer(unsafe.StringData(name)), uint32(len(name)),
		unsafe.Pointer(unsafe.SliceData(value)), uint32(len(value)))
}

const responseHeaders = 2 // a header map's type

// block is what the proxy has written, which asks for no memory where that is nothing.
func block(address, size uint32) []byte {
	if size == 0 {
		return nil
	}
	return allocated(address, size)
}

// HTTPCall begins an HTTP call, on behalf of the current context or the one set as effective.
func HTTPCall(cluster string, headers [][2]string, body []byte, timeoutMS uint32) (call, status uint32) {
	h, none := writePairs(headers), writePairs(nil)
	status = importHttpCall(unsafe.Pointer(unsafe.StringData(cluster)), uint32(len(cluster)),
		unsafe.Pointer(unsafe.SliceData(h)), uint32(len(h)),
		unsafe.Pointer(unsafe.SliceData(body)), uint32(len(body)), unsafe.Pointer(unsafe.SliceData(none)),
		uint32(len(none)), timeoutMS, unsafe.Pointer(&call))
	return call, status
}

//go:wasmimport wasi_snapshot_preview1 random_get
//go:noescape
func importRandomGet(buffer unsafe.Pointer, size uint32) uint32

// Random fills b, of at most 64 KiB, from the proxy's generator: BoringSSL's RAND_bytes in Envoy.
func Random(b []byte) (errno uint32) {
	return importRandomGet(unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b)))
}

// allocated returns the block of that address. The proxy gives addresses as numbers: only what
// Allocate has handed out in this callback is one.
func allocated(address, size uint32) []byte {
	if offset := uintptr(address) - uintptr(unsafe.Pointer(&arena)); offset <= arenaSize-uintptr(size) &&
		size <= arenaSize {
		return arena[offset:][:size:size]
	}
	return oversizeBlock(address, size)
}

//go:noinline
func oversizeBlock(address, size uint32) []byte {
	for _, block := range oversize {
		if uintptr(address) == uintptr(unsafe.Pointer(unsafe.SliceData(block))) && int(size) <= len(block) {
			return block[:size:size]
		}
	}
	panic("the proxy's answer is not where it may be")
}
