# Copyright 2026 The Tollgate authors
# SPDX-License-Identifier: Apache-2.0
"""A client made with the official OpenAI library for Python.

It reads a line of JSON for each call, and writes one for what has come of it:

    {"api": "chat", "arguments": {"max_tokens": 30, "stream": true}, "headers": {"x-user": "alice"}, "leave": 3}
    {"status": 200, "pieces": 3, "left": true, "ratelimit": null}

The library tries nothing again: what it is told is what the test sees. leave is after how many pieces of a stream the
client goes away.

Usage: client.py BASE_URL
"""

import json
import sys

from openai import APIConnectionError, APIStatusError, OpenAI


def call(client: OpenAI, api: str, arguments: dict, headers: dict, leave: int = 0) -> dict:
    if api == "chat":
        interface = client.chat.completions
        arguments["messages"] = [{"role": "user", "content": "Hello"}]
    else:
        interface = client.responses
        arguments["input"] = "Hello"
    raw = interface.with_raw_response.create(model="small", extra_headers=headers, **arguments)
    told = {"status": raw.http_response.status_code, "ratelimit": raw.headers.get("ratelimit"), "pieces": 0}
    answer = raw.parse()
    if not arguments.get("stream"):
        usage = answer.usage
        text = answer.choices[0].message.content if api == "chat" else answer.output_text
        return told | {"tokens": usage and usage.total_tokens, "text": len(text)}
    tokens, text = None, 0
    for piece in answer:
        told["pieces"] += 1
        if told["pieces"] == leave:
            answer.close()
            return told | {"left": True}
        if api == "chat":
            text += sum(len(choice.delta.content or "") for choice in piece.choices)
            usage = piece.usage
        else:
            text += len(piece.delta) if piece.type == "response.output_text.delta" else 0
            usage = piece.response.usage if piece.type == "response.completed" else None
        tokens = usage.total_tokens if usage else tokens
    return told | {"tokens": tokens, "text": text}


def main(base: str):
    client = OpenAI(base_url=base, api_key="none", max_retries=0, timeout=30)
    for line in sys.stdin:
        try:
            told = call(client, **json.loads(line))
        except APIStatusError as e:
            told = {"status": e.status_code, "error": type(e).__name__, "code": e.code or (e.body or {}).get("code"),
                    "retry_after": e.response.headers.get("retry-after")}
        except APIConnectionError as e:  # so is an answer that breaks off
            told = {"error": type(e).__name__}
        print(json.dumps(told), flush=True)


main(sys.argv[1])
