// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command tollgate is what people do with the filters outside of Envoy: compile them, pack and push
// their images, make keys, tokens and stamps.
//
//	go run ./build/tollgate help
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr) }()
	select {
	case code := <-ended:
		os.Exit(code)
	case s := <-signals:
		signal.Reset() // a second one ends it at once
		cancel()
		// What it has started is stopped by that. What reads standard input or a FIFO does not hear of it.
		select {
		case <-ended:
		case <-time.After(grace):
		}
		os.Exit(exitSignal + number(s))
	}
}

// grace is how long a command may take to stop what it has started.
const grace = 500 * time.Millisecond

func number(s os.Signal) int {
	if n, ok := s.(syscall.Signal); ok {
		return int(n)
	}
	return 0
}

// The exit codes.
const (
	exitFound = 1 // something is wrong with what was looked at, or could not be done
	exitUsage = 2 // the command line is none

	exitSignal = 128 // and the number of the signal, as shells have it
)

// usage is an error of the command line.
type usage struct{ error }

func (u usage) Unwrap() error { return u.error }

// run runs a command line and returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, progress io.Writer) int {
	root := command()
	root.SetArgs(args)
	root.SetIn(in)
	result := &checked{Writer: out}
	root.SetOut(result)
	root.SetErr(progress)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = result.err
	}
	if err == nil {
		return 0
	}
	fmt.Fprintln(progress, "tollgate:", err)
	var u usage
	if errors.As(err, &u) {
		fmt.Fprintln(progress, "See tollgate help.")
		return exitUsage
	}
	return exitFound
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "tollgate",
		Short: "Compile, pack and try Tollgate's filters",
		Long: `Tollgate's filters run inside Envoy. This command does what is done outside of it.

Exit codes: 0, all is well; 1, something is wrong with what was looked at, or could not be done; 2, the command line is none.
Results go to standard output, everything else to standard error.`,
		SilenceUsage: true, SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage{fmt.Errorf("there is no command %q", args[0])}
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage{err} })
	root.AddCommand(buildCommand(), checkCommand(), descriptorsCommand(), explainCommand(), imageCommand(),
		keysCommand(), migrateCommand(), schemaCommand(), stampCommand(), tokenCommand(), versionCommand())
	return root
}

// group is a command that only has others.
func group(name, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: name, Short: short, RunE: func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage{fmt.Errorf("%s has no command %q", c.CommandPath(), args[0])}
		}
		return c.Help()
	}}
	c.AddCommand(commands...)
	return c
}

// exactly wants that many arguments.
func exactly(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := cobra.ExactArgs(n)(c, args); err != nil {
			return usage{fmt.Errorf("%s: %w", c.UseLine(), err)}
		}
		return nil
	}
}

// atLeastOne wants arguments of that kind.
func atLeastOne(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		input := 0
		for _, arg := range args {
			if arg == "-" {
				input++
			}
		}
		if input > 1 {
			return usage{errors.New("- stands there twice, and there is one standard input")}
		}
		if len(args) == 0 {
			return usage{errors.New("name at least one " + what)}
		}
		return nil
	}
}
