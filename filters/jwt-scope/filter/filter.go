// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package filter binds package scope to Envoy: it reads the request's headers, has scope decide, answers and counts.
package filter

import (
	"strings"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/host"
)

// Name is the filter's part of metric names, log lines and response code details.
const Name = "jwt_scope"

// Register makes jwt-scope the filter of this module. To be called in init: main does not run.
func Register() {
	guest.OnFault(host.RefuseFaults(Name))
	proxywasm.SetVMContext(New())
}

// New makes the filter's VM context, for a module that registers more than this filter.
func New() types.VMContext { return &vm{} }

type vm struct{ types.DefaultVMContext }

func (*vm) NewPluginContext(uint32) types.PluginContext { return &plugin{} }

// plugin is one configuration in one VM. Configurations of the same module share the VM, so nothing of one is a package variable.
type plugin struct {
	types.DefaultPluginContext
	policy   *scope.Policy
	counters *host.Counters
	stream   stream
	decision scope.Decision
	effect   scope.Effect
}

func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	// Without a configuration the proxy has no bytes to give and the SDK reports an error: to Parse that is an empty text, which it refuses.
	text, _ := proxywasm.GetPluginConfiguration()
	policy, err := scope.Parse(string(text))
	if err != nil {
		host.LogRefused(Name, err)
		return types.OnPluginStartStatusFailed
	}
	p.policy, p.counters, p.stream = policy, host.NewCounters(Name), stream{plugin: p}
	return types.OnPluginStartStatusOK
}

// NewHttpContext gives all streams one context: a request is decided within one callback, so a stream has no state.
func (p *plugin) NewHttpContext(uint32) types.HttpContext { return &p.stream }

type stream struct {
	types.DefaultHttpContext
	plugin *plugin
}

func (s *stream) OnHttpRequestHeaders(int, bool) types.Action {
	p := s.plugin
	headers, err := proxywasm.GetHttpRequestHeaders()
	if err != nil {
		panic(err)
	}
	d := &p.decision
	p.policy.Decide(d, headers, time.Now())
	for {
		signature, waits := d.Signature()
		if !waits {
			break
		}
		d.SignatureChecked(host.VerifySignature(signature))
	}
	v := d.Verdict()
	rule := p.policy.RuleName(v.Rule)
	if err := p.counters.Count(rule, v); err != nil {
		panic(err)
	}
	if v.Admits() {
		p.apply()
		return types.ActionContinue
	}
	if err := host.Reply(Name, rule, v, strings.Clone(host.Header(headers, "content-type"))); err != nil {
		panic(err)
	}
	return types.ActionPause
}

// identity is where later filters and access logs find the verified claims: wasm.tollgate.identity, which no client can write.
var identity = []string{"tollgate.identity"}

// apply does to the request what was decided. An error leaves the request half done, so it is a fault, and no pass.
func (p *plugin) apply() {
	e := &p.effect
	p.decision.Effect(e)
	for _, name := range e.Remove {
		if err := proxywasm.RemoveHttpRequestHeader(name); err != nil {
			panic(err)
		}
	}
	for _, h := range e.Set {
		if err := proxywasm.ReplaceHttpRequestHeader(h[0], h[1]); err != nil {
			panic(err)
		}
	}
	if e.Identity != "" {
		if err := proxywasm.SetProperty(identity, []byte(e.Identity)); err != nil {
			panic(err)
		}
	}
}
