// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package conf reads a filter's configuration strictly: a JSON text is taken as a whole or refused
// as a whole, and when it is refused every fault is reported at once, each with its path
// ("rules[2].require.scopes.any[0]: …").
//
// What is only without effect, such as a key beside another under which nobody looks at it, is a
// warning: people turn one key in an outage, and must not be refused because of the other. Refused
// is what cannot be read, what contradicts itself, and what would make a check weaker than it
// looks.
//
// A reader asks an Object for the members it knows and then calls End, which reports the rest as
// unknown. Getters never fail: they note the fault and return a zero value, so that reading goes on
// and finds the next one. A zero value must therefore not be used before Err has returned nil.
// Faults name keys and say what was expected; they do not repeat values, which may be secrets put
// in the wrong place.
package conf

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

// limits are far beyond any configuration written by people and still keep a hostile one from
// exhausting the VM's memory.
var limits = strictjson.Limits{Depth: 32, Members: 1 << 21, Number: 32, RepeatedNames: true}

// Fault is one thing wrong with a configuration.
type Fault struct {
	Path    string // "rules[2].name"; empty for the document itself
	Problem string // a clause without a full stop
}

func (f Fault) String() string {
	if f.Path == "" {
		return f.Problem
	}
	return f.Path + ": " + f.Problem
}

// Faults is the error of a refused configuration: all of its faults, in the order of reading, a line each.
type Faults []Fault

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].String()
	}
	return strings.Join(lines, "\n")
}

// Under are the faults of a configuration that stands in another one, with their paths from the top
// of that. path is where, with a dot behind it; empty: it is the whole.
func (f Faults) Under(path string) Faults {
	all := make(Faults, len(f))
	for i := range f {
		all[i] = Fault{strings.TrimSuffix(path+f[i].Path, "."), f[i].Problem}
	}
	return all
}

// Repeated is the warning of a list's item that stands there before.
const Repeated = "is in the list already: once is enough"

// Reader collects the faults and the warnings of one configuration.
type Reader struct {
	faults   Faults
	warnings []Fault
	names    map[given]bool
	room     []value // for values to come: they are many, and made one by one they cost more than reading them
}

// given is a name that an object of a list has.
type given struct {
	list *value
	name string
}

// Read checks text and returns its root object. Where text is no JSON object the object is empty
// and the reader has the fault.
func Read(text string) (*Reader, *Object) {
	r := &Reader{names: map[given]bool{}}
	if strings.TrimSpace(text) == "" {
		r.Fault("", "the configuration is empty")
		return r, &Object{Node: Node{r: r, v: &value{}}}
	}
	if err := strictjson.Scan(text, limits); err != nil {
		r.Fault("", err.Err.Error()+" at "+position(text, err.Offset))
		return r, &Object{Node: Node{r: r, v: &value{}}}
	}
	return r, Node{r, r.value(value{Result: gjson.Parse(text)})}.Object()
}

// position tells an offset the way editors do.
func position(text string, offset int) string {
	before := text[:min(offset, len(text))]
	return "line " + strconv.Itoa(1+strings.Count(before, "\n")) + ", column " +
		strconv.Itoa(len(before)-strings.LastIndexByte(before, '\n'))
}

// Fault notes one.
//
//go:noinline
func (r *Reader) Fault(path, problem string) { r.faults = append(r.faults, Fault{path, problem}) }

// Warn notes what is without effect, or probably not meant, and harmless: the configuration is taken all the same.
//
//go:noinline
func (r *Reader) Warn(path, problem string) { r.warnings = append(r.warnings, Fault{path, problem}) }

// Warnings are those noted so far, in the order of reading.
func (r *Reader) Warnings() []Fault { return r.warnings }

// Err returns the Faults noted so far, or nil.
func (r *Reader) Err() error {
	if len(r.faults) == 0 {
		return nil
	}
	return r.faults
}

// value is one of the configuration, and where it stands.
type value struct {
	gjson.Result
	in    *value // the object or list; nil: it is the root
	name  string // of a member
	index int    // of an item
}

// value finds room for one.
//
//go:noinline
func (r *Reader) value(v value) *value {
	if len(r.room) == 0 {
		r.room = make([]value, 64)
	}
	next := &r.room[0]
	r.room = r.room[1:]
	*next = v
	return next
}

