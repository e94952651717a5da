// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"math"
	"strings"
	"testing"
	"unsafe"
)

// list makes paths of names with dots between them.
func list(paths ...string) (all [][]string) {
	for _, p := range paths {
		all = append(all, strings.Split(p, "."))
	}
	return all
}

type result struct {
	n   int64
	how Found
}

var (
	missing    = result{0, Missing}
	unreadable = result{math.MaxInt64, Unreadable}
)

func is(n int64) result { return result{n, Read} }

// read reads the pieces of a body.
func read(p *Paths, sse bool, pieces ...string) result {
	var r Reader
	r.Reset(p, sse)
	for _, piece := range pieces {
		chunk := []byte(piece)
		r.Write(chunk)
		clear(chunk) // its memory is not the reader's
	}
	r.Close()
	n, how := r.Number(math.MaxInt64)
	return result{n, how}
}

// readCut reads a body whole, in two pieces cut at each byte, and byte by byte: all must find the same.
func readCut(t *testing.T, p *Paths, sse bool, body string) result {
	t.Helper()
	want := read(p, sse, body)
	each := make([]string, len(body))
	for i := range each {
		if got := read(p, sse, body[:i], "", body[i:]); got != want {
			t.Errorf("%q cut at %d: %v, want %v", body, i, got, want)
		}
		each[i] = body[i : i+1]
	}
	if got := read(p, sse, each...); got != want {
		t.Errorf("%q byte by byte: %v, want %v", body, got, want)
	}
	return want
}

