// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build keycloak

package mcp

import (
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
)

// user is alice with her browser. She opens what a client asks her to, logs in, consents, and is sent
// back to the client.
type user struct {
	client   http.Client
	password string
}

func (w *world) alice() *user {
	return &user{client: http.Client{Jar: &cookies{values: map[string]string{}}, Timeout: wait}, password: w.password}
}

var (
	formPattern  = regexp.MustCompile(`<form[^>]*\saction="([^"]+)"`)
	inputPattern = regexp.MustCompile(`<input[^>]*\sname="code"[^>]*\svalue="([^"]+)"`)
)

// open opens a page and fills in forms until the browser is at the client's redirect URI.
func (u *user) open(address string) error {
	resp, err := u.client.Get(address)
	for range 4 { // at most: the login and the consent
		if err != nil {
			return err
		}
		at := resp.Request.URL
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || at.Path == "/callback" {
			return err
		}
		form := formPattern.FindSubmatch(text)
		if form == nil {
			return fmt.Errorf("%s answers %s without a form", at.Path, resp.Status)
		}
		action, err := at.Parse(html.UnescapeString(string(form[1])))
		if err != nil {
			return err
		}
		fields := url.Values{"username": {"alice"}, "password": {u.password}, "credentialId": {""}}
		if !strings.Contains(string(text), `name="password"`) {
			fields = url.Values{"accept": {"Yes"}}
			if code := inputPattern.FindSubmatch(text); code != nil {
				fields.Set("code", html.UnescapeString(string(code[1])))
			}
		}
		if resp, err = u.client.PostForm(action.String(), fields); err != nil {
			return err
		}
	}
	return errors.New("Keycloak asks again and again")
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
