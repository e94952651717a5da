// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package filter binds package scope to Envoy: it reads the request's headers, has scope decide, answers and counts, and fetches the keys that scope asks for.
package filter

import (
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/guest/direct"
	"github.com/tollgate-wasm/tollgate/shared/host"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
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

func (*vm) NewPluginContext(id uint32) types.PluginContext {
	p := &plugin{}
	direct.Handle(id, p)
	return p
}

// plugin is one configuration in one VM. Configurations of the same module share the VM, so nothing of one is a package variable.
type plugin struct {
	types.DefaultPluginContext
	policy   *scope.Policy
	counters *host.Counters
	decision scope.Decision
	effect   scope.Effect
	keys     keys
}

func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	// Without a configuration the proxy has no bytes to give and the SDK reports an error: to Parse that is an empty text, which it refuses.
	text, _ := proxywasm.GetPluginConfiguration()
	policy, err := scope.Parse(string(text))
	if err != nil {
		host.LogRefused(Name, err)
		return types.OnPluginStartStatusFailed
	}
	p.policy, p.counters = policy, host.NewCounters(Name)
	if err := p.keys.start(policy.Remotes()); err != nil {
		host.LogRefused(Name, err)
		return types.OnPluginStartStatusFailed
	}
	return types.OnPluginStartStatusOK
}

// OnRequest decides a request.
func (p *plugin) OnRequest(stream uint32) types.Action {
	headers, err := guest.RequestHeaders()
	if err != nil {
		panic(err)
	}
	now := guest.Now()
	p.policy.Decide(&p.decision, headers, now)
	if p.decision.KeysWanted() != nil && p.waits(stream, headers, now) {
		return types.ActionPause
	}
	return p.finish(headers)
}

// waits puts a request off whose keys are not there; false: too many are put off already, and it has been decided without.
//
//go:noinline
func (p *plugin) waits(stream uint32, headers [][2]string, now time.Time) bool {
	if !p.keys.full() {
		p.keys.wait(stream, p.decision.KeysWanted(), headers, now)
		return true
	}
	p.policy.DecideAfterWait(&p.decision, headers, now)
	return false
}

// OnStreamEnd forgets a request that waits.
func (p *plugin) OnStreamEnd(stream uint32) { p.keys.forget(stream) }

// finish brings the decision to its verdict and acts on it.
func (p *plugin) finish(headers [][2]string) types.Action {
	d := &p.decision
	if d.WaitsForSignature() {
		verify(d)
	}
	v := d.Verdict()
	rule := p.policy.RuleName(v.Rule)
	if err := p.counters.Count(rule, v); err != nil {
		panic(err)
	}
	if v.Code == verdict.OK {
		p.apply()
		return types.ActionContinue
	}
	return p.refuse(rule, v, headers)
}

//go:noinline
func verify(d *scope.Decision) {
	for d.WaitsForSignature() {
		signature, _ := d.Signature()
		d.SignatureChecked(host.VerifySignature(signature))
	}
}

// refuse answers the request, or lets it go on in shadow mode.
//
//go:noinline
func (p *plugin) refuse(rule string, v *verdict.Verdict, headers [][2]string) types.Action {
	host.LogDecision(Name, rule, v)
	if v.Admits() {
		p.apply()
		return types.ActionContinue
	}
	if err := host.Reply(Name, rule, v, host.Header(headers, "content-type")); err != nil {
		panic(err)
	}
	return types.ActionPause
}

// identity is where later filters and access logs find the verified claims: wasm.tollgate.identity, which no client can write.
const identity = "tollgate.identity"

// apply does to the request what was decided. An error leaves the request half done, so it is a fault, and no pass.
func (p *plugin) apply() {
	e := &p.effect
	p.decision.Effect(e)
	if len(e.Remove)+len(e.Set) > 0 {
		rewrite(e)
	}
	if e.Identity != "" {
		if err := guest.SetProperty(identity, e.Identity); err != nil {
			panic(err)
		}
	}
}

//go:noinline
func rewrite(e *scope.Effect) {
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
}
