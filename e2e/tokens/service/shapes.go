// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

type object map[string]any

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // what is written here is JSON
	}
	return string(text)
}

// most events of one answer, however many tokens it costs.
const most = 50

// text is what the answer says, a piece for each event.
func (c *call) text() (pieces []string) {
	for i := range min(max(c.output, 1), most) {
		pieces = append(pieces, fmt.Sprintf(`word %d "usage":{"total_tokens":999999} `, i))
	}
	return pieces
}

// number is one of the numbers of tokens.
func (c *call) number(n int64) any {
	if c.unusual {
		return fmt.Sprint(n)
	}
	return n
}

// put adds a member that tells tokens.
func (c *call) put(o object, name string, usage any) object {
	if !c.noUsage {
		o[name] = usage
	}
	return o
}

// events makes a stream of server-sent events. A name before the data is the type of the event.
func events(data ...any) (pieces []string) {
	for _, d := range data {
		piece := "data: " + encode(d) + "\n\n"
		if o, ok := d.(object); ok && o["type"] != nil {
			piece = fmt.Sprintf("event: %s\n", o["type"]) + piece
		}
		pieces = append(pieces, piece)
	}
	return pieces
}

// split makes three pieces of one that is not streamed, as a network may.
func split(text string) []string {
	third := len(text) / 3
	return []string{text[:third], text[third : 2*third], text[2*third:]}
}

func chatCompletion(c *call) answer {
	usage := func(output int64) object {
		return object{"prompt_tokens": c.number(c.input), "completion_tokens": c.number(output),
			"total_tokens": c.number(c.input + output)}
	}
	body := func(kind string, choices ...any) object {
		if choices == nil {
			choices = []any{}
		}
		return object{"id": "chatcmpl-1", "object": kind, "created": created.Unix(), "model": c.model, "choices": choices}
	}
	if !c.stream {
		whole := body("chat.completion", object{"index": 0, "finish_reason": "stop",
			"message": object{"role": "assistant", "content": strings.Join(c.text(), "")}})
		return answer{"application/json", split(encode(c.put(whole, "usage", usage(c.output))))}
	}
	const kind = "chat.completion.chunk"
	var data []any
	for i, text := range c.text() {
		chunk := body(kind, object{"index": 0, "finish_reason": nil, "delta": object{"role": "assistant", "content": text}})
		switch {
		case c.running:
			c.put(chunk, "usage", usage(min(int64(i), c.output)))
		case c.includeUsage:
			chunk["usage"] = nil
		}
		data = append(data, chunk)
	}
	data = append(data, body(kind, object{"index": 0, "finish_reason": "stop", "delta": object{}}))
	if c.includeUsage {
		data = append(data, c.put(body(kind), "usage", usage(c.output)))
	}
	return answer{"text/event-stream; charset=utf-8", append(events(data...), "data: [DONE]\n\n")}
}

func response(c *call) answer {
	body := func(status string, output ...any) object {
		if output == nil {
			output = []any{}
		}
		return object{"id": "resp_1", "object": "response", "created_at": created.Unix(), "model": c.model, "status": status,
			"output": output, "parallel_tool_calls": true, "tool_choice": "auto", "tools": []any{}, "usage": nil}
	}
	whole := body("completed", object{"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
		"content": []any{object{"type": "output_text", "annotations": []any{}, "text": strings.Join(c.text(), "")}}})
	c.put(whole, "usage", object{"input_tokens": c.number(c.input), "output_tokens": c.number(c.output),
		"input_tokens_details": object{"cached_tokens": 0}, "output_tokens_details": object{"reasoning_tokens": 0},
		"total_tokens": c.number(c.input + c.output)})
	if !c.stream {
		return answer{"application/json", split(encode(whole))}
	}
	data := []any{object{"type": "response.created", "sequence_number": 0, "response": body("in_progress")}}
	for i, text := range c.text() {
		data = append(data, object{"type": "response.output_text.delta", "sequence_number": i + 1, "item_id": "msg_1",
			"output_index": 0, "content_index": 0, "delta": text, "logprobs": []any{}})
	}
	data = append(data, object{"type": "response.completed", "sequence_number": len(data), "response": whole})
	return answer{"text/event-stream; charset=utf-8", events(data...)}
}

func message(c *call) answer {
	body := func(content ...any) object {
		if content == nil {
			content = []any{}
		}
		return object{"id": "msg_1", "type": "message", "role": "assistant", "model": c.model, "content": content,
			"stop_reason": nil, "stop_sequence": nil}
	}
	usage := func(output int64) object {
		return object{"input_tokens": c.number(c.input), "output_tokens": c.number(output)}
	}
	if !c.stream {
		whole := body(object{"type": "text", "text": strings.Join(c.text(), "")})
		return answer{"application/json", split(encode(c.put(whole, "usage", usage(c.output))))}
	}
	data := []any{
		object{"type": "message_start", "message": c.put(body(), "usage", usage(1))},
		object{"type": "content_block_start", "index": 0, "content_block": object{"type": "text", "text": ""}},
		object{"type": "ping"},
	}
	for _, text := range c.text() {
		data = append(data, object{"type": "content_block_delta", "index": 0,
			"delta": object{"type": "text_delta", "text": text}})
	}
	data = append(data, object{"type": "content_block_stop", "index": 0},
		c.put(object{"type": "message_delta", "delta": object{"stop_reason": "end_turn", "stop_sequence": nil}}, "usage",
			object{"output_tokens": c.number(c.output)}),
		object{"type": "message_stop"})
	return answer{"text/event-stream; charset=utf-8", events(data...)}
}

func generateContent(c *call) answer {
	body := func(text string, output int64) object {
		return c.put(object{"candidates": []any{object{"index": 0,
			"content": object{"role": "model", "parts": []any{object{"text": text}}}}}, "modelVersion": c.model},
			"usageMetadata", object{"promptTokenCount": c.number(c.input), "candidatesTokenCount": c.number(output),
				"totalTokenCount": c.number(c.input + output)})
	}
	texts := c.text()
	if !c.stream {
		return answer{"application/json; charset=UTF-8", split(encode(body(strings.Join(texts, ""), c.output)))}
	}
	var data []any
	for i, text := range texts {
		output := min(int64(i), c.output)
		if i == len(texts)-1 {
			output = c.output
		}
		data = append(data, body(text, output))
	}
	if c.events {
		return answer{"text/event-stream", events(data...)}
	}
	var pieces []string
	for i, d := range data {
		before := ",\r\n"
		if i == 0 {
			before = "["
		}
		pieces = append(pieces, before+encode(d))
	}
	return answer{"application/json; charset=UTF-8", append(pieces, "\n]\n")}
}

func ollama(c *call) answer {
	body := func(text string, done bool) object {
		o := object{"model": c.model, "created_at": created.Format(time.RFC3339Nano), "done": done}
		if c.path == "/api/chat" {
			o["message"] = object{"role": "assistant", "content": text}
		} else {
			o["response"] = text
		}
		if done {
			o["done_reason"], o["total_duration"] = "stop", 4883583458
			c.put(c.put(o, "prompt_eval_count", c.number(c.input)), "eval_count", c.number(c.output))
		}
		return o
	}
	if !c.stream {
		return answer{"application/json; charset=utf-8", split(encode(body(strings.Join(c.text(), ""), true)))}
	}
	var pieces []string
	for _, text := range c.text() {
		pieces = append(pieces, encode(body(text, false))+"\n")
	}
	return answer{"application/x-ndjson", append(pieces, encode(body("", true))+"\n")}
}
