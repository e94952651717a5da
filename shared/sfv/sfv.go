// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package sfv reads and writes Structured Field Values (RFC 9651), as Signature-Input, Signature,
// Content-Digest and RateLimit are written.
//
// Reading is as strict as §4.2 asks: what does not parse has no value at all. It exists because the
// libraries there are bring formatting by reflection along, a megabyte of a module.
package sfv

import (
	"encoding/base64"
	"errors"
	"strconv"
	"unicode/utf8"
)

// ErrSyntax means that a text is no structured field of the wanted kind; it carries no part of it.
var ErrSyntax = errors.New("not a structured field")

// ErrValue means that a value cannot be written as a structured field.
var ErrValue = errors.New("the value cannot be written as a structured field")

// Kind is the type of a bare item (§3.3).
type Kind uint8

// The kinds. The zero Kind is none of them, and no value.
const (
	Integer Kind = iota + 1
	Decimal
	String
	Token
	Bytes
	Boolean
	Date
	DisplayString
)

// Value is a bare item.
type Value struct {
	Kind Kind
	Int  int64  // of an Integer; of a Date, seconds since the epoch; of a Decimal, thousandths; of a Boolean, 0 or 1
	Text string // of a String, a Token, Bytes or a DisplayString, which is UTF-8
}

// Parameter of an item or an inner list (§3.1.2).
type Parameter struct {
	Name  string
	Value Value
}

// Item is a value with parameters, or, where Inner is not nil, an inner list of items with parameters.
type Item struct {
	Value      Value
	Inner      []Item
	Parameters []Parameter
}

// Member of a dictionary (§3.2).
type Member struct {
	Name string
	Item Item
}

// Parameter returns the value of the parameter of that name.
func (i *Item) Parameter(name string) (Value, bool) {
	for _, p := range i.Parameters {
		if p.Name == name {
			return p.Value, true
		}
	}
	return Value{}, false
}

// ParseDictionary reads a dictionary; a name that is repeated has its last value, at its first
// place (§4.2.2). A field of several lines is one text, joined with commas.
func ParseDictionary(text string) ([]Member, error) {
	p := parser{text}
	var members []Member
	err := p.list(func() error {
		name, err := p.key()
		if err != nil {
			return err
		}
		m := Member{Name: name}
		if p.take('=') {
			m.Item, err = p.member()
		} else {
			m.Item.Value = Value{Kind: Boolean, Int: 1}
			m.Item.Parameters, err = p.parameters()
		}
		for i := range members {
			if members[i].Name == name {
				members[i] = m
				return err
			}
		}
		members = append(members, m)
		return err
	})
	if err != nil {
		return nil, err
	}
	return members, nil
}

// ParseList reads a list.
func ParseList(text string) ([]Item, error) {
	p := parser{text}
	var items []Item
	err := p.list(func() error {
		item, err := p.member()
		items = append(items, item)
		return err
	})
	if err != nil {
		return nil, err
	}
	return items, nil
}

// ParseItem reads a single item.
func ParseItem(text string) (Item, error) {
	p := parser{text}
	p.spaces()
	item, err := p.item()
	if p.spaces(); err != nil || p.rest != "" {
		return Item{}, ErrSyntax
	}
	return item, nil
}

// parser consumes rest from its beginning.
type parser struct{ rest string }

func (p *parser) peek() byte {
	if p.rest == "" {
		return 0
	}
	return p.rest[0]
}

func (p *parser) take(c byte) bool {
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *parser) spaces() {
	for p.take(' ') {
	}
}

// list reads members separated by commas, with any white space around these, to the end (§4.2.1, §4.2.2).
func (p *parser) list(member func() error) error {
	p.spaces()
	for p.rest != "" {
		if err := member(); err != nil {
			return err
		}
		for p.take(' ') || p.take('\t') {
		}
		if p.rest == "" {
			return nil
		}
		if !p.take(',') {
			return ErrSyntax
		}
		for p.take(' ') || p.take('\t') {
		}
		if p.rest == "" {
			return ErrSyntax // a comma behind the last member
		}
	}
	return nil
}

