"""The bearer token of a port of ours (RFC 6750 section 2.1): kept as a digest."""

from __future__ import annotations

import hashlib
import hmac


class BearerToken:
    """A token to be presented in `Authorization`.

    Args:
        token: the secret; not kept.
    """

    __slots__ = ("_expected",)

    def __init__(self, token: str) -> None:
        self._expected = _digest(token)

    def is_in(self, authorization: str) -> bool:
        """Whether an `Authorization` field presents it; compared in constant time."""
        scheme, _space, token = authorization.partition(" ")
        matches = hmac.compare_digest(_digest(token), self._expected)
        return matches and scheme.lower() == "bearer"


def _digest(token: str) -> bytes:
    """Equal lengths for a constant-time comparison; headers may hold surrogates."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
