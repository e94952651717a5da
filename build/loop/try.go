// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
)

// What the configurations in envoy/ say; a test reads them there.
const (
	tokenIssuer   = "https://tokens.example.com/dev"
	tokenAudience = "orders-api"
	stampIssuer   = "https://edge.example.com"
	stampAudience = "mesh.example.com"
	reportsLimit  = 5 // a minute
)

// claims are a token's.
func claims(subject, scope string, at time.Time, ttl time.Duration) map[string]any {
	return map[string]any{"iss": tokenIssuer, "aud": tokenAudience, "sub": subject, "scope": scope, "iat": at.Unix(),
		"exp": at.Add(ttl).Unix()}
}

// stampOf binds a request as the edge does (filters/edge-stamp/README.md, Profiles: jws).
func stampOf(key *mint.Key, method, authority, path, query string, at time.Time) string {
	hash := sha256.Sum256([]byte(query))
	return key.Typed("edge-stamp+jwt", map[string]any{
		"iss": stampIssuer, "aud": stampAudience, "iat": at.Unix(), "exp": at.Add(30 * time.Second).Unix(),
		"jti": base64.RawURLEncoding.EncodeToString(random(16)),
		"htm": method, "hth": strings.ToLower(authority), "htp": path,
		"qsh": base64.RawURLEncoding.EncodeToString(hash[:]), "sub": "try", "scope": "orders:read",
	})
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// answer is what came back.
type answer struct {
	status int
	code   string // "ok" of the upstream, the code of a filter's refusal, else what answered
	header http.Header
	body   string
}

func (a answer) String() string { return fmt.Sprint(a.status, " ", a.code) }

// client sends requests; each has a connection of its own, so that nothing of one is another's.
type client struct{ tls *tls.Config }

const requestTimeout = 10 * time.Second

func (c client) send(ctx context.Context, method, address string, headers ...[2]string) (answer, error) {
	return exchange(ctx, &http.Transport{DisableKeepAlives: true, TLSClientConfig: c.tls}, method, address, headers...)
}

// exchange sends a request without a body and reads all of its answer.
func exchange(ctx context.Context, transport *http.Transport, method, address string, headers ...[2]string) (answer,
	error) {
	req, err := http.NewRequest(method, address, nil)
	if err != nil {
		return answer{}, err
	}
	for _, h := range headers {
		req.Header.Add(h[0], h[1])
	}
	return exchanged(ctx, transport, req)
}

// exchanged sends a request and reads all of its answer.
func exchanged(ctx context.Context, transport *http.Transport, req *http.Request) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req = req.WithContext(ctx)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	a := answer{status: resp.StatusCode, code: "?", header: resp.Header, body: string(body)}
	var problem struct{ Code string }
	switch {
	case resp.Header.Get("Content-Type") == "application/problem+json" && json.Unmarshal(body, &problem) == nil:
		a.code = problem.Code
	case resp.StatusCode == http.StatusOK:
		a.code = "ok"
	}
	return a, err
}

// get asks the edge.
func (l *loop) get(ctx context.Context, path string, headers ...[2]string) (answer, error) {
	return client{}.send(ctx, "GET", "http://"+l.ports.address("EDGE_PORT")+path, headers...)
}

func bearer(token string) [2]string { return [2]string{"Authorization", "Bearer " + token} }

// errDifferent means that an answer is not as it should be.
var errDifferent = errors.New("not everything was answered as expected")

