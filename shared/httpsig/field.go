// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package httpsig

import "github.com/tollgate-wasm/tollgate/shared/sfv"

// Limits of a field. Reading compares each name with each, and each component may cost a reading of
// its field, so that a client could choose how long it takes.
const (
	maxBytes      = 8 << 10
	maxParts      = 128 // members and parameters together
	maxComponents = 32
)

// Limits of what a signature should have read of a message before anybody knows whether it is good:
// each @query-param reads the whole query, and each sf or key the whole field as a dictionary.
const (
	maxQueryParams = 4
	maxDictionary  = 8
)

// Input is a member of Signature-Input: what a signature covers and its parameters (§2.3), both in
// the order in which they are sent. One that a caller makes is checked where it is written.
type Input struct {
	Label      string
	Components []sfv.Item // Strings with parameters
	Parameters []sfv.Parameter
}

// Components are components without parameters, as "@method" or "content-digest".
func Components(names ...string) []sfv.Item {
	list := make([]sfv.Item, len(names))
	for i, name := range names {
		list[i].Value = sfv.Value{Kind: sfv.String, Text: name}
	}
	return list
}

// Integer is a signature parameter such as created, in seconds since the epoch.
func Integer(name string, n int64) sfv.Parameter {
	return sfv.Parameter{Name: name, Value: sfv.Value{Kind: sfv.Integer, Int: n}}
}

// String is a signature parameter such as keyid.
func String(name, text string) sfv.Parameter {
	return sfv.Parameter{Name: name, Value: sfv.Value{Kind: sfv.String, Text: text}}
}

// ParseInputs reads the value of Signature-Input (§4.1), several lines joined with commas, in the
// order of the members. An empty one has none. One member that is refused makes it refuse all: who
// sends such a field may count on its being read in two ways.
func ParseInputs(text string) ([]Input, error) {
	inputs, other, err := FindInputs(text)
	if err == nil {
		err = other
	}
	if err != nil {
		return nil, err
	}
	return inputs, nil
}

// FindInputs is ParseInputs for who looks for one among many: members that are refused, each by itself,
// are passed over. other says why the first of them is; nil: none. What makes the field another one to
// another reader is an error still.
func FindInputs(text string) (inputs []Input, other, err error) {
	members, err := dictionary(text)
	if err != nil {
		return nil, nil, err
	}
	inputs = make([]Input, 0, len(members))
	for _, m := range members {
		in := Input{m.Name, m.Item.Inner, m.Item.Parameters}
		refused := ErrSyntax
		if in.Components != nil {
			refused = in.check()
		}
		switch {
		case refused == nil:
			inputs = append(inputs, in)
		case other == nil:
			other = refused
		}
	}
	return inputs, other, nil
}

// Created returns the parameter created, in seconds since the epoch.
func (in *Input) Created() (seconds int64, ok bool) { return in.integer("created") }

// Expires returns the parameter expires, in seconds since the epoch.
func (in *Input) Expires() (seconds int64, ok bool) { return in.integer("expires") }

// Nonce returns the parameter nonce.
func (in *Input) Nonce() (string, bool) { return in.text("nonce") }

// KeyID returns the parameter keyid.
func (in *Input) KeyID() (string, bool) { return in.text("keyid") }

// Tag returns the parameter tag.
func (in *Input) Tag() (string, bool) { return in.text("tag") }

// Alg returns the parameter alg. It is for comparing with the algorithm of the key, never for choosing one.
func (in *Input) Alg() (string, bool) { return in.text("alg") }

func (in *Input) integer(name string) (int64, bool) {
	v, ok := in.parameter(name)
	return v.Int, ok && v.Kind == sfv.Integer
}

func (in *Input) text(name string) (string, bool) {
	v, ok := in.parameter(name)
	return v.Text, ok && v.Kind == sfv.String
}

func (in *Input) parameter(name string) (sfv.Value, bool) {
	for _, p := range in.Parameters {
		if p.Name == name {
			return p.Value, true
		}
	}
	return sfv.Value{}, false
}

// Covers reports whether a component of that name is covered as it is, without parameters: with
// them, it may be of another message or a part of the value only.
func (in *Input) Covers(name string) bool {
	for i := range in.Components {
		if c := &in.Components[i]; c.Value.Text == name && len(c.Parameters) == 0 {
			return true
		}
	}
	return false
}

// Costly reports whether the base has more query parameters than 4, or more components with sf or
// key than 8: who takes signatures of strangers should not compute it.
func (in *Input) Costly() bool {
	params, dictionaries := 0, 0
	for i := range in.Components {
		c := &in.Components[i]
		if c.Value.Text == "@query-param" {
			params++
		}
		for j := range c.Parameters {
			if name := c.Parameters[j].Name; name == "sf" || name == "key" {
				dictionaries++
				break
			}
		}
	}
	return params > maxQueryParams || dictionaries > maxDictionary
}

// AppendParams appends the value of @signature-params (§2.3), canonically.
func (in *Input) AppendParams(dst []byte) ([]byte, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	return in.appendParams(dst)
}

func (in *Input) appendParams(dst []byte) ([]byte, error) {
	list := in.item()
	dst, err := sfv.AppendItem(dst, &list)
	if err != nil {
		return nil, ErrParameter
	}
	return dst, nil
}

