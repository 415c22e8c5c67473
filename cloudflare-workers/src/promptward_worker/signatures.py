"""SignatureVerifier over WebCrypto.

Pure-Python ES256 would cost 7 to 26 ms a token in Pyodide; `crypto.subtle` takes 0.14 ms (RS256)
or 0.27 ms (ES256) with a key that was imported before, so imported keys are kept per isolate. A
CryptoKey belongs to no request. ES256 signatures are raw r||s in JWS and in WebCrypto alike.

Which key may be used with which algorithm is the core's decision (`promptward.auth.jose`); a key
or signature that WebCrypto refuses verifies nothing.

Sources: RFC 7518 section 3, RFC 8037, W3C Web Cryptography; Ed25519 in Workers:
https://developers.cloudflare.com/workers/runtime-apis/web-crypto/
"""

from __future__ import annotations

import json

import js
from pyodide.ffi import JsException, to_js

from promptward.auth.jose import key_fits
from promptward.exchange import JSON
from promptward.ports import Jwk
from promptward_worker.javascript import settled

MAX_KEYS = 256
# WebCrypto algorithm by JWS `alg`: (for importing the key, for verifying)
_SHA256 = "SHA-256"
_ALGORITHMS: dict[str, tuple[dict[str, JSON], dict[str, JSON]]] = {
    "RS256": (
        {"name": "RSASSA-PKCS1-v1_5", "hash": _SHA256},
        {"name": "RSASSA-PKCS1-v1_5"},
    ),
    # RFC 7518 section 3.5: the salt is as long as the hash
    "PS256": ({"name": "RSA-PSS", "hash": _SHA256}, {"name": "RSA-PSS", "saltLength": 32}),
    "ES256": ({"name": "ECDSA", "namedCurve": "P-256"}, {"name": "ECDSA", "hash": _SHA256}),
    "EdDSA": ({"name": "Ed25519"}, {"name": "Ed25519"}),
    "HS256": ({"name": "HMAC", "hash": _SHA256}, {"name": "HMAC"}),
}
# Only the members that make the key: `use`, `alg` and `key_ops` were judged by the core, and
# WebCrypto would refuse a key for spelling them in another way.
_KEY_MEMBERS = ("kty", "n", "e", "crv", "x", "y", "k")


class WebCryptoVerifier:
    """Verifies signatures; keeps imported keys, oldest out first."""

    def __init__(self) -> None:
        self._imported: dict[str, js.CryptoKey] = {}

    async def verify(self, alg: str, key: Jwk, signing_input: bytes, signature: bytes) -> bool:
        if alg not in _ALGORITHMS:
            return False
        imported = await self._key(alg, key)
        if imported is None:
            return False
        algorithm = js.JSON.parse(json.dumps(_ALGORITHMS[alg][1]))
        try:
            # Native code on bounded input: there is nothing to wait for, so there is no timeout.
            valid: bool = await settled(
                js.crypto.subtle.verify(algorithm, imported, to_js(signature), to_js(signing_input))
            )
            return valid
        except JsException:  # for example a signature of an impossible length
            return False

    async def _key(self, alg: str, key: Jwk) -> js.CryptoKey | None:
        members = {name: key[name] for name in _KEY_MEMBERS if name in key}
        text = json.dumps(members, sort_keys=True)
        name = f"{alg} {text}"
        known = self._imported.get(name)
        if known is not None:
            return known
        if not key_fits(alg, key):  # workerd imports a P-384 key as P-256 and verifies with it
            return None
        algorithm = js.JSON.parse(json.dumps(_ALGORITHMS[alg][0]))
        try:
            imported = await settled(
                js.crypto.subtle.importKey(
                    "jwk", js.JSON.parse(text), algorithm, False, to_js(["verify"])
                )
            )
        except JsException:
            return None
        while len(self._imported) >= MAX_KEYS:
            del self._imported[next(iter(self._imported))]
        self._imported[name] = imported
        return imported
