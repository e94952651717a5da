// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Another second opinion on RFC 9421: npm install http-message-signatures@1.0.6 somewhere above this folder, then `node independent.mjs`. It signs the messages of theirs-npm.json, with
// keys made for that, and verifies the stamps of ours.json. theirs-npm.json is kept, so that the tests need no Node.js.
import { createHash, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const { httpbis, createSigner, createVerifier } = createRequire(process.cwd() + '/')('http-message-signatures')
const here = new URL('.', import.meta.url)

const body = '{"hello": "world"}'
const digest = ['content-digest', `sha-256=:${createHash('sha256').update(body).digest('base64')}:`]
const request = { method: 'POST', scheme: 'https', authority: 'api.example.com', path: '/a/b%2Fc?x=1&y=%20', fields: [digest] }
const stamp = ['@method', '@authority', '@path', '@query', 'content-digest']
const cases = [
  ['the stamp', request, stamp],
  ['no query and another port', { ...request, authority: 'example.com:8443', path: '/' }, stamp],
  ['lines of one field', { ...request, fields: [['x-one', 'a'], ['x-one', 'b,  c']] }, ['@method', '@path', 'x-one']],
]
const keys = { // not rsa-pss-sha512: its salt is as long as the key allows, where RFC 9421 §3.3.1 has 64 bytes
  'ecdsa-p256-sha256': generateKeyPairSync('ec', { namedCurve: 'prime256v1' }),
  'hmac-sha256': { privateKey: randomBytes(32) },
  ed25519: generateKeyPairSync('ed25519'),
}

function message(m) {
  const headers = {}
  for (const [name, value] of m.fields) headers[name] = name in headers ? [].concat(headers[name], value) : value
  return { method: m.method, url: `${m.scheme}://${m.authority}${m.path}`, headers }
}

const out = []
for (const [algorithm, { privateKey, publicKey }] of Object.entries(keys)) {
  for (const [name, m, components] of cases) {
    const signed = await httpbis.signMessage({
      key: createSigner(privateKey, algorithm, 'edge-1'), name: 'edge', fields: components, params: ['created', 'expires', 'nonce', 'keyid', 'tag'],
      paramValues: { created: new Date(1767225600e3), expires: new Date(1767225630e3), nonce: 'bm9uY2U', tag: 'edge-stamp' },
    }, message(m))
    const key = publicKey ? publicKey.export({ type: 'spki', format: 'der' }) : privateKey
    out.push({ name, algorithm, key: key.toString('base64'), ...m, covered: components.length, input: signed.headers['Signature-Input'], signature: signed.headers['Signature'] })
  }
}
writeFileSync(new URL('theirs-npm.json', here), JSON.stringify(out, null, 1) + '\n')
console.log('signed', out.length)

let verified = 0
for (const m of JSON.parse(readFileSync(new URL('ours.json', here)))) {
  if (m.status || !m.input.startsWith('edge=("@method" "@authority" "@path" "@query"')) continue // it knows fewer components than RFC 9421 has
  const key = m.algorithm === 'hmac-sha256' ? Buffer.from(m.key, 'base64') : createPublicKey({ key: Buffer.from(m.key, 'base64'), type: 'spki', format: 'der' })
  const check = async (input) => {
    const whole = message(m)
    Object.assign(whole.headers, { 'Signature-Input': input, Signature: m.signature })
    try {
      return await httpbis.verifyMessage({ keyLookup: async () => ({ id: 'any', algs: [m.algorithm], verify: createVerifier(key, m.algorithm) }) }, whole)
    } catch (e) {
      return e.message
    }
  }
  const good = await check(m.input), bad = await check(m.input.replace('created=17', 'created=16'))
  if (good !== true || bad === true) throw new Error(`${m.name} ${m.algorithm}: ${good}, and altered: ${bad}`)
  verified++
}
console.log('verified', verified)
