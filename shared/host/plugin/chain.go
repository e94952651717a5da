// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"strings"
	"time"
	"unsafe"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/host"
	"github.com/tollgate-wasm/tollgate/shared/host/wait"
)

// chain is a plugin's steps. A request goes from one to the next by Host.Pass, within the callback
// in which the step before has decided; a step that needs time holds it, and goes on with it later.
type chain struct {
	id     uint32
	name   string
	plan   func(text string) (Plan, error)
	parts  []Part
	steps  []Step
	after  int // the step after which the identity is published
	pace   wait.Pace
	memory []host.Memory

	current flow      // the request of this callback
	clock   time.Time // of this callback; zero: it has not been looked at
	ticking bool
	flows   map[uint32]*flow // those that were not simply let go on
}

// flow is a request on its way through the steps.
type flow struct {
	stream   uint32
	at       int            // the step that has it
	answered bool           // by that step
	request  decide.Request // as it is now, until the callback ends; without headers: they have to be read
	identity string         // that a step has verified, as JSON; empty: none

	// What was asked of the proxy, until the callback ends.
	source, peerURI, peerDigest, published property
}

// property is one of the request's that several steps may want to know.
type property struct {
	read bool
	text string
	err  error
}

func (c *chain) configure(text string) bool {
	plan, err := c.plan(text)
	if err == nil {
		err = c.start(plan)
	}
	if err != nil {
		host.LogRefused(c.name, err)
	}
	return err == nil
}

// start makes all steps, and tells what is wrong with any of them.
func (c *chain) start(plan Plan) error {
	c.parts, c.after = plan.Parts, plan.PublishAfter
	c.steps, c.memory = make([]Step, len(c.parts)), nil
	var faults conf.Faults
	for i := range c.parts {
		p := &c.parts[i]
		c.steps[i] = p.Filter.New(&Host{chain: c, index: i})
		err := c.step(i).Configure(p.Config)
		if list, ok := err.(conf.Faults); ok {
			faults = append(faults, list.Under(p.Path)...)
			continue
		}
		if err != nil {
			return err
		}
	}
	if len(faults) > 0 {
		return faults
	}
	if err := c.tellMemory(); err != nil {
		return err
	}
	if c.pace.Unset() { // a step looks at the clock now and then
		return c.pace.Set(wait.Idle)
	}
	return nil
}

// tellMemory has the gauge of each filter written once, however often the filter stands in the chain.
func (c *chain) tellMemory() error {
	told := map[string]bool{}
	for i := range c.parts {
		name := c.parts[i].Filter.Name
		if told[name] {
			continue
		}
		told[name] = true
		memory, err := host.NewMemory(name)
		if err != nil {
			return err
		}
		c.memory = append(c.memory, memory)
	}
	return nil
}

func (c *chain) tick() {
	now := guest.Now()
	for i := range c.memory {
		if err := c.memory[i].Tick(now); err != nil {
			panic(err)
		}
	}
	c.clock, c.ticking = now, true
	defer func() { c.ticking = false }()
	turn, next := wait.NewTurn(now), uint32(wait.Idle)
	for i := range c.steps {
		if i > 0 { // a step before may have left a stream's context, in which no call must be made
			if err := proxywasm.SetEffectiveContext(c.id); err != nil {
				panic(err)
			}
		}
		next = min(next, c.step(i).Tick(now, &turn))
	}
	if err := c.pace.Set(next); err != nil {
		panic(err)
	}
}

// request has a request decided by the first step, which hands it to the next.
func (c *chain) request(stream uint32, empty bool) types.Action {
	c.clock = time.Time{}
	c.current = flow{stream: stream, request: decide.Request{Empty: empty}}
	action := c.run(0)
	if action != types.ActionContinue {
		c.keep()
	}
	return action
}

// run hands the current request to a step, or lets it go on behind the last.
func (c *chain) run(step int) types.Action {
	if step == len(c.steps) {
		return types.ActionContinue
	}
	c.current.at = step
	return c.step(step).Request(c.current.stream)
}

// step is one of the steps, about to be called: a fault is its filter's.
func (c *chain) step(i int) *Step {
	running = c.parts[i].Filter.Name
	return &c.steps[i]
}

// keep notes the current request, which was answered or waits.
//
//go:noinline
func (c *chain) keep() {
	f := c.flows[c.current.stream]
	if f == nil {
		f = &flow{}
		c.flows[c.current.stream] = f
	}
	// What else is known of it lies in the proxy's memory.
	*f = flow{stream: c.current.stream, at: c.current.at, answered: c.current.answered,
		request:  decide.Request{Empty: c.current.request.Empty},
		identity: strings.Clone(c.current.identity)}
}

// resume takes a request up again where a step left it: do goes on with it.
func (c *chain) resume(stream uint32, step int, do func() types.Action) {
	f := c.flows[stream]
	if f == nil || f.answered || f.at != step {
		return // it has ended, or is about to, or has gone on by itself
	}
	if !c.ticking {
		c.clock = time.Time{}
	}
	c.step(step)
	wait.Resume(faulty, stream, func() types.Action { return c.goOn(f, do) })
}

