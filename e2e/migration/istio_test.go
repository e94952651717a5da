// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
)

// The filters that istiod makes of the notes' resources, written anew from what istio/istio does at
// commit 86c9f01fd735 (August 2026). A field that no sample uses is unknown here and refused, so
// that no sample can say something that is not tried. Names of files are those of istio/istio.

// filters are the HTTP filters of a workload with these resources, in istiod's order: jwt_authn,
// the RBAC filter of all DENY policies, that of all ALLOW policies
// (pilot/pkg/networking/core/listener_builder.go, pilot/pkg/security/authz/builder/builder.go:
// build). keySets are JWK Sets by the URL where they are published.
func filters(resources []Resource, keySets map[string]string) ([]bootstrap.M, error) {
	var rules []jwtRule
	policies := map[string]bootstrap.M{}
	for _, r := range resources {
		switch r.Kind {
		case "RequestAuthentication":
			var a struct {
				resource
				Spec struct {
					Selector any       `json:"selector"`
					JWTRules []jwtRule `json:"jwtRules"`
				} `json:"spec"`
			}
			if err := strict(r.JSON, &a); err != nil {
				return nil, err
			}
			rules = append(rules, a.Spec.JWTRules...)
		case "AuthorizationPolicy":
			var p authorizationPolicy
			if err := strict(r.JSON, &p); err != nil {
				return nil, err
			}
			if err := p.add(policies); err != nil {
				return nil, fmt.Errorf("%s: %w", p.Metadata.Name, err)
			}
		default:
			return nil, fmt.Errorf("no translation for kind %s", r.Kind)
		}
	}
	authn, err := jwtAuthn(rules, keySets)
	if err != nil {
		return nil, err
	}
	list := []bootstrap.M{authn}
	for _, action := range []string{"DENY", "ALLOW"} {
		if policies[action] != nil {
			list = append(list, bootstrap.Filter("envoy.filters.http.rbac", "extensions.filters.http.rbac.v3.RBAC",
				bootstrap.M{"rules": bootstrap.M{"action": action, "policies": policies[action]}}))
		}
	}
	return list, nil
}

func strict(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

type resource struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
}

type jwtRule struct {
	Issuer      string   `json:"issuer"`
	Audiences   []string `json:"audiences"`
	JWKSURI     string   `json:"jwksUri"`
	FromHeaders []struct {
		Name   string `json:"name"`
		Prefix string `json:"prefix"`
	} `json:"fromHeaders"`
	FromParams            []string `json:"fromParams"`
	FromCookies           []string `json:"fromCookies"`
	OutputPayloadToHeader string   `json:"outputPayloadToHeader"`
	OutputClaimToHeaders  []struct {
		Header string `json:"header"`
		Claim  string `json:"claim"`
	} `json:"outputClaimToHeaders"`
	ForwardOriginalToken bool `json:"forwardOriginalToken"`
}

const (
	jwtFilter  = "envoy.filters.http.jwt_authn"
	jwtPayload = "payload" // pilot/pkg/xds/filters/filters.go: EnvoyJwtFilterPayload
)

