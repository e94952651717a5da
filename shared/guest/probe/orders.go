// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

	"github.com/tollgate-wasm/tollgate/shared/guest"
)

const binary = "a\x00b\xff\n"

// orders are the host calls that answer at once, by the value of x-probe.
var orders = map[string]func(s *stream) string{
	"config": func(s *stream) string { return strconv.Quote(s.plugin.config) + " " + recall("vm-configuration") },
	"served": func(s *stream) string { return strconv.Itoa(s.plugin.served) },
	"ticked": func(*stream) string { return recall("ticked") },
	"header": func(*stream) string {
		return header("x-a") + " " + header("X-B") + " " + header("x-none") + " " + header(":path")
	},
	"pairs":    func(*stream) string { return pairs() },
	"log":      logAll,
	"property": property,
	"late-property": func(*stream) string {
		_, err := proxywasm.GetProperty([]string{"no", "such", "property"})
		return status(err)
	},
	"add":     func(*stream) string { return status(proxywasm.AddHttpRequestHeader("X-T-A", "2")) + pairs() },
	"replace": func(*stream) string { return status(proxywasm.ReplaceHttpRequestHeader("X-T-A", "2")) + pairs() },
	"remove":  func(*stream) string { return status(proxywasm.RemoveHttpRequestHeader("X-T-A")) + pairs() },
	"set-pairs": func(*stream) string {
		all, err := proxywasm.GetHttpRequestHeaders()
		if err != nil {
			return status(err)
		}
		return status(proxywasm.ReplaceHttpRequestHeaders(append(all, [2]string{"x-t-b", "\xc3\xa9"}))) + pairs()
	},
	"clock": func(*stream) string {
		between := time.Until(guest.Now())
		return strconv.FormatBool(between > -time.Second && between < time.Second)
	},
	"data":      sharedData,
	"queue":     queue,
	"metrics":   metrics,
	"effective": effective,
	"foreign":   foreign,
	"verify":    verify,
	"sign":      sign,
	"done": func(*stream) string {
		proxywasm.PluginDone()
		return "ok"
	},
	"close": func(*stream) string { return status(proxywasm.CloseDownstream()) },
	"bad-call": func(*stream) string {
		headers := [][2]string{{":method", "GET"}, {":path", "/"}, {":authority", "x"}}
		_, missing := proxywasm.DispatchHttpCall("no-such-cluster", headers, nil, nil, 1000, func(int, int, int) {})
		_, noPath := proxywasm.DispatchHttpCall("upstream", headers[:1], nil, nil, 1000, func(int, int, int) {})
		return status(missing) + ", " + status(noPath)
	},
	"no-body":           func(*stream) string { _, err := proxywasm.GetHttpRequestBody(0, 1); return status(err) },
	"no-response":       func(*stream) string { _, err := proxywasm.GetHttpResponseHeader("x"); return status(err) },
	"no-trailers":       func(*stream) string { _, err := proxywasm.GetHttpRequestTrailer("x"); return status(err) },
	"arena":             arena,
	"big":               big,
	"panic-next-create": func(*stream) string { note("panic-create", "once"); return "ok" },
}

func header(name string) string { return result(proxywasm.GetHttpRequestHeader(name)) }

// pairs lists the headers that tests send, in their order.
func pairs() string {
	all, err := proxywasm.GetHttpRequestHeaders()
	if err != nil {
		return status(err)
	}
	told := ""
	for _, h := range all {
		if strings.HasPrefix(h[0], "x-t-") {
			told += " " + h[0] + "=" + strconv.Quote(h[1])
		}
	}
	return told
}

func logAll(*stream) string {
	proxywasm.LogTrace("probe logs at trace")
	proxywasm.LogDebug("probe logs at debug")
	proxywasm.LogInfo("probe logs at info " + strings.Repeat("x", 3000) + " to the end")
	proxywasm.LogWarn("probe logs at warn")
	proxywasm.LogError("probe logs at error")
	proxywasm.LogCritical("probe logs at critical")
	proxywasm.LogInfo("")
	return "ok"
}

func property(*stream) string {
	set := proxywasm.SetProperty([]string{"probe.key"}, []byte(binary))
	own, err := proxywasm.GetProperty([]string{"probe.key"})
	told := status(set) + " " + result(string(own), err)
	state, err := proxywasm.GetProperty([]string{"filter_state", "wasm.probe.key"})
	return told + " " + result(string(state), err)
}

