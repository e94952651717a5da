// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/build/loop/backends"
	"github.com/tollgate-wasm/tollgate/build/loop/browser"
	"github.com/tollgate-wasm/tollgate/build/loop/report"
)

const (
	// rounds is how many requests of the first kind a report sends; of the others, one in every
	// fourth round each. All together are under what envoy/edge/rate-limit.yaml lets one user have.
	rounds = 200
	// pace is the distance of the rounds: ten seconds, five times as long as Prometheus takes
	// between two looks, so that the rates are a curve.
	pace = 50 * time.Millisecond
	// reportWindow is what the limits are shown of.
	reportWindow  = 15 * time.Minute
	reportTimeout = 2 * time.Minute
)

// report sends requests to the running loop, and writes a page of what its proxies' logs and
// Prometheus tell. Where pictures is a folder, the page is drawn there, in light and in dark.
func (l *loop) report(ctx context.Context, w io.Writer, file, pictures string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, reportTimeout,
		fmt.Errorf("it took more than %s; look at make logs", reportTimeout))
	defer cancel()
	for _, address := range []string{l.ports.address("EDGE_ADMIN_PORT") + "/ready", l.ports.address("MESH_ADMIN_PORT") +
		"/ready", l.ports.address("PROMETHEUS_PORT") + "/-/ready"} {
		if _, err := (client{}).send(ctx, "GET", "http://"+address); err != nil {
			return fmt.Errorf("nothing runs that could be reported on: %w; run: make up", err)
		}
	}
	fmt.Fprintf(w, "sending %d requests in ten seconds …\n", 2*rounds)
	r, err := l.reportOf(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(file, r.HTML(), 0o644); err != nil {
		return err
	}
	fmt.Fprintln(w, file)
	if pictures == "" {
		return nil
	}
	return draw(w, file, pictures)
}

// draw makes report.png of a page and path.png of its upper part, and both in dark.
func draw(w io.Writer, file, dir string) error {
	program, err := backends.Chromium(w)
	if err != nil {
		return err
	}
	b, err := browser.Start(program)
	if err != nil {
		return err
	}
	defer b.Stop()
	for kind, dark := range map[string]bool{".png": false, "-dark.png": true} {
		shown, err := b.Show(file, pictureWidth, 1, dark)
		if err != nil {
			return err
		}
		upper, err := above(shown, "decisions")
		if err != nil {
			return err
		}
		for name, picture := range map[string][]byte{"report": shown.PNG, "path": upper} {
			if err := os.WriteFile(filepath.Join(dir, name+kind), picture, 0o644); err != nil {
				return err
			}
			fmt.Fprintln(w, filepath.Join(dir, name+kind))
		}
	}
	return nil
}

// above is the part of a picture above one of the page's sections.
func above(s *browser.Shown, section string) ([]byte, error) {
	picture, err := png.Decode(bytes.NewReader(s.PNG))
	if err != nil {
		return nil, err
	}
	part, ok := picture.(interface {
		SubImage(image.Rectangle) image.Image
	})
	at := slices.IndexFunc(s.Sections, func(t browser.Text) bool { return t.Text == section })
	if !ok || at < 0 {
		return nil, fmt.Errorf("the page's picture cannot be cut above %s", section)
	}
	bounds := picture.Bounds()
	bounds.Max.Y = min(bounds.Max.Y, int(s.Sections[at].Top))
	var b bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, part.SubImage(bounds))
	return b.Bytes(), err
}

const pictureWidth = 1200

// reportOf measures all that the page shows.
func (l *loop) reportOf(ctx context.Context) (*report.Report, error) {
	r := &report.Report{}
	// What was counted before is known when Prometheus has looked once more.
	_, before, err := l.scraped(ctx)
	if err != nil {
		return nil, err
	}
	from := time.Now()
	sent, err := l.sample(ctx)
	if err != nil {
		return nil, err
	}
	ended := time.Now()
	lines, err := l.lines(ctx, sent)
	if err != nil {
		return nil, err
	}
	if r.Paths, r.Watch, err = report.Join(sent, lines); err != nil {
		return nil, fmt.Errorf("%w; its stopwatches are not those of envoy/*/envoy.yaml: run: make down, make up", err)
	}
	looked, after, err := l.scraped(ctx)
	if err != nil {
		return nil, err
	}
	r.Decisions = decided(before, after)
	if r.Limits.Series, err = l.limits(ctx, looked); err != nil {
		return nil, err
	}
	r.Limits.Own = []report.Span{{From: from, To: ended}}
	if r.Facts, err = l.facts(ctx, len(sent), ended.Sub(from)); err != nil {
		return nil, err
	}
	r.Made = time.Now()
	return r, nil
}

