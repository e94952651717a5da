// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package scope decides whether a request's JSON Web Token lets it through: which rule it falls
// under, whether the token is genuine and current, and whether it has the scopes that the rule asks
// for.
//
// Parse turns a configuration into a Policy, once. Decide takes a request's headers and the time
// and gives a Decision, which either has its Verdict or waits for something that only the proxy can
// do: checking a signature, telling the peer, remembering a proof, fetching keys, asking an
// introspection endpoint. The package knows neither Envoy nor the clock; filter/ is what binds it to
// them.
//
// decide.go is the way of a request; requirement.go compares what a token says with what (shared/condition)
// is asked; constraint.go and nonce.go look at who sends it; introspection.go is for tokens that do
// not say anything; resource.go serves metadata, and answers.go writes challenges.
//
// To add a deny reason: name it in errors.go, return it in decide.go, and add its row to the table in decide_test.go.
package scope
