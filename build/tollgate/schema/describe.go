// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"maps"
	"regexp"
	"strings"

	pages "github.com/tollgate-wasm/tollgate/filters"
)

// descriptions are what a filter's page says of each key, by its path: "providers[].jwks.remote".
// What a page leaves to jwt-scope's is taken from there.
func descriptions(filter string) (map[string]string, error) {
	texts := maps.Clone(sections)
	for _, page := range []string{"jwt-scope", filter} {
		text, err := pages.READMEs.ReadFile(page + "/README.md")
		if err != nil {
			return nil, err
		}
		read(string(text), texts)
	}
	return texts, nil
}

// sections are the keys that the pages have no row for: what has others in it, and names.
var sections = map[string]string{
	"chain":        "Filters with their configurations, in the order in which a request meets them.",
	"providers":    "Issuers whose tokens are taken. Required.",
	"rules":        "In order: the first whose match fits decides. Required.",
	"rules[].name": "Used in metrics, logs and by tollgate explain. Required.",
	"rules[].mode": "shadow: decided and counted, and the request goes on. Default: that of the whole " +
		"configuration.",
	"rules[].require": "What a request needs besides.",
	"forward":         "What the service behind is told.",
	"errors":          "What clients are told who are refused.",
	"cache":           "Verified tokens that are remembered.",
	"role":            "sign, at the edge, or verify, in the mesh. Required.",
	"trust":           "Whose stamps are taken. Required for role: verify.",
	"trust[].name":    "Used in logs. Required.",
	"require":         "What every stamp must have.",
	"replay":          "How stamps are remembered that must not come twice.",
	"keys": "Keys: the first signs, and the public halves of all are published. Required for " +
		"role: sign.",
	"keys[].kid":              "What the key is called in stamps, and published as. Required.",
	"keys[].alg":              "What it signs with. Required.",
	"keys[].env":              "The variable of the VM's environment that has the key, in PEM or as a JWK.",
	"keys[].pem":              "The key in PEM. Envoy's config_dump shows it: env does not.",
	"keys[].jwk":              "The key as a JWK. Envoy's config_dump shows it: env does not.",
	"keys[].publicOnly":       "The public half alone, as a JWK: it is published, and signs nothing.",
	"rules[].bind":            "In place of bind, for the requests of this rule.",
	"bodyBytes":               "The longest body that is bound; more is 413 body_too_large. Default: 1048576.",
	"bodyTimeout":             "How long a bound body may take to come; longer is 408 body_timeout. Default: 30s.",
	"trust[].require":         "In place of require, for the stamps of this issuer.",
	"trust[].anyAudience":     "Takes every aud, in place of audiences.",
	"providers[].anyAudience": "Takes every aud, in place of audiences.",
	"limits":                  "Every one that fits applies, and the tightest answer wins. Required.",
	"global":                  "The rate-limit service, for limits of scope: global.",
	"table":                   "What has been spent, for all workers of the proxy.",
}

// text is what is said of a key, or of what it belongs to.
func (v *value) text(path string) string {
	for at := path; at != ""; {
		if text := v.texts[at]; text != "" {
			return text
		}
		i := strings.LastIndexAny(at, ".[")
		if i <= 0 {
			break
		}
		at = at[:i]
		// what is said of a whole section says too little
		if text := sections[at]; text != "" && text == v.texts[at] && !strings.Contains(at, "require") {
			break
		}
	}
	return ""
}

var (
	table  = regexp.MustCompile(`(?m)^\| key \| default \| meaning \|\n\|[-|]*\|\n((?:\|.*\n)*)`)
	quoted = regexp.MustCompile("`([^`]+)`")
	link   = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// read takes the rows of a page's tables of keys.
func read(page string, texts map[string]string) {
	var last string // the row's key above: …jwks.remote is below it
	for _, t := range table.FindAllStringSubmatch(page, -1) {
		for _, row := range strings.Split(strings.TrimSpace(t[1]), "\n") {
			cells := strings.Split(strings.ReplaceAll(strings.Trim(row, "|"), `\|`, "\x00"), "|")
			if len(cells) != 3 {
				continue
			}
			var previous string // key of the same cell: .authority is its neighbour
			for _, m := range quoted.FindAllStringSubmatch(cells[0], -1) {
				key := strings.TrimSuffix(m[1], "[]")
				switch {
				case strings.HasPrefix(key, "…"):
					rest := strings.TrimPrefix(key, "…")
					head, _, _ := strings.Cut(rest, ".")
					if i := strings.LastIndex(last, head); i >= 0 {
						key = last[:i] + rest
					}
				case strings.HasPrefix(key, "."):
					key = previous[:strings.LastIndexByte(previous, '.')+1] + key[1:]
				}
				if previous = key; !strings.HasPrefix(m[1], "…") {
					last = key
				}
				texts[key] = described(cells[1], cells[2])
			}
		}
	}
}

func described(byDefault, meaning string) string {
	plain := func(text string) string {
		return strings.TrimSpace(strings.ReplaceAll(strings.ReplaceAll(link.ReplaceAllString(text, "$1"), "**", ""),
			"\x00", "|"))
	}
	text := plain(meaning)
	if text != "" {
		text = strings.ToUpper(text[:1]) + text[1:] + "."
	}
	if value := plain(byDefault); value != "" {
		text = strings.TrimSpace(text + " Default: " + value + ".")
	}
	return strings.ReplaceAll(text, "Default: required.", "Required.")
}
