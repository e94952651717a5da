// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"encoding/json"
	"errors"

	"github.com/tollgate-wasm/tollgate/filters/tollgate/chain"
	"github.com/tollgate-wasm/tollgate/shared/conf"
)

// Module is the module that carries all filters, and ModuleCode how many bytes of code it may have.
const (
	Module     = "tollgate"
	ModuleCode = 3_700_000
)

// ModulePlaces are the folders that the module has under WasmPlugin/, sorted: where the single plugins
// may stand in one place.
var ModulePlaces = []string{"gateway", "mesh"}

// Modules are what is compiled, packed and described: each filter's, and the one with all of them.
func Modules() []string { return append(Names(), Module) }

// ParseModule reads a configuration of that module, one filter's or a chain's, with the readers of all
// filters in it, and returns its steps. Of one filter's configuration, the step has no path.
func ParseModule(config string, env Env) ([]chain.Step, error) {
	c, err := chain.Parse(config, Names()...)
	if err != nil {
		return nil, err
	}
	var faults conf.Faults
	for _, step := range c.Steps {
		f, err := Named(step.Filter)
		if err == nil {
			_, err = f.Parse(step.Config, env)
		}
		var list conf.Faults
		if errors.As(err, &list) {
			faults = append(faults, list.Under(step.Path)...)
		} else if err != nil {
			return nil, err
		}
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return c.Steps, nil
}

// Read reads a configuration of one of Modules.
func Read(module, config string, env Env) error {
	if module == Module {
		_, err := ParseModule(config, env)
		return err
	}
	f, err := Named(module)
	if err == nil {
		_, err = f.Parse(config, env)
	}
	return err
}

// Step is a filter's configuration, JSON, that is to be a step of a chain.
type Step struct {
	Name   string          `json:"name"`
	Filter string          `json:"filter"`
	Config json.RawMessage `json:"config"`
}

// Alone is a filter's configuration as the module takes it by itself: it says whose it is.
func (s Step) Alone() ([]byte, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(s.Config, &members); err != nil {
		return nil, err
	}
	whose, err := json.Marshal(s.Filter)
	if err != nil {
		return nil, err
	}
	members["filter"] = whose
	return json.Marshal(members)
}