// Node is one value of the configuration. It is passed by value, so it is small.
type Node struct {
	r *Reader
	v *value
}

// Path of the value, as in a Fault. It is put together when it is asked for: of most values it is not.
func (n Node) Path() string { return n.v.path() }

//go:noinline
func (v *value) path() string {
	switch {
	case v == nil || v.in == nil:
		return ""
	case v.in.IsArray():
		return v.in.path() + "[" + strconv.Itoa(v.index) + "]"
	}
	return join(v.in.path(), v.name)
}

// Raw is the value's JSON text.
func (n Node) Raw() string { return n.v.Raw }

// Value is the JSON value itself, for lists of mixed scalars.
func (n Node) Value() gjson.Result { return n.v.Result }

// IsObject reports whether the value is an object, without a fault where it is not.
//
//go:noinline
func (n Node) IsObject() bool { return n.v.IsObject() }

// IsString reports whether the value is a string, without a fault where it is not.
func (n Node) IsString() bool { return n.v.Type == gjson.String }

// Fault notes one at this value.
//
//go:noinline
func (n Node) Fault(problem string) { n.r.Fault(n.Path(), problem) }

// Warn notes a warning at this value.
//
//go:noinline
func (n Node) Warn(problem string) { n.r.Warn(n.Path(), problem) }

//go:noinline
func (n Node) want(what string) { n.Fault("want " + what + ", got " + kind(&n.v.Result)) }

func kind(v *gjson.Result) string {
	switch {
	case v.IsObject():
		return "an object"
	case v.IsArray():
		return "a list"
	case v.IsBool():
		return "true or false"
	case v.Type == gjson.Number:
		return "a number"
	case v.Type == gjson.String:
		return "a string"
	}
	return "null"
}

// Text returns a string that is not empty.
//
//go:noinline
func (n Node) Text() string {
	observe(n, Want{Kind: Text})
	switch {
	case n.v.Type != gjson.String:
		n.want("a string")
	case n.v.Str == "":
		n.Fault("must not be empty")
	}
	return n.v.Str
}

// Variable reads the name of a variable of the VM's environment, and returns its value.
//
//go:noinline
func (n Node) Variable(env func(name string) (value string, ok bool)) (value string, ok bool) {
	name := n.Text()
	if name == "" {
		return "", false
	}
	if env != nil {
		value, ok = env(name)
	}
	switch {
	case !ok:
		n.Fault("the VM's environment has no variable " + strconv.Quote(name))
	case value == "":
		n.Fault("the variable " + strconv.Quote(name) + " of the VM's environment is empty")
	}
	return value, ok && value != ""
}

// Bool returns true or false.
//
//go:noinline
func (n Node) Bool() bool {
	observe(n, Want{Kind: Bool})
	if !n.v.IsBool() {
		n.want("true or false")
	}
	return n.v.Type == gjson.True
}

// Int returns a whole number within [low, high]. 10.0 is whole: Istio hands every number over as a float64.
//
//go:noinline
func (n Node) Int(low, high int) int {
	observe(n, Want{Kind: Int, Low: low, High: high})
	f := n.v.Num
	switch {
	case n.v.Type != gjson.Number:
		n.want("a whole number")
	case f != math.Trunc(f):
		n.Fault("want a whole number")
	case f < float64(low) || f > float64(high):
		n.Fault("must be from " + strconv.Itoa(low) + " to " + strconv.Itoa(high))
	default:
		return int(f)
	}
	return low
}

// Duration returns a duration written as a string ("30s", "5m", "250ms"), within [low, high].
//
//go:noinline
func (n Node) Duration(low, high time.Duration) time.Duration {
	observe(n, Want{Kind: Duration})
	if n.v.Type != gjson.String {
		n.want(`a duration such as "30s", "5m" or "250ms"`)
		return low
	}
	d, err := time.ParseDuration(n.v.Str)
	switch {
	case err != nil:
		n.Fault(`want a duration such as "30s", "5m" or "250ms"`)
	case d < low || d > high:
		n.Fault("must be from " + Spell(low) + " to " + Spell(high))
	default:
		return d
	}
	return low
}

// periods are what Period takes.
const periods = `^([0-9]+d|([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+)$`

