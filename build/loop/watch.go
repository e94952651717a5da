// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
)

func (l *loop) watch(ctx context.Context, w io.Writer) error { return nil }
