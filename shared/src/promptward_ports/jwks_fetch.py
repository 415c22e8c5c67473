"""Fetch and validate one JWK Set over HTTPS.

Invariants: the whole body is bounded in bytes and time; redirects are refused (the address in the
policy is the one whose certificate vouches for the keys); no credentials are sent; only usable
public signature keys are returned; raises only PortError, whose text names no address.

Sources: RFC 7517 section 5, RFC 8725 section 3.10.
"""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import requests
import urllib3.exceptions

from promptward import jsonstrict
from promptward.auth.jose import ALGORITHMS, key_fits
from promptward.auth.jwt_issuer import PRIVATE_PARAMETERS, is_key_address
from promptward.errors import ExchangeError, PortError
from promptward.exchange import JSON
from promptward.ports import Jwk

PORT = "key_source"
# Microsoft's and Google's key sets are below 20 KiB; certificates chains in x5c make the largest
MAX_BYTES = 256 * 1024
MAX_KEYS = 256
_LIMITS = jsonstrict.JsonLimits(MAX_BYTES, max_depth=16, max_items=20_000)
_CHUNK_BYTES = 16 * 1024
_FAILURES = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError)


def fetch_jwks(uri: str, timeout_s: float = 5.0) -> tuple[Jwk, ...]:
    """The usable keys published at `uri`.

    Args:
        uri: see `is_key_address`.
        timeout_s: for connecting, for each wait and for the whole body, in seconds.

    Raises:
        PortError: anything else than a valid key set came back.
    """
    if not is_key_address(uri):
        raise PortError(PORT, "the address is neither https nor a loopback address")
    return parse_jwks(_download(uri, timeout_s))


def _download(uri: str, timeout_s: float) -> bytes:
    with requests.Session() as session:
        # no ~/.netrc credentials; a proxy from the environment is right for https only
        session.auth = _no_credentials
        session.trust_env = urlsplit(uri).scheme == "https"
        try:
            with session.get(
                uri,
                timeout=timeout_s,
                allow_redirects=False,
                stream=True,
                headers={"accept": "application/jwk-set+json, application/json"},
            ) as response:
                if response.status_code != 200:
                    raise PortError(PORT, f"the key server answered {response.status_code}")
                return _bounded_body(response, time.monotonic() + timeout_s)
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            OSError,
            ValueError,
        ) as error:
            raise PortError(PORT, f"the key server failed: {type(error).__name__}") from error


def _no_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _bounded_body(response: requests.Response, deadline_s: float) -> bytes:
    body = bytearray()
    # read1 returns after one read of the socket, so the deadline also holds for a server that
    # sends a byte now and then; iter_content would wait for a full chunk
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
        body += chunk
        if len(body) > MAX_BYTES:
            raise PortError(PORT, f"the key set is larger than {MAX_BYTES} bytes")
        if time.monotonic() > deadline_s:
            raise PortError(PORT, "the key set took too long")
    return bytes(body)


def parse_jwks(body: bytes) -> tuple[Jwk, ...]:
    """The usable keys of a JWK Set; others are left out, as RFC 7517 section 5 asks.

    Raises:
        PortError: the body is no JWK Set.
    """
    try:
        keys = jsonstrict.parse_object(body, _LIMITS).get("keys")
    except ExchangeError as error:
        raise PortError(PORT, f"the key set is not strict JSON: {error.code}") from None
    if not isinstance(keys, list) or len(keys) > MAX_KEYS:
        raise PortError(PORT, f"the key set has no list of at most {MAX_KEYS} keys")
    return tuple(key for key in keys if isinstance(key, dict) and _is_usable(key))


def _is_usable(key: dict[str, JSON]) -> bool:
    """A public key that fits some algorithm; a published secret or private key proves nothing."""
    if key.get("kty") == "oct" or not PRIVATE_PARAMETERS.isdisjoint(key):
        return False
    return any(key_fits(alg, key) for alg in ALGORITHMS)
