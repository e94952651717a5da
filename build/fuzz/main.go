// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command fuzz runs every fuzz test of the project, one after the other: go test -fuzz takes one at a time.
package main

import (
	"flag"
	"fmt"
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

var name = regexp.MustCompile(`(?m)^Fuzz\w+$`)

func run(duration string) error {
	packages, err := exec.Command("go", "list", "./...").Output()
	if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	tests := 0
	for _, pkg := range strings.Fields(string(packages)) {
		list, err := exec.Command("go", "test", "-list", "^Fuzz", pkg).CombinedOutput()
		if err != nil {
			return fmt.Errorf("go test -list %s: %w\n%s", pkg, err, list)
		}
		for _, test := range name.FindAllString(string(list), -1) {
			tests++
			fmt.Printf("%s %s for %s\n", pkg, test, duration)
			cmd := exec.Command("go", "test", "-run", "^$", "-fuzz", "^"+test+"$", "-fuzztime", duration, pkg)
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			if err := cmd.Run(); err != nil {
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
