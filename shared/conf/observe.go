// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package conf

// Kind is what a reader wants a value to be.
type Kind int

// The kinds. What is wanted of a value is all that its path is told of: a List is a ListOrEmpty,
// too, and a name a Text.
const (
	Member      Kind = iota // an object may have a member
	Required                // an object must have a member
	Members                 // an object, of Member and Required and nothing else
	Names                   // an object whose members' names the user chooses
	List                    // with at least one item
	ListOrEmpty             // a list
	Text                    // a string that is not empty
	Bool
	Int
	Duration
	Enum
)

// Want is one thing that a reader asks for.
type Want struct {
	Path string // of the value, or of the object, with indices: "rules[2].name"
	Kind Kind

	Name      string   // of Member and Required
	Words     []string // of Enum
	Low, High int      // of Int
	Pattern   string   // of Text, a regular expression; empty: any
}