// maxDays keeps days in a time.Duration.
const maxDays = 100_000

// Period is Duration, which may also be written as whole days ("30d"), each of 24 hours. fits is for
// whoever wants more than bounds; its fault is what it returns, empty: there is none.
//
//go:noinline
func (n Node) Period(fits func(time.Duration) (problem string)) time.Duration {
	observe(n, Want{Kind: Text, Pattern: periods})
	const want = `a duration such as "30s", "5m" or "7d"`
	if n.v.Type != gjson.String {
		n.want(want)
		return 0
	}
	d, err := time.ParseDuration(n.v.Str)
	if digits, ok := strings.CutSuffix(n.v.Str, "d"); ok {
		var days int
		if days, err = strconv.Atoi(digits); days > maxDays || digits != "" && (digits[0] < '0' || digits[0] > '9') {
			err = strconv.ErrRange
		}
		d = time.Duration(days) * 24 * time.Hour
	}
	if err != nil {
		n.Fault("want " + want)
		return 0
	}
	if problem := fits(d); problem != "" {
		n.Fault(problem)
		return 0
	}
	return d
}

// SpellPeriod is Spell with whole days as such: 7d, not 168h.
func SpellPeriod(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	return Spell(d)
}

// Spell writes a duration as a configuration does: 5m, not 5m0s.
func Spell(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// Enum returns one of the words.
//
//go:noinline
func (n Node) Enum(words ...string) string {
	observe(n, Want{Kind: Enum, Words: words})
	if n.v.Type != gjson.String {
		n.want(either(words))
		return words[0]
	}
	for _, w := range words {
		if n.v.Str == w {
			return w
		}
	}
	meant := ""
	if len(words) > 1 { // of one, the reader knows already
		meant = suggestion(n.v.Str, words)
	}
	n.Fault("want " + either(words) + meant)
	return words[0]
}

func either(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// List returns the items of a list that has at least one: an empty list would leave open whether it
// means nothing or everything.
//
//go:noinline
func (n Node) List() []Node {
	observe(n, Want{Kind: List})
	items := n.ListOrEmpty()
	if n.v.IsArray() && len(items) == 0 {
		n.Fault("the list is empty: name at least one, or leave the key out")
	}
	return items
}

// ListOrEmpty returns the items of a list.
//
//go:noinline
func (n Node) ListOrEmpty() []Node {
	observe(n, Want{Kind: ListOrEmpty})
	if !n.v.IsArray() {
		n.want("a list")
		return nil
	}
	var items []Node
	n.v.ForEach(func(_, v gjson.Result) bool {
		items = append(items, Node{n.r, n.r.value(value{Result: v, in: n.v, index: len(items)})})
		return true
	})
	return items
}

// Texts returns a list of strings, none of them empty. One that stands there twice is harmless, and returned once.
//
//go:noinline
func (n Node) Texts() []string {
	var texts []string
	for _, item := range n.List() {
		text := item.Text()
		if text != "" && slices.Contains(texts, text) {
			item.Warn(Repeated)
			continue
		}
		texts = append(texts, text)
	}
	return texts
}

// Object reads the members of an object. A member that stands twice is a fault.
//
//go:noinline
func (n Node) Object() *Object {
	o := &Object{Node: n, members: make([]member, 0, 8), known: make([]string, 0, 8)}
	observe(n, Want{Kind: Members})
	if !n.v.IsObject() {
		n.want("an object")
		return o
	}
	n.v.ForEach(func(k, v gjson.Result) bool {
		m := member{name: k.Str, node: Node{n.r, n.r.value(value{Result: v, in: n.v, name: k.Str})}}
		for i := range o.members {
			if o.members[i].name == m.name {
				m.node.Fault("stands here twice")
				return true
			}
		}
		o.members = append(o.members, m)
		return true
	})
	return o
}

//go:noinline
func join(path, name string) string {
	for i := range len(name) {
		if c := name[i]; c != '_' && c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return path + "[" + strconv.Quote(name) + "]"
		}
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// Name reads the member called name of an object in a list: one that is safe in the names of
// metrics, and that no other object of the list has.
//
//go:noinline
func (o *Object) Name() string {
	n, ok := o.Need("name")
	if !ok {
		return ""
	}
	observe(n, Want{Kind: Text, Pattern: "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"})
	name := n.Text()
	unique := given{o.v.in, name}
	switch {
	case name == "":
	case !isName(name):
		n.Fault("want 1 to 63 lower-case letters, digits and hyphens, beginning and ending with a letter or digit")
	case o.r.names[unique]:
		n.Fault("is in use already")
	}
	o.r.names[unique] = true
	return name
}

func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && (c != '-' || i == 0 || i == len(s)-1) {
			return false
		}
	}
	return len(s) <= 63
}

// Object is a JSON object of which each member is asked for by name.
type Object struct {
	Node
	members []member
	known   []string
}

type member struct {
	name string
	node Node
	seen bool
}

// At returns the member called name, if the object has it.
//
//go:noinline
func (o *Object) At(name string) (Node, bool) {
	observe(o.Node, Want{Kind: Member, Name: name})
	o.known = append(o.known, name)
	for i := range o.members {
		if o.members[i].name == name {
			o.members[i].seen = true
			return o.members[i].node, true
		}
	}
	return Node{}, false
}

// Need returns the member called name; a missing one is a fault.
//
//go:noinline
func (o *Object) Need(name string) (Node, bool) {
	observe(o.Node, Want{Kind: Required, Name: name})
	n, ok := o.At(name)
	if !ok && o.v.IsObject() {
		o.r.Fault(join(o.Path(), name), "is required")
	}
	return n, ok
}

// Has reports whether the object has a member called name, without counting it as asked for.
func (o *Object) Has(name string) bool {
	for i := range o.members {
		if o.members[i].name == name {
			return true
		}
	}
	return false
}

// FaultAt notes a fault at the member called name, whether it is there or not.
//
//go:noinline
func (o *Object) FaultAt(name, problem string) { o.r.Fault(join(o.Path(), name), problem) }

// WarnAt notes a warning at the member called name, whether it is there or not.
//
//go:noinline
func (o *Object) WarnAt(name, problem string) { o.r.Warn(join(o.Path(), name), problem) }

// Names returns the members' names in the order of the text, counting them all as asked for: for
// objects whose names the user chooses.
//
//go:noinline
func (o *Object) Names() []string {
	observe(o.Node, Want{Kind: Names})
	names := make([]string, len(o.members))
	for i := range o.members {
		o.members[i].seen = true
		names[i] = o.members[i].name
	}
	return names
}

// Bool returns the member called name, or def where it is absent.
//
//go:noinline
func (o *Object) Bool(name string, def bool) bool {
	if n, ok := o.At(name); ok {
		return n.Bool()
	}
	return def
}

// Int is Node.Int of a member, or def where it is absent.
//
//go:noinline
func (o *Object) Int(name string, def, low, high int) int {
	if n, ok := o.At(name); ok {
		return n.Int(low, high)
	}
	return def
}

// Duration is Node.Duration of a member, or def where it is absent.
//
//go:noinline
func (o *Object) Duration(name string, def, low, high time.Duration) time.Duration {
	if n, ok := o.At(name); ok {
		return n.Duration(low, high)
	}
	return def
}

// Enum is Node.Enum of a member, or the first word where it is absent.
//
//go:noinline
func (o *Object) Enum(name string, words ...string) string {
	if n, ok := o.At(name); ok {
		return n.Enum(words...)
	}
	return words[0]
}

// Texts is Node.Texts of a member, or nil where it is absent.
//
//go:noinline
func (o *Object) Texts(name string) []string {
	if n, ok := o.At(name); ok {
		return n.Texts()
	}
	return nil
}

// End reports every member that nobody asked for, with the known name that it most resembles.
//
//go:noinline
func (o *Object) End() {
	for i := range o.members {
		if m := &o.members[i]; !m.seen {
			m.node.Fault("unknown key" + suggestion(m.name, o.known))
		}
	}
}

// suggestion says which of the words was probably meant, or nothing.
//
//go:noinline
func suggestion(word string, words []string) string {
	best, most := "", 1+len(word)/4
	for _, w := range words {
		if d := distance(strings.ToLower(word), strings.ToLower(w)); d <= most && len(word) <= 64 {
			best, most = w, d-1
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is Levenshtein's, in bytes.
//
//go:noinline
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
