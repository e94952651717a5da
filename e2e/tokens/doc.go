// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package tokens has the tests of limits whose costs stand in answers: numbers of tokens, as services of language
// models tell them. The service is e2e/tokens/service.
//
// Tests with the build tag python have the official OpenAI library for Python as the client: make test-tokens.
package tokens