// jwtAuthn is pilot/pkg/security/authn/policy_applier.go: convertToEnvoyJwtConfig. A token that is
// there must be valid, and none need be there. The key set is inline, as istiod writes it after it
// has fetched it itself, which is the default (PILOT_JWT_ENABLE_REMOTE_JWKS unset).
func jwtAuthn(rules []jwtRule, keySets map[string]string) (bootstrap.M, error) {
	slices.SortStableFunc(rules, func(a, b jwtRule) int { return strings.Compare(a.Issuer, b.Issuer) })
	providers := bootstrap.M{}
	var each, any []bootstrap.M
	for i, r := range rules {
		if r.JWKSURI == "" { // pilot/pkg/model/jwks_resolver.go: resolveJwksURIUsingOpenID
			issuer, err := url.Parse(r.Issuer)
			if err != nil {
				return nil, err
			}
			r.JWKSURI = gjson.Get(keySets[issuer.Host+issuer.Path+"/.well-known/openid-configuration"], "jwks_uri").Str
		}
		u, err := url.Parse(r.JWKSURI)
		if err != nil || keySets[u.Host+u.Path] == "" {
			return nil, fmt.Errorf("no keys are published at %q", r.JWKSURI)
		}
		p := bootstrap.M{
			"issuer": r.Issuer, "audiences": r.Audiences, "forward": r.ForwardOriginalToken,
			"forward_payload_header":        r.OutputPayloadToHeader,
			"payload_in_metadata":           jwtPayload,
			"normalize_payload_in_metadata": bootstrap.M{"space_delimited_claims": []string{"permission", "scope"}},
			"from_params":                   r.FromParams, "from_cookies": r.FromCookies,
			"local_jwks": bootstrap.M{"inline_string": keySets[u.Host+u.Path]},
		}
		var headers, claims []bootstrap.M
		for _, h := range r.FromHeaders {
			headers = append(headers, bootstrap.M{"name": h.Name, "value_prefix": h.Prefix})
		}
		for _, c := range r.OutputClaimToHeaders {
			claims = append(claims, bootstrap.M{"header_name": c.Header, "claim_name": c.Claim})
		}
		p["from_headers"], p["claim_to_headers"] = headers, claims
		name := fmt.Sprintf("origins-%d", i)
		providers[name] = p
		one := bootstrap.M{"provider_name": name}
		each = append(each, requiresAny(one, bootstrap.M{"allow_missing": bootstrap.M{}}))
		any = append(any, one)
	}
	requires := each[0]
	if len(rules) > 1 {
		requires = requiresAny(append(any, bootstrap.M{"requires_all": bootstrap.M{"requirements": each}})...)
	}
	return bootstrap.Filter(jwtFilter, "extensions.filters.http.jwt_authn.v3.JwtAuthentication", bootstrap.M{
		"providers": providers, "bypass_cors_preflight": true,
		"rules": []bootstrap.M{{"match": bootstrap.M{"prefix": "/"}, "requires": requires}},
	}), nil
}

func requiresAny(requirements ...bootstrap.M) bootstrap.M {
	return bootstrap.M{"requires_any": bootstrap.M{"requirements": requirements}}
}

type authorizationPolicy struct {
	resource
	Spec struct {
		Selector any    `json:"selector"`
		Action   string `json:"action"`
		Rules    []struct {
			From []struct {
				Source struct {
					RequestPrincipals    []string `json:"requestPrincipals"`
					NotRequestPrincipals []string `json:"notRequestPrincipals"`
				} `json:"source"`
			} `json:"from"`
			To []struct {
				Operation struct {
					Hosts   []string `json:"hosts"`
					Paths   []string `json:"paths"`
					Methods []string `json:"methods"`

					NotHosts   []string `json:"notHosts"`
					NotPaths   []string `json:"notPaths"`
					NotMethods []string `json:"notMethods"`
				} `json:"operation"`
			} `json:"to"`
			When []struct {
				Key       string   `json:"key"`
				Values    []string `json:"values"`
				NotValues []string `json:"notValues"`
			} `json:"when"`
		} `json:"rules"`
	} `json:"spec"`
}