// member is an item or an inner list (§4.2.1.1, §4.2.1.2).
func (p *parser) member() (Item, error) {
	if !p.take('(') {
		return p.item()
	}
	list := Item{Inner: []Item{}}
	for {
		p.spaces()
		if p.take(')') {
			var err error
			list.Parameters, err = p.parameters()
			return list, err
		}
		item, err := p.item()
		if err != nil {
			return Item{}, err
		}
		if c := p.peek(); c != ' ' && c != ')' {
			return Item{}, ErrSyntax
		}
		list.Inner = append(list.Inner, item)
	}
}

func (p *parser) item() (item Item, err error) {
	if item.Value, err = p.bare(); err != nil {
		return Item{}, err
	}
	item.Parameters, err = p.parameters()
	return item, err
}

func (p *parser) parameters() (list []Parameter, err error) {
	for p.take(';') {
		p.spaces()
		name, err := p.key()
		if err != nil {
			return nil, err
		}
		value := Value{Kind: Boolean, Int: 1}
		if p.take('=') {
			if value, err = p.bare(); err != nil {
				return nil, err
			}
		}
		known := false
		for i := range list {
			if list[i].Name == name {
				list[i].Value, known = value, true
			}
		}
		if !known {
			list = append(list, Parameter{name, value})
		}
	}
	return list, nil
}

func (p *parser) key() (string, error) {
	n := 0
	for n < len(p.rest) && keyByte(p.rest[n], n == 0) {
		n++
	}
	if n == 0 {
		return "", ErrSyntax
	}
	return p.cut(n), nil
}

