// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"runtime"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// RefuseFaults is what a filter gives to guest.OnFault: every panic of its callbacks becomes a
// refusal. The stream is answered 500 internal, the fault is counted and logged, and the VM lives
// on for the next request.
//
// filter is asked whose fault it is.
func RefuseFaults(filter func() string) func(guest.Fault) {
	return func(f guest.Fault) {
		filter := filter()
		report(filter, f.Callback, f.Value)
		switch f.Callback {
		case "proxy_on_vm_start", "proxy_on_configure":
			return // refused by their result
		case "proxy_on_context_create", "proxy_on_delete", "proxy_on_log", "proxy_on_done", "proxy_on_tick",
			"proxy_on_queue_ready":
			return // no stream waits for an answer: there is none yet, none any more, or the callback was not for one
		}
		// What is left is for a stream. After an HTTP call's answer no stream is the effective
		// context, and the reply goes nowhere; a stream that waits for one is taken up by
		// wait.Resume.
		if err := refuse(filter); err != nil && f.Callback != "proxy_on_http_call_response" {
			panic(err) // no refusal without a reply: trap the VM, which Envoy answers with 503
		}
	}
}

// RefuseFault answers the stream that is the effective context after a panic that was caught there.
func RefuseFault(filter string, value any) {
	report(filter, "a request that waited", value)
	if err := refuse(filter); err != nil {
		panic(err)
	}
}

func report(filter, where string, value any) {
	proxywasm.LogCritical(filter + ": fault in " + where + ": " + describe(value))
	if err := NewCounters(filter).Count(verdict.NoRuleName, &verdict.Verdict{Rule: -1}); err != nil {
		proxywasm.LogCritical(filter + ": the fault could not be counted")
	}
}

func refuse(filter string) error {
	contentType, err := proxywasm.GetHttpRequestHeader("content-type")
	if err != nil {
		contentType = ""
	}
	return Reply(filter, verdict.NoRuleName, &verdict.Verdict{Rule: -1}, contentType)
}

// describe tells what was panicked with where that cannot hold anything of a request.
func describe(value any) string {
	switch v := value.(type) {
	case runtime.Error:
		return v.Error()
	case error:
		return "an error"
	case string:
		return "a message"
	}
	return "a value"
}
