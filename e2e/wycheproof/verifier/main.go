// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command verifier is a test module that checks one signature for each request, with the package
// and the host call that the filters check theirs with. The filters themselves look at a token's
// claims first, and vectors have none.
package main

import (
	"encoding/base64"
	"errors"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/guest/direct"
	"github.com/tollgate-wasm/tollgate/shared/host"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

func init() {
	guest.OnFault(host.RefuseFaults(func() string { return "verifier" }))
	proxywasm.SetVMContext(&vm{})
}

func main() {}

type vm struct{ types.DefaultVMContext }

func (*vm) NewPluginContext(id uint32) types.PluginContext {
	direct.Handle(id, direct.Handler{Request: answer, End: func(uint32) {}})
	return &types.DefaultPluginContext{}
}

// answer answers 200 with valid, invalid or the error that kept it from knowing.
func answer(uint32, bool) types.Action {
	headers, err := guest.RequestHeaders()
	if err != nil {
		panic(err)
	}
	text := "invalid"
	good, err := verify(headers)
	switch {
	case err != nil:
		text = err.Error()
	case good:
		text = "valid"
	}
	if err := proxywasm.SendHttpResponse(200, nil, []byte(text), -1); err != nil {
		panic(err)
	}
	return types.ActionPause
}

var errBase64 = errors.New("a header is no base64")

// verify takes x-jwk and either x-jws, or x-alg with x-text and x-signature; all but x-alg in base64.
func verify(headers [][2]string) (good bool, err error) {
	var values [4][]byte
	for i, name := range [...]string{"x-jwk", "x-jws", "x-text", "x-signature"} {
		if values[i], err = base64.StdEncoding.DecodeString(forward.Header(headers, name)); err != nil {
			return false, errBase64
		}
	}
	jws, alg := jose.Signed(string(values[2]), values[3]), forward.Header(headers, "x-alg")
	if alg == "" {
		limits := jose.Limits{TokenBytes: 1 << 16, JSON: strictjson.Limits{Depth: 16, Members: 256, Number: 32}}
		if jws, err = jose.ParseOpaque(string(values[1]), limits); err != nil {
			return false, nil
		}
		alg = jws.Alg
	}
	key, err := jose.ParseKey(gjson.ParseBytes(values[0]))
	if err != nil {
		return false, nil
	}
	a, ok := jose.ParseAlgorithm(alg)
	if !ok || !key.Fits(a) {
		return false, nil
	}
	if !a.ByProxy() {
		return jws.Verify(a, key), nil
	}
	v, err := jws.Verification(a, key)
	if err != nil {
		return false, nil
	}
	return host.VerifySignature(v)
}