func TestJSON(t *testing.T) {
	p := NewPaths(list("usage.total"))
	deep := strings.Repeat(`[{"a":`, 1000)
	for _, c := range []struct {
		name, body string
		want       result
	}{
		{"nothing", "", missing},
		{"the number", `{"usage":{"total":12}}`, is(12)},
		{"zero is a number", `{"usage":{"total":0}}`, is(0)},
		{"white space everywhere", " \t\r\n{ \t\r\n\"usage\" \t\r\n: \t\r\n{ \"total\" : \t\r\n12 \r\n} ", is(12)},
		{"each white space before the colon", "{\"usage\" :{\"total\"\t:1},\"usage\"\n:{\"total\"\r:2}}", is(2)},
		{"a byte order mark", "\xEF\xBB\xBF" + `{"usage":{"total":12}}`, is(12)},
		{"behind other members", `{"id":"usage","n":3,"t":true,"list":[{"usage":{"total":99}},"]",1],
			"o":{"usage":{"total":98},"x":"}"},"usage":{"other":1,"total":12},"z":[[]]}`, is(12)},
		{"behind texts full of brackets, quotes and backslashes",
			`{"a":"}]{[\"\\","b":["\\\"]}","\\"],"c":{"d":"\\"},"usage":{"e":"\"}","total":12}}`, is(12)},
		{"behind deep nesting", `{"a":` + deep + `1` + strings.Repeat(`}]`, 1000) + `,"usage":{"total":12}}`, is(12)},
		{"within deep nesting", deep + `{"usage":{"total":12}}`, missing},
		{"on the top instead", `{"total":12}`, missing},
		{"one level too deep", `{"a":{"usage":{"total":12}}}`, missing},
		{"two levels too deep", `{"usage":{"usage":{"total":12}}}`, missing},
		{"in the next member", `{"usage":{"a":1},"total":12}`, missing},
		{"in a sister of the object", `{"usage":{"a":1},"other":{"total":12}}`, missing},
		{"in a list", `{"usage":[{"total":12}]}`, missing},
		{"behind a text", `{"usage":"text","total":12}`, missing},
		{"a number on the way", `{"usage":7}`, missing},
		{"a number on the way, and then the object", `{"usage":7,"usage":{"total":12}}`, is(12)},
		{"a list on the way, and then the object", `{"usage":[7,{}],"usage":{"total":12}}`, is(12)},
		{"a text on the way, and then the object", `{"usage":"}","usage":{"total":12}}`, is(12)},
		{"null on the way", `{"usage":null}`, missing},
		{"null", `{"usage":{"total":null}}`, missing},
		{"null and a number", `{"usage":{"total":null,"total":12}}`, is(12)},
		{"a number and null", `{"usage":{"total":12,"total":null}}`, is(12)},

		{"twice, the second higher", `{"usage":{"total":11,"total":12}}`, is(12)},
		{"twice, the first higher", `{"usage":{"total":12,"total":11}}`, is(12)},
		{"two objects", `{"usage":{"total":12},"usage":{"total":11}}`, is(12)},

		{"a negative number", `{"usage":{"total":-1}}`, unreadable},
		{"a minus before zero", `{"usage":{"total":-0}}`, unreadable},
		{"a text with a number", `{"usage":{"total":"12"}}`, unreadable},
		{"true", `{"usage":{"total":true}}`, unreadable},
		{"an object", `{"usage":{"total":{"total":12}}}`, unreadable},
		{"a list", `{"usage":{"total":[12]}}`, unreadable},
		{"an empty list", `{"usage":{"total":[]}}`, unreadable},
		{"NaN", `{"usage":{"total":NaN}}`, unreadable},
		{"Infinity", `{"usage":{"total":Infinity}}`, unreadable},
		{"a longer word than null", `{"usage":{"total":nulll}}`, unreadable},
		{"a shorter word than null", `{"usage":{"total":nul}}`, unreadable},
		{"a word like null", `{"usage":{"total":nill}}`, unreadable},
		{"another word like null", `{"usage":{"total":nuxl}}`, unreadable},
		{"null and a digit", `{"usage":{"total":null1}}`, unreadable},
		{"NULL", `{"usage":{"total":NULL}}`, unreadable},
		{"unreadable, and then a number", `{"usage":{"total":"x","total":12}}`, unreadable},
		{"a number, and then unreadable", `{"usage":{"total":12,"total":"x"}}`, unreadable},
		{"a number, and then an object", `{"usage":{"total":12,"total":{}}}`, unreadable},
		{"unreadable, in a later text", `{"usage":{"total":12}}{"usage":{"total":false}}`, unreadable},
		{"unreadable, and all that follows is broken", `{"usage":{"total":[}}}}{{{"`, unreadable},

		{"an escape in a name", `{"us\u0061ge":{"\u0074otal":12}}`, is(12)},
		{"upper case in names", `{"Usage":{"total":12},"usage":{"Total":12}}`, missing},
		{"a longer name", `{"usages":{"total":12},"usage":{"totals":12}}`, missing},
		{"a shorter name", `{"usag":{"total":12},"usage":{"tota":12}}`, missing},
		{"an empty name", `{"":{"total":12},"usage":{"":12}}`, missing},
		{"a name with an escaped NUL behind it", `{"usage\u0000":{"total":12}}`, missing},
		{"a name with a backslash", `{"usage\\":{"total":12},"u\\sage":{"total":11}}`, missing},
		{"a name with a quote", `{"usage\"":{"total":12},"\"usage":{"total":11}}`, missing},
		{"an escape cut short in a name", `{"usa\u006":{"total":12},"usage":{"total":11}}`, is(11)},
		{"names that go on behind others", `{"xusage":{"total":12},"usage":{"xtotal":12}}`, missing},

		{"NDJSON", "{\"usage\":{\"total\":1}}\n{\"a\":2}\n{\"usage\":{\"total\":3}}\n", is(3)},
		{"texts without anything between them", `{"usage":{"total":3}}{"usage":{"total":2}}`, is(3)},
		{"a list at the top", `[{"usage":{"total":3}},` + "\r\n" + `{"usage":{"total":4}}]`, is(4)},
		{"a list of lists at the top", `[[{"usage":{"total":3}}],"{\"usage\":{\"total\":9}}"]`, is(3)},
		{"a text at the top", `"{\"usage\":{\"total\":9}}"`, missing},
		{"a text at the top, and then an object", `"{\\" {"usage":{"total":9}}`, is(9)},
		{"a number at the top", `12`, missing},
		{"HTML", `<html class="usage">{}</html>`, missing},

		{"broken off within the number", `{"usage":{"total":12`, is(12)},
		{"broken off before the number", `{"usage":{"total":`, missing},
		{"broken off within a sign", `{"usage":{"total":-`, unreadable},
		{"broken off within an exponent", `{"usage":{"total":1e`, unreadable},
		{"broken off within null", `{"usage":{"total":nu`, unreadable},
		{"broken off behind null", `{"usage":{"total":null`, missing},
		{"broken off within a text", `{"usage":{"total":12},"a":"`, is(12)},
		{"broken off within an escape", `{"usage":{"total":12},"a":"\`, is(12)},
		{"broken off within a name", `{"usage":{"total":12},"usage`, is(12)},

		{"no value", `{"usage":{"total":,"total":12}}`, unreadable},
		{"no value at the end", `{"usage":{"total":}}`, unreadable},
		{"no value on the way", `{"usage":,"usage":{"total":12}}`, is(12)},
		{"a name alone", `{"usage":{"total"}}`, missing},
		{"a name alone before others", `{"a","usage":{"b","total":12}}`, is(12)},
		{"a name alone, and then an object", `{"usage"{"total":9}}{"usage":{"total":8}}`, is(8)},
		{"no colon", `{"usage" {"total":9},"usage" [{"total":9}],"usage":{"total":8}}`, is(8)},
		{"no quotes", `{usage:{total:9},"usage":{"total":8}}`, is(8)},
		{"no commas", `{"a":1 "b":"x" "usage":{"c":[] "total":8 "d":1} "e":2}`, is(8)},
		{"too many commas", `{,,"usage":{,"total":8,,},,}`, is(8)},
		{"two colons", `{"usage"::{"total":8}}`, missing},
		{"too many closing brackets", `}]}{"usage":{"total":8}}]}`, is(8)},
		{"a closing bracket behind the number", `{"usage":{"total":8]}}`, is(8)},
		{"brackets of another kind", `{"a":{],"usage":{"total":8}}`, is(8)},
		{"a list without a name", `{["usage",{"total":7}],"usage":{[],"total":8}}`, is(8)},
		{"a member in a list", `{["usage":{"total":9}],"usage":{"total":8}}`, is(8)},
		{"a number that runs into a text", `{"usage":{"total":8"x":1}}`, unreadable},
		{"a number that runs into an object", `{"usage":{"total":8{}}}`, unreadable},
		{"a number that runs into a colon", `{"usage":{"total":8:1}}`, unreadable},
		{"a number with NUL behind it", "{\"usage\":{\"total\":8\x00}}", unreadable},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := readCut(t, p, false, c.body); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestNumbers(t *testing.T) {
	p := NewPaths(list("n"))
	zeros, nines := strings.Repeat("0", 5000), strings.Repeat("9", 5000)
	most := is(math.MaxInt64)
	for text, want := range map[string]result{
		"0": is(0), "7": is(7), "10": is(10), "1234567890123456789": is(1234567890123456789),
		"9223372036854775806": is(math.MaxInt64 - 1), "9223372036854775807": most, "9223372036854775808": most,
		"9223372036854775805.000000000000000000000000000000000000000000001": is(math.MaxInt64 - 1),
		"9223372036854775805.000000000000000000000000000000000000000000000": is(math.MaxInt64 - 2),
		"9999999999999999999": most, "18446744073709551616": most, "99999999999999999999999": most, nines: most,
		"1000000000000000000": is(1e18), "10000000000000000000": most,
		"0.0": is(0), "0e9": is(0), "0." + zeros: is(0), "0e-" + nines: is(0), "0e" + nines: is(0),
		"12.0": is(12), "12.2": is(13), "12.9": is(13), "0.1": is(1), "0.9": is(1), "12.00000": is(12), "99.5": is(100),
		"0." + zeros + "1": is(1), "12." + zeros: is(12), "12." + zeros + "1": is(13), "0." + nines: is(1),
		"1e3": is(1000), "1E3": is(1000), "1e+3": is(1000), "1.5e3": is(1500), "1.2345e3": is(1235), "1e0": is(1),
		"1200e-2": is(12), "1201e-2": is(13), "1e-1": is(1), "1e-" + nines: is(1), "1e" + nines: most, "5e18": is(5e18),
		"1e19": most, "1e18": is(1e18), "1e00003": is(1000), "1e-00003": is(1),
		"1" + zeros + "e-5000": is(1), "1" + zeros + "e-4999": is(10), "1" + zeros + "1e-5001": is(2),
		"12" + zeros + "e-5001":           is(2),
		"0." + zeros + "12e5001":          is(2),
		"0." + zeros + "12e5002":          is(12),
		"1" + zeros + "." + zeros:         most,
		"123456789012345678.95e1":         is(1234567890123456790),
		"1234567890123456789.5e-9":        is(1234567891),
		"12345678901234567890123e-4":      is(1234567890123456790),
		"12345678901234567890000e-4":      is(1234567890123456789),
		"1.2345678901234567890123e20":     most,
		"1.2345678901234567890123456e18":  is(1234567890123456790),
		"1.2345678901234567890000000e18":  is(1234567890123456789),
		"0.00012345678901234567890123e22": is(1234567890123456790),

		"-5": unreadable, "-0.0": unreadable, "--5": unreadable, "+5": unreadable, "01": unreadable, "00": unreadable,
		".5": unreadable, "5.": unreadable, "5.e1": unreadable, "5..1": unreadable, "5.1.1": unreadable, "5e": unreadable,
		"5e+": unreadable, "5e-": unreadable, "5e+-1": unreadable, "5e1e1": unreadable, "5e1.5": unreadable,
		"5e1+1": unreadable, "5f": unreadable, "5_000": unreadable, "0x10": unreadable, "1'000": unreadable,
		"5.-1": unreadable, "5-": unreadable, "e5": unreadable, "5e ": unreadable, "5/1": unreadable, "5;": unreadable,
		"1e3e": unreadable, "1.0e": unreadable, "-": unreadable, "0e": unreadable, "5.x": unreadable, "5ex": unreadable,
		"nulL": unreadable, "Null": unreadable, "nulx": unreadable, "n": unreadable, "5null": unreadable,
		"xull": unreadable, "nxll": unreadable, "nulx1": unreadable,
	} {
		for _, end := range []string{"}", " }", "\t}", "\r}", "\n}", `,"m":1}`, ""} {
			body := `{"n":` + text + end
			got := read(p, false, body)
			if len(body) < 100 {
				got = readCut(t, p, false, body)
			}
			if got != want {
				t.Errorf("%.60s: %v, want %v", body, got, want)
			}
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct{ name, path, body string }{
		{"each short escape", "a\"\\/\b\f\n\r\tz", `{"a\"\\\/\b\f\n\r\tz":1}`},
		{"escapes with digits of either case", "K\u00fc\u20ac", `{"\u004b\u00FC\u20aC":1}`},
		{"characters as they are", "Kü€\U0001F600", `{"Kü€😀":1}`},
		{"a pair", "x\U0001F600y", `{"x\uD83D\uDE00y":1}`},
		{"the first pair", "\U00010000", `{"\ud800\udc00":1}`},
		{"the last pair", "\U0010FFFF", `{"\udbff\udfff":1}`},
		{"the characters beside the pairs", "\uD7FF\uE000", `{"\ud7ff\ue000":1}`},
		{"two pairs", "\U0001F600\U0001F601", `{"\ud83d\ude00\uD83D\uDE01":1}`},
		{"a pair, and then no other", "\U0001F600", `{"\ud83d\ude00":1,"\ud83d":"x","\ude00":"x","\ude00\ud83d":"x"}`},
		{"half a pair before something", "a", `{"\ud83da":"x","\ud83d\u0061":"x","\ud83d\n":"x","a\ud83d":"x","a":1}`},
		{"half a pair twice", "\U0001F600", `{"\ud83d\ud83d\ude00":"x","\ud83d\ude00":1}`},
		{"half a pair, and then a name", "a", `{"\ud83d":2,"a":1}`},
		{"what replaces half a pair", "\uFFFD", `{"\ud83d":"x","\ude00":"x","\ufffd":1}`},
		{"a digit that is none", "ag", `{"a\u00g":"x","a\u00g7":"x","ag":1}`},
		{"g as a digit", "p", `{"\u006g":"x","p":1}`},
		{": as a digit", "j", `{"\u006:":"x","j":1}`},
		{"/ as a digit", "ÿ", `{"\u006/":"x","ÿ":1}`},
		{"` as a digit", "ũ", "{\"\\u006`\":\"x\",\"ũ\":1}"},
		{"half a pair on each side of something", "a\U0001F600", `{"\ud83da\ude00":"x","a\ud83d\ude00":1}`},
		{"the second half of a pair alone", "\U00010000", `{"\udc00":"x","\ud800\udc00":1}`},
		{"NUL", "a\x00b", `{"a\u0000b":1}`},
		{"a name that begins like another", "ab", `{"a":"x","abc":"x","ab":1}`},
		{"long", strings.Repeat("ab", 5000), `{"` + strings.Repeat("ab", 5000) + `":1}`},
		{"bytes that are no characters", "a\xff", "{\"a\xfe\":\"x\",\"a\xff\":1}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := NewPaths([][]string{{c.path}})
			got := read(p, false, c.body)
			if len(c.body) < 1000 {
				got = readCut(t, p, false, c.body)
			}
			if got != is(1) {
				t.Errorf("%v, want 1", got)
			}
		})
	}
}

func TestPaths(t *testing.T) {
	sixteen := strings.Repeat("a.", 15) + "b"
	for _, c := range []struct {
		name  string
		paths [][]string
		body  string
		want  result
	}{
		{"two numbers are added", list("u.in", "u.out"), `{"u":{"in":3,"out":4}}`, is(7)},
		{"one of two is missing", list("u.in", "u.out"), `{"u":{"out":4}}`, is(4)},
		{"one of two is unreadable", list("u.in", "u.out"), `{"u":{"in":"3","out":4}}`, unreadable},
		{"the other of two is unreadable", list("u.in", "u.out"), `{"u":{"in":3,"out":-4}}`, unreadable},
		{"of one name the highest", list("m.u.in", "u.in"), `{"m":{"u":{"in":3}},"u":{"in":2}}`, is(3)},
		{"of one name the other is the highest", list("m.u.in", "u.in"), `{"u":{"in":4},"m":{"u":{"in":3}}}`, is(4)},
		{"two names in two places", list("m.u.in", "u.in", "u.out", "m.u.out"),
			`{"m":{"u":{"in":3,"out":1}},"u":{"in":2,"out":5}}`, is(8)},
		{"of one name in three places", list("a.n", "b.m", "c.n", "d.n"),
			`{"a":{"n":1},"b":{"m":10},"c":{"n":3},"d":{"n":2}}`, is(13)},
		{"one path twice", list("n", "n"), `{"n":3}`, is(3)},
		{"names that begin alike", list("ab", "abc", "b"), `{"abc":1,"ab":20,"b":300}`, is(321)},
		{"names that end alike", list("xa", "ya"), `{"xa":1,"ya":20}`, is(21)},
		{"one name on two levels", list("a.a.a"), `{"a":{"a":{"a":3}}}`, is(3)},
		{"a sum beyond all", list("a", "b"), `{"a":9223372036854775807,"b":1}`, is(math.MaxInt64)},
		{"a sum that is just all", list("a", "b"), `{"a":9223372036854775806,"b":1}`, is(math.MaxInt64)},
		{"sixteen names", list(sixteen),
			strings.Repeat(`{"a":`, 15) + `{"b":5}` + strings.Repeat(`}`, 15), is(5)},
		{"sixteen names, an object deeper", list(sixteen),
			strings.Repeat(`{"a":`, 16) + `{"b":5}` + strings.Repeat(`}`, 16), missing},
		{"sixteen names, and an object at the end", list(sixteen),
			strings.Repeat(`{"a":`, 15) + `{"b":{}}` + strings.Repeat(`}`, 15), unreadable},
		{"eight paths", list("a", "b", "c", "d", "e", "f", "g", "h"),
			`{"h":1,"g":20,"f":300,"e":4000,"d":50000,"c":600000,"b":7000000,"a":80000000}`, is(87654321)},
		{"a path that begins another, and a number", list("a", "a.b"), `{"a":5}`, is(5)},
		{"a path that begins another, and an object", list("a.b", "a"), `{"a":{"b":5}}`, unreadable},
		{"dots in names", [][]string{{"a.b", "c"}}, `{"a":{"b":{"c":1}},"a.b":{"c":2}}`, is(2)},
		{"no path", nil, `{}`, unreadable},
		{"a path without names", [][]string{{"a"}, {}}, `{"a":1}`, unreadable},
		{"an empty name", [][]string{{"a", ""}}, `{"a":1}`, unreadable},
		{"nine paths", list("a", "b", "c", "d", "e", "f", "g", "h", "i"), `{"a":1}`, unreadable},
		{"seventeen names", list("a." + sixteen), `{"a":1}`, unreadable},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := NewPaths(c.paths)
			if got := readCut(t, p, false, c.body); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
			if got := read(p, true, "data:"+c.body); got != c.want {
				t.Errorf("as an event: %v, want %v", got, c.want)
			}
		})
	}
}

func TestEvents(t *testing.T) {
	p := NewPaths(list("usage.total"))
	const event = `{"usage":{"total":12}}`
	for _, c := range []struct {
		name, body string
		want       result
	}{
		{"nothing", "", missing},
		{"one event", "data: " + event + "\n\n", is(12)},
		{"lines that end in \\r\\n", "data: " + event + "\r\n\r\n", is(12)},
		{"lines that end in \\r", "data: " + event + "\r\r", is(12)},
		{"no space", "data:" + event + "\n\n", is(12)},
		{"two spaces", "data:  " + event + "\n\n", is(12)},
		{"a tab", "data:\t" + event + "\n\n", is(12)},
		{"a byte order mark", "\xEF\xBB\xBFdata:" + event + "\n\n", is(12)},
		{"half a byte order mark", "\xEF\xBBdata:" + event + "\n\n", missing},
		{"half a byte order mark, and then another line", "\xEFx\ndata:" + event + "\n\n", is(12)},
		{"half a byte order mark alone on its line", "\xEF\ndata:" + event + "\n\n", is(12)},
		{"a byte order mark that goes on like data", "\xEFata:" + event + "\n\n\xEF\xBBta:" + event + "\n\n", missing},
		{"two bytes of it that go on like data", "\xEF\xBBta:" + event + "\n\n", missing},
		{"a byte order mark in the middle", "data:1\n\n\xEF\xBB\xBFdata:" + event + "\n\n", missing},
		{"an empty line after a byte order mark", "\xEF\xBB\xBF\ndata:" + event, is(12)},
		{"an event that is not ended", "data:" + event, is(12)},
		{"an event that is broken off", `data:{"usage":{"total":12`, is(12)},
		{"the end of a line ends the number", "data:{\"usage\":{\"total\":12\n\n", is(12)},
		{"a number cut by the end of a line", "data:{\"usage\":{\"total\":1\ndata:2}}\n\n", is(1)},
		{"a word cut by the end of a line", "data:{\"usage\":{\"total\":nu\ndata:ll}}\n\n", unreadable},
		{"DONE", "data: [DONE]\n\n", missing},
		{"DONE behind a number", "data: " + event + "\n\ndata: [DONE]\n\n", is(12)},
		{"several lines of data", "data: {\"usage\":\r\ndata:{\"total\"\rdata\ndata: :12}}\n\n", is(12)},
		{"several lines of data with others between them",
			"data:{\"usage\":\nid: {\"\n:\"\ndata:{\nretry: 1\ndata: \"total\":12}}\n\n", is(12)},
		{"a name cut by the end of a line is another", "data:{\"usage\":{\"to\ndata:tal\":12}}\n\n", missing},
		{"an empty line ends the text", "data:{\"usage\":{\n\ndata:\"total\":12}}\n\n", missing},
		{"an empty line of \\r ends the text", "data:{\"usage\":{\r\rdata:\"total\":12}}\r\r", missing},
		{"an empty line without data ends nothing that follows", "\n\r\n\r\r\n\ndata:" + event, is(12)},
		{"\\r\\n is one end of a line", "data:{\"usage\":{\r\ndata:\"total\":12}}\r\n\r\n", is(12)},
		{"\\n\\r is two", "data:{\"usage\":{\n\rdata:\"total\":12}}\n\n", missing},
		{"\\r\\r\\n is two", "data:{\"usage\":{\r\r\ndata:\"total\":12}}\n\n", missing},
		{"a broken event before a good one", "data:{\"a\":[\"\\\n\ndata:" + event + "\n\n", is(12)},
		{"an event broken in a name before a good one", "data:{\"\\ud83d\n\ndata:" + event + "\n\n", is(12)},
		{"an event broken in nesting before a good one", "data:{\"a\":[[[\n\ndata:" + event + "\n\n", is(12)},
		{"an unreadable event before a good one", "data:{\"usage\":{\"total\":{\n\ndata:" + event + "\n\n", unreadable},
		{"an unreadable event after a good one", "data:" + event + "\n\ndata:{\"usage\":{\"total\":-1}}\n\n", unreadable},
		{"the highest of many",
			"data:{\"usage\":{\"total\":1}}\n\ndata:" + event + "\n\ndata:{\"usage\":{\"total\":3}}\n\n", is(12)},
		{"a comment", ":data:" + event + "\n: " + event + "\n\n", missing},
		{"other fields", "event: " + event + "\nid:" + event + "\nretry:" + event + "\n" + event + "\n\n", missing},
		{"a field that begins with data", "datax:" + event + "\ndata2:" + event + "\ndata :" + event + "\n\n", missing},
		{"a field that ends in data", "xdata:" + event + "\n data:" + event + "\n\n", missing},
		{"a field that data begins with", "dat:" + event + "\nd:" + event + "\n\n", missing},
		{"Data", "Data:" + event + "\nDATA:" + event + "\n\n", missing},
		{"a shorter field before data", "dat\ndata:" + event + "\n\n", is(12)},
		{"data without a value", "data\n\ndata:\n\ndata:" + event + "\n\n", is(12)},
		{"JSON without fields", event, missing},
		{"a list at the top", "data:[" + event + "]\n\n", is(12)},
		{"two texts in one event", "data:" + event + "\ndata:{\"usage\":{\"total\":13}}\n\n", is(13)},
		{"an event without end", "data:{\"usage\":{\"total\":12},\"a\":[" + strings.Repeat("\ndata:{\"b\":\"", 300), is(12)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := readCut(t, p, true, c.body); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// Events are not found in JSON, nor JSON without events where events are said.
func TestReset(t *testing.T) {
	p, other := NewPaths(list("n")), NewPaths(list("m"))
	var r Reader
	if n, how := r.Number(7); n != 7 || how != Unreadable {
		t.Errorf("without Reset: %d, %d", n, how)
	}
	r.Write([]byte(`{"n":1}`))
	r.Close()
	for _, c := range []struct {
		p    *Paths
		sse  bool
		body string
		want result
	}{
		{p, false, `{"n":"x`, result{5000, Unreadable}},
		{p, true, `data:{"n":5}`, is(5)},
		{other, true, `data:{"a":{"n":5},"n":"\`, missing},
		{other, false, `{"m":`, missing},
		{p, true, "data\rx", missing},
		{p, true, "\xEF\xBB\xBFdata:{\"n\":5}\r", is(5)},
		{p, true, "\ndata:{\"n\":5}\r", is(5)},
		{p, false, `{"n":4999}`, is(4999)},
		{p, false, `{"n":5000}`, is(5000)},
		{p, false, `{"n":5001}`, is(5000)},
		{nil, false, `{"n":1}`, result{5000, Unreadable}},
		{p, false, `{"n":3}`, is(3)},
	} {
		r.Reset(c.p, c.sse)
		r.Write([]byte(c.body))
		r.Close()
		if n, how := r.Number(5000); n != c.want.n || how != c.want.how {
			t.Errorf("%q: %d, %d, want %v", c.body, n, how, c.want)
		}
	}
}

func TestNumberBeforeClose(t *testing.T) {
	var r Reader
	r.Reset(NewPaths(list("n")), false)
	r.Write([]byte(`{"n":12`))
	if n, how := r.Number(99); n != 0 || how != Missing {
		t.Errorf("a number that may go on: %d, %d", n, how)
	}
	r.Write([]byte(`3,`))
	if n, how := r.Number(999); n != 123 || how != Read {
		t.Errorf("a number that has ended: %d, %d", n, how)
	}
}

// The paths are copied: the configuration they come from may be changed.
func TestPathsAreCopied(t *testing.T) {
	names := []string{"a", "b"}
	p := NewPaths([][]string{names})
	names[0], names[1] = "x", "y"
	if got := read(p, false, `{"a":{"b":1}}`); got != is(1) {
		t.Errorf("%v, want 1", got)
	}
}

// R33: whatever an answer is, a reader has one size and allocates nothing.
func TestMemory(t *testing.T) {
	if size := unsafe.Sizeof(Reader{}); size > 256 {
		t.Errorf("a Reader has %d bytes", size)
	}
	p := NewPaths(list("usage.total", "usage.other"))
	for _, c := range []struct {
		name, begin, chunk string
		sse                bool
		want               result
	}{
		{"a number without end", `{"usage":{"total":1`, strings.Repeat("1", 1000), false, is(math.MaxInt64)},
		{"a number of zeros without end", `{"usage":{"total":0.`, strings.Repeat("0", 1000), false, is(0)},
		{"a name without end", `{"`, strings.Repeat("usage", 1000), false, missing},
		{"a text without end", `{"usage":"`, strings.Repeat(`\"usage`, 1000), false, missing},
		{"nesting without end", `{"usage":`, strings.Repeat(`[{"usage":`, 1000), false, missing},
		{"nesting of the path without end", ``, strings.Repeat(`{"usage":`, 1000), false, missing},
		{"numbers without end", `[`, strings.Repeat(`{"usage":{"total":3,"other":4}},`, 1000), false, is(7)},
		{"a line without end", ``, strings.Repeat("data", 1000), true, missing},
		{"an event without end", ``, strings.Repeat("data:[\n", 1000), true, missing},
		{"events without end", ``, strings.Repeat("data:{\"usage\":{\"other\":4}}\n\n", 1000), true, is(4)},
		{"empty lines without end", ``, strings.Repeat("\r\n", 1000), true, missing},
	} {
		t.Run(c.name, func(t *testing.T) {
			begin, chunk := []byte(c.begin), []byte(c.chunk)
			var r Reader
			var got result
			if n := testing.AllocsPerRun(10, func() {
				r.Reset(p, c.sse)
				r.Write(begin)
				for range 100 {
					r.Write(chunk)
				}
				r.Close()
				got.n, got.how = r.Number(math.MaxInt64)
			}); n > 0 {
				t.Errorf("%.1f allocations", n)
			}
			if got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// Eight bytes at once find what one by one do.
func TestSkipText(t *testing.T) {
	for c := range 256 {
		for size := range 20 {
			for at := range size {
				for _, rest := range []byte{'a', '!', '#', '[', ']', 0, 0xff, '"' | 0x80, '\\' | 0x80, '"', '\\'} {
					b := make([]byte, size)
					for i := range b {
						b[i] = 'a'
						if i > at {
							b[i] = rest
						}
					}
					b[at] = byte(c)
					for from := range size + 2 {
						want := from
						for want < size && b[want] != '"' && b[want] != '\\' {
							want++
						}
						if got := skipText(b, from); got != min(want, size) {
							t.Fatalf("%q from %d: %d, want %d", b, from, got, min(want, size))
						}
					}
				}
			}
		}
	}
}
