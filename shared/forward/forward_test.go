// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"testing"

	"github.com/tidwall/gjson"
)

func TestText(t *testing.T) {
	for _, c := range []struct {
		json, want string
		ok         bool
	}{
		{`"ann"`, "ann", true}, {`7`, "7", true}, {`1.50`, "1.50", true}, {`true`, "true", true}, {`["a",1,false]`,
			"a,1,false", true},
		{`"a\r\nx: y"`, "", false}, {`"a\tb"`, "", false}, {`"caf\u00e9"`, "", false}, {`"\u007f"`, "", false},
		{`["a","b,c"]`, "", false}, {`["a",{}]`, "", false},
		{`{}`, "", false}, {`[]`, "", false}, {`""`, "", false}, {`null`, "", false},
	} {
		if got, ok := Text(gjson.Parse(c.json)); ok != c.ok || ok && got != c.want {
			t.Errorf("P9 %s: %q, %v", c.json, got, ok)
		}
	}
}
