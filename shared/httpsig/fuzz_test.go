// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package httpsig

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/shared/sfv"
)

var seeds = []string{
	`edge=("@method" "@authority" "@path" "@query");created=1;expires=2;nonce="n";keyid="k";tag="t"`,
	`edge=(), edge=("@path")`, `edge=("x";key="a";bs "x";bs;key="a")`, `a=("@query-param";name="y"), b=("date")`,
	`edge=("@status")`, `edge=:AA==:, a=:AQ==:`, `edge;a, b=1.5, c=(1 2);d`, `a=(`, "a=1 ,\tedge=\",;\\\"\"",
	`edge=("signature";sf "signature";key="a");x;x`, `edge=("@signature-params")`,
}

// What is read is written as what reads the same.
func FuzzParseInputs(f *testing.F) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		inputs, err := ParseInputs(text)
		if err != nil {
			if inputs != nil {
				t.Fatalf("%v with %v", inputs, err)
			}
			return
		}
		var b []byte
		labels := map[string]bool{}
		for i := range inputs {
			if labels[inputs[i].Label] {
				t.Fatalf("%q has the label %s twice", text, inputs[i].Label)
			}
			labels[inputs[i].Label] = true
			if b, err = inputs[i].AppendInput(b); err != nil {
				t.Fatalf("%q is read as %+v, which cannot be written: %v", text, inputs, err)
			}
		}
		if len(b) > maxBytes {
			return // quotes and separators that white space stood for
		}
		again, err := ParseInputs(string(b))
		if err != nil || len(again) != len(inputs) || len(inputs) > 0 && !reflect.DeepEqual(again, inputs) {
			t.Fatalf("%q is written as %s, which is %+v, %v; want %+v", text, b, again, err, inputs)
		}
	})
}

func FuzzSignatures(f *testing.F) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		signatures, err := Signatures(text)
		if err != nil {
			if signatures != nil {
				t.Fatalf("%v with %v", signatures, err)
			}
			return
		}
		var b []byte
		for label, value := range signatures {
			if b, err = AppendSignature(b, label, value); err != nil {
				t.Fatal(err)
			}
		}
		if again, err := Signatures(string(b)); err != nil && len(b) <= maxBytes || err == nil &&
			!reflect.DeepEqual(again, signatures) {
			t.Fatalf("%q is written as %s, which is %v, %v; want %v", text, b, again, err, signatures)
		}
	})
}

// S11: however the lines are read, each by itself or joined, by a dictionary's reader or one that
// cuts at each comma, what is left has no member of the label; what is readable has the others as
// they were.
func FuzzWithout(f *testing.F) {
	for i, seed := range seeds {
		f.Add(seed, seeds[(i+1)%len(seeds)])
	}
	f.Add(`a="x`, `y", edge=()`)
	f.Add(`keyId="a, edge="`, `edge =1,"`)
	f.Add(`a=%"\", edge=()`, `b="x, edge=(), y"`)
	f.Fuzz(func(t *testing.T, one, other string) {
		const label = "edge"
		rest, changed, readable := Without([]string{one, other}, label)
		if !changed && !slices.Equal(rest, []string{one, other}) {
			t.Fatalf("%q, which is said to be %q", rest, []string{one, other})
		}
		joined := strings.Join(rest, ", ")
		for _, text := range append(rest, joined) {
			members, err := sfv.ParseDictionary(text)
			if err == nil && slices.ContainsFunc(members, func(m sfv.Member) bool { return m.Name == label }) {
				t.Fatalf("the label is left in %q", text)
			}
			if _, n := Member(text, label); n != 0 {
				t.Fatalf("the label is found in %q", text)
			}
			if readable {
				continue
			}
			for _, piece := range strings.Split(text, ",") {
				if isMember(piece, label) {
					t.Fatalf("the label is in %q", text)
				}
			}
		}
		if !readable {
			return
		}
		var before []sfv.Member
		for _, line := range []string{one, other} {
			members, err := sfv.ParseDictionary(line)
			if err != nil {
				t.Fatalf("%q is no dictionary", line)
			}
			before = append(before, slices.DeleteFunc(members, func(m sfv.Member) bool { return m.Name == label })...)
		}
		var after []sfv.Member
		for _, line := range rest {
			members, err := sfv.ParseDictionary(line)
			if err != nil {
				t.Fatalf("%q is left: %v", line, err)
			}
			after = append(after, members...)
		}
		if len(before) != len(after) || len(after) > 0 && !reflect.DeepEqual(before, after) {
			t.Fatalf("%q is left of %q and %q", rest, one, other)
		}
	})
}

// Each component has one line, and no two lists or parameters have one base, whatever the message.
func FuzzBase(f *testing.F) {
	for i, seed := range seeds {
		f.Add(seed, seeds[(i+1)%len(seeds)], "POST", "https", "Example.com:443", "/a?x=1&y=2", 0, "date", "today",
			`a=1, b="c"`)
	}
	f.Add(`edge=("a\"\"")`, `edge=("date")`, "", "", "", "", 200, "date", "x\n\"@signature-params\": ()", "")
	f.Fuzz(func(t *testing.T, text, other, method, scheme, authority, path string, status int, name, value,
		signature string) {
		m := Message{method, scheme, authority, path, status,
			[][2]string{{name, value}, {"signature", signature}, {name, signature}}}
		bases := map[string]string{}
		for _, text := range []string{text, other} {
			inputs, err := ParseInputs(text)
			if err != nil {
				continue
			}
			for i := range inputs {
				in := &inputs[i]
				base, err := in.Base(&m)
				if err != nil {
					if base != "" {
						t.Fatalf("%q with %v", base, err)
					}
					continue
				}
				parameters, err := in.AppendParams(nil)
				if err != nil {
					t.Fatal(err)
				}
				lines := strings.Split(base, "\n")
				if len(lines) != len(in.Components)+1 || lines[len(lines)-1] != `"@signature-params": `+string(parameters) {
					t.Fatalf("%q has the base %q", text, base)
				}
				for j := range in.Components {
					if id, err := sfv.AppendItem(nil, &in.Components[j]); err != nil || !strings.HasPrefix(lines[j], string(id)+": ") {
						t.Fatalf("line %d is %q, want %s, %v", j, lines[j], id, err)
					}
				}
				for j := range len(base) {
					if c := base[j]; c != '\n' && c != '\t' && (c < ' ' || c > '~') {
						t.Fatalf("%q has the byte %#x", base, c)
					}
				}
				if before, ok := bases[base]; ok && before != string(parameters) {
					t.Fatalf("%s and %s have the base %q", before, parameters, base)
				}
				bases[base] = string(parameters)
			}
		}
	})
}
