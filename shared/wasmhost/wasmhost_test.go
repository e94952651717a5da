// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package wasmhost

import (
	"reflect"
	"strings"
	"testing"
)

// importing is a module that imports one function without arguments and results.
func importing(module, name string) []byte {
	text := func(s string) []byte { return append([]byte{byte(len(s))}, s...) }
	entry := append(append(append([]byte{1}, text(module)...), text(name)...), 0, 0)
	b := []byte("\x00asm\x01\x00\x00\x00")
	b = append(b, 1, 4, 1, 0x60, 0, 0)
	return append(append(b, 2, byte(len(entry))), entry...)
}

// W11: what Envoy does not offer is refused by name, before anything runs.
func TestLoadRefusesImports(t *testing.T) {
	for _, c := range [][2]string{{wasi, "path_filestat_get"}, {wasi, "sock_accept"}, {env, "proxy_grpc_call"},
		{"other", "proxy_log"}, {env, "fd_write"}} {
		if _, err := Load(importing(c[0], c[1])); err == nil || !strings.Contains(err.Error(), c[0]+"."+c[1]) {
			t.Errorf("%s.%s: %v", c[0], c[1], err)
		}
	}
	for _, c := range [][2]string{{wasi, "fd_write"}, {env, "proxy_log"}} {
		if m, err := Load(importing(c[0], c[1])); err != nil || !reflect.DeepEqual(m.Imports(), []string{c[0] + "." + c[1]}) {
			t.Errorf("%s.%s: %v", c[0], c[1], err)
		}
	}
	if _, err := Load([]byte("no module")); err == nil {
		t.Error("what is no module is loaded")
	}
}

// R4: the quirks of shared data that filters must not trip over.
func TestSharedData(t *testing.T) {
	p := NewProxy(nil, Options{})
	if s := p.setData("k", []byte("a"), 77); s != OK {
		t.Errorf("a comparison with a key that is not there: %d", s)
	}
	cas := p.data["k"].cas
	if s := p.setData("k", []byte("b"), cas+1); s != CasMismatch || string(p.data["k"].value) != "a" {
		t.Errorf("a wrong comparison: %d", s)
	}
	if s := p.setData("k", []byte("b"), cas); s != OK || p.data["k"].cas == cas {
		t.Errorf("a right comparison: %d", s)
	}
	if s := p.setData("k", []byte("c"), 0); s != OK || string(p.SharedData()["k"]) != "c" {
		t.Errorf("0 overwrites: %d", s)
	}
	p.cas = 1<<32 - 1
	if p.setData("k", nil, 0); p.data["k"].cas == 0 {
		t.Error("a cas of 0, which would mean no comparison")
	}
}

func TestPairs(t *testing.T) {
	for _, pairs := range [][][2]string{nil, {{"a", "b"}}, {{"", ""}, {"a", "\x00\xff"}, {"a", "c"}}} {
		got, ok := unmarshalPairs(marshalPairs(pairs))
		if !ok || len(got) != len(pairs) || len(pairs) > 0 && !reflect.DeepEqual(got, pairs) {
			t.Errorf("%v came back as %v, %v", pairs, got, ok)
		}
	}
	whole := marshalPairs([][2]string{{"name", "value"}, {"n", "v"}})
	for i := 1; i < len(whole); i++ {
		if _, ok := unmarshalPairs(whole[:i]); ok {
			t.Errorf("the first %d of %d bytes are read as pairs", i, len(whole))
		}
	}
}

func TestHeaderMap(t *testing.T) {
	m := &headerMap{[][2]string{{"a", "1"}, {"b", "2"}, {"a", "3"}}}
	if v, ok := m.get("a"); v != "1" || !ok {
		t.Errorf("the first value is %q", v)
	}
	m.replace("a", "4")
	if want := [][2]string{{"b", "2"}, {"a", "4"}}; !reflect.DeepEqual(m.pairs, want) {
		t.Errorf("%v", m.pairs)
	}
	if m.remove("b"); len(m.pairs) != 1 {
		t.Errorf("%v", m.pairs)
	}
}

func TestForeignSignature(t *testing.T) {
	if _, s := verifySignature([]byte{8, 1}); s != BadArgument {
		t.Errorf("an argument that is none: %d", s)
	}
	if b, s := verifySignature(nil); s != OK || len(b) == 0 || b[0] != 0x12 {
		t.Errorf("nothing to verify: %x, %d", b, s)
	}
}
