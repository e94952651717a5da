// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package match

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// Why a request has no canonical form. All of them are answered 400 path_ambiguous; the difference
// is for logs and for explain.
var (
	ErrNoSlash    = errors.New("the path does not start with a slash")
	ErrDotSegment = errors.New("the path has a . or .. segment")
	ErrEscape     = errors.New("the path has a percent sign that starts no escape")
	ErrSeparator  = errors.New("the path has an encoded slash, backslash or percent sign")
	ErrBackslash  = errors.New("the path has a backslash")
	ErrEmpty      = errors.New("the path has an empty segment")
	ErrFragment   = errors.New("the path has a #")
	ErrControl    = errors.New("the path has a control character")
	ErrUTF8       = errors.New("the path is not UTF-8")
	ErrParameters = errors.New("the path falls under another rule without its ;parameters, or cut at an encoded ? or #")
	ErrHost       = errors.New("the host is not a plain name or address with an optional port")
	ErrMethod     = errors.New("the method is not in upper case")
)

// ErrHeaders is why a request with a canonical form cannot be matched all the same. It is answered
// 400 header_ambiguous.
var ErrHeaders = errors.New("a header that a rule asks for is there twice, or in another spelling")

// Request is the canonical form of one request. The zero value is ready for Set; reusing one saves its allocations.
type Request struct {
	Method string
	Host   string // lower case, without port and trailing dot; empty when there is none
	Path   string // without query, escapes decoded; "*" for OPTIONS *
	Query  string // what follows the first ?, as sent; empty when there is none

	// Headers are the request's, names in lower case, for conditions on them. Whoever uses an Index
	// sets them beside Set: without them no header is there.
	Headers [][2]string

	segments []string // of Path, after its first slash; nil for "*"
	// what the upstream may make of segments: without ;parameters, cut at an encoded ? or #, and
	// both; empty when there is none of these
	others [][]string
	found  []int32 // for Index.All
	names  *names  // of an Index that asks for headers
	asked  []asked // these headers; empty: they have not been read yet
}

// Line is the request line as the proxy has it: the values of the pseudo-headers (RFC 9113 §8.3.1).
// Path is with the query.
type Line struct{ Method, Authority, Path, Scheme string }

// LineOf finds the request line among a request's headers, whose names are in lower case.
//
//go:noinline
func LineOf(headers [][2]string) (l Line) {
	for i := range headers {
		if name := headers[i][0]; len(name) > 4 && name[0] == ':' {
			switch name[1:] {
			case "method":
				l.Method = headers[i][1]
			case "authority":
				l.Authority = headers[i][1]
			case "path":
				l.Path = headers[i][1]
			case "scheme":
				l.Scheme = headers[i][1]
			}
		}
	}
	return l
}

// Set reads the request line's parts as the proxy has them (:method, :authority, :path) or returns
// why they are ambiguous; the request is then not to be matched. With literal, encoded separators
// and empty segments are ordinary characters (ambiguousPath: literal): %2f, %5c and %25 then stay
// encoded in Path, in upper case, so that they differ from the separators they would decode to.
//
// The parts may alias memory that is reused later: nothing of the Request outlives them.
func (r *Request) Set(method, authority, path string, literal bool) error {
	r.Method, r.Query, r.others = method, "", r.others[:0]
	if !upperCase(method) {
		return ErrMethod
	}
	if end := plainHost(authority); end >= 0 {
		r.Host = authority[:end]
	} else if err := r.setHost(authority); err != nil {
		return err
	}
	if r.setPlain(path) {
		return nil
	}
	return r.setPath(path, literal)
}

//go:noinline
func (r *Request) setHost(authority string) (err error) {
	r.Host, err = canonicalHost(authority)
	return err
}

