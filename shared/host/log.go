// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"strings"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// LogRefused logs why a configuration is not taken, a line for each fault.
func LogRefused(filter string, err error) {
	proxywasm.LogCritical(filter + ": the configuration is refused:")
	for _, line := range strings.Split(err.Error(), "\n") {
		proxywasm.LogCritical(filter + ":   " + line)
	}
}

// LogWarnings logs what a configuration that is taken is probably not meant to say.
func LogWarnings(filter string, list []conf.Fault) {
	for i := range list {
		proxywasm.LogWarn(filter + ": " + list[i].String())
	}
}

// LogDecision logs at debug level what was decided about a request that was not simply allowed:
// names of the configuration, and nothing of the request. Allowed ones are counted only; a line for
// each would cost them a call out of the VM whatever Envoy's log level.
func LogDecision(filter, rule string, v *verdict.Verdict) {
	text := filter + ": " + string(v.Outcome()) + " rule=" + rule + " code=" + v.Reason().Name
	if v.Why != "" {
		text += ": " + v.Why
	}
	proxywasm.LogDebug(text)
}

// Seldom is something that would fill the log if it were told as often as it happens: whoever is on
// call has to see it, and a client may be who makes it happen.
type Seldom struct{ told time.Time }

// seldom is how often it is told at most.
const seldom = 10 * time.Second

// Error logs it, unless it has just been logged.
func (s *Seldom) Error(text string) {
	if now := guest.Now(); now.Sub(s.told) >= seldom || now.Before(s.told) {
		s.told = now
		proxywasm.LogError(text)
	}
}
