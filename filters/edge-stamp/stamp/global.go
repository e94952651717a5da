// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"encoding/base64"
	"errors"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/ratelimit"
)

// Why the rate-limit service does not tell whether a stamp has been seen.
var (
	ErrStatuses = errors.New("the answer is not about the one descriptor that was asked for")
	ErrLimit    = errors.New("the service has no limit of 1 for the descriptor; it needs one for each of " +
		"edge_stamp_hour, edge_stamp_day, edge_stamp_month and edge_stamp_year (README)")
	ErrWindow = errors.New("the stamp's life falls into no window of the service")
)

// window is a unit of the rate-limit service's fixed windows, which begin at multiples of their length.
type window struct {
	key     string // of the descriptor
	unit    ratelimit.Unit
	seconds int64
}

var windows = [...]window{
	{"edge_stamp_hour", ratelimit.Hour, 3600}, {"edge_stamp_day", ratelimit.Day, 86400}, {"edge_stamp_month",
		ratelimit.Month, 30 * 86400}, {"edge_stamp_year", ratelimit.Year, 365 * 86400},
}

// clockGap is how many seconds the clock of the rate-limit service may be from ours.
const clockGap = 5

// window is the shortest into which the stamp's whole life falls: whoever used it before a window's
// end and again after it would use it twice. There is nearly always one, since where one kind of
// window ends hardly ever all others do.
func (s *stamped) window() (w window, ok bool) {
	first, last := s.begins-clockGap, s.expires.Unix()+clockGap
	for _, w := range windows {
		if first/w.seconds == last/w.seconds {
			return w, true
		}
	}
	return window{}, false
}

// Asks is the request to the rate-limit service that the decision waits for (decide.AskService): the
// stamp's id as the key of a limit of one.
func (d *Decision) Asks() (*ratelimit.Request, error) {
	w, ok := d.stamped.window()
	if !ok {
		return nil, ErrWindow
	}
	id := base64.RawURLEncoding.EncodeToString(d.stamped.id[:])
	return &ratelimit.Request{Domain: d.policy.verifier.global.Domain,
		Descriptors: []ratelimit.Descriptor{{Entries: []ratelimit.Entry{{Key: w.key, Value: id}}}}}, nil
}

// Answered tells what the rate-limit service has answered to what Asks asked. An error, given
// or returned, means that it does not tell whether any proxy has seen the stamp; it is for the log.
func (d *Decision) Answered(r ratelimit.Response, err error) error {
	if !d.taken(decide.AskService, nil) {
		return nil
	}
	fresh := false
	if err == nil {
		fresh, err = d.stamped.first(r)
	}
	switch {
	case err != nil && !d.policy.verifier.global.local:
		d.end(ReplayUnavailable)
	case err == nil && !fresh:
		d.end(StampReplayed)
	default:
		d.end(d.admit())
	}
	return err
}

// first reads from an answer whether it was the first for the stamp. A service that has no limit
// for the descriptor, or another one, says OK to everything. What it says over all is not looked
// at: that is OK in its shadow mode, too.
func (s *stamped) first(r ratelimit.Response) (bool, error) {
	w, _ := s.window()
	if len(r.Statuses) != 1 {
		return false, ErrStatuses
	}
	status := &r.Statuses[0]
	if l := status.Limit; !status.HasLimit || l.Requests != 1 || l.Unit != w.unit || l.Multiplier != 1 {
		return false, ErrLimit
	}
	return status.Code == ratelimit.OK, nil
}
