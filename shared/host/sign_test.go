// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// Success is one exact form; a failure, and all that is neither, is no signature.
func TestReadSignResult(t *testing.T) {
	long := strings.Repeat("s", 300)
	for _, c := range []struct{ name, result, want string }{
		{"a signature", "\x08\x01\x12\x03abc", "abc"},
		{"a long one", "\x08\x01\x12\xac\x02" + long, long},
		{"nothing", "", ""},
		{"an error only", "\x1a\x03bad", ""},
		{"no signature", "\x08\x01", ""},
		{"an empty signature", "\x08\x01\x12\x00", ""},
		{"a signature without success", "\x12\x03abc", ""},
		{"success is false", "\x08\x00\x12\x03abc", ""},
		{"success is 2", "\x08\x02\x12\x03abc", ""},
		{"success in two bytes", "\x08\x81\x00\x12\x03abc", ""},
		{"an error behind", "\x08\x01\x12\x03abc\x1a\x03bad", ""},
		{"a byte behind", "\x08\x01\x12\x03abcd", ""},
		{"a byte short", "\x08\x01\x12\x03ab", ""},
		{"the other order", "\x12\x03abc\x08\x01", ""},
		{"a signature twice", "\x08\x01\x12\x03abc\x12\x03abc", ""},
		{"a length and its bytes alone", "\x03abc", ""},
		{"an endless length", "\x08\x01\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", ""},
		{"a length that is cut off", "\x08\x01\x12\x80", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := readSignResult([]byte(c.result))
			if string(got) != c.want || (err == nil) != (c.want != "") || err != nil && err != ErrSign {
				t.Fatalf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// The fields in their order, lengths of one, two and three bytes.
func TestArguments(t *testing.T) {
	var got []byte
	for i, text := range []string{"sha256", "", strings.Repeat("k", 128), strings.Repeat("t", 20000)} {
		got = appendField(got, byte(i+1), text)
	}
	want, _ := hex.DecodeString("0a06" + hex.EncodeToString([]byte("sha256")) + "1200" + "1a8001" +
		strings.Repeat("6b", 128) + "22a09c01" + strings.Repeat("74", 20000))
	if !bytes.Equal(got, want) {
		t.Fatalf("%x", got[:40])
	}
}
