// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwks

import (
	"errors"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

// Discovery finds the key set by the issuer's metadata (RFC 8414, OpenID Connect Discovery 1.0),
// which then stands where a Remote's Path says.
//
// Whoever can write the metadata chooses the keys. So it must name the issuer itself, and the keys
// must be where the metadata is, or at one of the authorities that the configuration names: no
// document sends the proxy anywhere else.
type Discovery struct {
	Issuer   string
	own      Place
	clusters []Place // discoverAuthorities
}

// Place is where something can be fetched from.
type Place struct {
	Cluster   string // of the proxy
	Authority string // :authority of the request
	Path      string // with its query
}

// defaultMetadata is the path of OpenID Connect Discovery 1.0 §4, for an issuer without a path of its own.
const defaultMetadata = "/.well-known/openid-configuration"

// Why metadata is not taken.
var (
	ErrMetadata = errors.New("the metadata cannot be read: want a JSON object with one issuer and one jwks_uri, both text")
	ErrKeysURL  = errors.New("the metadata's jwks_uri is not a URL that keys may be fetched from")
)

// ErrIssuer is what metadata of another issuer is refused with.
type ErrIssuer struct{ Got, Want string }

func (e ErrIssuer) Error() string {
	return "the metadata is that of issuer " + quoted(e.Got) + ", and the provider's is " + quoted(e.Want) +
		": they must be the same, byte for byte"
}

// ErrElsewhere is what metadata is refused with whose keys are at an authority that nobody has named.
type ErrElsewhere struct{ Authority string }

func (e ErrElsewhere) Error() string {
	return "the metadata's jwks_uri is at " + quoted(e.Authority) + ": name it in discoverAuthorities if keys may come from there"
}

// quoted is a text of somebody else's for the log: short, on one line.
func quoted(text string) string {
	const most = 200
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strconv.QuoteToASCII(text)
}

// KeysAt reads metadata and tells where the keys are.
func (d *Discovery) KeysAt(body string) (at Place, err error) {
	body = strings.TrimPrefix(body, mark)
	if body == "" || len(body) > MaxBody {
		return at, ErrBody
	}
	doc, err := strictjson.Parse(body, documentLimits)
	if err != nil || !doc.IsObject() {
		return at, ErrMetadata
	}
	issuer, ok := once(doc, "issuer")
	url, found := once(doc, "jwks_uri")
	switch {
	case !ok || !found:
		return at, ErrMetadata
	case issuer != d.Issuer:
		return at, ErrIssuer{issuer, d.Issuer}
	}
	return d.place(url)
}

// place is where a URL is fetched from.
func (d *Discovery) place(url string) (at Place, err error) {
	scheme, rest, ok := strings.Cut(url, "://")
	i := strings.IndexByte(rest, '/')
	if !ok || scheme != "https" && scheme != "http" || i <= 0 {
		return at, ErrKeysURL
	}
	for j := range len(url) {
		if c := url[j]; c <= ' ' || c >= 0x7f || c == '#' || c == '\\' || c == '@' && j < len(url)-len(rest)+i {
			return at, ErrKeysURL
		}
	}
	authority := match.Authority(rest[:i])
	for _, known := range append([]Place{d.own}, d.clusters...) {
		if match.Authority(known.Authority) == authority {
			return Place{known.Cluster, known.Authority, rest[i:]}, nil
		}
	}
	return at, ErrElsewhere{rest[:i]}
}

// isAuthority reports whether text is a host with an optional port, and no URL.
func isAuthority(text string) bool { return text != "" && !strings.ContainsAny(text, "/?#@\\ ") }

// Allowed spells where keys may be, besides at the metadata's own authority.
func (d *Discovery) Allowed() (text string) {
	for _, at := range d.clusters {
		text += at.Authority + "\x00" + at.Cluster + "\x00"
	}
	return text
}

// once is a member that is a text and stands there once.
func once(doc gjson.Result, name string) (text string, ok bool) {
	times := 0
	doc.ForEach(func(key, value gjson.Result) bool {
		if key.Str == name {
			times++
			text, ok = value.Str, value.Type == gjson.String && value.Str != ""
		}
		return true
	})
	return text, ok && times == 1
}

// readDiscovery reads discover and discoverAuthorities; nil: the path is that of the keys.
func readDiscovery(o *conf.Object, issuer string) *Discovery {
	discovers := o.Bool("discover", false)
	d := &Discovery{Issuer: issuer}
	n, ok := o.At("discoverAuthorities")
	switch {
	case ok && !discovers:
		n.Warn("has no effect without discover: true")
	case discovers && issuer == "":
		o.FaultAt("discover", "needs an issuer that is a plain text: the metadata must name the same one")
	}
	if ok {
		list := n.Object()
		for _, authority := range list.Names() {
			if cluster, ok := list.At(authority); ok {
				if !isAuthority(authority) {
					cluster.Fault("is not for an authority: want a host, and its port where it is not the scheme's")
				}
				d.clusters = append(d.clusters, Place{Cluster: cluster.Text(), Authority: authority})
			}
		}
		if len(d.clusters) == 0 && n.IsObject() {
			n.Fault("is empty: name at least one, or leave the key out")
		}
	}
	if !discovers {
		return nil
	}
	return d
}
