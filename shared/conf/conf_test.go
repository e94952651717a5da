// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"strings"
	"testing"
	"time"
)

// sample reads one of everything.
func sample(text string) error {
	r := read(text)
	return r.Err()
}

func read(text string) *Reader {
	r, o := Read(text)
	if n, ok := o.Need("name"); ok {
		n.Text()
	}
	o.Bool("on", false)
	o.Int("count", 1, 1, 10)
	o.Duration("wait", time.Second, time.Millisecond, 5*time.Minute)
	o.Enum("mode", "enforce", "shadow")
	o.Texts("words")
	if n, ok := o.At("rules"); ok {
		for _, item := range n.List() {
			rule := item.Object()
			rule.Texts("scopes")
			rule.End()
		}
	}
	if n, ok := o.At("idle"); ok {
		n.Warn("has no effect")
		o.WarnAt("rules", "are idle, too")
	}
	o.End()
	return r
}

// What is harmless is told apart from what is refused, and refuses nothing.
func TestWarnings(t *testing.T) {
	for _, c := range []struct{ name, text, faults, warnings string }{
		{"nothing", `{"name":"a"}`, "", ""},
		{"a word twice", `{"name":"a","words":["x","y","x"]}`, "", "words[2]: is in the list already: once is enough"},
		{"a key without effect", `{"name":"a","idle":1}`, "", "idle: has no effect\nrules: are idle, too"},
		{"beside a fault", `{"idle":1,"rules":[{"scopes":["a","a",""]}]}`,
			"name: is required\nrules[0].scopes[2]: must not be empty", "rules[0].scopes[1]: is in the list already: " +
				"once is enough\nidle: has no effect\nrules: are idle, too"},
		{"nothing twice is a fault twice", `{"name":"a","words":["",""]}`,
			"words[0]: must not be empty\nwords[1]: must not be empty", ""},
	} {
		r := read(c.text)
		faults := ""
		if err := r.Err(); err != nil {
			faults = err.Error()
		}
		if got := Faults(r.Warnings()).Error(); faults != c.faults || got != c.warnings {
			t.Errorf("%s: faults\n%s\nwarnings\n%s", c.name, faults, got)
		}
	}
	_, o := Read(`{"words":["x","y","x"]}`)
	if got := o.Texts("words"); len(got) != 2 {
		t.Errorf("a word that stands there twice is returned twice: %q", got)
	}
}

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
	}{
		{"a good configuration",
			`{"name":"a","on":true,"count":3,"wait":"5m","mode":"shadow","words":["x"],"rules":[{"scopes":["y"]}]}`, ""},
		{"numbers as Istio writes them", `{"name":"a","count":3.0}`, ""},
		{"nothing", "", "the configuration is empty"},
		{"white space", " \n", "the configuration is empty"},
		{"no JSON", "{\n  \"name\": oops\n}", "not JSON at line 2, column 11"},
		{"a list", `[]`, "want an object, got a list"},
		{"a required key is missing", `{}`, "name: is required"},
		{"an unknown key", `{"name":"a","zebra":1}`, "zebra: unknown key"},
		{"an unknown key that resembles a known one", `{"name":"a","Mode":"shadow"}`,
			"Mode: unknown key; did you mean mode?"},
		{"an unknown key with odd characters", `{"name":"a","a.b c":1}`, `["a.b c"]: unknown key`},
		{"a key that stands twice", `{"name":"a","name":"b"}`, "name: stands here twice"},
		{"a key that stands twice, spelt with an escape", `{"name":"a","n\u0061me":"b"}`, "name: stands here twice"},
		{"null is not absent", `{"name":null}`, "name: want a string, got null"},
		{"an empty string", `{"name":""}`, "name: must not be empty"},
		{"a string for a bool", `{"name":"a","on":"true"}`, "on: want true or false, got a string"},
		{"a fraction", `{"name":"a","count":1.5}`, "count: want a whole number"},
		{"a number below the range", `{"name":"a","count":0}`, "count: must be from 1 to 10"},
		{"a number beyond any integer", `{"name":"a","count":1e300}`, "count: must be from 1 to 10"},
		{"a number for a duration", `{"name":"a","wait":5}`,
			`wait: want a duration such as "30s", "5m" or "250ms", got a number`},
		{"a duration without unit", `{"name":"a","wait":"5"}`, `wait: want a duration such as "30s", "5m" or "250ms"`},
		{"a duration beyond the range", `{"name":"a","wait":"6m"}`, "wait: must be from 1ms to 5m"},
		{"a negative duration", `{"name":"a","wait":"-1s"}`, "wait: must be from 1ms to 5m"},
		{"a word that is none of the words", `{"name":"a","mode":"shadows"}`,
			"mode: want enforce or shadow; did you mean shadow?"},
		{"an empty list", `{"name":"a","words":[]}`, "words: the list is empty: name at least one, or leave the key out"},
		{"all faults at once, with their paths",
			`{"on":1,"rules":[{"scopes":["a"]},{"scope":["a"]},{"scopes":["a",7]}],"mode":7}`,
			"name: is required\non: want true or false, got a number\nmode: want enforce or shadow, got a number\n" +
				"rules[1].scope: unknown key; did you mean scopes?\nrules[2].scopes[1]: want a string, got a number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			if err := sample(c.text); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Fatalf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestFaultsRepeatNoValue(t *testing.T) {
	const secret = "hunter2hunter2"
	for _, text := range []string{
		`{"name":["` + secret + `"]}`, `{"name":"a","on":"` + secret + `"}`, `{"name":"a","wait":"` + secret + `"}`,
		`{"name":"a","mode":"` + secret + `"}`, `{"name":"a","words":"` + secret + `"}`, `{"name":"a","x":"` + secret +
			`"}`, `{"name":"` + secret + ``,
	} {
		if err := sample(text); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(`{"name":"a","rules":[{"scopes":["x"]}],"wait":"5m","count":3,"words":["x","y"]}`)
	f.Add(`{"name":"a","name":"b"}`)
	f.Add(`{"":{}}`)
	f.Fuzz(func(t *testing.T, text string) {
		if err := sample(text); err != nil && err.Error() == "" {
			t.Fatal("a refusal without a reason")
		}
	})
}

func TestSpell(t *testing.T) {
	for d, want := range map[time.Duration]string{time.Second: "1s", 90 * time.Second: "1m30s", 10 * time.Minute: "10m",
		20 * time.Hour: "20h", 3605 * time.Second: "1h0m5s", 30 * time.Second: "30s", 24 * time.Hour: "24h",
		3660 * time.Second: "1h1m"} {
		if got := Spell(d); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestPeriods(t *testing.T) {
	for text, want := range map[string]time.Duration{`"1s"`: time.Second, `"1d"`: 24 * time.Hour, `"24h"`: 24 * time.Hour,
		`"031d"`: 31 * 24 * time.Hour, `"365d"`: 365 * 24 * time.Hour, `"1m30s"`: 90 * time.Second} {
		r, o := Read(`{"per":` + text + `}`)
		n, _ := o.At("per")
		if got := n.Period(func(time.Duration) string { return "" }); got != want || r.Err() != nil {
			t.Errorf("%s: %v, %v", text, got, r.Err())
		}
	}
	const want = `want a duration such as "30s", "5m" or "7d"`
	for text, problem := range map[string]string{`"d"`: want, `"-1d"`: want, `"+1d"`: want, `"1.5d"`: want, `"1d12h"`: want,
		`"100001d"`: want, `"9223372036854775808d"`: want, `""`: want, `"1w"`: want, `1`: want + ", got a number",
		`"2d"`: "is 2d: too long"} {
		r, o := Read(`{"per":` + text + `}`)
		n, _ := o.At("per")
		n.Period(func(d time.Duration) string { return "is " + SpellPeriod(d) + ": too long" })
		if err := r.Err(); err == nil || err.Error() != "per: "+problem {
			t.Errorf("%s: %v", text, err)
		}
	}
	for d, want := range map[time.Duration]string{23 * time.Hour: "23h", 24 * time.Hour: "1d", 36 * time.Hour: "36h",
		720 * time.Hour: "30d"} {
		if got := SpellPeriod(d); got != want {
			t.Errorf("%v: %s", d, got)
		}
	}
}
