// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/jwt"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Profile txn-token: a stamp that is a Transaction Token, too, by
// draft-ietf-oauth-transaction-tokens-10. The edge is the service that issues them and the workload
// that asks for them.

// txnType is the typ of a Txn-Token (§ "JWT Header").
const txnType = "txntoken+jwt"

// context says where the claims of a Txn-Token come from: paths in the claims that an earlier
// filter has verified.
type context struct {
	sub, scope []string
	tctx, rctx []copied
}

// copied is a member of tctx or rctx.
type copied struct {
	name string
	path []string
}

// readContext reads copyClaims of profile txn-token.
func readContext(o *conf.Object) *context {
	c := &context{sub: []string{"sub"}, scope: []string{"scope"}}
	n, ok := o.At("copyClaims")
	if !ok {
		return c
	}
	o = n.Object()
	if n, ok := o.At("sub"); ok {
		c.sub = readPath(n)
	}
	if n, ok := o.At("scope"); ok {
		c.scope = readPath(n)
	}
	c.tctx = readCopied(o, "tctx")
	c.rctx = readCopied(o, "rctx")
	o.End()
	return c
}

func readCopied(o *conf.Object, name string) (list []copied) {
	n, ok := o.At(name)
	if !ok {
		return nil
	}
	members := n.Object()
	names := members.Names()
	if n.IsObject() && len(names) == 0 {
		n.Fault("is empty: name at least one claim, or leave the key out")
	}
	for _, name := range names {
		if n, ok := members.At(name); ok {
			list = append(list, copied{name, readPath(n)})
		}
	}
	return list
}

// readPath reads the names on the way to a claim.
func readPath(n conf.Node) (path []string) {
	for _, item := range n.List() {
		path = append(path, item.Text())
	}
	return path
}

// copyContext copies what a Txn-Token says of the transaction. What the draft has as REQUIRED must
// have been verified: a token without a subject, or whose scope nobody knows, would be taken for
// one that may do anything.
func (d *Decision) copyContext(claims gjson.Result) *verdict.Code {
	c := d.policy.signer.context
	sub, _ := jwt.Claim(claims, c.sub)
	scope, hasScope := jwt.Claim(claims, c.scope)
	scopes, isScope := scopeText(scope)
	txn, hasTxn := strictjson.Member(claims, "txn")
	hasTxn = hasTxn && txn.Type != gjson.Null
	switch {
	case sub.Str == "": // as of what is no text
		d.signing.lacks = "sub"
	case !hasScope || !isScope:
		d.signing.lacks = "scope"
	case hasTxn && (txn.Str == "" || len(txn.Str) > maxID):
		d.signing.lacks = "txn"
	}
	if d.signing.lacks != "" {
		return ClaimsMissing
	}
	b := append([]byte(`,"sub":`), sub.Raw...)
	b = gjson.AppendJSONString(append(b, `,"scope":`...), scopes)
	b = appendContext(b, "tctx", c.tctx, claims)
	b = appendContext(b, "rctx", c.rctx, claims)
	if d.signing.newTxn = !hasTxn; hasTxn {
		b = append(append(b, `,"txn":`...), txn.Raw...)
	}
	d.signing.copied = string(b)
	return d.bindBody()
}

// scopeText is a scope as RFC 8693 §4.2 has it: a text with spaces in it, which some issuers write as a list.
func scopeText(v gjson.Result) (text string, ok bool) {
	if !v.IsArray() {
		text = v.Str
		for strings.Contains(text, "  ") { // some issuers join what they have, empty parts and all
			text = strings.ReplaceAll(text, "  ", " ")
		}
		text = strings.Trim(text, " ")
		return text, scopeTokens(text) > 0
	}
	ok = true
	v.ForEach(func(_, item gjson.Result) bool {
		if text != "" {
			text += " "
		}
		text += item.Str
		ok = ok && scopeTokens(item.Str) == 1 // with a space in it, it would become two
		return ok
	})
	return text, ok && text != ""
}

// scopeTokens is how many scopes a text has by RFC 6749 §3.3; 0: it is none, as an empty one in it would
// be to some readers and not to others.
func scopeTokens(text string) (n int) {
	for more := true; more; n++ {
		var scope string
		scope, text, more = strings.Cut(text, " ")
		for i := range len(scope) {
			if c := scope[i]; c < '!' || c > '~' || c == '"' || c == '\\' {
				return 0
			}
		}
		if scope == "" {
			return 0
		}
	}
	return n
}

// appendContext appends tctx or rctx, unless it would be empty.
func appendContext(b []byte, name string, list []copied, claims gjson.Result) []byte {
	begin := `,"` + name + `":{`
	for _, c := range list {
		if v, ok := jwt.Claim(claims, c.path); ok {
			b = gjson.AppendJSONString(append(b, begin...), c.name)
			b = append(append(b, ':'), v.Raw...)
			begin = ","
		}
	}
	if begin == "," {
		b = append(b, '}')
	}
	return b
}

// Lacks names the claim for want of which there is no Txn-Token (ClaimsMissing), for the log.
func (d *Decision) Lacks() string {
	return "no earlier filter has verified a " + d.signing.lacks + " that a Txn-Token can have"
}

// txnNames are the claims that a Txn-Token must have as texts, and those that are objects.
var txnNames = []string{"txn", "sub", "scope", "req_wl", "tctx", "rctx"}

// checkTxn reports why claims are none of a Txn-Token, and which id they have: that of the token
// where it has one, else that of the transaction (§ "Unique Transaction Identifier").
func checkTxn(claims gjson.Result, jti *gjson.Result) (id string, refused *verdict.Code) {
	var said [6]gjson.Result
	strictjson.Pick(claims, txnNames, said[:])
	bad := func(v gjson.Result) bool { return v.Str == "" } // as that of what is no text is
	if slices.ContainsFunc(said[:4], bad) || scopeTokens(said[2].Str) == 0 || said[4].Raw != "" && !said[4].IsObject() ||
		said[5].Raw != "" && !said[5].IsObject() {
		return "", StampMalformed
	}
	if jti.Raw == "" {
		return said[0].Str, nil
	}
	return jti.Str, nil
}
