// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Two implementations of RFC 9421 that share nothing with this project: web-bot-auth, of those who wrote the drafts, and http-message-signatures, with the packages of package-lock.json.
//
// node bot.mjs sign URL CREATED JWK: prints signed requests for a URL as JSON. JWK is an Ed25519 key with its private half.
// node bot.mjs verify JWK: reads a request {method, url, headers} as JSON from standard input, and fails unless it is signed by the key.
import { createPrivateKey, createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { signatureHeaders, jwkToKeyID } from 'web-bot-auth'
import { helpers, signerFromJWK } from 'web-bot-auth/crypto'
import { httpbis, createSigner, createVerifier } from 'http-message-signatures'

const [mode, ...rest] = process.argv.slice(2)
if (mode === 'sign') {
  const [url, seconds, text] = rest
  const jwk = JSON.parse(text)
  const created = new Date(seconds * 1000), expires = new Date(seconds * 1000 + 300_000)
  const out = []
  const bot = async (name, agent, params) => {
    const headers = agent ? { 'Signature-Agent': agent } : {}
    const signed = await signatureHeaders(new Request(url, { headers }), await signerFromJWK(jwk), { created, expires, ...params })
    out.push({ name: 'web-bot-auth: ' + name, method: 'GET', url, headers: { ...headers, ...signed } })
  }
  await bot('alone', '', {})
  await bot('with Signature-Agent', '"https://bot.example"', {})
  await bot('over more', '', { components: ['@authority', '@method', '@path'] })
  const keyid = await jwkToKeyID(jwk, helpers.WEBCRYPTO_SHA256, helpers.BASE64URL_DECODE)
  for (const [name, fields] of [['the host', ['@authority']], ['all of the target', ['@method', '@target-uri']], ['a header', ['@authority', '@path', '@query', 'x-b']]]) {
    const headers = { 'X-B': 'one' }
    const signed = await httpbis.signMessage({
      key: createSigner(createPrivateKey({ key: jwk, format: 'jwk' }), 'ed25519', keyid), name: 'b', fields, params: ['keyid', 'alg', 'created', 'expires', 'nonce', 'tag'],
      paramValues: { created, expires, nonce: 'n-' + name.replaceAll(' ', '-'), tag: 'web-bot-auth' },
    }, { method: 'GET', url, headers })
    out.push({ name: 'http-message-signatures of npm: ' + name, method: 'GET', url, headers: signed.headers })
  }
  console.log(JSON.stringify(out))
} else {
  const key = createPublicKey({ key: JSON.parse(rest[0]), format: 'jwk' })
  const message = JSON.parse(readFileSync(0, 'utf8'))
  const verified = await httpbis.verifyMessage({ keyLookup: async () => ({ id: 'any', algs: ['ed25519'], verify: createVerifier(key, 'ed25519') }) }, message).catch((e) => e.message)
  if (verified !== true) throw new Error(`not verified: ${verified}`)
  console.log('verified')
}