// try sends the requests and prints a table.
func (l *loop) try(ctx context.Context, w io.Writer) error {
	rows, err := l.rows()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\twhat\texpected\tgot")
	different := false
	for _, r := range rows {
		got, err := r.do(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			got = err.Error()
		}
		mark := "✓"
		if got != r.want {
			mark, different = "✗", true
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", mark, r.what, r.want, got)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if different {
		return errDifferent
	}
	return nil
}

// tried is one line of the table: what is tried, what must come of it, and how it is done.
type tried struct {
	what, want string
	do         func(ctx context.Context) (string, error)
}

func (l *loop) rows() ([]tried, error) {
	tokens, err := l.mounts.TokenKey()
	if err != nil {
		return nil, err
	}
	stamps, err := l.mounts.StampKey()
	if err != nil {
		return nil, err
	}
	ofEdge, err := l.mounts.Client("edge")
	if err != nil {
		return nil, fmt.Errorf("%w; is it up (make up)?", err)
	}
	ofMesh, err := l.mounts.Client("mesh")
	if err != nil {
		return nil, err
	}
	stranger, err := l.mounts.Client("")
	if err != nil {
		return nil, err
	}
	now := time.Now()
	// Nobody before was this user: limits begin anew in each run.
	user := "try-" + base64.RawURLEncoding.EncodeToString(random(6))
	reader, writer := tokens.Token(claims(user, "orders:read", now, time.Hour)),
		tokens.Token(claims(user, "orders:read orders:write", now, time.Hour))
	expired, forged := tokens.Token(claims(user, "orders:read", now.Add(-2*time.Hour), time.Hour)), mint.New("dev",
		jose.ES256).Token(claims(user, "orders:read", now, time.Hour))
	edge, mesh := "http://"+l.ports.address("EDGE_PORT"), "https://"+l.ports.address("MESH_PORT")
	authority := l.ports.address("MESH_PORT")

	ask := func(c client, method, address string, headers ...[2]string) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) {
			a, err := c.send(ctx, method, address, headers...)
			return a.String(), err
		}
	}
	const header = "X-Edge-Stamp"
	replayed := stampOf(stamps, "GET", authority, "/orders/7", "", now)
	list := []tried{
		{"GET /orders/7 without a token", "401 token_missing", ask(client{}, "GET", edge+"/orders/7")},
		{"GET /orders/7, scope orders:read", "200 ok", ask(client{}, "GET", edge+"/orders/7", bearer(reader))},
		{"  what has reached the service", "GET /orders/7, x-user-id verified, no token, no stamp",
			func(ctx context.Context) (string, error) {
				a, err := client{}.send(ctx, "GET", edge+"/orders/7", bearer(reader), [2]string{"X-User-Id", "admin"},
					[2]string{header, "forged"})
				if err != nil {
					return "", err
				}
				return reached(a.body, user)
			}},
		{"POST /orders, scope orders:read", "403 insufficient_scope", ask(client{}, "POST", edge+"/orders", bearer(reader))},
		{"POST /orders, scope orders:write", "200 ok", ask(client{}, "POST", edge+"/orders", bearer(writer))},
		{"GET /orders/7/refunds, whose rule is in shadow mode", "200 ok",
			ask(client{}, "GET", edge+"/orders/7/refunds", bearer(reader))},
		{"  again, over a limit in shadow mode", "200 ok", ask(client{}, "GET", edge+"/orders/7/refunds", bearer(reader))},
		{"  over one that marks: what has reached the service", "x-over-limit: refunds-often",
			func(ctx context.Context) (string, error) {
				a, err := client{}.send(ctx, "GET", edge+"/orders/7/refunds", bearer(reader), [2]string{overLimit, "forged"})
				if err != nil {
					return "", err
				}
				return marked(a.body)
			}},
		{"GET /admin, for which there is no rule", "403 no_rule", ask(client{}, "GET", edge+"/admin", bearer(writer))},
		{"GET /orders/%252e%252e/admin, which may mean two things", "400 path_ambiguous",
			ask(client{}, "GET", edge+"/orders/%252e%252e/admin", bearer(reader))},
		{"a token signed by somebody else", "401 token_signature", ask(client{}, "GET", edge+"/orders/7", bearer(forged))},
		{"a token that expired an hour ago", "401 token_expired", ask(client{}, "GET", edge+"/orders/7", bearer(expired))},
		{"around the edge, without a certificate", "refused by TLS", func(ctx context.Context) (string, error) {
			a, err := client{stranger}.send(ctx, "GET", mesh+"/orders/7", bearer(reader))
			if err != nil && strings.Contains(err.Error(), "certificate required") {
				return "refused by TLS", nil
			}
			return a.String(), err
		}},
		{"around the edge, with its certificate and no stamp", "401 stamp_rejected",
			ask(client{ofEdge}, "GET", mesh+"/orders/7", bearer(reader))},
		{"  with a stamp signed by somebody else", "401 stamp_rejected",
			ask(client{ofEdge}, "GET", mesh+"/orders/7",
				[2]string{header, stampOf(mint.New("edge-dev", jose.ES256), "GET", authority, "/orders/7", "", now)})},
		{"  with a good stamp of another request", "401 stamp_rejected",
			ask(client{ofEdge}, "GET", mesh+"/orders/7?all=1",
				[2]string{header, stampOf(stamps, "GET", authority, "/orders/7", "", now)})},
		{"  with a good stamp, by another workload", "401 stamp_rejected",
			ask(client{ofMesh}, "GET", mesh+"/orders/7",
				[2]string{header, stampOf(stamps, "GET", authority, "/orders/7", "", now)})},
		{"  with a good stamp", "200 ok", ask(client{ofEdge}, "GET", mesh+"/orders/7", [2]string{header, replayed})},
		{"  with the same stamp again", "401 stamp_rejected",
			ask(client{ofEdge}, "GET", mesh+"/orders/7", [2]string{header, replayed})},
		{"  GET /catalog without one, where stamps are in shadow mode", "200 ok",
			ask(client{ofEdge}, "GET", mesh+"/catalog")},
		{fmt.Sprintf("GET /reports/1 again and again, %d a minute", reportsLimit),
			"429 rate_limited in time, with Retry-After", func(ctx context.Context) (string, error) {
				return limited(ctx, edge+"/reports/1", reader)
			}},
	}
	if slices.Contains(l.profiles, "mcp") {
		list = append(list, l.triedMCP(tokens.Token(claims(user, "mcp:read", now, time.Hour)),
			tokens.Token(claims(user, "mcp:read mcp:delete", now, time.Hour)))...)
	}
	if slices.Contains(l.profiles, "idp") {
		list = append(list, tried{"GET /orders/7 with a token of Keycloak", "200 ok",
			func(ctx context.Context) (string, error) {
				token, err := l.keycloakToken(ctx)
				if err != nil {
					return "", err
				}
				a, err := client{}.send(ctx, "GET", edge+"/orders/7", bearer(token))
				return a.String(), err
			}})
	}
	return list, nil
}

