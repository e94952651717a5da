# Copyright 2026 The Tollgate authors
# SPDX-License-Identifier: Apache-2.0
"""http-message-signatures of PyPI, which shares nothing with this project, with the packages of requirements.txt.

python3 bot.py sign URL CREATED JWK: prints signed requests for a URL as JSON. JWK is an Ed25519 key with its private half.
python3 bot.py verify JWK: reads a request {method, url, headers} as JSON from standard input, and fails unless it is signed by the key.
"""
import base64, datetime, hashlib, json, sys

import http_message_signatures as hms
from cryptography.hazmat.primitives.asymmetric import ed25519


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Message:
    def __init__(self, method, url, headers):
        self.method, self.url, self.headers = method, url, hms.structures.CaseInsensitiveDict(headers)


class Keys(hms.HTTPSignatureKeyResolver):
    def __init__(self, jwk):
        self.jwk = jwk
    def resolve_private_key(self, key_id):
        return ed25519.Ed25519PrivateKey.from_private_bytes(decode(self.jwk["d"]))
    def resolve_public_key(self, key_id):
        return ed25519.Ed25519PublicKey.from_public_bytes(decode(self.jwk["x"]))


mode, *rest = sys.argv[1:]
if mode == "sign":
    url, seconds, text = rest
    jwk = json.loads(text)
    members = json.dumps({"crv": jwk["crv"], "kty": jwk["kty"], "x": jwk["x"]}, separators=(",", ":"))
    keyid = base64.urlsafe_b64encode(hashlib.sha256(members.encode()).digest()).decode().rstrip("=")
    created = datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc)
    out = []
    for name, components in [("the host", ["@authority"]), ("every part", ["@method", "@target-uri", "@scheme", "@request-target", "@path", "@query"]),
                             ("a member of Signature-Agent", ["@authority", '"signature-agent";key="b"'])]:
        message = Message("GET", url, {"Signature-Agent": 'a="https://other.example", b="https://bot.example"'})
        hms.HTTPMessageSigner(signature_algorithm=hms.algorithms.ED25519, key_resolver=Keys(jwk)).sign(
            message, key_id=keyid, created=created, expires=created + datetime.timedelta(minutes=5), nonce="py-" + name.replace(" ", "-"), tag="web-bot-auth", label="b", covered_component_ids=components)
        out.append({"name": "http-message-signatures of PyPI: " + name, "method": "GET", "url": url, "headers": dict(message.headers)})
    print(json.dumps(out))
else:
    message = json.load(sys.stdin)
    verifier = hms.HTTPMessageVerifier(signature_algorithm=hms.algorithms.ED25519, key_resolver=Keys(json.loads(rest[0])))
    assert len(verifier.verify(Message(message["method"], message["url"], message["headers"]), expect_tag="edge-stamp")) == 1
    print("verified")
