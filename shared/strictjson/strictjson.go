// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package strictjson accepts one JSON text (RFC 8259) only when every reader of it would see the same thing.
//
// Parsers disagree about repeated names (first or last wins), bytes that are not UTF-8, lone
// surrogates, NUL, a byte order mark and numbers like 1e400 (an error, infinity or the number); a
// token read one way here and another way behind the proxy is an attack. Scan refuses all of them
// and bounds depth, members and the length of numbers before anything is decoded. Values are then
// read with gjson, which trusts its input: never hand it a text that Scan has not seen.
package strictjson

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// Limits bound a text. Each must be positive: there is no "unlimited".
type Limits struct {
	Depth   int // nesting of objects and arrays; 1 is a flat object
	Members int // members of all objects together
	Number  int // bytes of one number

	// RepeatedNames leaves repeated member names to the caller, which then must refuse them itself:
	// the configuration reader does, to report all of them with their paths.
	RepeatedNames bool

	// AnyValues leaves strings with NUL or half a surrogate pair, and numbers of any size, to the caller: for documents of
	// others, of which it reads a few members.
	AnyValues bool
}

// What is wrong with a text. The errors carry no part of it: it may be a token.
var (
	ErrSyntax    = errors.New("not JSON")
	ErrUTF8      = errors.New("not valid UTF-8")
	ErrString    = errors.New("a string holds NUL or half a surrogate pair")
	ErrRepeated  = errors.New("a member name is repeated")
	ErrDepth     = errors.New("nested too deeply")
	ErrMembers   = errors.New("too many members")
	ErrNumberLen = errors.New("a number is too long")
	ErrNumber    = errors.New("a number is beyond the range of a double")
)

// Error says where a text stopped being acceptable.
type Error struct {
	Offset int // in bytes from the start
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() + " at byte " + strconv.Itoa(e.Offset) }

// Unwrap gives one of the package's sentinels.
func (e *Error) Unwrap() error { return e.Err }

// Parse scans text under lim and returns its value for reading with ForEach or Member.
func Parse(text string, lim Limits) (gjson.Result, error) {
	if err := Scan(text, lim); err != nil {
		return gjson.Result{}, err
	}
	return gjson.Parse(text), nil
}

// Member returns the member of object called name, compared by bytes after unescaping. object is,
// or is part of, what Parse returned. It exists instead of gjson.Get, whose paths give a meaning to
// dots, stars and pipes that a claim's name must not have; and instead of ForEach, since it makes a
// value of the one member that is wanted only: a token is asked for a dozen of them.
//
//go:noinline
func Member(object gjson.Result, name string) (value gjson.Result, ok bool) {
	if !object.IsObject() {
		return gjson.Result{}, false
	}
	text := object.Raw
	for i := 1; ; {
		i = skip(text, i, ',')
		if i == len(text) || text[i] != '"' {
			return gjson.Result{}, false
		}
		start := i
		i = stringEnd(text, i)
		key := text[start:i]
		i = skip(text, i, ':')
		start = i
		i = valueEnd(text, i)
		if len(key) == len(name)+2 && key[1:len(key)-1] == name && strings.IndexByte(name, '\\') < 0 ||
			strings.IndexByte(key, '\\') >= 0 && gjson.Parse(key).Str == name {
			return gjson.Parse(text[start:i]), true
		}
	}
}

// Pick is Member for several names in one walk: values[i] is the member called names[i], and has no
// Raw where there is none. Both have the same length.
//
//go:noinline
func Pick(object gjson.Result, names []string, values []gjson.Result) {
	clear(values)
	if !object.IsObject() {
		return
	}
	text := object.Raw
	for i := 1; ; {
		i = skip(text, i, ',')
		if i == len(text) || text[i] != '"' {
			return
		}
		start := i
		i = stringEnd(text, i)
		key := text[start+1 : i-1]
		if strings.IndexByte(key, '\\') >= 0 {
			key = gjson.Parse(text[start:i]).Str
		}
		i = skip(text, i, ':')
		start = i
		i = valueEnd(text, i)
		for n := range names {
			if names[n] == key {
				values[n] = gjson.Parse(text[start:i])
			}
		}
	}
}

