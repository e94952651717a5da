// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
)

// stream is what a service streams in answer: server-sent events of some 300 bytes. The zero value is no such answer.
type stream struct {
	cluster  string        // which has it
	suffix   string        // of the names of its rows
	size     int           // bytes, at least
	together int           // events in a chunk
	pause    time.Duration // after each chunk
	units    int           // the row's figure is the cost of an answer by this
	share    int           // how many requests of the other rows one of these stands for
}

var (
	megabyte = stream{cluster: "events", suffix: ", a megabyte of events", size: 1_000_000, together: 8, units: 1,
		share: 40}
	// The pause is long enough that each comes to Envoy by itself.
	singles = stream{cluster: "singles", suffix: ", an event by itself", size: 100_000, together: 1,
		pause: 200 * time.Microsecond, units: len(eventsOf(100_000, 1)), share: 100}
)

// briefAnswer is what a service that tells tokens answers to a short question.
const briefAnswer = `{"id":"chatcmpl-1","object":"chat.completion","created":1795766400,"model":"m","choices":[{"index":0,` +
	`"message":{"role":"assistant","content":"It is a quarter past nine in the morning."},"logprobs":null,` +
	`"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12},"system_fingerprint":"f"}`

// answerRows measure what rate-limit costs where answers matter: the lean module beside the whole
// one, each way to look at answers beside the plain limit, and events that are streamed. No request
// is refused.
func answerRows(out string) []row {
	const plain, json = `"rate":{"requests":1000000,"per":"1s"}`,
		`"cost":{"response":{"json":["usage","total_tokens"],"stream":"sse","max":100}}`
	list := []row{{name: nothing}}
	for _, s := range []stream{megabyte, singles} {
		list = append(list, row{name: nothing + s.suffix, streams: s, beyond: nothing + s.suffix})
	}
	for _, r := range []struct {
		name, module, limit string
		streams             stream
	}{
		{"plain limit, lean module", "rate-limit-lean", plain, stream{}},
		{"plain limit", "rate-limit", plain, stream{}},
		{"counts", "rate-limit", plain + `,"counts":{"status":["2xx"]}`, stream{}},
		{"cost.response.header", "rate-limit", plain + `,"cost":{"response":{"header":"x-cost","max":100}}`, stream{}},
		{"cost.response.json", "rate-limit", plain + "," + json, stream{}},
		{"concurrency", "rate-limit", `"concurrency":{"requests":1000}`, stream{}},
		{"plain limit, lean module" + megabyte.suffix, "rate-limit-lean", plain, megabyte},
		{"plain limit" + megabyte.suffix, "rate-limit", plain, megabyte},
		{"cost.response.json" + megabyte.suffix, "rate-limit", plain + "," + json, megabyte},
		{"plain limit, lean module" + singles.suffix, "rate-limit-lean", plain, singles},
		{"plain limit" + singles.suffix, "rate-limit", plain, singles},
		{"cost.response.json" + singles.suffix, "rate-limit", plain + "," + json, singles},
	} {
		list = append(list, row{name: r.name, streams: r.streams, beyond: nothing + r.streams.suffix,
			filters: []bootstrap.M{bootstrap.Wasm{Name: r.name, Module: filepath.Join(out, r.module+".wasm"),
				Configuration: `{"limits":[{"name":"all",` + r.limit + `}],"headers":"none"}`}.Filter()}})
	}
	for i := range list {
		list[i].request = get("")
	}
	return list
}

// answerRoutes are the routes of such a row.
func answerRoutes(r row) []bootstrap.M {
	if r.streams.cluster != "" {
		return bootstrap.To(r.streams.cluster)
	}
	routes := bootstrap.Answer(200, briefAnswer)
	routes[0]["response_headers_to_add"] = []bootstrap.M{
		{"header": bootstrap.M{"key": "content-type", "value": "application/json"},
			"append_action": "OVERWRITE_IF_EXISTS_OR_ADD"},
		{"header": bootstrap.M{"key": "x-cost", "value": "12"}},
	}
	return routes
}