func sharedData(*stream) string {
	key := "probe\x00key"
	_, _, err := proxywasm.GetSharedData(key)
	told := status(err)
	told += ", create with any cas: " + status(proxywasm.SetSharedData(key, []byte(binary), 4242))
	value, cas, err := proxywasm.GetSharedData(key)
	told += " " + result(string(value), err) + " cas known " + strconv.FormatBool(cas != 0)
	told += ", wrong cas: " + status(proxywasm.SetSharedData(key, []byte("x"), cas+1000))
	told += ", right cas: " + status(proxywasm.SetSharedData(key, []byte("y"), cas))
	told += ", old cas: " + status(proxywasm.SetSharedData(key, []byte("z"), cas))
	told += ", cas 0: " + status(proxywasm.SetSharedData(key, nil, 0))
	empty, _, err := proxywasm.GetSharedData(key)
	return told + " " + result(string(empty), err)
}

func queue(*stream) string {
	id, err := proxywasm.RegisterSharedQueue("probe\x00queue")
	told := status(err)
	again, err := proxywasm.ResolveSharedQueue("", "probe\x00queue")
	told += ", resolved to the same " + strconv.FormatBool(id == again && id != 0) + " " + status(err)
	_, err = proxywasm.ResolveSharedQueue("", "none")
	told += ", unknown name: " + status(err)
	_, err = proxywasm.DequeueSharedQueue(id)
	told += ", nothing in it: " + status(err)
	told += ", " + status(proxywasm.EnqueueSharedQueue(id, []byte(binary)))
	item, err := proxywasm.DequeueSharedQueue(id)
	told += " " + result(string(item), err)
	return told + ", unknown queue: " + status(proxywasm.EnqueueSharedQueue(id+1000, []byte("x")))
}

func metrics(*stream) string {
	counter := proxywasm.DefineCounterMetric("probe.counter")
	counter.Increment(1 << 40)
	gauge := proxywasm.DefineGaugeMetric("probe.gauge")
	gauge.Add(7)
	gauge.Add(-3)
	histogram := proxywasm.DefineHistogramMetric("probe.histogram")
	histogram.Record(5)
	return strconv.FormatUint(counter.Value(), 10) + " " + strconv.FormatInt(gauge.Value(), 10)
}

func effective(s *stream) string {
	told := "unknown context: " + status(proxywasm.SetEffectiveContext(4_000_000_000))
	told += ", the plugin: " + status(proxywasm.SetEffectiveContext(s.plugin.id))
	_, err := proxywasm.GetHttpRequestHeader("x-probe")
	told += ", which has no headers: " + status(err)
	return told + ", back: " + status(proxywasm.SetEffectiveContext(s.id)) + " " + header("x-probe")
}

func foreign(*stream) string {
	_, err := proxywasm.CallForeignFunction("no_such_function", []byte("x"))
	_, malformed := proxywasm.CallForeignFunction("verify_signature", []byte{0xff})
	return status(err) + ", " + status(malformed)
}

// argument is a header whose value is base64.
func argument(name string) []byte {
	text, err := proxywasm.GetHttpRequestHeader(name)
	if err != nil {
		panic(err)
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return b
}

// verify passes the header x-argument to verify_signature. An answer with an error text, which
// differs between libraries, is told as such.
func verify(*stream) string {
	b, err := proxywasm.CallForeignFunction("verify_signature", argument("x-argument"))
	switch {
	case err != nil:
		return status(err)
	case len(b) > 2 && b[0] == 0x12:
		return "not verified, with a reason"
	}
	return strconv.Quote(string(b))
}

// sign passes the header x-argument to sign and returns the answer in base64.
func sign(*stream) string {
	b, err := proxywasm.CallForeignFunction("sign", argument("x-argument"))
	if err != nil {
		return status(err)
	}
	return base64.StdEncoding.EncodeToString(b)
}

// arena holds what host calls returned against itself after many more of them, of all sizes.
func arena(*stream) string {
	type held struct {
		got  []byte
		size int
	}
	var all []held
	for size := 1; size <= 300_000; size = size*3/2 + 1 {
		key := "probe-arena-" + strconv.Itoa(size)
		if err := proxywasm.SetSharedData(key, []byte(strings.Repeat(string(rune('a'+size%26)), size)), 0); err != nil {
			return status(err)
		}
		for range 3 {
			got, _, err := proxywasm.GetSharedData(key)
			if err != nil {
				return status(err)
			}
			all = append(all, held{got, size})
		}
	}
	for _, h := range all {
		if len(h.got) != h.size || string(h.got) != strings.Repeat(string(rune('a'+h.size%26)), h.size) {
			return "a block of " + strconv.Itoa(h.size) + " bytes was overwritten"
		}
	}
	return "intact"
}

// big reads a value that no arena holds.
func big(*stream) string {
	const size = 4 << 20
	if err := proxywasm.SetSharedData("probe-big", make([]byte, size), 0); err != nil {
		return status(err)
	}
	b, _, err := proxywasm.GetSharedData("probe-big")
	return strconv.FormatBool(len(b) == size) + " " + status(err)
}