// sample sends the requests, one after the other, each over a connection that is there already, as most are.
func (l *loop) sample(ctx context.Context) ([]report.Sent, error) {
	key, err := l.mounts.TokenKey()
	if err != nil {
		return nil, err
	}
	ofEdge, err := l.mounts.Client("edge")
	if err != nil {
		return nil, fmt.Errorf("%w; is it up (make up)?", err)
	}
	transport := &http.Transport{TLSClientConfig: ofEdge}
	defer transport.CloseIdleConnections()
	now := time.Now()
	user := "report-" + base64.RawURLEncoding.EncodeToString(random(6)) // whose limits begin anew
	token := func(ttl time.Duration) string { return key.Token(claims(user, "orders:read", now, ttl)) }
	known := token(time.Hour)
	edge, mesh := "http://"+l.ports.address("EDGE_PORT"), "https://"+l.ports.address("MESH_PORT")

	var list []report.Sent
	send := func(kind, address string, headers ...[2]string) error {
		trace := hex.EncodeToString(random(16))
		// W3C Trace Context: both proxies log this trace, and do not export it
		headers = append(headers, [2]string{"Traceparent", "00-" + trace + "-" + hex.EncodeToString(random(8)) + "-00"})
		began := time.Now()
		a, err := exchange(ctx, transport, "GET", address, headers...)
		list = append(list, report.Sent{Kind: kind, Answer: a.String(), Trace: trace,
			Direct: strings.HasPrefix(address, mesh), Total: time.Since(began)})
		return err
	}
	// The first request over each connection is not like the others.
	for _, address := range []string{edge, mesh} {
		if _, err := exchange(ctx, transport, "GET", address+"/healthz"); err != nil {
			return nil, err
		}
	}
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for n := range rounds {
		if err := send("a token seen before", edge+"/orders/7", bearer(known)); err != nil {
			return nil, err
		}
		switch n % 4 {
		case 0:
			err = send("a token new to the edge", edge+"/orders/7", bearer(token(time.Hour+time.Duration(n)*time.Second)))
		case 1:
			err = send("no token", edge+"/orders/7")
		case 2:
			err = send(fmt.Sprintf("/reports, %d a minute", reportsLimit), edge+"/reports/1", bearer(known))
		case 3:
			err = send("past the edge, no stamp", mesh+"/orders/7", bearer(known))
		}
		if err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-ticker.C:
		}
	}
	return list, nil
}

// lines waits until the proxies' logs tell of all requests that were sent.
func (l *loop) lines(ctx context.Context, sent []report.Sent) (lines []report.Line, err error) {
	missing := len(sent)
	var problem error
	if err := l.await(ctx, "the proxies' logs tell of all requests", func() bool {
		text, err := l.compose.cmd(ctx, "logs", "--no-color", "--tail", strconv.Itoa(20*rounds), "edge", "mesh").Output()
		if problem = err; err != nil {
			return false
		}
		lines = report.ParseLog(string(text))
		missing = report.Missing(sent, lines)
		return missing == 0
	}); err != nil {
		return nil, errors.Join(fmt.Errorf("%w; %d are missing", err, missing), problem)
	}
	return lines, nil
}

// scraped waits until Prometheus has looked at both proxies once more, and returns when, and what
// their filters have counted.
func (l *loop) scraped(ctx context.Context) (at time.Time, counts []sampled, err error) {
	began := time.Now()
	var problem error
	if err := l.await(ctx, "Prometheus has looked at both proxies", func() bool {
		var looked []sampled
		looked, problem = l.query(ctx, `timestamp(up{job="envoy"} == 1)`, time.Now())
		for _, s := range looked {
			if s.Value.number <= float64(began.UnixMilli())/1e3 {
				return false
			}
			at = time.UnixMilli(int64(s.Value.number*1e3 + 0.5))
		}
		return problem == nil && len(looked) == 2
	}); err != nil {
		return at, nil, errors.Join(err, problem)
	}
	counts, err = l.query(ctx, `{job="envoy",__name__=~"tollgate_.+",outcome!="",code!=""}`, time.Now())
	return at, counts, err
}

