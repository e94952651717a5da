// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"slices"
	"strings"
	"testing"
)

const (
	istioSample  = "```yaml\nkind: RequestAuthentication\n---\nkind: AuthorizationPolicy\n```\n"
	scopeSample  = "```yaml\npluginConfig:\n  providers: [1]\n  rules: [2]\n```\n"
	tableHead    = "| request | Istio | jwt-scope | why |\n|---|---|---|---|\n"
	firstSection = "# Notes\n\n## 1. First\n\n" + istioSample + scopeSample
)

func TestRead(t *testing.T) {
	notes, err := Read(firstSection + tableHead +
		"| a; b (Envoy 1.2.3, 1.2.4) | `200, no x` | 400 or 401 | because |\n\n" +
		"## 2. Second\n\n```yaml\nkind: AuthorizationPolicy\nspec: {}\n```\n```yaml\npluginConfig: {rules: [3]}\n```\n" +
		"## All\n\n" + tableHead + "| c | 403 | 401 | because |\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(notes.Cases) != 2 || len(notes.Differences) != 1 || notes.Differences[0].Requests[0] != "c" {
		t.Fatalf("%+v", notes)
	}
	d := notes.Cases[0].Differences[0]
	if !slices.Equal(d.Requests, []string{"a", "b"}) || !slices.Equal(d.Versions, []string{"1.2.3", "1.2.4"}) ||
		!slices.Equal(d.Istio, []string{"200, no x"}) || !slices.Equal(d.Scope, []string{"400", "401"}) {
		t.Errorf("%+v", d)
	}
	second := notes.Cases[1]
	if second.Name != "Second" || second.Config != `{"providers":[1],"rules":[3]}` || len(second.Istio) != 2 ||
		!strings.Contains(string(second.Istio[0].JSON), "spec") || second.Istio[1].Kind != "RequestAuthentication" {
		t.Errorf("what the second section leaves out is not the first's: %+v", second)
	}
}

func TestReadRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"a sample of one side only": firstSection + "## Second\n\n" + istioSample,
		"a sample that is neither":  firstSection + "## Second\n\n```yaml\na: b\n```\n",
		"two configurations":        firstSection + scopeSample,
		"YAML with a name twice":    firstSection + "## Second\n\n```yaml\nkind: A\nkind: B\n```\n",
		"a row with a cell too few": firstSection + tableHead + "| a | 200 | 401 |\n",
		"a row without a reason":    firstSection + tableHead + "| a | 200 | 401 | |\n",
		"a request explained twice": firstSection + tableHead + "| a | 200 | 401 | b |\n| c; a | 200 | 400 | b |\n",
		"a version explained twice": firstSection + tableHead +
			"| a (Envoy 1) | 200 | 401 | b |\n| a (Envoy 1) | 200 | 400 | b |\n",
		"what is no YAML at all":      firstSection + "## Second\n\n```yaml\n{\n```\n",
		"pluginConfig that is a list": firstSection + "## Second\n\n```yaml\npluginConfig: []\n```\n",
	} {
		if notes, err := Read(text); err == nil {
			t.Errorf("%s is read: %+v", name, notes)
		}
	}
}

// A difference is explained by a row that has it in full, and a row that explains nothing is found out.
func TestExplanations(t *testing.T) {
	rows := []Difference{
		{Requests: []string{"a", "b"}, Istio: []string{"200", "403"}, Scope: []string{"400"}},
		{Requests: []string{"c"}, Versions: []string{"1.40.0"}, Istio: []string{"200"}, Scope: []string{"401"}},
	}
	e := newExplanations(rows, "1.40.0")
	for _, c := range []struct {
		request, istio, scope string
		want                  bool
	}{
		{"a", "200", "400", true},
		{"a", "200", "401", false},
		{"a", "401", "400", false},
		{"a; b", "200", "400", false},
		{"d", "200", "400", false},
	} {
		if got := e.explain(c.request, c.istio, c.scope); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if list := e.unused(); len(list) != 5 { // b, 403, and all of c's
		t.Errorf("%q", list)
	}
	if e.explain("b", "403", "400"); len(e.unused()) != 3 {
		t.Errorf("%q", e.unused())
	}
	if e := newExplanations(rows, "1.36.4"); e.explain("c", "200", "401") {
		t.Error("a row explains a difference in a version that it is not about")
	}
}

// What a sample says and the translation does not know is refused, not passed over.
func TestUnknownFields(t *testing.T) {
	const authn = `{"kind":"RequestAuthentication","spec":{"jwtRules":[{"issuer":"i","jwksUri":"https://idp.example.com/realms/shop/certs"}]}}`
	for name, r := range map[string]Resource{
		"a kind": {"PeerAuthentication", []byte(`{}`)},
		"a field of a source": {"AuthorizationPolicy",
			[]byte(`{"spec":{"rules":[{"from":[{"source":{"principals":["x"]}}]}]}}`)},
		"a field of an operation": {"AuthorizationPolicy",
			[]byte(`{"spec":{"rules":[{"to":[{"operation":{"ports":["80"]}}]}]}}`)},
		"a condition": {"AuthorizationPolicy",
			[]byte(`{"spec":{"rules":[{"when":[{"key":"source.ip","values":["::1"]}]}]}}`)},
		"a request principal": {"AuthorizationPolicy",
			[]byte(`{"spec":{"rules":[{"from":[{"source":{"requestPrincipals":["x*"]}}]}]}}`)},
		"an action":              {"AuthorizationPolicy", []byte(`{"spec":{"action":"CUSTOM","rules":[{}]}}`)},
		"a policy without rules": {"AuthorizationPolicy", []byte(`{"spec":{}}`)},
		"a field of a JWT rule":  {"RequestAuthentication", []byte(`{"spec":{"jwtRules":[{"timeout":"5s"}]}}`)},
		"keys that nobody has": {"RequestAuthentication",
			[]byte(`{"spec":{"jwtRules":[{"issuer":"i","jwksUri":"https://evil.example/"}]}}`)},
		"a template with a segment": {"AuthorizationPolicy",
			[]byte(`{"spec":{"rules":[{"to":[{"operation":{"paths":["/{a}"]}}]}]}}`)},
	} {
		if _, err := filters([]Resource{{"RequestAuthentication", []byte(authn)}, r}, published()); err == nil {
			t.Errorf("%s is translated", name)
		}
	}
	if _, err := filters([]Resource{{"RequestAuthentication", []byte(authn)}}, published()); err != nil {
		t.Error(err)
	}
}