// add is pilot/pkg/security/authz/builder/builder.go: build, with
// pilot/pkg/security/authz/model/model.go: New and Generate: each rule becomes a policy of the
// action's filter; its to list becomes permissions, its from list principals, of which any fits;
// what stands within an entry must all fit, and the when list counts as part of each from.
func (p *authorizationPolicy) add(policies map[string]bootstrap.M) error {
	action := p.Spec.Action
	switch action {
	case "":
		action = "ALLOW"
	case "ALLOW", "DENY":
	default:
		return fmt.Errorf("no translation for action %s", action)
	}
	if policies[action] == nil {
		policies[action] = bootstrap.M{}
	}
	if len(p.Spec.Rules) == 0 {
		return fmt.Errorf("no translation for a policy without rules")
	}
	for i, r := range p.Spec.Rules {
		var when []bootstrap.M
		for _, w := range r.When {
			path, end := strings.CutSuffix(w.Key, "]")
			claim, isClaim := strings.CutPrefix(path, "request.auth.claims[")
			name, isHeader := strings.CutPrefix(path, "request.headers[")
			if !isClaim && !isHeader || !end {
				return fmt.Errorf("no translation for when %s", w.Key)
			}
			is := func(values []string) bootstrap.M { return claimIs(strings.Split(claim, "]["), values) }
			if isHeader {
				is = func(values []string) bootstrap.M { return headerIs(name, values) }
			}
			if len(w.Values) > 0 {
				when = append(when, is(w.Values))
			}
			if len(w.NotValues) > 0 {
				when = append(when, bootstrap.M{"not_id": is(w.NotValues)})
			}
		}
		var permissions, principals []bootstrap.M
		for _, from := range r.From {
			var all []bootstrap.M
			for _, v := range slices.Concat(from.Source.RequestPrincipals, from.Source.NotRequestPrincipals) {
				if v != "*" && !strings.Contains(v, "/") {
					return fmt.Errorf("no translation for the request principal %s", v)
				}
			}
			if len(from.Source.RequestPrincipals) > 0 {
				all = append(all, requestPrincipal(from.Source.RequestPrincipals))
			}
			if len(from.Source.NotRequestPrincipals) > 0 {
				all = append(all, bootstrap.M{"not_id": requestPrincipal(from.Source.NotRequestPrincipals)})
			}
			principals = append(principals, every("and_ids", "ids", append(all, when...)))
		}
		if len(r.From) == 0 {
			principals = append(principals, every("and_ids", "ids", when))
		}
		for _, to := range r.To {
			var all []bootstrap.M
			for _, operation := range []struct {
				values  []string
				matcher func(string) bootstrap.M
				not     bool
			}{
				{to.Operation.Hosts, host, false}, {to.Operation.Methods, method, false}, {to.Operation.Paths, path, false},
				{to.Operation.NotHosts, host, true}, {to.Operation.NotMethods, method, true}, {to.Operation.NotPaths, path, true},
			} {
				if len(operation.values) == 0 {
					continue
				}
				for _, v := range operation.values {
					// pkg/config/security/security.go: CheckValidPathTemplate
					if strings.ContainsAny(strings.NewReplacer("{*}", "", "{**}", "").Replace(v), "{}") {
						return fmt.Errorf("no translation for %s", v)
					}
				}
				var or []bootstrap.M
				for _, v := range operation.values {
					or = append(or, operation.matcher(v))
				}
				permission := bootstrap.M{"or_rules": bootstrap.M{"rules": or}}
				if operation.not {
					permission = bootstrap.M{"not_rule": permission}
				}
				all = append(all, permission)
			}
			permissions = append(permissions, every("and_rules", "rules", all))
		}
		if len(r.To) == 0 {
			permissions = append(permissions, every("and_rules", "rules", nil))
		}
		name := fmt.Sprintf("ns[%s]-policy[%s]-rule[%d]", p.Metadata.Namespace, p.Metadata.Name, i)
		policies[action][name] = bootstrap.M{"permissions": permissions, "principals": principals}
	}
	return nil
}

// every is pilot/pkg/security/authz/model/model.go: generatePermission and generatePrincipal.
func every(kind, list string, all []bootstrap.M) bootstrap.M {
	if len(all) == 0 {
		all = []bootstrap.M{{"any": true}}
	}
	return bootstrap.M{kind: bootstrap.M{list: all}}
}

// claimIs is pilot/pkg/security/authz/model/generator.go: requestClaimGenerator, with
// MetadataListValueMatcher in pilot/pkg/security/authz/matcher/metadata.go: the claim is one of the
// values, or a list of which one is.
func claimIs(names, values []string) bootstrap.M {
	value := text(values[0])
	if len(values) > 1 {
		var or []bootstrap.M
		for _, v := range values {
			or = append(or, text(v))
		}
		value = bootstrap.M{"or_match": bootstrap.M{"value_matchers": or}}
	}
	return metadata(names, bootstrap.M{
		"or_match": bootstrap.M{"value_matchers": []bootstrap.M{{"list_match": bootstrap.M{"one_of": value}}, value}}})
}

