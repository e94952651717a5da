// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/cel-go/cel"
	admission "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/yaml"
)

// refusals are the messages with which the policy's CEL expressions refuse an object. The API
// server knows more functions; the policy uses those of the language and its optional values only.
func refusals(t *testing.T, policy admission.ValidatingAdmissionPolicy, o object) (messages []string) {
	t.Helper()
	env, err := cel.NewEnv(cel.OptionalTypes(), cel.Variable("object", cel.DynType),
		cel.Variable("variables", cel.DynType))
	if err != nil {
		t.Fatal(err)
	}
	variables := map[string]any{}
	evaluate := func(expression string) any {
		ast, issues := env.Compile(expression)
		if issues.Err() != nil {
			t.Fatalf("%s: %v", expression, issues.Err())
		}
		program, err := env.Program(ast)
		if err != nil {
			t.Fatal(err)
		}
		value, _, err := program.Eval(map[string]any{"object": map[string]any(o), "variables": variables})
		if err != nil {
			return err // failurePolicy: Fail
		}
		return value.Value()
	}
	for _, v := range policy.Spec.Variables {
		variables[v.Name] = evaluate(v.Expression)
	}
	for _, v := range policy.Spec.Validations {
		if evaluate(v.Expression) != true {
			messages = append(messages, v.Message)
		}
	}
	return messages
}

// The policy lets the teams' own resources in, in both forms, and refuses what would take a layer's place.
func TestAdmission(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(folder, "istio/admission/validatingadmissionpolicy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	first, second, _ := strings.Cut(string(text), "\n---\n")
	var policy admission.ValidatingAdmissionPolicy
	if err := yaml.UnmarshalStrict([]byte(first), &policy); err != nil {
		t.Fatal(err)
	}
	var binding admission.ValidatingAdmissionPolicyBinding
	if err := yaml.UnmarshalStrict([]byte(second), &binding); err != nil {
		t.Fatal(err)
	}
	if binding.Spec.PolicyName != policy.Name ||
		!slices.Equal(binding.Spec.ValidationActions, []admission.ValidationAction{admission.Deny}) ||
		len(policy.Spec.Validations) != 4 {
		t.Errorf("the binding is %+v", binding.Spec)
	}
	platform := policy.Spec.MatchConstraints.NamespaceSelector.MatchExpressions[0].Values
	teams := 0
	for _, place := range places(t) {
		for _, kind := range []string{"wasmplugin", "trafficextension"} {
			text, err := os.ReadFile(filepath.Join(folder, place, kind+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			o := objects(t, string(text))[0]
			if slices.Contains(platform, o["metadata"].(map[string]any)["namespace"].(string)) {
				continue
			}
			teams++
			if r := refusals(t, policy, o); len(r) > 0 {
				t.Errorf("%s: refused: %v", o.name(), r)
			}
			for _, c := range []struct{ from, to, want string }{
				{"ghcr.io/tollgate-wasm", "ghcr.io/somebody", "plugins come from"},
				{"ghcr.io/tollgate-wasm", "ghcr.io/tollgate-wasm.example.com", "plugins come from"},
				{"sha256: ", "# ", "plugins are pinned"},
				{"FAIL_RELOAD", "FAIL_OPEN", "failStrategy"},
				{"failStrategy: ", "# ", "failStrategy"},
				{"priority: ", "priority: 10", "priorities"},
			} {
				r := refusals(t, policy, objects(t, strings.Replace(string(text), c.from, c.to, 1))[0])
				if len(r) != 1 || !strings.HasPrefix(r[0], c.want) {
					t.Errorf("%s with %s for %s: %v", o.name(), c.to, c.from, r)
				}
			}
		}
	}
	lua := object{"kind": "TrafficExtension",
		"spec": map[string]any{"lua": map[string]any{"inlineCode": "function envoy_on_request(handle) end"}}}
	if r := refusals(t, policy, lua); len(r) == 0 || teams < 12 {
		t.Errorf("Lua is let in, %v; %d resources of teams", r, teams)
	}
}
