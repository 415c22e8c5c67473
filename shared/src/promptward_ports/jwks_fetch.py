"""Fetch one JWK Set over HTTPS.

Invariants: the whole body is bounded in bytes and time; redirects are refused (the address in the
policy is the one whose certificate vouches for the keys); no credentials are sent; raises only
PortError, whose text names no address. Known limit: while the *headers* of the answer arrive, the
time-out holds for each wait, not for their sum.

Source: RFC 8725 section 3.10.
"""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import requests
import urllib3.exceptions

from promptward.auth.jwks import MAX_BYTES, PORT, parse_jwks
from promptward.auth.jwt_issuer import is_key_address
from promptward.errors import PortError
from promptward.ports import Jwk
from promptward_ports.bounded_body import read_bounded


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
                deadline_s = time.monotonic() + timeout_s
                return read_bounded(response, port=PORT, max_bytes=MAX_BYTES, deadline_s=deadline_s)
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            OSError,
            ValueError,
        ) as error:
            raise PortError(PORT, f"the key server failed: {type(error).__name__}") from error


def _no_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