// decided sums up over rules what the filters have decided, and how much of that is new.
func decided(before, after []sampled) (list []report.Decision) {
	find := func(s sampled) *report.Decision {
		d := report.Decision{Proxy: s.Metric["proxy"],
			Filter:  strings.ReplaceAll(strings.TrimPrefix(s.Metric["__name__"], "tollgate_"), "_", "-"),
			Outcome: s.Metric["outcome"], Code: s.Metric["code"]}
		i := slices.IndexFunc(list, func(o report.Decision) bool {
			return o.Proxy == d.Proxy && o.Filter == d.Filter && o.Outcome == d.Outcome && o.Code == d.Code
		})
		if i < 0 {
			i, list = len(list), append(list, d)
		}
		return &list[i]
	}
	for _, s := range after {
		d := find(s)
		d.Count += s.Value.number
		d.During += s.Value.number
	}
	for _, s := range before {
		find(s).During -= s.Value.number
	}
	return list
}

// limits are those of the edge over time.
func (l *loop) limits(ctx context.Context, until time.Time) ([]report.Series, error) {
	over := fmt.Sprintf("[%ds]", int(reportWindow.Seconds()))
	looks, err := l.query(ctx, `up{job="envoy",proxy="edge"}`+over, until)
	if err != nil || len(looks) == 0 {
		return nil, err
	}
	var scrapes []time.Time
	for _, v := range looks[0].Values {
		scrapes = append(scrapes, v.time)
	}
	counts, err := l.query(ctx, `tollgate_rate_limit{proxy="edge",outcome!=""}`+over, until)
	if err != nil {
		return nil, err
	}
	var counters []report.Counter
	for _, s := range counts {
		if s.Metric["rule"] == "-" {
			continue // for which there was no limit
		}
		c := report.Counter{Limit: s.Metric["rule"], Outcome: s.Metric["outcome"]}
		for _, v := range s.Values {
			c.Points = append(c.Points, report.Point{Time: v.time, Value: v.number})
		}
		counters = append(counters, c)
	}
	return report.SeriesOf(scrapes, counters), nil
}

var modulesOf = regexp.MustCompile(`/etc/tollgate/modules/(([a-z-]+)-[0-9a-f]{16}\.wasm)`)

// facts are what ran: Envoy and the modules, as the proxies themselves tell.
func (l *loop) facts(ctx context.Context, sent int, took time.Duration) ([]report.Fact, error) {
	list := []report.Fact{{Name: "sample",
		Value: fmt.Sprintf("%d requests in %.1f s, one after the other; all other numbers are Prometheus’, which "+
			"looks every two seconds", sent, took.Seconds())}}
	modules := map[string]string{}
	for _, proxy := range []string{"edge", "mesh"} {
		address := "http://" + l.ports.address(strings.ToUpper(proxy)+"_ADMIN_PORT")
		info, err := client{}.send(ctx, "GET", address+"/server_info")
		if err != nil {
			return nil, err
		}
		var server struct {
			Version string
			Uptime  string `json:"uptime_current_epoch"`
		}
		if err := json.Unmarshal([]byte(info.body), &server); err != nil {
			return nil, err
		}
		up, _ := time.ParseDuration(server.Uptime) // "93s"
		list = append(list, report.Fact{Name: proxy, Value: fmt.Sprintf("Envoy %s, up for %s", version(server.Version), up)})
		dump, err := client{}.send(ctx, "GET", address+"/config_dump?resource=ecds_filters")
		if err != nil {
			return nil, err
		}
		for _, m := range modulesOf.FindAllStringSubmatch(dump.body, -1) {
			modules[m[1]] = m[2]
		}
	}
	for _, file := range slices.Sorted(maps.Keys(modules)) {
		b, err := l.mounts.Module(file)
		if err != nil {
			return nil, fmt.Errorf("a module that a proxy runs: %w; run: make watch, or make down and make up", err)
		}
		list = append(list, report.Fact{Name: modules[file] + ".wasm",
			Value: fmt.Sprintf("%.2f MB, sha256 %x", float64(len(b))/1e6, sha256.Sum256(b))})
	}
	return append(list, report.Fact{Name: "machine",
		Value: fmt.Sprintf("%s, %d processors; client, proxies, services and Prometheus share them", runtime.GOARCH,
			runtime.NumCPU())}), nil
}

// version is what Envoy tells, commit/version/state of the sources/kind of the build/TLS library, in short.
func version(text string) string {
	if parts := strings.Split(text, "/"); len(parts) > 3 {
		return parts[1] + " (" + parts[3] + ", commit " + parts[0][:min(12, len(parts[0]))] + ")"
	}
	return text
}