func keyByte(c byte, first bool) bool {
	return c >= 'a' && c <= 'z' || c == '*' || !first && (c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.')
}

func (p *parser) cut(n int) string {
	s := p.rest[:n]
	p.rest = p.rest[n:]
	return s
}

// bare reads a bare item (§4.2.3.1).
func (p *parser) bare() (Value, error) {
	switch c := p.peek(); {
	case c == '-' || isDigit(c):
		return p.number()
	case c == '"':
		return p.text()
	case c == ':':
		return p.bytes()
	case c == '?':
		p.rest = p.rest[1:]
		if p.take('1') {
			return Value{Kind: Boolean, Int: 1}, nil
		}
		if p.take('0') {
			return Value{Kind: Boolean}, nil
		}
	case c == '@':
		p.rest = p.rest[1:]
		v, err := p.number()
		if err != nil || v.Kind != Integer {
			return Value{}, ErrSyntax
		}
		return Value{Kind: Date, Int: v.Int}, nil
	case c == '%':
		p.rest = p.rest[1:]
		return p.display()
	case tokenByte(c, true):
		n := 1
		for n < len(p.rest) && tokenByte(p.rest[n], false) {
			n++
		}
		return Value{Kind: Token, Text: p.cut(n)}, nil
	}
	return Value{}, ErrSyntax
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func tokenByte(c byte, first bool) bool {
	if c|0x20 >= 'a' && c|0x20 <= 'z' || c == '*' {
		return true
	}
	if first {
		return false
	}
	switch c {
	case '!', '#', '$', '%', '&', '\'', '+', '-', '.', '^', '_', '`', '|', '~', ':', '/':
		return true
	}
	return isDigit(c)
}

// number reads an Integer of up to 15 digits, or a Decimal of up to 12 and 1 to 3 behind the point (§4.2.4).
func (p *parser) number() (Value, error) {
	sign := int64(1)
	if p.take('-') {
		sign = -1
	}
	var n int64
	digits := 0
	for ; isDigit(p.peek()); digits++ {
		if digits == 15 {
			return Value{}, ErrSyntax
		}
		n = 10*n + int64(p.rest[0]-'0')
		p.rest = p.rest[1:]
	}
	if digits == 0 {
		return Value{}, ErrSyntax
	}
	if !p.take('.') {
		return Value{Kind: Integer, Int: sign * n}, nil
	}
	if digits > 12 {
		return Value{}, ErrSyntax
	}
	fraction := 0
	for ; isDigit(p.peek()); fraction++ {
		if fraction == 3 {
			return Value{}, ErrSyntax
		}
		n = 10*n + int64(p.rest[0]-'0')
		p.rest = p.rest[1:]
	}
	if fraction == 0 {
		return Value{}, ErrSyntax
	}
	for ; fraction < 3; fraction++ {
		n *= 10
	}
	return Value{Kind: Decimal, Int: sign * n}, nil
}

func (p *parser) text() (Value, error) {
	p.rest = p.rest[1:]
	var b []byte
	for p.rest != "" {
		c := p.rest[0]
		p.rest = p.rest[1:]
		switch {
		case c == '"':
			return Value{Kind: String, Text: string(b)}, nil
		case c == '\\':
			if c = p.peek(); c != '"' && c != '\\' {
				return Value{}, ErrSyntax
			}
			p.rest = p.rest[1:]
		case c < ' ' || c >= 0x7f:
			return Value{}, ErrSyntax
		}
		b = append(b, c)
	}
	return Value{}, ErrSyntax
}

// display reads a Display String from its quotation mark on (§4.2.10): a backslash is a character like
// others there, and what is no visible ASCII is escaped by percent signs and lower-case digits.
func (p *parser) display() (Value, error) {
	if !p.take('"') {
		return Value{}, ErrSyntax
	}
	var b []byte
	for p.rest != "" {
		c := p.rest[0]
		p.rest = p.rest[1:]
		switch {
		case c == '"':
			if !utf8.Valid(b) {
				return Value{}, ErrSyntax
			}
			return Value{Kind: DisplayString, Text: string(b)}, nil
		case c == '%':
			if len(p.rest) < 2 {
				return Value{}, ErrSyntax
			}
			high, low := lowerHex(p.rest[0]), lowerHex(p.rest[1])
			if high|low > 15 {
				return Value{}, ErrSyntax
			}
			c = high<<4 | low
			p.rest = p.rest[2:]
		case c < ' ' || c >= 0x7f:
			return Value{}, ErrSyntax
		}
		b = append(b, c)
	}
	return Value{}, ErrSyntax
}

// lowerHex is over 15 for what is no digit.
func lowerHex(c byte) byte {
	switch {
	case isDigit(c):
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 16
}

// bytes reads Bytes with their padding; bits that no byte holds must be zero, so that a value has one spelling.
func (p *parser) bytes() (Value, error) {
	p.rest = p.rest[1:]
	for n := range len(p.rest) {
		switch p.rest[n] {
		case '\r', '\n':
			return Value{}, ErrSyntax // encoding/base64 skips these
		case ':':
			b, err := base64.StdEncoding.Strict().DecodeString(p.cut(n))
			if err != nil {
				return Value{}, ErrSyntax
			}
			p.rest = p.rest[1:]
			return Value{Kind: Bytes, Text: string(b)}, nil
		}
	}
	return Value{}, ErrSyntax
}

// AppendDictionary writes a dictionary (§4.1.2).
func AppendDictionary(dst []byte, members []Member) ([]byte, error) {
	for i := range members {
		m := &members[i]
		if i > 0 {
			dst = append(dst, ", "...)
		}
		var err error
		if dst, err = appendKey(dst, m.Name); err != nil {
			return nil, err
		}
		if m.Item.Inner == nil && m.Item.Value == (Value{Kind: Boolean, Int: 1}) {
			dst, err = appendParameters(dst, m.Item.Parameters)
		} else {
			dst, err = AppendItem(append(dst, '='), &m.Item)
		}
		if err != nil {
			return nil, err
		}
	}
	return dst, nil
}

// AppendList writes a list (§4.1.1).
func AppendList(dst []byte, items []Item) ([]byte, error) {
	for i := range items {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		var err error
		if dst, err = AppendItem(dst, &items[i]); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

// AppendItem writes an item or an inner list with its parameters (§4.1.3, §4.1.1.1).
func AppendItem(dst []byte, item *Item) (_ []byte, err error) {
	if item.Inner == nil {
		dst, err = appendBare(dst, item.Value)
	} else {
		dst = append(dst, '(')
		for i := range item.Inner {
			if i > 0 {
				dst = append(dst, ' ')
			}
			if dst, err = AppendItem(dst, &item.Inner[i]); err != nil {
				return nil, err
			}
		}
		dst = append(dst, ')')
	}
	if err != nil {
		return nil, err
	}
	return appendParameters(dst, item.Parameters)
}

func appendParameters(dst []byte, list []Parameter) (_ []byte, err error) {
	for _, p := range list {
		if dst, err = appendKey(append(dst, ';'), p.Name); err != nil {
			return nil, err
		}
		if p.Value == (Value{Kind: Boolean, Int: 1}) {
			continue
		}
		if dst, err = appendBare(append(dst, '='), p.Value); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func appendKey(dst []byte, name string) ([]byte, error) {
	for i := range len(name) {
		if !keyByte(name[i], i == 0) {
			return nil, ErrValue
		}
	}
	if name == "" {
		return nil, ErrValue
	}
	return append(dst, name...), nil
}

const (
	maxInteger = 999_999_999_999_999
	maxDecimal = 999_999_999_999_999 // thousandths
)

func appendBare(dst []byte, v Value) ([]byte, error) {
	switch v.Kind {
	case Integer, Date:
		if v.Int > maxInteger || v.Int < -maxInteger {
			return nil, ErrValue
		}
		if v.Kind == Date {
			dst = append(dst, '@')
		}
		return strconv.AppendInt(dst, v.Int, 10), nil
	case Decimal:
		return appendDecimal(dst, v.Int)
	case String:
		dst = append(dst, '"')
		for i := range len(v.Text) {
			c := v.Text[i]
			if c < ' ' || c >= 0x7f {
				return nil, ErrValue
			}
			if c == '"' || c == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, c)
		}
		return append(dst, '"'), nil
	case Token:
		for i := range len(v.Text) {
			if !tokenByte(v.Text[i], i == 0) {
				return nil, ErrValue
			}
		}
		if v.Text == "" {
			return nil, ErrValue
		}
		return append(dst, v.Text...), nil
	case Bytes:
		dst = base64.StdEncoding.AppendEncode(append(dst, ':'), []byte(v.Text))
		return append(dst, ':'), nil
	case Boolean:
		return append(dst, '?', '0'+byte(v.Int&1)), nil
	case DisplayString:
		return appendDisplay(dst, v.Text)
	}
	return nil, ErrValue
}

func appendDisplay(dst []byte, text string) ([]byte, error) {
	if !utf8.ValidString(text) {
		return nil, ErrValue
	}
	const digits = "0123456789abcdef"
	dst = append(dst, '%', '"')
	for i := range len(text) {
		if c := text[i]; c == '%' || c == '"' || c < ' ' || c >= 0x7f {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return append(dst, '"'), nil
}

func appendDecimal(dst []byte, thousandths int64) ([]byte, error) {
	if thousandths > maxDecimal || thousandths < -maxDecimal {
		return nil, ErrValue
	}
	if thousandths < 0 {
		dst, thousandths = append(dst, '-'), -thousandths
	}
	dst = append(strconv.AppendInt(dst, thousandths/1000, 10), '.')
	fraction := thousandths % 1000
	dst = append(dst, '0'+byte(fraction/100))
	if fraction%100 != 0 {
		dst = append(dst, '0'+byte(fraction/10%10))
	}
	if fraction%10 != 0 {
		dst = append(dst, '0'+byte(fraction%10))
	}
	return dst, nil
}