// headerIs is pilot/pkg/security/authz/model/generator.go: requestHeaderGenerator, with HeaderMatcher
// in pilot/pkg/security/authz/matcher/header.go.
func headerIs(name string, values []string) bootstrap.M {
	var or []bootstrap.M
	for _, v := range values {
		or = append(or, header(name, v, false))
	}
	return bootstrap.M{"or_ids": bootstrap.M{"ids": or}}
}

func text(value string) bootstrap.M { return bootstrap.M{"string_match": stringMatcher(value, false)} }

// metadata looks at the claims that jwt_authn has left: pilot/pkg/security/authz/model/util.go:
// MetadataValueMatcherForJWTClaim and MetadataListValueMatcherForJWTClaims.
func metadata(names []string, value bootstrap.M) bootstrap.M {
	path := []bootstrap.M{{"key": jwtPayload}}
	for _, name := range names {
		path = append(path, bootstrap.M{"key": name})
	}
	return bootstrap.M{"metadata": bootstrap.M{"filter": jwtFilter, "path": path, "value": value}}
}

// requestPrincipal is pilot/pkg/security/authz/model/generator.go: requestPrincipalGenerator, for
// "*", "issuer/*" and "issuer/subject": iss and sub are compared apart.
func requestPrincipal(values []string) bootstrap.M {
	var or []bootstrap.M
	for _, v := range values {
		issuer, subject := "*", "*"
		if i := strings.LastIndex(v, "/"); i >= 0 {
			issuer, subject = v[:i], v[i+1:]
		}
		or = append(or, bootstrap.M{
			"and_ids": bootstrap.M{"ids": []bootstrap.M{metadata([]string{"iss"}, text(issuer)),
				metadata([]string{"sub"}, text(subject))}}})
	}
	if len(or) == 1 {
		return or[0]
	}
	return bootstrap.M{"or_ids": bootstrap.M{"ids": or}}
}

// stringMatcher is pilot/pkg/security/authz/matcher/string.go: StringMatcherWithPrefix.
func stringMatcher(value string, ignoreCase bool) bootstrap.M {
	switch {
	case value == "*":
		return bootstrap.M{"safe_regex": bootstrap.M{"regex": ".+"}}
	case strings.HasPrefix(value, "*"):
		return bootstrap.M{"suffix": value[1:], "ignore_case": ignoreCase}
	case strings.HasSuffix(value, "*"):
		return bootstrap.M{"prefix": strings.TrimSuffix(value, "*"), "ignore_case": ignoreCase}
	}
	return bootstrap.M{"exact": value, "ignore_case": ignoreCase}
}

// host and method are pilot/pkg/security/authz/matcher/header.go: HostMatcher and HeaderMatcher.
func host(value string) bootstrap.M   { return header(":authority", value, true) }
func method(value string) bootstrap.M { return header(":method", value, false) }

func header(name, value string, ignoreCase bool) bootstrap.M {
	h := bootstrap.M{"name": name}
	if value == "*" {
		h["present_match"] = true
	} else {
		h["string_match"] = stringMatcher(value, ignoreCase)
	}
	return bootstrap.M{"header": h}
}

// path is pilot/pkg/security/authz/model/generator.go: pathGenerator, with PathTemplateMatcher in
// pilot/pkg/security/authz/matcher/template.go.
func path(value string) bootstrap.M {
	if strings.Contains(value, "{*}") || strings.Contains(value, "{**}") {
		template := strings.NewReplacer("{*}", "*", "{**}", "**").Replace(value)
		return bootstrap.M{"uri_template": bootstrap.Filter("uri-template",
			"extensions.path.match.uri_template.v3.UriTemplateMatchConfig", bootstrap.M{"path_template": template})}
	}
	return bootstrap.M{"url_path": bootstrap.M{"path": stringMatcher(value, false)}}
}
