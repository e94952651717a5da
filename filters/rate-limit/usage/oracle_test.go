// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// node is a JSON value in which no member is lost, repeated ones neither.
type node struct {
	scalar  any // nil, bool, string or json.Number
	members []member
	items   []node
	kind    byte // {, [ or 0
}

type member struct {
	name  string
	value node
}

// parse reads the values of a text by encoding/json. ok is false where it is something else than JSON values.
func parse(text string) (values []node, ok bool) {
	dec := json.NewDecoder(strings.NewReader(text))
	for {
		var raw json.RawMessage
		if err := dec.Decode(&raw); errors.Is(err, io.EOF) {
			return values, true
		} else if err != nil {
			return nil, false
		}
		inner := json.NewDecoder(bytes.NewReader(raw))
		inner.UseNumber()
		values = append(values, parseValue(inner))
	}
}

// parseValue reads a value that is known to be JSON.
func parseValue(dec *json.Decoder) (n node) {
	token, err := dec.Token()
	if err != nil {
		panic(err)
	}
	switch token {
	case json.Delim('{'):
		n.kind = '{'
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				panic(err)
			}
			n.members = append(n.members, member{name.(string), parseValue(dec)})
		}
	case json.Delim('['):
		n.kind = '['
		for dec.More() {
			n.items = append(n.items, parseValue(dec))
		}
	default:
		n.scalar = token
		return n
	}
	if _, err := dec.Token(); err != nil {
		panic(err)
	}
	return n
}

// oracle is what a Reader should find.
type oracle struct {
	highest map[string]int64 // by the last name of paths
	broken  bool
}

func (o *oracle) values(values []node, paths [][]string) {
	for _, v := range values {
		if v.kind == '[' {
			o.values(v.items, paths)
		}
		for _, path := range paths {
			o.find(v, path)
		}
	}
}

func (o *oracle) find(n node, path []string) {
	for _, m := range n.members {
		switch {
		case m.name != path[0]:
		case len(path) > 1:
			o.find(m.value, path[1:])
		case m.value.kind != 0:
			o.broken = true
		case m.value.scalar != nil:
			number, ok := m.value.scalar.(json.Number)
			if !ok || number[0] == '-' {
				o.broken = true
				continue
			}
			o.highest[path[0]] = max(o.highest[path[0]], roundUp(string(number)))
		}
	}
}

func (o *oracle) result() result {
	sum := new(big.Int)
	for _, n := range o.highest {
		sum.Add(sum, big.NewInt(n))
	}
	switch {
	case o.broken:
		return unreadable
	case len(o.highest) == 0:
		return missing
	case !sum.IsInt64():
		return is(math.MaxInt64)
	}
	return is(sum.Int64())
}

// roundUp is a JSON number without a minus, rounded up, by exact arithmetic.
func roundUp(text string) int64 {
	mantissa, exp, _ := strings.Cut(strings.ToLower(text), "e")
	if strings.Trim(mantissa, "0.") == "" {
		return 0
	}
	exponent, err := strconv.Atoi(exp)
	if far := len(text) + 100; exp != "" && (err != nil || exponent > far || exponent < -far) {
		if strings.HasPrefix(exp, "-") {
			return 1
		}
		return math.MaxInt64
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		panic(text)
	}
	n, rest := new(big.Int).QuoRem(r.Num(), r.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		n.Add(n, big.NewInt(1))
	}
	if !n.IsInt64() {
		return math.MaxInt64
	}
	return n.Int64()
}

// expect is what the oracle finds in a body of JSON values. ok is false where it is no JSON.
func expect(body string, paths [][]string) (want result, ok bool) {
	values, ok := parse(body)
	if !ok {
		return result{}, false
	}
	o := oracle{highest: map[string]int64{}}
	o.values(values, paths)
	return o.result(), true
}

// expectEvents does so for a stream of events, read in one piece. ok is false where one of them is no JSON.
func expectEvents(body string, paths [][]string) (want result, ok bool) {
	o := oracle{highest: map[string]int64{}}
	body = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(body, byteOrderMark))
	for _, event := range strings.Split(body, "\n\n") {
		var data []string
		for _, line := range strings.Split(event, "\n") {
			name, value, _ := strings.Cut(line, ":")
			if name == "data" {
				data = append(data, strings.TrimPrefix(value, " "))
			}
		}
		values, ok := parse(strings.Join(data, "\n"))
		if !ok {
			return result{}, false
		}
		o.values(values, paths)
	}
	return o.result(), true
}