func (in *Input) item() sfv.Item {
	list := sfv.Item{Inner: in.Components, Parameters: in.Parameters}
	if list.Inner == nil {
		list.Inner = []sfv.Item{} // an empty list is none that is not there
	}
	return list
}

// AppendInput appends the member of Signature-Input (§4.1) that stands for in, and before it a
// comma where dst has members already.
func (in *Input) AppendInput(dst []byte) ([]byte, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	return appendMember(dst, in.Label, in.item())
}

// AppendSignature appends a member of Signature (§4.2), and before it a comma where dst has members already.
func AppendSignature(dst []byte, label string, signature []byte) ([]byte, error) {
	return appendMember(dst, label, sfv.Item{Value: sfv.Value{Kind: sfv.Bytes, Text: string(signature)}})
}

func appendMember(dst []byte, label string, item sfv.Item) ([]byte, error) {
	if len(dst) > 0 {
		dst = append(dst, ", "...)
	}
	dst, err := sfv.AppendDictionary(dst, []sfv.Member{{Name: label, Item: item}})
	if err != nil {
		return nil, ErrParameter
	}
	return dst, nil
}

// Signatures reads the value of Signature (§4.2), several lines joined with commas: by label. A
// signature with parameters is refused: nothing would have signed them.
func Signatures(text string) (map[string][]byte, error) {
	members, err := dictionary(text)
	if err != nil {
		return nil, err
	}
	signatures := make(map[string][]byte, len(members))
	for _, m := range members {
		if m.Item.Value.Kind != sfv.Bytes || m.Item.Parameters != nil {
			return nil, ErrSyntax
		}
		signatures[m.Name] = []byte(m.Item.Value.Text)
	}
	return signatures, nil
}

// check is what makes an Input one that reads in one way only (§2, §2.3).
func (in *Input) check() error {
	if len(in.Components) > maxComponents {
		return ErrTooLarge
	}
	for i := range in.Components {
		c := &in.Components[i]
		if c.Inner != nil || c.Value.Kind != sfv.String || !componentName(c.Value.Text) ||
			c.Value.Text == "@signature-params" {
			return ErrComponent
		}
		if repeated(c.Parameters) {
			return ErrRepeated
		}
		for j := range in.Components[:i] {
			if same(c, &in.Components[j]) {
				return ErrRepeated
			}
		}
	}
	if repeated(in.Parameters) {
		return ErrRepeated
	}
	for _, p := range in.Parameters {
		switch p.Name {
		case "created", "expires":
			if p.Value.Kind != sfv.Integer || p.Value.Int < 0 {
				return ErrParameter
			}
		case "nonce", "keyid", "tag", "alg":
			if p.Value.Kind != sfv.String {
				return ErrParameter
			}
		}
	}
	return nil
}

// componentName reports whether s is a field's name in lower case (RFC 9110 §5.1), or one with @ before it.
func componentName(s string) bool {
	if s != "" && s[0] == '@' {
		s = s[1:]
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case c == '-', c == '_', c == '.', c == '!', c == '#', c == '$', c == '%', c == '&', c == '\'', c == '*',
			c == '+', c == '^', c == '`', c == '|', c == '~':
		default:
			return false
		}
	}
	return s != ""
}

// repeated reports whether a parameter stands twice in a list that no text was read for.
func repeated(list []sfv.Parameter) bool {
	for i := range list {
		for j := range list[:i] {
			if list[i].Name == list[j].Name {
				return true
			}
		}
	}
	return false
}

// same compares identifiers as §2 does: the order of the parameters makes no difference. Neither has a parameter twice.
func same(a, b *sfv.Item) bool {
	if a.Value.Text != b.Value.Text || len(a.Parameters) != len(b.Parameters) {
		return false
	}
	for _, p := range a.Parameters {
		if v, ok := b.Parameter(p.Name); !ok || v != p.Value {
			return false
		}
	}
	return true
}

// dictionary reads a dictionary in which nothing stands twice: RFC 9651 §4.2 lets the last of
// several win without a word, and other readers take the first.
func dictionary(text string) ([]sfv.Member, error) {
	commas, semicolons := separators(text)
	if len(text) > maxBytes || commas+semicolons > maxParts {
		return nil, ErrTooLarge
	}
	members, err := sfv.ParseDictionary(text)
	if err != nil {
		return nil, ErrSyntax
	}
	if len(members) == 0 {
		return nil, nil
	}
	// Each separator begins a member or a parameter: where fewer have come out, one has replaced another.
	for i := range members {
		item := &members[i].Item
		semicolons -= len(item.Parameters)
		for j := range item.Inner {
			semicolons -= len(item.Inner[j].Parameters)
		}
	}
	if len(members) != commas+1 || semicolons != 0 {
		return nil, ErrRepeated
	}
	return members, nil
}

// separators counts the commas and semicolons of a dictionary that stand outside Strings: there
// they are nothing but separators (RFC 9651 §3), as no token and no base64 has them.
func separators(text string) (commas, semicolons int) {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = closing(text, i)
		case ',':
			commas++
		case ';':
			semicolons++
		}
	}
	return commas, semicolons
}

// closing returns where the String ends that begins with the quotation mark at i; behind the text where
// it does not end. In a Display String a backslash is a character like others (RFC 9651 §3.3.8).
func closing(text string, i int) int {
	escapes := i == 0 || text[i-1] != '%'
	for i++; i < len(text) && text[i] != '"'; i++ {
		if escapes && text[i] == '\\' {
			i++
		}
	}
	return i
}
