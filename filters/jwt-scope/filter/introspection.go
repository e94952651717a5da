// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/guest/httpcall"
	"github.com/tollgate-wasm/tollgate/shared/host"
	"github.com/tollgate-wasm/tollgate/shared/host/wait"
)

// introspection are the requests that wait for an introspection endpoint.
type introspection struct {
	waiters []inquirer
	wrong   map[string]*host.Seldom // by provider: the endpoint fails
}

// inquirer is a request that is decided when its inquiry is answered, or when it has waited long
// enough. Its headers stay with the proxy, which is asked for them again.
type inquirer struct {
	stream   uint32
	inquiry  *scope.Inquiry
	deadline time.Time
}

// introspect has the decision's inquiry sent, unless another request with the token has done so, and
// holds the request until it is answered. false: it has been decided without.
//
//go:noinline
func (s *state) introspect(stream uint32) (waits bool) {
	i, q, now := &s.introspection, s.decision.Inquiry(), s.host.Request().Now
	full := len(i.waiters) >= wait.MaxHeld
	if !full {
		if headers, body, ok := q.Send(); ok && httpcall.Send(s.host.Plugin(), stream, q.Cluster(), headers, body,
			q.Timeout(), func(a httpcall.Answer) { s.answered(q, a) }) != nil {
			q.Fail()
			s.complain(q, "cluster "+q.Cluster()+" cannot be called")
			full = true
		}
	}
	if full {
		s.policy.DecideAfterInquiry(&s.decision, s.host.Request(), q)
		return false
	}
	s.host.Pace().AtLeast(wait.Busy)
	lead := wait.Lead(q.Timeout(), len(i.waiters))
	i.waiters = append(i.waiters, inquirer{stream, q, now.Add(q.Timeout() - lead)})
	return true
}

// answered takes what has come of an inquiry, and takes up again who waits for it.
func (s *state) answered(q *scope.Inquiry, a httpcall.Answer) {
	now := guest.Now()
	if problem := readAnswer(q, a, now); problem != "" {
		q.Fail()
		s.complain(q, problem)
	}
	if len(s.introspection.waiters) > 1 {
		s.host.Pace().AtLeast(wait.AtOnce) // for those for whom this turn has no room
	}
	turn := wait.NewTurn(now)
	s.wake(now, &turn)
}

func readAnswer(q *scope.Inquiry, a httpcall.Answer, now time.Time) (problem string) {
	_, body, problem := wait.Read200(a, scope.MaxIntrospection, func(status string, headers [][2]string) string {
		if wait.Unreached(status, headers) {
			return wait.CannotReach(q.Cluster())
		}
		return "the answer has status " + status // and nothing of its body, which may repeat the token
	})
	if problem != "" {
		return problem
	}
	if err := q.Answer(string(body), now); err != nil {
		return err.Error()
	}
	return ""
}

// complain logs that an endpoint does not tell, and why.
func (s *state) complain(q *scope.Inquiry, problem string) {
	i := &s.introspection
	if i.wrong == nil {
		i.wrong = map[string]*host.Seldom{}
	}
	if i.wrong[q.Provider()] == nil {
		i.wrong[q.Provider()] = &host.Seldom{}
	}
	i.wrong[q.Provider()].Error(Name + ": introspection of provider " + q.Provider() + " at " + q.Authority() + ": " +
		problem)
}

// wake decides requests whose waiting is over, as many as the turn has room for, and returns how
// soon, in milliseconds, the next tick has to come.
func (s *state) wake(now time.Time, turn *wait.Turn) (next uint32) {
	i := &s.introspection
	if len(i.waiters) == 0 {
		return wait.Idle
	}
	read, write := 0, 0
	// Also where a reply cannot be sent: nobody is woken twice.
	defer func() { i.waiters = append(i.waiters[:write], i.waiters[read:]...) }()
	for read < len(i.waiters) {
		w := i.waiters[read]
		if !w.inquiry.Answered() && now.Before(w.deadline) {
			i.waiters[write] = w
			write++
			read++
			continue
		}
		if !turn.Next() {
			return wait.AtOnce
		}
		read++
		s.host.Resume(w.stream, func() types.Action {
			s.policy.DecideAfterInquiry(&s.decision, s.host.Request(), w.inquiry)
			return s.finish(w.stream)
		})
	}
	if write > 0 {
		return wait.Busy
	}
	return wait.Idle
}

// forget drops a request that has ended while it waited.
func (i *introspection) forget(stream uint32) {
	for n := range i.waiters {
		if i.waiters[n].stream == stream {
			i.waiters = append(i.waiters[:n], i.waiters[n+1:]...)
			return
		}
	}
}