// reached tells from go-httpbin's answer what has reached it.
func reached(body, user string) (string, error) {
	var seen struct {
		Method  string
		URL     string
		Headers map[string][]string
	}
	if err := json.Unmarshal([]byte(body), &seen); err != nil {
		return "", fmt.Errorf("the upstream's answer is none: %w", err)
	}
	at, err := url.Parse(seen.URL)
	if err != nil {
		return "", err
	}
	identity, token, stamp := "x-user-id wrong", "a token", "a stamp"
	if ids := seen.Headers["X-User-Id"]; len(ids) == 1 && ids[0] == user {
		identity = "x-user-id verified"
	}
	if seen.Headers["Authorization"] == nil {
		token = "no token"
	}
	if seen.Headers["X-Edge-Stamp"] == nil {
		stamp = "no stamp"
	}
	return strings.Join([]string{seen.Method + " " + strings.TrimPrefix(at.Path, "/anything"), identity, token, stamp},
		", "), nil
}

// overLimit is the header by which edge/rate-limit.yaml marks requests.
const overLimit = "X-Over-Limit"

// marked tells from go-httpbin's answer how the request was marked that has reached it.
func marked(body string) (string, error) {
	var seen struct{ Headers map[string][]string }
	if err := json.Unmarshal([]byte(body), &seen); err != nil {
		return "", fmt.Errorf("the upstream's answer is none: %w", err)
	}
	return strings.ToLower(overLimit) + ": " + strings.Join(seen.Headers[overLimit], ", "), nil
}

// limited sends requests until one is refused. The service counts in fixed windows, so that around
// the edge of one the double gets through.
func limited(ctx context.Context, address, token string) (string, error) {
	for n := 1; n <= 2*reportsLimit+1; n++ {
		a, err := client{}.send(ctx, "GET", address, bearer(token))
		if err != nil {
			return "", err
		}
		if a.status == http.StatusOK {
			continue
		}
		seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
		switch {
		case a.status != http.StatusTooManyRequests:
			return a.String(), nil
		case n <= reportsLimit:
			return fmt.Sprintf("%s at request %d", a, n), nil
		case err != nil || seconds < 1 || seconds > 60:
			return fmt.Sprintf("%s, Retry-After: %q", a, a.header.Get("Retry-After")), nil
		}
		return a.String() + " in time, with Retry-After", nil
	}
	return fmt.Sprintf("%d requests passed", 2*reportsLimit+1), nil
}

// keycloakToken is one of the realm "shop" for the client's own credentials (RFC 6749 §4.4).
func (l *loop) keycloakToken(ctx context.Context) (string, error) {
	secret, err := l.mounts.ClientSecret()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"shop-web"}, "client_secret": {secret}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+l.ports.address("KEYCLOAK_PORT")+
		"/realms/shop/protocol/openid-connect/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("no token from Keycloak: %s", resp.Status)
	}
	var t struct {
		Token string `json:"access_token"`
	}
	err = json.NewDecoder(resp.Body).Decode(&t)
	return t.Token, err
}
