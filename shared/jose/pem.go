// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"encoding/base64"
	"errors"
	"strings"
)

// What is wrong with a PEM. The errors carry none of it.
var (
	ErrPEM       = errors.New("not a PEM that holds a private key, each line on a line of its own")
	ErrPEMBlocks = errors.New("the PEM holds more than one private key and the parameters before it")
	ErrEncrypted = errors.New("the private key is encrypted: nobody could type its password here")
	ErrNotSecret = errors.New("a public key or a certificate, where a private key belongs")
)

const begin, end, dashes = "-----BEGIN ", "-----END ", "-----"

// privateBlock finds the one private key in a PEM (RFC 7468) and returns its label and DER. Text
// around the blocks is skipped, as are the parameters that openssl puts before an EC key.
// encoding/pem skips a block it cannot read, and would find the key behind it: this one takes a
// text as a whole or not at all.
func privateBlock(text string) (label string, content []byte, err error) {
	var kind string          // of the block being read
	var body, found []string // its lines; the private key's
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n") // RFC 7468 §3: blanks at the end of a line say nothing
		name, isBegin := cutMarker(line, begin)
		switch {
		case isBegin && kind == "" && name != "":
			kind, body = name, nil
		case kind == "" && !strings.Contains(line, begin) && !strings.Contains(line, end):
		case kind == "" || isBegin:
			return "", nil, ErrPEM
		case line == end+kind+dashes:
			switch kind {
			case "EC PARAMETERS":
			case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
				if label != "" {
					return "", nil, ErrPEMBlocks
				}
				label, found = kind, body
			case "ENCRYPTED PRIVATE KEY":
				return "", nil, ErrEncrypted
			case "PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE":
				return "", nil, ErrNotSecret
			default:
				return "", nil, ErrPEM
			}
			kind = ""
		case strings.HasPrefix(line, "Proc-Type:") && strings.HasSuffix(line, ",ENCRYPTED"): // RFC 1421 §4.6.1.1
			return "", nil, ErrEncrypted
		default:
			body = append(body, line)
		}
	}
	if kind != "" || label == "" {
		return "", nil, ErrPEM
	}
	// Lines that are not base64 fail here; so do the headers of RFC 1421.
	content, err = base64.StdEncoding.Strict().DecodeString(strings.Join(found, ""))
	if err != nil {
		return "", nil, ErrPEM
	}
	return label, content, nil
}

func cutMarker(line, marker string) (name string, ok bool) {
	name, ok = strings.CutPrefix(line, marker)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(name, dashes)
}
