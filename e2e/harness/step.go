// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
)

// AsStep reports whether filters run as steps of chains: with TOLLGATE_AS=step in the environment,
// every filter that a test has in a plugin of its own is the middle one of a chain in tollgate.wasm,
// between neighbours that let everything pass. So the tests of the filters are those of the steps.
func AsStep() bool { return os.Getenv("TOLLGATE_AS") == "step" }

// Alone skips a test where filters run as steps: it is about what only a plugin of its own has. why says what.
func Alone(t testing.TB, why string) {
	t.Helper()
	if AsStep() {
		t.Skip("of a filter alone: " + why)
	}
}

// Between is the configuration of a chain with a filter in its middle. The neighbours look at every
// request, have no limit that fits, and let pass, in shadow mode, what they cannot read.
func Between(filter, name, config string) string {
	neighbour := func(name string) string {
		return `{"name":"` + name + `","filter":"rate-limit","config":{"mode":"shadow","headers":"none","limits":[{"name":"` + name +
			`","match":[{"hosts":["` + name + `.invalid"]}],"rate":{"requests":1,"per":"1h"}}]}}`
	}
	return `{"chain":[` + neighbour("before") + `,{"name":"` + name + `","filter":"` + filter + `","config":` + config +
		`},` +
		neighbour("behind") + `]}`
}

// stepOf makes the filter of a plugin a step.
func stepOf(w bootstrap.Wasm) bootstrap.Wasm {
	folder, file := filepath.Split(w.Module)
	filter := strings.TrimSuffix(file, ".wasm")
	if slices.Contains(filters.Names(), filter) && json.Valid([]byte(w.Configuration)) {
		w.Module = filepath.Join(folder, filters.Module+".wasm")
		w.Configuration = Between(filter, "step", w.Configuration)
	}
	return w
}