// setPath reads any path.
//
//go:noinline
func (r *Request) setPath(path string, literal bool) error {
	r.Path, r.Query, r.segments = "", "", r.segments[:0]
	if strings.IndexByte(path, '#') >= 0 {
		return ErrFragment
	}
	if i := strings.IndexByte(path, '?'); i >= 0 {
		path, r.Query = path[:i], path[i+1:]
	}
	if path == "*" && r.Method == "OPTIONS" {
		r.Path = path
		return nil
	}
	if path == "" || path[0] != '/' {
		return ErrNoSlash
	}
	parameters, err := r.canonicalPath(path, literal)
	if err != nil {
		return err
	}
	r.segments = split(r.segments, r.Path)
	if err := r.checkSegments(r.segments, literal); err != nil {
		return err
	}
	if parameters {
		if err := r.addReading(withoutParameters(r.segments), literal); err != nil {
			return err
		}
	}
	// Here a ? or # can only have been encoded. Where a path is decoded and then parsed again (a
	// rewrite that proxies the decoded path, mod_rewrite in CVE-2024-38474), it ends the path:
	// /admin%3f/x is /admin there.
	if len(r.Path) == len(path) {
		return nil // nothing was decoded
	}
	if i := strings.IndexAny(r.Path, "?#"); i >= 0 {
		cut := split(nil, r.Path[:i])
		if err := r.addReading(cut, literal); err != nil {
			return err
		}
		if parameters {
			return r.addReading(withoutParameters(cut), literal)
		}
	}
	return nil
}

// setPlain reads the paths of nearly all requests, in one pass: those in which nothing is to be
// decoded, checked or refused. It reports false for any other, which setPath reads.
func (r *Request) setPlain(path string) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	n, start, end := 0, 1, len(path)
	segments := r.segments[:cap(r.segments)]
	for i := 1; i <= len(path); i++ {
		c := byte('?') // the end of the path is one, too
		if i < len(path) {
			c = path[i]
		}
		if c != '/' && c != '?' {
			if c <= ' ' || c >= 0x7f || c == '%' || c == ';' || c == '\\' || c == '#' {
				return false
			}
			continue
		}
		s := path[start:i]
		if len(s) == 0 && c == '/' || len(s) > 0 && s[0] == '.' && (len(s) == 1 || len(s) == 2 && s[1] == '.') {
			return false
		}
		if n == len(segments) {
			segments = more(segments)
		}
		segments[n] = s
		n++
		if c == '?' {
			end = i
			break
		}
		start = i + 1
	}
	r.Path, r.segments = path[:end], segments[:n]
	if end < len(path) {
		r.Query = path[end+1:]
		return strings.IndexByte(r.Query, '#') < 0
	}
	return true
}

//go:noinline
func more(segments []string) []string {
	return append(segments, make([]string, 8+len(segments))...)
}

// addReading notes what else the path may mean to the upstream.
func (r *Request) addReading(segments []string, literal bool) error {
	r.others = append(r.others, segments)
	return r.checkSegments(segments, literal)
}

func withoutParameters(segments []string) []string {
	bare := make([]string, len(segments))
	for i, s := range segments {
		bare[i], _, _ = strings.Cut(s, ";")
	}
	return bare
}

// canonicalPath decodes path into r.Path, once, and tells whether it has ;parameters. Decoding
// every escape, not only those of unreserved characters, leaves no second spelling of a path that a
// rule could miss (/users/%40me is /users/@me to every upstream); it loses nothing, since what
// would be taken for a separator afterwards is refused or stays encoded.
func (r *Request) canonicalPath(path string, literal bool) (parameters bool, err error) {
	plain := true
	for i := range len(path) {
		switch c := path[i]; {
		case c == '%' || c >= utf8.RuneSelf:
			plain = false
		case c == ';':
			parameters = true
		case c == '\\':
			return false, ErrBackslash
		case c < ' ' || c == 0x7f:
			return false, ErrControl
		}
	}
	if plain {
		r.Path = path
		return parameters, nil
	}
	decoded, err := decode(path, literal)
	if err != nil {
		return false, err
	}
	r.Path = decoded
	return strings.IndexByte(decoded, ';') >= 0, nil
}

