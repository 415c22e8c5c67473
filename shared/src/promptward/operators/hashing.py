"""Hash: a keyed digest in place of the value, equal for equal values under one key."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import field

from promptward.values import value_object

# 64 bits: collisions stay improbable below some hundred million distinct values (birthday bound).
_DIGITS = 16


@value_object(frozen=True, slots=True)
class Hash:
    """Replace by `<ENTITY:digest>`, an HMAC-SHA256 prefix (RFC 2104).

    The key matters: phone numbers and the like are few enough to be tried one by one against an
    unkeyed hash.

    Attributes:
        key: at least 16 bytes, secret.
    """

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) < 16:
            raise ValueError("the hash key must have at least 16 bytes")

    def apply(self, entity: str, value: str, /) -> str:
        message = f"{entity}\0{value}".encode("utf-8", "surrogatepass")
        digest = hmac.new(self.key, message, hashlib.sha256).hexdigest()
        return f"<{entity}:{digest[:_DIGITS]}>"
