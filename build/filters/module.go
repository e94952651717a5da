// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"errors"
	"strings"

	"github.com/tollgate-wasm/tollgate/filters/tollgate/chain"
	"github.com/tollgate-wasm/tollgate/shared/conf"
)

// Module is the module that carries all filters, and ModuleCode how many bytes of code it may have.
const (
	Module     = "tollgate"
	ModuleCode = 3_200_000
)

// Modules are what is compiled, packed and described: each filter's, and the one with all of them.
func Modules() []string { return append(Names(), Module) }

// ParseModule reads a configuration of that module, one filter's or a chain's, with the readers of all filters in it.
func ParseModule(config string, env Env) error {
	c, err := chain.Parse(config, Names()...)
	if err != nil {
		return err
	}
	var faults conf.Faults
	for _, step := range c.Steps {
		f, err := Named(step.Filter)
		if err != nil {
			return err
		}
		_, err = f.Parse(step.Config, env)
		var list conf.Faults
		if errors.As(err, &list) {
			for _, fault := range list {
				faults = append(faults, conf.Fault{Path: strings.TrimSuffix(step.Path+fault.Path, "."), Problem: fault.Problem})
			}
		} else if err != nil {
			return err
		}
	}
	if len(faults) > 0 {
		return faults
	}
	return nil
}