// eventsOf are so many bytes of events in chunks, and what they have cost in the last but one.
func eventsOf(size, together int) (chunks [][]byte) {
	var chunk bytes.Buffer
	for i, total := 1, 0; total < size; i++ {
		n, _ := fmt.Fprintf(&chunk, "data: "+ // never fails
			`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795766400,"model":"m","system_fingerprint":"f",`+
			`"choices":[{"index":0,"delta":{"role":"assistant","content":" word %d of what it has to say about this"},`+
			`"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"aB3dE6gH9jK2mN5p"}`+"\n\n", i)
		if total += n; i%together == 0 {
			chunks = append(chunks, bytes.Clone(chunk.Bytes()))
			chunk.Reset()
		}
	}
	chunk.WriteString(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[],"usage":{"total_tokens":12}}` +
		"\n\ndata: [DONE]\n\n")
	return append(chunks, chunk.Bytes())
}

// start runs a service that streams them.
func (s stream) start() (cluster bootstrap.M, stop func()) {
	chunks := eventsOf(s.size, s.together)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("content-type", "text/event-stream")
		for _, c := range chunks {
			if _, err := w.Write(c); err != nil {
				return // who measures sees it
			}
			w.(http.Flusher).Flush()
			time.Sleep(s.pause)
		}
	}))
	return bootstrap.Cluster(s.cluster, server.Listener.Addr().(*net.TCPAddr).Port, false), server.Close
}

// Where the table of -answers stands.
const answersBegin, answersEnd = "<!-- answers -->\n", "<!-- /answers -->\n"

var answersFile = filepath.Join("filters", "rate-limit", "README.md")

// answersTable is that table: of each row, what it costs more than no filter, by the minima of all
// rounds. They are steadier than medians where something else runs.
func (r *Report) answersTable() string {
	least := map[string]float64{}
	for _, row := range r.Rows {
		least[row.Name] = row.Min
	}
	var b strings.Builder
	b.WriteString(answersBegin + "| limit | a request, µs | a megabyte of events, µs | an event by itself, µs |\n|---|---|---|---|\n")
	cell := func(name, base string) string {
		n, ok := least[name]
		switch {
		case !ok:
			return ""
		case name == base:
			return fmt.Sprintf("%.0f in all", n)
		}
		return fmt.Sprintf("%+.0f", n-least[base])
	}
	for _, row := range r.Rows {
		if strings.HasSuffix(row.Name, megabyte.suffix) || strings.HasSuffix(row.Name, singles.suffix) {
			continue
		}
		fmt.Fprintf(&b, "| %s", row.Name)
		for _, suffix := range []string{"", megabyte.suffix, singles.suffix} {
			fmt.Fprintf(&b, " | %s", cell(row.Name+suffix, nothing+suffix))
		}
		b.WriteString(" |\n")
	}
	b.WriteString(answersEnd)
	return b.String()
}

// writeAnswers puts the table into the README.
func (r *Report) writeAnswers(root string) error {
	path := filepath.Join(root, answersFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), answersBegin)
	_, after, ok2 := strings.Cut(rest, answersEnd)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no place for the table", path)
	}
	return os.WriteFile(path, []byte(before+r.answersTable()+after), 0o644)
}

// lastChunk ends an answer in chunks, and is in no event.
var lastChunk = []byte("\r\n0\r\n\r\n")

// stream sends the request once and reads an answer in chunks: Envoy may cut it in other places each time.
func (c *client) stream() error {
	if _, err := c.c.Write(c.request); err != nil {
		return err
	}
	kept, all := 0, 0 // bytes at the beginning of the buffer, and of the answer
	for {
		n, err := c.c.Read(c.buffer[kept:])
		if err != nil {
			return err
		}
		if all == 0 && !bytes.HasPrefix(c.buffer[:n], c.status) {
			return fmt.Errorf("an answer is %.30q", c.buffer[:n])
		}
		all += n
		got := c.buffer[:kept+n]
		if bytes.HasSuffix(got, lastChunk) {
			break
		}
		kept = copy(c.buffer, got[max(0, len(got)-len(lastChunk)):])
	}
	if all < c.least {
		return fmt.Errorf("%w: an answer has %d bytes", io.ErrUnexpectedEOF, all)
	}
	return nil
}
