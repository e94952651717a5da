# Copyright 2026 The Tollgate authors
# SPDX-License-Identifier: Apache-2.0
"""An MCP client made with the official SDK for Python: lists the tools, reads, deletes.

All of OAuth is the SDK's: discovery, PKCE, the choice of scopes, and the step-up after a 403. This
program keeps what it gets, and stands at the redirect URI. It writes a line of JSON for whatever
happens; {"open": URL} asks the user, who is the test, to open a page.

Usage: client.py SERVER [CLIENT_ID]. Without a client ID it registers itself (RFC 7591).
"""

import asyncio
import json
import sys
from urllib.parse import parse_qsl, urlsplit

import httpx2
from mcp.client import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, TokenStorage
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken


def say(**line):
    print(json.dumps(line), flush=True)


class Storage(TokenStorage):
    """Keeps everything in memory."""

    def __init__(self, client_info: OAuthClientInformationFull | None):
        self.client_info, self.tokens = client_info, None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken):
        say(granted=tokens.scope)
        self.tokens = tokens

    async def get_client_info(self):
        return self.client_info

    async def set_client_info(self, client_info: OAuthClientInformationFull):
        say(registered=client_info.scope)
        self.client_info = client_info


class Callback:
    """What listens at the redirect URI, on the loopback interface (RFC 8252)."""

    async def start(self):
        self.answers: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.uri = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/callback"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        target = (await reader.readline()).split()[1].decode()
        while (await reader.readline()).strip():
            pass
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\ndone\n")
        await writer.drain()
        writer.close()
        await self.answers.put(dict(parse_qsl(urlsplit(target).query)))

    async def answer(self) -> AuthorizationCodeResult:
        got = await self.answers.get()
        if "error" in got:
            say(refused=got["error"])
        return AuthorizationCodeResult(code=got.get("code", ""), state=got.get("state"), iss=got.get("iss"))


async def open_page(url: str):
    say(open=url)


async def main(server: str, client_id: str | None):
    callback = Callback()
    await callback.start()
    known = client_id and OAuthClientInformationFull(
        client_id=client_id, redirect_uris=[callback.uri], token_endpoint_auth_method="none"
    )
    auth = OAuthClientProvider(
        server_url=server,
        client_metadata=OAuthClientMetadata(
            client_name="the test", redirect_uris=[callback.uri], token_endpoint_auth_method="none"
        ),
        storage=Storage(known or None),
        redirect_handler=open_page,
        callback_handler=callback.answer,
    )
    async with httpx2.AsyncClient(auth=auth, timeout=30) as http:
        async with Client(streamable_http_client(server, http_client=http)) as client:
            say(revision=client.protocol_version)
            say(tools=sorted(tool.name for tool in (await client.list_tools()).tools))
            for tool, arguments in ("list_orders", {}), ("delete_order", {"id": 8}), ("list_orders", {}):
                result = await client.call_tool(tool, arguments)
                say(called=tool, orders=result.structured_content["orders"])


asyncio.run(main(*sys.argv[1:], *[None][: 3 - len(sys.argv)]))
