// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package report makes a page of what has been measured in the local loop: where the time of a
// request goes, what the filters have decided, and how the limits were used. It is pure: log lines,
// samples and the time come in, HTML with drawings in SVG comes out. The page needs nothing else,
// no script and no network, and says so to the browser.
package report
