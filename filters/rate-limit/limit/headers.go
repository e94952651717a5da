// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"strconv"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Headers appends what the answer says about limits, be it the upstream's to an allowed request or the refusal itself. Limits in shadow mode, and those of which nobody knows how much is
// left, are not mentioned. No number is negative.
func (d *Decision) Headers(dst [][2]string) [][2]string {
	if d.early != nil || d.step != Done {
		return dst
	}
	decisive := d.decisive()
	if d.policy.standard {
		var policies, left []byte
		for i := range d.list {
			a := &d.list[i]
			if !a.known() {
				continue
			}
			if len(left) > 0 {
				policies, left = append(policies, ", "...), append(left, ", "...)
			}
			policies = append(policies, a.rate.policy...)
			left = strconv.AppendInt(append(append(left, a.rate.item...), ";r="...), a.left(), 10)
			left = strconv.AppendInt(append(left, ";t="...), seconds(a.reset), 10)
		}
		if len(left) > 0 {
			dst = append(dst, [2]string{"ratelimit-policy", string(policies)}, [2]string{"ratelimit", string(left)})
		}
	}
	if decisive < 0 {
		return dst
	}
	a := &d.list[decisive]
	if d.policy.legacy && a.known() {
		dst = append(dst, [2]string{"x-ratelimit-limit", strconv.FormatInt(a.rate.requests, 10)}, [2]string{"x-ratelimit-remaining", strconv.FormatInt(a.left(), 10)},
			[2]string{"x-ratelimit-reset", strconv.FormatInt(seconds(a.reset), 10)})
	}
	if d.refused >= 0 && a.code == RateLimited {
		dst = append(dst, [2]string{"retry-after", strconv.FormatInt(seconds(a.retry), 10)})
	}
	return dst
}

// known reports whether it is known how much a limit, in force, leaves.
func (a *applied) known() bool {
	return !a.limit.shadow && !a.open && (a.code == RateLimited || a.code == verdict.OK)
}

func (a *applied) left() int64 { return max(a.remaining, 0) }

// seconds rounds up.
func seconds(nanoseconds int64) int64 {
	return (max(nanoseconds, 0) + int64(time.Second) - 1) / int64(time.Second)
}
