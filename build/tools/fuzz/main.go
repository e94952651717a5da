// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command fuzz runs every fuzz test of the project, one after the other: go test -fuzz takes one at a time.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

func main() {
	duration := flag.String("time", "30s", "how long each test runs, as for go test -fuzztime")
	flag.Parse()
	if err := run(*duration); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// fuzzTest is the head of a fuzz test. They are looked for in the sources: go test -list links each package's tests.
var fuzzTest = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(\w+ \*testing\.F\)`)

// testFiles prints the package and the path of each file with tests.
const testFiles = `{{range .TestGoFiles}}{{$.ImportPath}} {{$.Dir}}/{{.}}{{"\n"}}{{end}}` +
	`{{range .XTestGoFiles}}{{$.ImportPath}} {{$.Dir}}/{{.}}{{"\n"}}{{end}}`

var late = regexp.MustCompile(`(?m)^--- FAIL: Fuzz\w+ \([0-9.]+s\)\n    context deadline exceeded\nFAIL$`)

// onlyLate reports whether a test has failed of nothing but the end of its time, as happens on a
// busy machine before Go 1.27 (go.dev/issue/75804): what a test finds is always written to a file,
// and go says so.
func onlyLate(output string) bool {
	return late.MatchString(output) && strings.Count(output, "--- FAIL") == 1 &&
		!strings.Contains(output, "Failing input written to") && !strings.Contains(output, "panic:")
}

func run(duration string) error {
	files, err := exec.Command("go", "list", "-f", testFiles, "./...").Output()
	if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	tests := 0
	for line := range strings.Lines(string(files)) {
		pkg, file, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, m := range fuzzTest.FindAllStringSubmatch(string(source), -1) {
			test := m[1]
			tests++
			fmt.Printf("%s %s for %s\n", pkg, test, duration)
			// Minimizing is for reading; by default it takes whole minutes of a slow test.
			cmd := exec.Command("go", "test", "-run", "^$", "-fuzz", "^"+test+"$", "-fuzztime", duration,
				"-fuzzminimizetime", "10x", pkg)
			var output bytes.Buffer
			cmd.Stdout = io.MultiWriter(os.Stdout, &output)
			cmd.Stderr = cmd.Stdout
			if err := cmd.Run(); err != nil && !onlyLate(output.String()) {
				return fmt.Errorf("%s %s: %w; the input is in its testdata/fuzz: keep it as a test", pkg, test, err)
			}
		}
	}
	if tests == 0 {
		return fmt.Errorf("no fuzz tests found: run this in a checkout of Tollgate")
	}
	fmt.Printf("%d passed, 0 failed\n", tests)
	return nil
}
