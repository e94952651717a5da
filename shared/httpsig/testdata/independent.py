# Copyright 2026 The Tollgate authors
# SPDX-License-Identifier: Apache-2.0
"""A second opinion on RFC 9421: pip install http-message-signatures==3.0.0, which shares nothing with this project, then run this file.

It signs the messages of theirs.json, with keys made for that, and verifies those of ours.json, which `go test ./shared/httpsig -update` writes. Both files are kept, so that the
tests need no Python.
"""
import base64, datetime, hashlib, json, pathlib

import http_message_signatures as hms
from http_message_signatures import algorithms
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

here = pathlib.Path(__file__).parent
ALGORITHMS = {"rsa-pss-sha512": algorithms.RSA_PSS_SHA512, "ecdsa-p256-sha256": algorithms.ECDSA_P256_SHA256, "hmac-sha256": algorithms.HMAC_SHA256, "ed25519": algorithms.ED25519}


class Headers:
    """Field lines in their order: a name may come several times."""
    def __init__(self, lines):
        self.lines = [list(l) for l in lines]
    def items(self):
        return [tuple(l) for l in self.lines]
    def __iter__(self):
        return iter(dict.fromkeys(n for n, _ in self.lines))
    def __contains__(self, name):
        return any(n == name.lower() for n, _ in self.lines)
    def __getitem__(self, name):
        return ", ".join(v for n, v in self.lines if n == name.lower())
    def __setitem__(self, name, value):
        self.__delitem__(name)
        self.lines.append([name.lower(), value])
    def __delitem__(self, name):
        self.lines = [l for l in self.lines if l[0] != name.lower()]
    def get(self, name, default=None):
        return self[name] if name in self else default


class Message:
    def __init__(self, m):
        self.headers = Headers(m["fields"])
        if m.get("status"):
            self.status_code = m["status"]
        else:
            self.method, self.url = m["method"], m["scheme"] + "://" + m["authority"] + m["path"]


def spki(key):
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


class Keys(hms.HTTPSignatureKeyResolver):
    def __init__(self, private, public):
        self.private, self.public = private, public
    def resolve_private_key(self, key_id):
        return self.private
    def resolve_public_key(self, key_id):
        return self.public


def sign():
    secret = b"a secret of the independent one!"
    keys = {"rsa-pss-sha512": rsa.generate_private_key(65537, 2048), "ecdsa-p256-sha256": ec.generate_private_key(ec.SECP256R1()), "hmac-sha256": secret, "ed25519": ed25519.Ed25519PrivateKey.generate()}
    body = b'{"hello": "world"}'
    digest = ["content-digest", "sha-256=:" + base64.b64encode(hashlib.sha256(body).digest()).decode() + ":"]
    stamp = ["@method", "@authority", "@path", "@query", "content-digest"]
    request = {"method": "POST", "scheme": "https", "authority": "API.Example.com:443", "path": "/a/b%2Fc?x=1&y=%20", "fields": [digest]}
    cases = [("the stamp", request, stamp)]
    cases += [
        ("no query and another port", {**request, "authority": "example.com:8443", "path": "/"}, stamp),
        ("an empty query, over http", {**request, "scheme": "http", "authority": "[::1]:80", "path": "/a?"}, stamp),
        ("every derived component of a request", {**request, "authority": "example.com"}, ["@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query", '"@query-param";name="x"', '"@query-param";name="y"']),
        ("encoded query parameters", {**request, "path": "/parameters?var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something&t=~*-._%7e&e=&n"},
         ['"@query-param";name="var"', '"@query-param";name="bar"', '"@query-param";name="fa%C3%A7ade%22%3A%20"', '"@query-param";name="t"', '"@query-param";name="e"', '"@query-param";name="n"']),
        ("parts of a dictionary", {**request, "fields": [["example-dict", "  a=1,    b=2;x=1;y=2,   c=(a   b    c), d"], digest, ["content-digest", "sha-512=:" + base64.b64encode(hashlib.sha512(body).digest()).decode() + ":  "]]},
         ['"example-dict";key="a"', '"example-dict";key="d"', '"example-dict";key="b"', '"example-dict";key="c"', '"content-digest";sf', '"content-digest";key="sha-512"', "content-digest"]),
        ("lines, folds and spaces", {**request, "fields": [["x-one", " a \t"], ["x-two", "with \r\n  a fold"], ["x-one", "b,  c"], ["x-empty", ""], ["x-one", "\"d"]]}, ["x-one", "x-two", "x-empty", '"x-one";bs', '"x-empty";bs']),
        ("wrapped bytes that are no text", {**request, "fields": [["x-latin", "caf\u00e9"]]}, ['"x-latin";bs']),
        ("a response", {"status": 503, "fields": [["content-type", "text/plain"], digest]}, ["@status", "content-type", "content-digest"]),
        ("nothing covered", request, []),
    ]
    out = []
    for algorithm, key in keys.items():
        for name, message, components in cases if algorithm == "ed25519" else cases[:1]:
            m = Message(message)
            hms.HTTPMessageSigner(signature_algorithm=ALGORITHMS[algorithm], key_resolver=Keys(key, None)).sign(
                m, key_id='k "1"\\', created=datetime.datetime.fromtimestamp(1767225600, datetime.timezone.utc), expires=datetime.datetime.fromtimestamp(1767225630, datetime.timezone.utc),
                nonce="bm9uY2U", tag="edge-stamp", label="edge", include_alg=algorithm != "hmac-sha256", covered_component_ids=components, use_existing_digest="content-digest" in m.headers)
            public = key if algorithm == "hmac-sha256" else spki(key)
            out.append({"name": name, "algorithm": algorithm, "key": base64.b64encode(public).decode(), **message, "covered": len(components), "input": m.headers["signature-input"], "signature": m.headers["signature"]})
    (here / "theirs.json").write_text(json.dumps(out, indent=1) + "\n")
    print("signed", len(out))


def verify():
    messages = json.loads((here / "ours.json").read_text())
    for m in messages:
        key = base64.b64decode(m["key"])
        if m["algorithm"] != "hmac-sha256":
            key = serialization.load_der_public_key(key)
        m["fields"] += [["signature-input", m["input"]], ["signature", m["signature"]]]
        verifier = hms.HTTPMessageVerifier(signature_algorithm=ALGORITHMS[m["algorithm"]], key_resolver=Keys(None, key))
        results = verifier.verify(Message(m), max_age=None, expect_tag="edge-stamp")
        assert len(results) == 1 and len(results[0].covered_components) == m["covered"] + 1, (m["name"], results)
        m["fields"].append(["x-other", "not covered"])
        for i, f in enumerate(m["fields"]):
            if f[0] == "signature-input":
                m["fields"][i] = [f[0], f[1].replace("created=17", "created=16")]
        try:
            verifier.verify(Message(m), max_age=None, expect_tag="edge-stamp")
        except hms.InvalidSignature:
            continue
        raise AssertionError("a changed signature is taken: " + m["name"])
    print("verified", len(messages))


sign()
if (here / "ours.json").exists():
    verify()
