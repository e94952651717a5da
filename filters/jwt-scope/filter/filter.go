// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package filter binds package scope to Envoy: it reads the request's headers, has scope decide, answers and counts, and fetches the keys that scope asks for.
package filter

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
	"github.com/tollgate-wasm/tollgate/shared/guest"
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

func (*vm) NewPluginContext(uint32) types.PluginContext { return &plugin{} }

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

func (p *plugin) NewHttpContext(id uint32) types.HttpContext { return &stream{plugin: p, id: id} }

type stream struct {
	types.DefaultHttpContext
	plugin *plugin
	id     uint32
}

func (s *stream) OnHttpRequestHeaders(int, bool) types.Action {
	p := s.plugin
	headers, err := proxywasm.GetHttpRequestHeaders()
	if err != nil {
		panic(err)
	}
	now := guest.Now()
	p.policy.Decide(&p.decision, headers, now)
	if remote := p.decision.KeysWanted(); remote != nil {
		if !p.keys.full() {
			p.keys.wait(s, remote, headers, now)
			return types.ActionPause
		}
		p.policy.DecideAfterWait(&p.decision, headers, now)
	}
	return s.finish(headers)
}

// finish brings the decision to its verdict and acts on it.
func (s *stream) finish(headers [][2]string) types.Action {
	p := s.plugin
	d := &p.decision
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
	if v.Outcome() != verdict.Allowed {
		host.LogDecision(Name, rule, v)
	}
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
