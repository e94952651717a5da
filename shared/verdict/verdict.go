// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package verdict says what a filter decided about a request, how that is answered on the wire and
// under which name it is counted.
//
// "Denied" and "could not decide" are different outcomes with their own codes, and neither is ever
// a pass. The zero Verdict is a refusal: code internal.
package verdict

// Code is one reason for an outcome: its name in metrics and logs, and what the client sees of it.
// Codes are made once, at start, and compared by identity.
type Code struct {
	Name   string // "insufficient_scope"
	Status int    // HTTP status of the answer

	shown     string // what the client is told instead of Name
	undecided bool   // the filter could not come to a decision
	quota     bool   // body ends before the rule's name
	grpc      int32
	body      []byte
}

// Codes are those of a filter, in the order in which they were made: whoever has to know all of them asks the list.
type Codes []*Code

// Common are those that every filter may have; each filter's own stand in its errors.go.
var Common Codes

// The codes of Common.
var (
	OK              = Common.New("ok", 200)
	NoRule          = Common.New("no_rule", 403)
	PathAmbiguous   = Common.New("path_ambiguous", 400)
	HeaderAmbiguous = Common.New("header_ambiguous", 400)

	Internal        = Common.Undecided("internal", 500)
	KeysUnavailable = Common.Undecided("keys_unavailable", 503)
)

// New makes a code whose answer is a refusal with the given status.
func (l *Codes) New(name string, status int) *Code { return l.Hidden(name, name, status) }

// Hidden is New for a reason that a client is not told: its answer has the code shown. Codes that
// are shown as the same are answered with the same bytes.
func (l *Codes) Hidden(name, shown string, status int) *Code {
	c := &Code{
		Name: name, Status: status, shown: shown, grpc: grpcStatus(status),
		body: []byte(`{"type":"about:blank","title":"` + reason(status) + `","status":` + digits(status) + `,"code":"` +
			shown + `"}`),
	}
	*l = append(*l, c)
	return c
}

// Undecided makes a code for a filter that could not come to a decision: it counts as an error, and
// is no pass either.
func (l *Codes) Undecided(name string, status int) *Code {
	c := l.New(name, status)
	c.undecided = true
	return c
}

// Quota makes a code for what is over a limit, which is the rule: its answer names it, as
// draft-ietf-httpapi-ratelimit-headers has it.
func (l *Codes) Quota(name string, status int) *Code {
	c := l.New(name, status)
	c.body = []byte(`{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"` + reason(status) +
		`","status":` + digits(status) + `,"code":"` + name + `","violated-policies":["`)
	c.quota = true
	return c
}

// IsUndecided reports whether it is one of Undecided.
func (c *Code) IsUndecided() bool { return c.undecided }

// Outcome is what becomes of the request.
type Outcome string

// The outcomes, as they stand in metric names.
const (
	Allowed   Outcome = "allowed"
	Denied    Outcome = "denied"
	WouldDeny Outcome = "would_deny" // refused by the rules, let through by shadow mode
	Marked    Outcome = "marked"     // refused by a rule that has such requests marked and lets them go on
	Error     Outcome = "error"      // no decision was possible
)

// NoRuleName stands in metrics and logs where no rule was involved. No rule can be called so: names
// start with a letter or digit.
const NoRuleName = "-"

// Verdict is a filter's decision about one request.
type Verdict struct {
	Code      *Code  // nil counts as Internal
	Rule      int    // index of the rule that decided; -1 where none did
	Shadow    bool   // the rule, or the filter, is in shadow mode
	Marked    bool   // the rule has the request marked instead of refused
	Challenge string // value of WWW-Authenticate; empty for none
	Why       string // more about the code, for the log: nothing of what the request says
}

// Reason is the verdict's code.
func (v *Verdict) Reason() *Code {
	if v.Code == nil {
		return Internal
	}
	return v.Code
}

// Admits reports whether the request goes on. A fault of the filter is never a pass, not even in
// shadow mode: after it nothing is known about the headers that should have been removed.
func (v *Verdict) Admits() bool {
	c := v.Reason()
	return c == OK || (v.Shadow || v.Marked) && c != Internal
}

// Outcome under which the verdict is counted.
func (v *Verdict) Outcome() Outcome {
	switch c := v.Reason(); {
	case c == OK:
		return Allowed
	case c.undecided:
		return Error
	case v.Shadow:
		return WouldDeny
	case v.Marked:
		return Marked
	}
	return Denied
}

// Metric is the name of the counter for outcomes of a rule. filter is "jwt_scope", for one.
func Metric(filter, rule string, outcome Outcome, code *Code) string {
	return "tollgate." + filter + ".rule." + rule + ".outcome." + string(outcome) + ".code." + code.Name
}
