// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/tollgate-wasm/tollgate/e2e/checkout"
)

// The workflow that publishes runs make's targets, uses GitHub's own actions only, and may do no more than it needs.
// Who it is when it signs is what the documents have verifiers ask for.
func TestWorkflow(t *testing.T) {
	root := checkout.Root(t)
	const path = ".github/workflows/release.yaml"
	text := must(os.ReadFile(filepath.Join(root, path)))
	var workflow struct {
		Permissions map[string]string
		Jobs        map[string]struct {
			Permissions map[string]string
			Steps       []struct{ Uses, Run string }
		}
	}
	if err := yaml.Unmarshal(text, &workflow); err != nil {
		t.Fatal(err)
	}
	if len(workflow.Permissions) != 1 || workflow.Permissions["contents"] != "read" || len(workflow.Jobs) != 1 {
		t.Errorf("%+v", workflow)
	}
	job := workflow.Jobs["release"]
	if p := job.Permissions; len(p) != 3 || p["contents"] != "write" || p["packages"] != "write" ||
		p["id-token"] != "write" {
		t.Errorf("%v", p)
	}
	makefile := string(must(os.ReadFile(filepath.Join(root, "Makefile"))))
	var run string
	for _, step := range job.Steps {
		if step.Uses != "" && !regexp.MustCompile(`^actions/[a-z-]+@v\d+$`).MatchString(step.Uses) {
			t.Errorf("%s is used", step.Uses)
		}
		if strings.Contains(step.Run, "${{") {
			t.Errorf("an expression in a script, which a tag's name could write: %s", step.Run)
		}
		run += step.Run + "\n"
	}
	targets := regexp.MustCompile(`make (?:--silent )?([a-z-]+)`).FindAllStringSubmatch(run, -1)
	for _, m := range targets {
		if !strings.Contains(makefile, "\n"+m[1]+":") {
			t.Errorf("the Makefile has no target %s", m[1])
		}
	}
	if len(targets) < 3 {
		t.Errorf("make is run %d times:\n%s", len(targets), run)
	}
	for _, page := range []string{"README.md", "WasmPlugin/README.md"} {
		if !strings.Contains(string(must(os.ReadFile(filepath.Join(root, page)))),
			"--certificate-identity https://github.com/tollgate-wasm/tollgate/"+path+"@refs/tags/v") {
			t.Errorf("%s has verifiers ask for another identity", page)
		}
	}
}
