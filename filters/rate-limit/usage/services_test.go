// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"strings"
	"testing"
)

// events makes a stream of events with these data.
func events(data ...string) string {
	return "data: " + strings.Join(data, "\n\ndata: ") + "\n\n"
}

// The answers of services that tell tokens, in the shapes in which they stream and in which they do not.
func TestServices(t *testing.T) {
	openai := list("usage.total_tokens")
	responses := list("response.usage.total_tokens", "usage.total_tokens")
	anthropic := list("message.usage.input_tokens", "usage.input_tokens", "message.usage.output_tokens",
		"usage.output_tokens")
	gemini := list("usageMetadata.totalTokenCount")
	ollama := list("prompt_eval_count", "eval_count")
	// A limit for all of them.
	all := append(append(append([][]string{}, responses...), gemini...), ollama...)

	anthropicEvents := "event: message_start\n" +
		events(`{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],
data: "model":"claude","stop_reason":null,"usage":{"input_tokens":25,"cache_read_input_tokens":0,"output_tokens":1}}}`) +
		"event: content_block_start\n" +
		events(`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`) +
		"event: ping\n" + events(`{"type": "ping"}`) +
		"event: content_block_delta\n" +
		events(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"{\"usage\":{\"output_tokens\":9}}"}}`) +
		"event: content_block_stop\n" + events(`{"type":"content_block_stop","index":0}`) +
		"event: message_delta\n" +
		events(`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":25,"output_tokens":15}}`) +
		"event: message_stop\n" + events(`{"type":"message_stop"}`)

	geminiChunks := []string{
		`{"candidates":[{"content":{"parts":[{"text":"The"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":8,
"totalTokenCount":8,"promptTokensDetails":[{"modality":"TEXT","tokenCount":8}]},"modelVersion":"gemini"}`,
		`{"candidates":[{"content":{"parts":[{"text":" answer"}],"role":"model"},"finishReason":"STOP","index":0}],
"usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":12,"totalTokenCount":20}}`,
	}
	ollamaChunks := `{"model":"llama","created_at":"2026-11-27T08:00:00Z","message":{"role":"assistant","content":"The"},"done":false}
{"model":"llama","created_at":"2026-11-27T08:00:01Z","message":{"role":"assistant","content":" sky"},"done":false}
{"model":"llama","created_at":"2026-11-27T08:00:02Z","message":{"role":"assistant","content":""},"done_reason":"stop",
"done":true,"total_duration":4883583458,"load_duration":1334875,"prompt_eval_count":26,"prompt_eval_duration":342546000,
"eval_count":282,"eval_duration":4535599000}
`
	completion := `{
  "id": "chatcmpl-1", "object": "chat.completion", "created": 1764230400, "model": "gpt", "service_tier": "default",
  "choices": [{"index": 0, "message": {"role": "assistant", "content": "\"usage\": {\"total_tokens\": 1}", "refusal": null},
    "logprobs": null, "finish_reason": "stop"}],
  "usage": {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}}
}
`
	chunk := func(choices, usage string) string {
		return `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1764230400,"model":"gpt","choices":` +
			choices + usage + `}`
	}
	delta := `[{"index":0,"delta":{"content":" usage"},"logprobs":null,"finish_reason":null}]`

	for _, c := range []struct {
		name  string
		paths [][]string
		sse   bool
		body  string
		want  result
	}{
		{"OpenAI chat completion", openai, false, completion, is(29)},
		{"OpenAI chat completion, streamed with include_usage", openai, true, events(
			chunk(delta, `,"usage":null`), chunk(delta, `,"usage":null`),
			chunk(`[]`, `,"usage":{"prompt_tokens":19,"completion_tokens":2,"total_tokens":21}`), "[DONE]"), is(21)},
		{"OpenAI chat completion, streamed without include_usage", openai, true, events(chunk(delta, ""), "[DONE]"),
			missing},
		{"OpenAI chat completion, broken off before the usage", openai, true,
			events(chunk(delta, `,"usage":null`)) + `data: {"id":"chatcmpl-1","usage"`, missing},
		{"OpenAI response", responses, false,
			`{"id":"resp_1","object":"response","output":[{"type":"message","content":[{"type":"output_text","text":"Hi"}]}],
			"usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":0},"output_tokens":87,"total_tokens":123}}`,
			is(123)},
		{"OpenAI response, streamed", responses, true, "event: response.created\n" +
			events(`{"type":"response.created","response":{"id":"resp_1","status":"in_progress","output":[],"usage":null}}`) +
			"event: response.output_text.delta\n" +
			events(`{"type":"response.output_text.delta","delta":"Hi"}`) + "event: response.completed\n" +
			events(`{"type":"response.completed","response":{"id":"resp_1","status":"completed",
data: "output":[],"usage":{"input_tokens":37,"output_tokens":11,"total_tokens":48}}}`), is(48)},
		{"Anthropic message", anthropic, false, `{"id":"msg_1","type":"message","role":"assistant","model":"claude",
			"content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn",
			"usage":{"input_tokens":2095,"output_tokens":503}}`, is(2598)},
		{"Anthropic message, streamed", anthropic, true, anthropicEvents, is(40)},
		{"Anthropic message, broken off", anthropic, true, anthropicEvents[:600], is(26)},
		{"Anthropic error in a stream", anthropic, true,
			"event: error\n" + events(`{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`), missing},
		{"Gemini", gemini, false, geminiChunks[1], is(20)},
		{"Gemini, streamed as events", gemini, true,
			strings.ReplaceAll(strings.ReplaceAll(events(geminiChunks...), ",\n", ",\ndata: "), "\n", "\r\n"), is(20)},
		{"Gemini, streamed as a list", gemini, false, "[" + strings.Join(geminiChunks, "\n,\r\n") + "\n]\n", is(20)},
		{"Gemini, streamed as a list and broken off", gemini, false, "[" + geminiChunks[0] + "\n,\r\n" + geminiChunks[1][:30],
			is(8)},
		{"vLLM, with a running total", openai, true, events(
			chunk(delta, `,"usage":{"prompt_tokens":19,"total_tokens":19,"completion_tokens":0}`),
			chunk(delta, `,"usage":{"prompt_tokens":19,"total_tokens":20,"completion_tokens":1}`),
			chunk(`[]`, `,"usage":{"prompt_tokens":19,"total_tokens":21,"completion_tokens":2}`), "[DONE]"), is(21)},
		{"vLLM, with a running total, broken off", openai, true,
			events(chunk(delta, `,"usage":{"prompt_tokens":19,"total_tokens":20,"completion_tokens":1}`)) + `data: {"id`,
			is(20)},
		{"Ollama", ollama, false, `{"model":"llama","response":"Hi","done":true,"prompt_eval_count":26,"eval_count":290}`,
			is(316)},
		{"Ollama, streamed", ollama, false, ollamaChunks, is(308)},
		{"Ollama, by a limit for all services", all, false, ollamaChunks, is(308)},
		{"Ollama's texts, by a limit for all services", all, false,
			`{"response":"Hi","done":false}` + "\n" + `{"response":"","done":true,"prompt_eval_count":26,"eval_count":290}`,
			is(316)},
		{"OpenAI, by a limit for all services", all, false, completion, is(29)},
		{"Gemini, by a limit for all services", all, false, geminiChunks[1], is(20)},
		{"an error as JSON", anthropic, false, `{"message":"Too many tokens","usage":null}`, missing},
		{"an error as HTML", openai, false, "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n</html>", missing},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := readCut(t, NewPaths(c.paths), c.sse, c.body); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// chatStream is an answer of n events in OpenAI's shape.
func chatStream(n int) string {
	const delta = `{"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion.chunk","created":1741569952,` +
		`"model":"gpt-4.1-2025-04-14","service_tier":"default","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,` +
		`"delta":{"content":" word"},"logprobs":null,"finish_reason":null}],"usage":null}`
	const last = `{"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion.chunk","choices":[],` +
		`"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29}}`
	return strings.Repeat(events(delta), n) + events(last, "[DONE]")
}

func BenchmarkReader(b *testing.B) {
	text := strings.Repeat(`Lorem ipsum dolor sit amet, \"consectetur\" adipiscing elit.\n`, 160)
	for _, c := range []struct {
		name  string
		paths [][]string
		sse   bool
		body  string
	}{
		{"events", list("usage.total_tokens"), true, chatStream(30)},
		{"events,4paths", list("message.usage.input_tokens", "usage.input_tokens", "message.usage.output_tokens",
			"usage.output_tokens"), true, chatStream(30)},
		{"text", list("usage.total_tokens"), false, `{"choices":[{"message":{"content":"` + text +
			`"}}],"usage":{"total_tokens":7}}`},
		{"numbers", list("usage.total_tokens"), false, `{"data":[{"embedding":[` +
			strings.Repeat("-0.0069292834,", 750) + `0]}],"usage":{"total_tokens":7}}`},
		{"members", list("usage.total_tokens"), false, `{` + strings.Repeat(`"member":"value","number":12,`, 350) +
			`"usage":{"total_tokens":7}}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			p, body := NewPaths(c.paths), []byte(c.body)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				var r Reader
				r.Reset(p, c.sse)
				for left := body; len(left) > 0; {
					n := min(len(left), 2048)
					r.Write(left[:n])
					left = left[n:]
				}
				r.Close()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(body))*1024, "ns/KB")
		})
	}
}