// cut makes pieces of a body.
func cut(rnd *rand.Rand, body string) (pieces []string) {
	for most := 1 + rnd.IntN(20); len(body) > 0; {
		n := min(rnd.IntN(most+1), len(body))
		pieces = append(pieces, body[:n])
		body = body[n:]
	}
	return pieces
}

// maker makes JSON in which the paths often lead to something.
type maker struct {
	rnd   *rand.Rand
	paths [][]string
	out   strings.Builder
	// where two lines of data may begin instead of white space, in an event
	newline string
}

func (m *maker) one(of ...string) string { return of[m.rnd.IntN(len(of))] }

func (m *maker) space() {
	for m.rnd.IntN(6) == 0 {
		m.out.WriteString(m.one(" ", "\t", m.newline))
	}
}

func (m *maker) value(level int) {
	m.space()
	switch kind := m.rnd.IntN(12); {
	case kind < 5-level/2:
		m.out.WriteByte('{')
		for i, n := 0, m.rnd.IntN(5); i < n; i++ {
			if i > 0 {
				m.out.WriteByte(',')
			}
			m.space()
			m.text(m.name(level))
			m.space()
			m.out.WriteByte(':')
			m.value(level + 1)
		}
		m.space()
		m.out.WriteByte('}')
	case kind < 6-level/4:
		m.out.WriteByte('[')
		for i, n := 0, m.rnd.IntN(4); i < n; i++ {
			if i > 0 {
				m.out.WriteByte(',')
			}
			m.value(level + m.rnd.IntN(2))
		}
		m.space()
		m.out.WriteByte(']')
	case kind < 10:
		m.number()
	case kind == 10 && m.rnd.IntN(3) == 0:
		m.text(m.one("", "text", "]}", `"`, `\`, `{"a":1}`, "\n\r\t", "ü€😀", "\\\"", "\x00\u2028"))
	default:
		m.out.WriteString(m.one("null", "null", "null", "null", "null", "null", "true", "false"))
	}
	m.space()
}

// name is mostly one that stands on this level of a path.
func (m *maker) name(level int) string {
	path := m.paths[m.rnd.IntN(len(m.paths))]
	switch m.rnd.IntN(8) {
	case 0:
		return m.one("", "x", "us", "usages", `us"age`, "\\", "\x00", "total_\u212A")
	case 1:
		return path[m.rnd.IntN(len(path))]
	}
	return path[min(level, len(path)-1)]
}

func (m *maker) text(text string) {
	m.out.WriteByte('"')
	for _, c := range text {
		switch {
		case m.rnd.IntN(8) == 0 && c < 0x10000:
			fmt.Fprintf(&m.out, m.one(`\u%04x`, `\u%04X`), c)
		case m.rnd.IntN(8) == 0 && c >= 0x10000:
			fmt.Fprintf(&m.out, m.one(`\u%04x\u%04X`, `\u%04X\u%04x`), 0xD800+(c-0x10000)>>10, 0xDC00+(c-0x10000)&0x3FF)
		case c == '/' && m.rnd.IntN(2) == 0:
			m.out.WriteString(`\/`)
		default:
			quoted, err := json.Marshal(string(c))
			if err != nil {
				panic(err)
			}
			m.out.Write(quoted[1 : len(quoted)-1])
		}
	}
	m.out.WriteByte('"')
}

func (m *maker) number() {
	digits := func(most int) {
		for range 1 + m.rnd.IntN(most) {
			m.out.WriteByte(byte('0' + m.rnd.IntN(10)))
		}
	}
	if m.rnd.IntN(40) == 0 {
		m.out.WriteByte('-')
	}
	if m.rnd.IntN(4) == 0 {
		m.out.WriteByte('0')
	} else {
		m.out.WriteByte(byte('1' + m.rnd.IntN(9)))
		if m.rnd.IntN(3) > 0 {
			digits(1 + m.rnd.IntN(25))
		}
		if m.rnd.IntN(6) == 0 {
			m.out.WriteString(strings.Repeat("0", m.rnd.IntN(30)))
		}
	}
	if m.rnd.IntN(4) == 0 {
		m.out.WriteByte('.')
		if m.rnd.IntN(2) == 0 {
			m.out.WriteString(strings.Repeat("0", m.rnd.IntN(30)))
		}
		digits(25)
	}
	if m.rnd.IntN(4) == 0 {
		m.out.WriteString(m.one("e", "E") + m.one("", "+", "-"))
		digits(2 + m.rnd.IntN(2)*m.rnd.IntN(22))
	}
}

var somePaths = [][][]string{
	list("usage.total_tokens"),
	list("n"),
	list("message.usage.input_tokens", "usage.input_tokens", "message.usage.output_tokens", "usage.output_tokens"),
	list("a.a.a", "a.b", "b.a", "b.b.b.b"),
	list("😀.ü€", "😀.x", "n/n"),
	list("a", "a.a", "b"),
	list("a.b.c", "a.c", "b.c", "c", "c.d", "b.d.e", "f", "g"),
}

// A Reader finds in JSON what encoding/json finds, in bodies and in events, wherever they are cut.
func TestDifferential(t *testing.T) {
	rounds := 60000
	if testing.Short() {
		rounds /= 10
	}
	found := map[Found]int{}
	for seed := range uint64(rounds) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		paths := somePaths[rnd.IntN(len(somePaths))]
		p := NewPaths(paths)

		m := maker{rnd: rnd, paths: paths, newline: "\n"}
		for range 1 + rnd.IntN(3) {
			m.value(0)
			m.out.WriteByte('\n')
		}
		body := m.out.String()
		want, ok := expect(body, paths)
		if !ok {
			t.Fatalf("seed %d: this is no JSON: %q", seed, body)
		}
		found[want.how]++
		if got := read(p, false, cut(rnd, body)...); got != want {
			t.Fatalf("seed %d: %q: %v, want %v", seed, body, got, want)
		}

		m = maker{rnd: rnd, paths: paths, newline: m.one("\ndata:", "\ndata: ", "\rdata:", "\r\ndata: ")}
		for range 1 + rnd.IntN(3) {
			m.out.WriteString("data:")
			m.value(0)
			m.out.WriteString(m.one("\n", "\r", "\r\n") + m.one("", ":x\n", "id: 1\r") + m.one("\n", "\r\n"))
		}
		body = m.out.String()
		if want, ok = expectEvents(body, paths); !ok {
			t.Fatalf("seed %d: these are no events with JSON: %q", seed, body)
		}
		if got := read(p, true, cut(rnd, body)...); got != want {
			t.Fatalf("seed %d: %q: %v, want %v", seed, body, got, want)
		}
	}
	for _, how := range []Found{Missing, Unreadable, Read} {
		if found[how] < rounds/20 {
			t.Errorf("only %d of %d bodies have %d: the test shows little", found[how], rounds, how)
		}
	}
}

// Whatever comes, cuts change nothing, and where it is JSON, a Reader finds what encoding/json finds.
func FuzzReader(f *testing.F) {
	for i, body := range []string{
		`{"usage":{"total_tokens":12}}`, `[{"n":1e3},{"n":0.5}]`, "{\"n\":1}\n{\"n\":2}", `{"us\u0061ge":{"total_tokens":null}}`,
		`{"message":{"usage":{"input_tokens":3}},"usage":{"output_tokens":4}}`, `{"a":{"a":{"a":"x"}},"a":{"b":[1]}}`,
		`{"\ud83d\ude00":{"\u00fc\u20ac":7}}`, `{"a":-1,"b":1,"a":{"a":2}}`, chatStream(2),
		"\xEF\xBB\xBFdata: {\"n\":\r\ndata: 12}\r\rdata:[DONE]", ":\ndata\ndata:{\n\ndata:}",
	} {
		f.Add(body, uint8(i), uint64(i))
	}
	f.Fuzz(func(t *testing.T, body string, which uint8, seed uint64) {
		paths := somePaths[int(which)%len(somePaths)]
		p := NewPaths(paths)
		for _, sse := range []bool{false, true} {
			got := read(p, sse, body)
			if again := read(p, sse, cut(rand.New(rand.NewPCG(seed, 1)), body)...); again != got {
				t.Errorf("events %t: %v, and cut by %d: %v", sse, got, seed, again)
			}
			find := expect
			if sse {
				find = expectEvents
			}
			if want, ok := find(body, paths); ok && got != want {
				t.Errorf("events %t: %v, want %v", sse, got, want)
			}
		}
	})
}
