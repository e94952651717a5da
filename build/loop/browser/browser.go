// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package browser shows a page in a Chromium without a window, and tells what came of it: a
// picture, what the page asked the network for, what it complained of, and where its texts stand.
// It speaks the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/) over a
// pipe: no port is opened.
package browser

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/build/loop/backends"
	"github.com/tollgate-wasm/tollgate/build/tools/process"
)

// timeout is for one page, and for the start, on a busy machine.
const timeout = time.Minute

// Browser is a running one, with one tab. It is for one goroutine.
type Browser struct {
	process *process.Process
	dir     string
	in, out *os.File
	rest    []byte // read, and not used yet
	id      int
	session string
	events  []event
}

type event struct {
	Method string
	Params json.RawMessage
}

// Start runs a browser; Stop must be called.
func Start(program backends.Program) (*Browser, error) {
	dir, err := os.MkdirTemp("", "tollgate-browser-")
	if err != nil {
		return nil, err
	}
	b := &Browser{dir: dir}
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, b.Stop())
	}
	defer theirIn.Close()
	b.in = in
	out, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, b.Stop())
	}
	defer theirOut.Close()
	b.out = out
	args := []string{"--headless", "--remote-debugging-pipe", "--user-data-dir=" + dir, "--disable-gpu",
		"--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--hide-scrollbars",
		"--force-color-profile=srgb"}
	if os.Geteuid() == 0 {
		args = append(args, "--no-sandbox") // for root there is none
	}
	cmd := exec.Command(program.Path, args...)
	cmd.Env = append(append(os.Environ(), "HOME="+dir), program.Env...)
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4, as it wants them
	if b.process, err = process.Start(cmd); err != nil {
		return nil, errors.Join(err, b.Stop())
	}
	if err := b.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s does not work: %w: %s", filepath.Base(program.Path), err,
			process.LastLine([]byte(b.process.Log()))), b.Stop())
	}
	return b, nil
}

// Stop ends the browser and removes all it had.
func (b *Browser) Stop() error {
	for _, f := range []*os.File{b.in, b.out} {
		if f != nil {
			f.Close()
		}
	}
	if b.process != nil {
		b.process.Stop()
	}
	return os.RemoveAll(b.dir)
}

