// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimitglobal

import (
	"testing"
	"time"
)

const perSecond = 10

var (
	edge   = config("edge", nil, limit("edge", perSecond, "1s"))
	capped = config("capped", nil, limit("capped", perSecond, "1s"),
		M{"name": "smooth", "key": []M{{"header": "x-client"}}, "rate": M{"requests": perSecond, "per": "1s"}})
)

// R13: the service counts in windows that begin with the clock's second, so that twice the limit
// goes through around the end of one. The same limit once more, of scope: local, comes first and
// has no windows.
func (w *world) windowEdge(t *testing.T) {
	send := func(domain, name string) (admitted int, took time.Duration) {
		conn := w.dial(t, 0, domain)
		conn.Do(get(client("before " + name))) // the connections are there
		// A machine that is too slow to send all of it on the right sides of the edge shows
		// nothing: then it is tried at the next. What is admitted has no part in that.
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
			now := time.Now()
			end := now.Truncate(time.Second).Add(time.Second)
			if time.Until(end) < 300*time.Millisecond {
				end = end.Add(time.Second)
			}
			time.Sleep(time.Until(end.Add(-200 * time.Millisecond)))
			admitted = 0
			key := client(name + end.String())
			batch := func() {
				for range perSecond {
					if conn.Do(get(key)).Status() == 200 {
						admitted++
					}
				}
			}
			began := time.Now()
			batch()
			inTime := time.Now().Before(end)
			time.Sleep(time.Until(end.Add(5 * time.Millisecond)))
			batch()
			if took = time.Since(began); inTime && took < 800*time.Millisecond {
				return admitted, took
			}
		}
		t.Fatal("this machine cannot send twenty requests in 800 ms")
		return 0, 0
	}
	admitted, took := send("edge", w.version)
	t.Logf("%d of %d in %s with a limit of %d a second", admitted, 2*perSecond, took, perSecond)
	if admitted != 2*perSecond {
		t.Errorf("R13: %d were admitted around the end of a window, not %d: the README says that they are", admitted,
			2*perSecond)
	}
	admitted, took = send("capped", w.version)
	most := perSecond + int(took*perSecond/time.Second) + 1
	t.Logf("%d behind the same limit of scope: local, in %s", admitted, took)
	if admitted > most || admitted < perSecond {
		t.Errorf("%d were admitted behind a local limit that admits %d in %s", admitted, most, took)
	}
}
