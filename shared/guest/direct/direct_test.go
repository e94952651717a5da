// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package direct

import (
	"slices"
	"testing"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

type recorder struct {
	action      types.Action
	seen, ended []uint32
}

func (r *recorder) handler() Handler {
	return Handler{Request: func(id uint32, _ bool) types.Action { r.seen = append(r.seen, id); return r.action },
		End: func(id uint32) { r.ended = append(r.ended, id) }}
}

func reset(t *testing.T) {
	t.Helper()
	clear := func() { registered, paused, created = nil, map[uint32]*pausedStream{}, stream{} }
	clear()
	t.Cleanup(clear)
}

func TestStreams(t *testing.T) {
	reset(t)
	a, b := &recorder{}, &recorder{action: types.ActionPause}
	Handle(1, (&recorder{}).handler())
	Handle(1, a.handler())
	Handle(2, b.handler())
	for i, plugin := range []uint32{1, 2, 2, 1, 2} {
		created = stream{uint32(10 + i), plugin}
		if action := request(uint32(10+i), true); (action == types.ActionPause) != (plugin == 2) {
			t.Errorf("stream %d: action %d", 10+i, action)
		}
	}
	if !slices.Equal(a.seen, []uint32{10, 13}) || !slices.Equal(b.seen, []uint32{11, 12, 14}) {
		t.Errorf("plugin 1 saw %v, plugin 2 %v", a.seen, b.seen)
	}
	for _, id := range []uint32{12, 10, 13, 14, 11} {
		if !concerns(id) {
			t.Errorf("the end of stream %d concerns nobody", id)
		}
		plugin, tell := end(id)
		if plugin || (tell != nil) != (id != 10 && id != 13) {
			t.Errorf("the end of stream %d: %v, told %v", id, plugin, tell != nil)
		}
		if tell != nil {
			tell(id)
		}
		if _, again := end(id); again != nil {
			t.Errorf("the end of stream %d is told twice", id)
		}
	}
	if len(a.ended) > 0 || !slices.Equal(b.ended, []uint32{12, 14, 11}) {
		t.Errorf("plugin 1 was told of the end of %v, plugin 2 of %v", a.ended, b.ended)
	}
	if concerns(10) || !concerns(1) {
		t.Error("what is over concerns somebody, or the end of a plugin nobody")
	}
	if plugin, _ := end(1); !plugin {
		t.Error("plugin 1 is not known as one")
	}
	if plugin, _ := end(1); plugin {
		t.Error("plugin 1 is still known")
	}
	created = stream{20, 2}
	request(20, true)
	if len(a.seen) != 2 || len(b.seen) != 4 {
		t.Errorf("after the end of plugin 1, it has seen %v and plugin 2 %v", a.seen, b.seen)
	}
}

// The body of a stream that waits does so, too, until its handler lets it go on; that of any other
// stream is nobody's business.
func TestBody(t *testing.T) {
	reset(t)
	var sizes []int
	handler := (&recorder{action: types.ActionPause}).handler()
	Handle(1, handler)
	handler.Body = func(_ uint32, size int, end bool) types.Action {
		if sizes = append(sizes, size); end {
			return types.ActionContinue
		}
		return types.ActionPause
	}
	Handle(2, handler)
	Handle(3, (&recorder{}).handler())
	for plugin := uint32(1); plugin <= 3; plugin++ {
		created = stream{10 + plugin, plugin}
		request(10+plugin, false)
	}
	for i, c := range []struct {
		stream uint32
		size   int
		end    bool
		want   types.Action
	}{
		{11, 5, false, types.ActionPause}, {11, 5, true, types.ActionPause}, {12, 5, false, types.ActionPause}, {12, -1,
			true, types.ActionContinue}, {12, 7, false, types.ActionContinue},
		{13, 5, true, types.ActionContinue}, {99, 5, true, types.ActionContinue},
	} {
		if got := body(c.stream, c.size, c.end); got != c.want {
			t.Errorf("call %d: %v, want %v", i, got, c.want)
		}
	}
	if !slices.Equal(sizes, []int{5, -1}) {
		t.Errorf("the handler was told of %v", sizes)
	}
	paused[11].resumed = true
	if got := body(11, 5, true); got != types.ActionContinue {
		t.Errorf("a stream that was resumed: %v", got)
	}
}

// Whatever is out of order is a panic, which the export turns into a refusal.
func TestUnknownStreams(t *testing.T) {
	for name, f := range map[string]func(){
		"a stream of no plugin":     func() { created = stream{10, 7}; request(10, true) },
		"headers without a context": func() { request(10, true) },
		"headers of another stream": func() { created = stream{10, 1}; request(11, true) },
		"headers twice":             func() { created = stream{10, 1}; request(10, true); request(10, true) },
		"headers of a stream before the newest": func() {
			created = stream{10, 1}
			created = stream{11, 1}
			request(10,
				true)
		},
		"a plugin that is gone": func() { end(1); created = stream{10, 1}; request(10, true) },
	} {
		t.Run(name, func(t *testing.T) {
			reset(t)
			Handle(1, (&recorder{}).handler())
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}