func (b *Browser) open() error {
	b.deadline()
	var target struct{ TargetID string }
	if err := b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target); err != nil {
		return err
	}
	var attached struct{ SessionID string }
	if err := b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true},
		&attached); err != nil {
		return err
	}
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Network", "Runtime", "Log"} {
		if err := b.call(domain+".enable", nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// Shown is what came of a page.
type Shown struct {
	PNG      []byte   // all of it, from top to bottom
	Requests []string // addresses of all that was asked for beside the page itself
	Problems []string // errors and warnings of the console
	Texts    []Text
	Sections []Text // the parts of the page, <section id>, by their ids
	Wider    int    // by how many pixels it is wider than the window
}

// Text is where one stands on the page, in pixels.
type Text struct {
	Text                     string
	Left, Top, Right, Bottom float64
}

// texts is evaluated in the page: each stretch of text with what it takes up, in HTML line by line.
const texts = `(() => {
	const list = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let n; n = walk.nextNode();) {
		if (!n.data.trim() || n.parentElement.closest("title, style")) continue;
		const range = document.createRange();
		range.selectNodeContents(n);
		const svg = n.parentElement.closest("svg");
		for (const r of svg ? [n.parentElement.getBoundingClientRect()] : range.getClientRects())
			if (r.width > 0) list.push({text: n.data.trim(), left: r.left + scrollX, top: r.top + scrollY, right: r.right + scrollX, bottom: r.bottom + scrollY});
	}
	const sections = [...document.querySelectorAll("section[id]")].map(s => { const r = s.getBoundingClientRect(); return {text: s.id, left: r.left, top: r.top + scrollY, right: r.right, bottom: r.bottom + scrollY} });
	return {list, sections, wider: document.documentElement.scrollWidth - innerWidth};
})()`

// Show shows a file in a window so many pixels wide, on a screen with so many dots to a pixel, to
// somebody who prefers dark pages or light ones.
func (b *Browser) Show(file string, width int, dots float64, dark bool) (*Shown, error) {
	b.deadline()
	path, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	scheme := map[bool]string{false: "light", true: "dark"}[dark]
	if err := b.call("Emulation.setEmulatedMedia",
		map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil); err != nil {
		return nil, err
	}
	if err := b.call("Emulation.setDeviceMetricsOverride",
		map[string]any{"width": width, "height": 800, "deviceScaleFactor": dots, "mobile": false}, nil); err != nil {
		return nil, err
	}
	b.events = nil
	address := "file://" + path
	var navigated struct{ ErrorText string }
	if err := b.call("Page.navigate", map[string]any{"url": address}, &navigated); err != nil {
		return nil, err
	}
	if navigated.ErrorText != "" {
		return nil, fmt.Errorf("%s: %s", file, navigated.ErrorText)
	}
	if err := b.await("Page.loadEventFired"); err != nil {
		return nil, err
	}
	s := &Shown{}
	var evaluated struct {
		Result struct {
			Value struct {
				List, Sections []Text
				Wider          int
			}
		}
		ExceptionDetails json.RawMessage
	}
	if err := b.call("Runtime.evaluate", map[string]any{"expression": texts, "returnByValue": true},
		&evaluated); err != nil {
		return nil, err
	}
	if evaluated.ExceptionDetails != nil {
		return nil, fmt.Errorf("looking at the page: %s", evaluated.ExceptionDetails)
	}
	s.Texts, s.Sections, s.Wider = evaluated.Result.Value.List, evaluated.Result.Value.Sections,
		evaluated.Result.Value.Wider
	var metrics struct{ CSSContentSize struct{ Height float64 } }
	if err := b.call("Page.getLayoutMetrics", nil, &metrics); err != nil {
		return nil, err
	}
	var shot struct{ Data []byte }
	clip := map[string]any{"x": 0, "y": 0, "width": width, "height": metrics.CSSContentSize.Height, "scale": 1}
	if err := b.call("Page.captureScreenshot",
		map[string]any{"format": "png", "captureBeyondViewport": true, "clip": clip}, &shot); err != nil {
		return nil, err
	}
	s.PNG = shot.Data
	for _, e := range b.events {
		var p struct {
			Request          struct{ URL string }
			Entry            struct{ Level, Text string }
			Type             string
			ExceptionDetails struct{ Text string }
		}
		if err := json.Unmarshal(e.Params, &p); err != nil && e.Method == "Network.requestWillBeSent" {
			return nil, err
		}
		switch e.Method {
		case "Network.requestWillBeSent":
			if p.Request.URL != address && !strings.HasPrefix(p.Request.URL, "data:") {
				s.Requests = append(s.Requests, p.Request.URL)
			}
		case "Log.entryAdded":
			if p.Entry.Level == "error" || p.Entry.Level == "warning" {
				s.Problems = append(s.Problems, p.Entry.Text)
			}
		case "Runtime.consoleAPICalled":
			s.Problems = append(s.Problems, "the page has written to the console: "+p.Type)
		case "Runtime.exceptionThrown":
			s.Problems = append(s.Problems, p.ExceptionDetails.Text)
		}
	}
	return s, nil
}

// Open opens an address, and returns when the page has loaded. What its scripts find out, they tell
// somebody themselves.
func (b *Browser) Open(address string) error {
	b.deadline()
	// The fragment alone makes no new page.
	for _, at := range []string{"about:blank", address} {
		b.events = nil
		var navigated struct{ ErrorText string }
		if err := b.call("Page.navigate", map[string]any{"url": at}, &navigated); err != nil {
			return err
		}
		if navigated.ErrorText != "" {
			return errors.New(navigated.ErrorText) // without the address, whose fragment may be a secret
		}
		if err := b.await("Page.loadEventFired"); err != nil {
			return err
		}
	}
	return nil
}

func (b *Browser) deadline() {
	_ = b.in.SetDeadline(time.Now().Add(timeout)) // a pipe has deadlines
	_ = b.out.SetDeadline(time.Now().Add(timeout))
}

type message struct {
	ID     int
	Result json.RawMessage
	Error  *struct{ Message string }
	event
}

// call has the browser do something, and reads its answer.
func (b *Browser) call(method string, params, result any) error {
	b.id++
	request := map[string]any{"id": b.id, "method": method}
	if params != nil {
		request["params"] = params
	}
	if b.session != "" {
		request["sessionId"] = b.session
	}
	text, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if _, err := b.in.Write(append(text, 0)); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	for {
		m, err := b.read()
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", method, err)
		case m.ID != b.id:
			continue
		case m.Error != nil:
			return fmt.Errorf("%s: %s", method, m.Error.Message)
		case result == nil:
			return nil
		}
		return json.Unmarshal(m.Result, result)
	}
}

// await reads until something has happened since the last page was asked for.
func (b *Browser) await(method string) error {
	for {
		for _, e := range b.events {
			if e.Method == method {
				return nil
			}
		}
		if _, err := b.read(); err != nil {
			return fmt.Errorf("waiting for %s: %w", method, err)
		}
	}
}

// read is the next message; each ends with a zero. What has happened is kept.
func (b *Browser) read() (m message, err error) {
	buffer := make([]byte, 1<<16)
	for {
		if text, rest, ok := bytes.Cut(b.rest, []byte{0}); ok {
			b.rest = rest
			if err := json.Unmarshal(text, &m); err != nil {
				return m, err
			}
			if m.Method != "" {
				b.events = append(b.events, m.event)
			}
			return m, nil
		}
		n, err := b.out.Read(buffer)
		if err != nil {
			return m, err
		}
		b.rest = append(b.rest, buffer[:n]...)
	}
}

// Overlaps are texts that lie over each other. Boxes of letters are taller than the letters: those
// of two lines may touch.
func (s *Shown) Overlaps() (pairs [][2]string) {
	const touch = 4
	for i, a := range s.Texts {
		for _, b := range s.Texts[:i] {
			if min(a.Right, b.Right)-max(a.Left, b.Left) > 1 && min(a.Bottom, b.Bottom)-max(a.Top, b.Top) > touch {
				pairs = append(pairs, [2]string{b.Text, a.Text})
			}
		}
	}
	return pairs
}
