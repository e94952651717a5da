# Copyright 2026 The Tollgate authors
# SPDX-License-Identifier: Apache-2.0
"""The tools of build/loop/mcpserver, served with the official SDK for Python.

What the two SDKs do with headers that lie is not the same code: the page about MCP tells of both.
"""

import json
import socket

import uvicorn
from mcp.server.mcpserver import MCPServer
from pydantic import BaseModel

server = MCPServer("orders")
orders = [7, 8, 9]


class Orders(BaseModel):
    orders: list[int]


@server.tool()
def list_orders() -> Orders:
    return Orders(orders=orders)


@server.tool()
def delete_order(id: int) -> Orders:
    if id in orders:
        orders.remove(id)
    return Orders(orders=orders)


app = server.streamable_http_app(streamable_http_path="/mcp/orders", json_response=True, stateless_http=True)
listener = socket.create_server(("127.0.0.1", 0))
print(json.dumps({"listening": "%s:%d" % listener.getsockname()}), flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
