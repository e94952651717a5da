// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// An MCP client made with the official SDK for TypeScript: lists the tools, reads, deletes. It takes
// either generation of the SDK, whose names are the same: @modelcontextprotocol/client (2.x, revision
// 2026-07-28) or @modelcontextprotocol/sdk (1.x, up to revision 2025-11-25).
//
// All of OAuth is the SDK's: discovery, PKCE, the choice of scopes, and the step-up after a 403. This
// program keeps what it gets, and stands at the redirect URI. It writes a line of JSON for whatever
// happens; {"open": URL} asks the user, who is the test, to open a page.
//
// Usage: node client.mjs PACKAGE SERVER CLIENT_ID [plain]. With "plain", SDK 1.x gets no help.

import { once } from 'node:events';
import { createServer } from 'node:http';

const [, , name, server, clientId, plain] = process.argv;
const old = name === '@modelcontextprotocol/sdk';
const { Client } = await import(old ? `${name}/client/index.js` : name);
const { StreamableHTTPClientTransport } = await import(old ? `${name}/client/streamableHttp.js` : name);
const { UnauthorizedError } = await import(old ? `${name}/client/auth.js` : name);

const say = line => console.log(JSON.stringify(line));

// What listens at the redirect URI, on the loopback interface (RFC 8252).
const answers = [];
const listener = createServer((request, response) => {
    answers.push(new URL(request.url, redirectUrl).searchParams);
    listener.emit('answer');
    response.setHeader('connection', 'close').end('done\n');
});
await once(listener.listen(0, '127.0.0.1'), 'listening');
const redirectUrl = `http://127.0.0.1:${listener.address().port}/callback`;

// The provider keeps everything in memory.
//
// SDK 1.32.2 steps up only where it has no refresh token. After a 403 its transport calls auth()
// (dist/esm/client/streamableHttp.js:366), which refreshes if it can (auth.js:351). That brings the scopes
// that the token had, and the second 403 is an error (streamableHttp.js:355). So the provider hides the
// refresh token after a 403: then auth() goes to the user, and asks for the scopes of the challenge.
let tokens, verifier, state, discovery, forbidden = false;
const provider = {
    redirectUrl,
    clientMetadata: { client_name: 'the test', redirect_uris: [redirectUrl], token_endpoint_auth_method: 'none' },
    clientInformation: () => ({ client_id: clientId, token_endpoint_auth_method: 'none' }),
    tokens: () => (tokens && forbidden && !plain ? { ...tokens, refresh_token: undefined } : tokens),
    saveTokens: t => {
        [tokens, forbidden] = [t, false];
        say({ granted: t.scope });
    },
    discoveryState: () => discovery,
    saveDiscoveryState: d => (discovery = d),
    state: () => (state = crypto.randomUUID()),
    codeVerifier: () => verifier,
    saveCodeVerifier: v => (verifier = v),
    redirectToAuthorization: url => say({ open: url.href })
};

// Revisions before 2026-07-28 have no Mcp-Method and Mcp-Name, so SDK 1.x never sends them. Whoever
// wants rules for single tools there adds them, here through the SDK's hook for its requests.
async function hooked(url, init = {}) {
    if (init.method === 'POST' && String(url) === server) {
        const { method, params } = JSON.parse(init.body);
        init.headers.set('mcp-method', method);
        if (params?.name) init.headers.set('mcp-name', params.name);
    }
    const response = await fetch(url, init);
    if (response.status === 403) forbidden = true;
    return response;
}

const transport = () => new StreamableHTTPClientTransport(new URL(server), { authProvider: provider, ...(old && { fetch: hooked }) });
let current = transport();

// finish waits for the redirect, and trades the code for a token.
async function finish() {
    if (!answers.length) await once(listener, 'answer');
    const answer = answers.shift();
    if (answer.get('error')) say({ refused: answer.get('error') });
    if (answer.get('state') !== state) throw new Error('the state is not the one that was sent');
    await (old ? current.finishAuth(answer.get('code')) : current.finishAuth(answer));
}

// authorized repeats what needed the user, once the user has been there. The SDK asks the provider to
// open the page and gives up with UnauthorizedError; it does not wait.
async function authorized(work) {
    try {
        return await work();
    } catch (error) {
        if (!(error instanceof UnauthorizedError)) {
            say({ failed: error.message });
            throw error;
        }
        await finish();
        return await work();
    }
}

const client = new Client({ name: 'the test', version: '1.0.0' }, { versionNegotiation: { mode: 'auto' } });
await authorized(() => {
    current = transport();
    return client.connect(current);
});
say({ revision: current.protocolVersion });
say({ tools: (await client.listTools()).tools.map(tool => tool.name).sort() });
for (const [name, args] of [['list_orders', {}], ['delete_order', { id: 9 }], ['list_orders', {}]]) {
    const result = await authorized(() => client.callTool({ name, arguments: args }));
    say({ called: name, orders: result.structuredContent.orders });
}
await client.close();
listener.close();
