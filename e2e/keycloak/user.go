// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"
)

// User is alice with her browser. She opens what a client asks her to, logs in, consents, and is sent
// back to the client.
type User struct {
	client         http.Client
	password, seed string
}

// AddAlice makes the user of NewUser. She is not in the realm's file, which the local loop has, too.
func (s *Server) AddAlice(password, seed string) error {
	secret, err := json.Marshal(map[string]string{"value": seed})
	if err != nil {
		return err
	}
	return s.administer(http.MethodPost, "/users", map[string]any{
		"username": "alice", "enabled": true, "email": "alice@example.com", "emailVerified": true, "firstName": "Alice",
		"lastName": "Example", "credentials": []map[string]string{
			{"type": "password", "value": password},
			{"type": "otp", "secretData": string(secret),
				"credentialData": `{"subType":"totp","algorithm":"HmacSHA1","digits":6,"period":30,"counter":0}`},
		}}, nil)
}

// NewUser is alice with a browser that has been nowhere yet. The seed is that of her one-time codes.
func NewUser(password, seed string) *User {
	return &User{client: http.Client{Jar: &cookies{values: map[string]string{}}, Timeout: 60 * time.Second},
		password: password, seed: seed}
}

var (
	formPattern  = regexp.MustCompile(`<form[^>]*\saction="([^"]+)"`)
	inputPattern = regexp.MustCompile(`<input[^>]*\sname="code"[^>]*\svalue="([^"]+)"`)
)

// Open opens a page and fills in forms until the browser is at the client's redirect URI, whose path is
// /callback. It returns what the forms have asked for: "password", "code" or "consent".
func (u *User) Open(address string) (forms []string, err error) {
	resp, err := u.client.Get(address)
	for range 4 { // at most: the login, the code and the consent
		if err != nil {
			return forms, err
		}
		at := resp.Request.URL
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || at.Path == "/callback" {
			return forms, err
		}
		form := formPattern.FindSubmatch(text)
		if form == nil {
			return forms, fmt.Errorf("%s answers %s without a form", at.Path, resp.Status)
		}
		action, err := at.Parse(html.UnescapeString(string(form[1])))
		if err != nil {
			return forms, err
		}
		var fields url.Values
		switch {
		case strings.Contains(string(text), `name="otp"`):
			fields, forms = url.Values{"otp": {oneTimeCode(u.seed, time.Now())}}, append(forms, "code")
		case strings.Contains(string(text), `name="password"`):
			fields = url.Values{"username": {"alice"}, "password": {u.password}, "credentialId": {""}}
			forms = append(forms, "password")
		default:
			fields, forms = url.Values{"accept": {"Yes"}}, append(forms, "consent")
			if code := inputPattern.FindSubmatch(text); code != nil {
				fields.Set("code", html.UnescapeString(string(code[1])))
			}
		}
		if resp, err = u.client.PostForm(action.String(), fields); err != nil {
			return forms, err
		}
	}
	return forms, errors.New("asked by Keycloak again and again")
}

// oneTimeCode is that of an authenticator app (RFC 6238), with the parameters of the realm file.
func oneTimeCode(seed string, at time.Time) string {
	mac := hmac.New(sha1.New, []byte(seed))
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(at.Unix()/30)))
	sum := mac.Sum(nil)
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[19]&15:])&0x7fffffff%1_000_000)
}

// cookies keep those of one host. Keycloak marks them Secure, which browsers send to a loopback address
// without TLS, too, and the jar of net/http does not.
type cookies struct {
	mu     sync.Mutex
	values map[string]string
}

func (c *cookies) SetCookies(_ *url.URL, list []*http.Cookie) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cookie := range list {
		if cookie.MaxAge < 0 || cookie.Value == "" {
			delete(c.values, cookie.Name)
			continue
		}
		c.values[cookie.Name] = cookie.Value
	}
}

func (c *cookies) Cookies(*url.URL) (list []*http.Cookie) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, value := range c.values {
		list = append(list, &http.Cookie{Name: name, Value: value})
	}
	return list
}
