// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
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

// neighbours are what stands beside a filter: a filter's smallest configuration with other keys. It
// looks at every request, has nothing to say to any, and lets pass, in shadow mode, what it cannot
// read.
var neighbours = map[string]string{
	"rate-limit": `{"mode":"shadow","headers":"none","limits":[{"name":"neighbour",` +
		`"match":[{"hosts":["neighbour.invalid"]}],"rate":{"requests":1,"per":"1h"}}]}`,
	"edge-stamp": `{"mode":"shadow","default":"allow","forward":{"stamp":"keep"},"header":"x-neighbour",` +
		`"rules":[{"name":"neighbour","match":[{"hosts":["neighbour.invalid"]}]}]}`,
}

// configured is the configuration of a neighbour.
func configured(neighbour string) string {
	f, err := filters.Named(neighbour)
	config := map[string]json.RawMessage{}
	for _, text := range []string{f.Smallest, neighbours[f.Name]} {
		if err == nil {
			err = json.Unmarshal([]byte(text), &config)
		}
	}
	text, failed := json.Marshal(config)
	if err != nil || failed != nil {
		panic("the neighbour of steps is none") // a mistake in this file
	}
	return string(text)
}

// neighbour is the filter that stands beside another: one that the tests of this package are not about.
func neighbour(filter string) string {
	if filter == "edge-stamp" || strings.HasPrefix(filepath.Base(os.Args[0]), "edge-stamp") {
		return "rate-limit"
	}
	return "edge-stamp"
}

// ofNeighbour reports whether a counter, without "tollgate.", is a neighbour's.
func ofNeighbour(counter string) bool {
	f, err := filters.Named(neighbour(""))
	return AsStep() && err == nil && strings.HasPrefix(counter, f.Metric()+".")
}

// Between is the configuration of a chain with a filter in its middle.
func Between(filter, name, config string) string {
	other := neighbour(filter)
	beside := func(name string) string {
		return `{"name":"` + name + `","filter":"` + other + `","config":` + configured(other) + `}`
	}
	return `{"chain":[` + beside("before") + `,{"name":"` + name + `","filter":"` + filter + `","config":` + config +
		`},` +
		beside("behind") + `]}`
}

var stepName = regexp.MustCompile("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")

func isStepName(name string) bool {
	return name != "before" && name != "behind" && stepName.MatchString(name)
}

// stepOf makes the filter of a plugin a step.
func stepOf(w bootstrap.Wasm) bootstrap.Wasm {
	folder, file := filepath.Split(w.Module)
	filter := strings.TrimSuffix(file, ".wasm")
	if slices.Contains(filters.Names(), filter) && json.Valid([]byte(w.Configuration)) {
		w.Module = filepath.Join(folder, filters.Module+".wasm")
		name := "step"
		if isStepName(w.Name) { // so that what is kept by the filter's name stays where it is
			name = w.Name
		}
		w.Configuration = Between(filter, name, w.Configuration)
	}
	return w
}
