// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// An OAuth client made with oauth4webapi: gets tokens, and uses them at a gateway. PKCE, the checks of
// the ID token, DPoP's proofs with their nonces, and the reading of WWW-Authenticate are the library's.
// This program decides what to do about a challenge: it sends a proof again with the nonce that came
// (RFC 9449 §9), and the user back to the authorization server (RFC 9470 §4).
//
// It reads lines of JSON: {"login": {PARAMETER: VALUE}}, {"get": URL, "times": N} and {"follow": URL}, a
// get that does what a challenge asks for. It writes a line for whatever happens, and {"done": true} after
// each command; {"open": URL} asks the user, who is the test, to open a page. With CLIENT_SECRET in
// the environment the client has tokens of its own, and no user.
//
// Usage: node client.mjs ISSUER CLIENT_ID [bound]. With "bound", tokens are bound to a key of the client.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import * as oauth from 'oauth4webapi';

const [, , issuer, clientId, bound] = process.argv;
const secret = process.env.CLIENT_SECRET;
const say = line => console.log(JSON.stringify(line));

// What listens at the redirect URI, on the loopback interface (RFC 8252).
const answers = [];
const listener = createServer((request, response) => {
    answers.push(new URL(request.url, redirectUri));
    listener.emit('answer');
    response.setHeader('connection', 'close').end('done\n');
});
await once(listener.listen(0, '127.0.0.1'), 'listening');
const redirectUri = `http://127.0.0.1:${listener.address().port}/callback`;

const client = { client_id: clientId };
const DPoP = bound && oauth.DPoP(client, await oauth.generateKeyPair('ES256'));
const options = { DPoP, [oauth.allowInsecureRequests]: true }; // the test's servers are without TLS
const as = await oauth.processDiscoveryResponse(new URL(issuer), await oauth.discoveryRequest(new URL(issuer), options));
let token;

async function login(parameters) {
    if (secret) {
        const authentication = oauth.ClientSecretBasic(secret);
        const response = await oauth.clientCredentialsGrantRequest(as, client, authentication, parameters, options);
        token = await oauth.processClientCredentialsResponse(as, client, response);
    } else {
        const [verifier, state, nonce] = [oauth.generateRandomCodeVerifier(), oauth.generateRandomState(), oauth.generateRandomNonce()];
        const page = new URL(as.authorization_endpoint);
        page.search = new URLSearchParams({
            response_type: 'code', client_id: clientId, redirect_uri: redirectUri, scope: 'openid', state, nonce,
            code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...parameters
        });
        say({ open: page.href });
        if (!answers.length) await once(listener, 'answer');
        const answer = oauth.validateAuthResponse(as, client, answers.shift(), state);
        const response = await oauth.authorizationCodeGrantRequest(as, client, oauth.None(), answer, redirectUri, verifier, options);
        const maxAge = parameters.max_age && Number(parameters.max_age);
        token = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: nonce, maxAge, requireIdToken: true });
    }
    const claims = JSON.parse(Buffer.from(token.access_token.split('.')[1], 'base64url'));
    const own = DPoP && claims.cnf?.jkt === (await DPoP.calculateThumbprint());
    say({ granted: { type: token.token_type, acr: claims.acr, authTime: claims.auth_time, own } });
}

// get returns what the answer's challenge asks for, in DPoP's case after a second request.
async function get(url, again) {
    try {
        const response = await oauth.protectedResourceRequest(token.access_token, 'GET', new URL(url), undefined, null, options);
        await response.arrayBuffer();
        say({ answer: { status: response.status } });
    } catch (error) {
        if (!(error instanceof oauth.WWWAuthenticateChallengeError)) throw error;
        const { code } = await error.response.json();
        const [{ scheme, parameters }] = error.cause;
        say({ answer: { status: error.status, code, scheme, parameters } });
        return oauth.isDPoPNonceError(error) && !again ? get(url, true) : parameters;
    }
}

async function follow(url) {
    const { error, acr_values, max_age } = (await get(url)) ?? {};
    if (error !== 'insufficient_user_authentication') return;
    await login({ ...(acr_values && { acr_values }), ...(max_age && { max_age }) });
    await get(url);
}

for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    try {
        if (command.login) await login(command.login);
        if (command.get) await Promise.all(Array.from({ length: command.times }, () => get(command.get)));
        if (command.follow) await follow(command.follow);
    } catch (error) {
        say({ failed: [error.message, error.cause?.message].filter(Boolean).join(': ') });
    }
    say({ done: true });
}
listener.close();