func (c *chain) goOn(f *flow, do func() types.Action) types.Action {
	c.current = *f
	f.answered = true // if do does not come back: a fault is answered, and nobody goes on with the request
	action := do()
	c.keep()
	return action
}

// body tells the step that has the request waiting of its body, and those behind it, which may want it later.
func (c *chain) body(stream uint32, size int, end bool) types.Action {
	f := c.flows[stream]
	if f == nil || f.answered {
		return types.ActionPause
	}
	c.clock = time.Time{}
	for i := f.at + 1; i < len(c.steps); i++ {
		if body := c.step(i).Body; body != nil {
			body(stream, size, end, true)
		}
	}
	body := c.step(f.at).Body
	if body == nil {
		return types.ActionPause
	}
	return c.goOn(f, func() types.Action { return body(stream, size, end, false) })
}

func (c *chain) end(stream uint32) {
	delete(c.flows, stream)
	for i := range c.steps {
		if end := c.step(i).End; end != nil {
			end(stream)
		}
	}
}

// Host is what a plugin does for one of its steps.
type Host struct {
	chain *chain
	index int
}

// Plugin is the context of the plugin.
func (h *Host) Plugin() uint32 { return h.chain.id }

// Name is what the step keeps things by that outlive its VM and its configuration: Envoy's filter
// name, or the step's own.
func (h *Host) Name() (string, error) {
	if name := h.chain.parts[h.index].Name; name != "" {
		return name, nil
	}
	name, err := guest.Property("plugin_name")
	if err == nil && name == nil {
		err = errNoName
	}
	return string(name), err
}

var errNoName = errors.New("the proxy does not say what the filter is called")

// Called says that the step has been called, other than by its plugin: a fault is its filter's.
func (h *Host) Called() { h.chain.step(h.index) }

// Pace is how often the plugin's tick comes.
func (h *Host) Pace() *wait.Pace { return &h.chain.pace }

// Request is the current request as it is now. It is valid until the callback ends, or until Pass.
func (h *Host) Request() *decide.Request {
	c := h.chain
	r := &c.current.request
	if r.Headers == nil {
		c.read()
	}
	return r
}

// read reads the current request, with the time. An error is a panic: what cannot be read is refused.
func (c *chain) read() {
	headers, err := guest.RequestHeaders()
	if err != nil {
		panic(err)
	}
	if c.clock.IsZero() {
		c.clock = guest.Now()
	}
	c.current.request = decide.Request{Headers: headers, Empty: c.current.request.Empty, Now: c.clock}
}

// Source, PeerURI and PeerDigest are what a decide.World of this plugin tells. The proxy is asked once.
func (h *Host) Source() (string, error) { return h.chain.current.source.get("source\x00address") }

// PeerURI is described at Source.
func (h *Host) PeerURI() (string, error) {
	return h.chain.current.peerURI.get("connection\x00uri_san_peer_certificate")
}

// PeerDigest is described at Source.
func (h *Host) PeerDigest() (string, error) {
	return h.chain.current.peerDigest.get("connection\x00sha256_peer_certificate_digest")
}

func (p *property) get(path string) (string, error) {
	if !p.read {
		value, err := guest.Property(path)
		p.read, p.text, p.err = true, unsafe.String(unsafe.SliceData(value), len(value)), err
	}
	return p.text, p.err
}

// Identity are the claims that have been verified before, by a step of this plugin or by another
// filter (decide.World). They are valid until the callback ends.
func (h *Host) Identity() (gjson.Result, error) {
	f := &h.chain.current
	if f.identity != "" {
		return gjson.Result{Type: gjson.JSON, Raw: f.identity}, nil // read strictly by the step that verified it
	}
	text, err := f.published.get(host.IdentityPath)
	if err != nil {
		return gjson.Result{}, err
	}
	return decide.ParseIdentity(text)
}

// Answered says that the step has answered the current request: no step looks at what still comes of it.
func (h *Host) Answered() types.Action {
	h.chain.current.answered = true
	return types.ActionPause
}

// Pass has the current request go on: with an effect (nil: none) to the next step, or upstream.
func (h *Host) Pass(e *forward.Effect) types.Action {
	c := h.chain
	if e != nil {
		if host.Rewrite(e) {
			c.current.request.Headers = nil
		}
		if e.Identity != "" {
			c.current.identity = e.Identity
		}
	}
	if h.index == c.after && c.current.identity != "" {
		host.Publish(c.current.identity)
	}
	return c.run(h.index + 1)
}

// Resume takes a request up again that this step has waiting: do goes on with it, and returns what Pass returns, or
// types.ActionPause. A panic of do refuses the request. Nothing is done for a stream that has ended.
func (h *Host) Resume(stream uint32, do func() types.Action) { h.chain.resume(stream, h.index, do) }