// skip returns where text has something else than white space and separator, from i on.
func skip(text string, i int, separator byte) int {
	for i < len(text) && (text[i] <= ' ' || text[i] == separator) {
		i++
	}
	return i
}

// stringEnd returns where the string ends that begins at i.
func stringEnd(text string, i int) int {
	for i++; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// valueEnd returns where the value ends that begins at i.
func valueEnd(text string, i int) int {
	depth := 0
	for i < len(text) {
		switch text[i] {
		case '"':
			i = stringEnd(text, i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // of the object that a number or a word stands in
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return len(text)
}

// Text returns the member of object called name where that is a string, and otherwise an empty one.
//
//go:noinline
func Text(object gjson.Result, name string) string {
	if v, ok := Member(object, name); ok && v.Type == gjson.String {
		return v.Str
	}
	return ""
}

// Scan returns nil where text is one JSON value within lim.
func Scan(text string, lim Limits) *Error {
	s := scanner{text: text, lim: lim}
	s.space()
	if err := s.value(0); err != nil {
		return &Error{s.pos, err}
	}
	s.space()
	if s.pos != len(text) {
		return &Error{s.pos, ErrSyntax}
	}
	return nil
}

// Measure tells how deeply a text is nested and how many members its objects have together, at most
// as much as any Limits could allow and as far as the text can be read: for saying by how much it
// is over a limit.
func Measure(text string) (depth, members int) {
	s := scanner{text: text, lim: Limits{Depth: 1 << 10, Members: 1 << 20, Number: len(text), RepeatedNames: true}}
	s.space()
	_ = s.value(0) // what is wrong has been said
	return s.deepest, s.members
}

type scanner struct {
	text    string
	pos     int
	lim     Limits
	members int
	deepest int
	names   []string // of the objects now open, innermost last
}

func (s *scanner) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// next consumes c if it comes next.
func (s *scanner) next(c byte) bool {
	if s.pos < len(s.text) && s.text[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

func (s *scanner) value(depth int) error {
	if s.pos >= len(s.text) {
		return ErrSyntax
	}
	switch c := s.text[s.pos]; {
	case c == '{':
		return s.object(depth + 1)
	case c == '[':
		return s.array(depth + 1)
	case c == '"':
		_, err := s.str()
		return err
	case c == '-' || isDigit(c):
		return s.number()
	default:
		return s.literal()
	}
}

// fewNames are looked through one by one for a repeated one; more have a map, so that an object of
// thousands is no attack.
const fewNames = 32

// repeats reports whether the object whose names begin at outer has one of that name, and notes it.
// seen is its map of them, where there is one.
func (s *scanner) repeats(name string, outer int, seen *map[string]bool) bool {
	switch names := s.names[outer:]; {
	case *seen != nil:
		if (*seen)[name] {
			return true
		}
		(*seen)[name] = true
		return false
	case len(names) == fewNames:
		*seen = make(map[string]bool, 8*fewNames)
		for _, n := range names {
			(*seen)[n] = true
		}
		return s.repeats(name, outer, seen)
	default:
		for _, n := range names {
			if n == name {
				return true
			}
		}
		s.names = append(s.names, name)
		return false
	}
}

func (s *scanner) object(depth int) error {
	if s.deepest = max(s.deepest, depth); depth > s.lim.Depth {
		return ErrDepth
	}
	s.pos++
	outer := len(s.names)
	var names map[string]bool
	s.space()
	if s.next('}') {
		return nil
	}
	for {
		at := s.pos
		name, err := s.str()
		if err != nil {
			return err
		}
		if s.members++; s.members > s.lim.Members {
			return ErrMembers
		}
		if !s.lim.RepeatedNames && s.repeats(name, outer, &names) {
			s.pos = at
			return ErrRepeated
		}
		s.space()
		if !s.next(':') {
			return ErrSyntax
		}
		s.space()
		if err := s.value(depth); err != nil {
			return err
		}
		s.space()
		if s.next('}') {
			s.names = s.names[:outer]
			return nil
		}
		if !s.next(',') {
			return ErrSyntax
		}
		s.space()
	}
}

func (s *scanner) array(depth int) error {
	if s.deepest = max(s.deepest, depth); depth > s.lim.Depth {
		return ErrDepth
	}
	s.pos++
	s.space()
	if s.next(']') {
		return nil
	}
	for {
		if err := s.value(depth); err != nil {
			return err
		}
		s.space()
		if s.next(']') {
			return nil
		}
		if !s.next(',') {
			return ErrSyntax
		}
		s.space()
	}
}

// str consumes a string and returns it unescaped, so that "a" and "\u0061" are the same name.
func (s *scanner) str() (string, error) {
	if !s.next('"') {
		return "", ErrSyntax
	}
	start, escaped := s.pos, false
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == '"':
			raw := s.text[start:s.pos]
			s.pos++
			if escaped {
				return gjson.Parse(s.text[start-1 : s.pos]).Str, nil
			}
			return raw, nil
		case c < ' ':
			return "", ErrSyntax
		case c == '\\':
			escaped = true
			if err := s.escape(); err != nil {
				return "", err
			}
		case c < utf8.RuneSelf:
			s.pos++
		default:
			r, n := utf8.DecodeRuneInString(s.text[s.pos:])
			if r == utf8.RuneError && n == 1 {
				return "", ErrUTF8
			}
			s.pos += n
		}
	}
	return "", ErrSyntax
}

func (s *scanner) escape() error {
	s.pos++
	if s.pos >= len(s.text) {
		return ErrSyntax
	}
	c := s.text[s.pos]
	s.pos++
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
		r, err := s.hex4()
		switch {
		case err != nil:
			return err
		case s.lim.AnyValues:
			return nil
		case r == 0, r >= 0xDC00 && r <= 0xDFFF:
			return ErrString
		case r < 0xD800 || r > 0xDFFF:
			return nil
		}
		if !s.next('\\') || !s.next('u') {
			return ErrString
		}
		if r, err = s.hex4(); err != nil {
			return err
		}
		if r < 0xDC00 || r > 0xDFFF {
			return ErrString
		}
		return nil
	}
	return ErrSyntax
}

func (s *scanner) hex4() (r rune, err error) {
	if len(s.text)-s.pos < 4 {
		return 0, ErrSyntax
	}
	for range 4 {
		c := s.text[s.pos]
		switch {
		case isDigit(c):
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, ErrSyntax
		}
		r = r<<4 | rune(c)
		s.pos++
	}
	return r, nil
}

func (s *scanner) number() error {
	start := s.pos
	s.next('-')
	if !s.next('0') && !s.digits() {
		return ErrSyntax
	}
	if s.next('.') && !s.digits() {
		return ErrSyntax
	}
	if s.next('e') || s.next('E') {
		if !s.next('+') {
			s.next('-')
		}
		if !s.digits() {
			return ErrSyntax
		}
	}
	if s.lim.AnyValues {
		return nil
	}
	if s.pos-start > s.lim.Number {
		return ErrNumberLen
	}
	return inRange(s.text[start:s.pos])
}

// inRange refuses numbers over the largest double, 1.8e308 (RFC 8259 §6). Those too small for one
// are 0 to every reader.
func inRange(number string) error {
	if len(number) <= 308 && !strings.ContainsAny(number, "eE") {
		return nil
	}
	if _, err := strconv.ParseFloat(number, 64); err != nil {
		return ErrNumber
	}
	return nil
}

func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.text) && isDigit(s.text[s.pos]) {
		s.pos++
	}
	return s.pos > start
}

func (s *scanner) literal() error {
	for _, l := range [...]string{"true", "false", "null"} {
		if len(s.text)-s.pos >= len(l) && s.text[s.pos:s.pos+len(l)] == l {
			s.pos += len(l)
			return nil
		}
	}
	return ErrSyntax
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