// decode undoes percent-encoding once and checks what comes out.
func decode(path string, literal bool) (string, error) {
	b := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c != '%' {
			b = append(b, c)
			continue
		}
		if len(path)-i < 3 {
			return "", ErrEscape
		}
		high, low := unhex(path[i+1]), unhex(path[i+2])
		if high > 15 || low > 15 {
			return "", ErrEscape
		}
		i += 2
		switch c = high<<4 | low; c {
		case '/', '\\', '%':
			if !literal {
				return "", ErrSeparator
			}
			const upper = "0123456789ABCDEF"
			b = append(b, '%', upper[high], upper[low])
		default:
			b = append(b, c)
		}
	}
	decoded := string(b)
	if !utf8.ValidString(decoded) {
		return "", ErrUTF8
	}
	for _, c := range decoded {
		if c < ' ' || c >= 0x7f && c < 0xa0 {
			return "", ErrControl
		}
	}
	return decoded, nil
}

func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

// split appends the segments of an absolute path to dst.
func split(dst []string, path string) []string {
	rest := path[1:]
	for {
		i := strings.IndexByte(rest, '/')
		if i < 0 {
			return append(dst, rest)
		}
		dst, rest = append(dst, rest[:i]), rest[i+1:]
	}
}

func (r *Request) checkSegments(segments []string, literal bool) error {
	for i, s := range segments {
		switch s {
		case ".", "..":
			return ErrDotSegment
		case "":
			// The last one is the trailing slash.
			if i < len(segments)-1 && !literal {
				return ErrEmpty
			}
		}
	}
	return nil
}

// upperCase reports whether method is one that no upstream will change by converting its case.
func upperCase(method string) bool {
	for i := range len(method) {
		if c := method[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return method != ""
}

// canonicalHost lower-cases an authority and takes its port and trailing dot away. Userinfo, a
// second colon outside brackets and anything that no host name holds are refused: a proxy and an
// upstream may disagree on which part is the host.
func canonicalHost(authority string) (string, error) {
	host, lower := authority, true
	if i := strings.IndexByte(host, ']'); i >= 0 {
		if host[0] != '[' || !port(host[i+1:]) {
			return "", ErrHost
		}
		host = host[:i+1]
	} else if i := strings.IndexByte(host, ':'); i >= 0 {
		if !port(host[i:]) {
			return "", ErrHost
		}
		host = host[:i]
	}
	host = strings.TrimSuffix(host, ".")
	for i := range len(host) {
		switch c := host[i]; {
		case c >= 'A' && c <= 'Z':
			lower = false
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
		case c == '.':
			if i == 0 || host[i-1] == '.' {
				return "", ErrHost
			}
		case (c == '[' && i == 0) || c == ':' || (c == ']' && i == len(host)-1):
		default:
			return "", ErrHost
		}
	}
	if strings.HasSuffix(host, ".") || host == "" && authority != "" {
		return "", ErrHost
	}
	if !lower {
		host = strings.ToLower(host)
	}
	return host, nil
}

// Authority gives a valid authority the form in which proxies along the way agree on it: in lower
// case, without a port that is a default one or empty, and without a trailing dot. Which of the two
// defaults it is says the scheme, and that changes where TLS ends.
func Authority(authority string) string {
	host, port := authority, ""
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		if host, port = authority[:i], authority[i:]; port == ":" || port == ":80" || port == ":443" {
			port = ""
		}
	}
	if bare := strings.TrimSuffix(host, "."); len(bare)+len(port) < len(authority) {
		return strings.ToLower(bare + port)
	}
	return strings.ToLower(authority) // as nearly always: nothing is copied
}

// plainHost returns where the host ends in an authority with nothing about it to change or to refuse; -1 for any other.
func plainHost(authority string) (end int) {
	for i := range len(authority) {
		switch c := authority[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_', c == '.' && i > 0 && authority[i-1] != '.':
		case c == ':' && i > 0 && authority[i-1] != '.' && port(authority[i:]):
			return i
		default:
			return -1
		}
	}
	if n := len(authority); n > 0 && authority[n-1] == '.' {
		return -1
	}
	return len(authority)
}

// port accepts what may follow a host: nothing, or a colon and at most five digits.
func port(s string) bool {
	if s == "" {
		return true
	}
	if s[0] != ':' || len(s) > 6 {
		return false
	}
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
