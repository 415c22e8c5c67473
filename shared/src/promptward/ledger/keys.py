"""Keys of the ledger: fixed-size digests, so that claims never become part of a store's key.

Invariants: two different inputs never share an encoding (every field is length-prefixed, netstring
style), so a partition value cannot be crafted to reach another budget's bucket. The window is part
of a bucket's key: two gateways that run different versions of a policy for a moment keep separate
counts instead of resetting each other's.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from promptward.ports import Window

KEY_HEX_DIGITS = 32
"""128 bits: a collision needs about 2**64 partitions."""


def digest(*fields: str) -> str:
    """Hex digest of length-prefixed fields."""
    encoded = "".join(f"{len(field)}:{field}," for field in fields)
    return hashlib.sha256(encoded.encode("utf-8", "surrogatepass")).hexdigest()[:KEY_HEX_DIGITS]


@lru_cache(maxsize=4096)
def bucket_key(tenant: str, budget: str, partition: str, unit: str, window: Window) -> str:
    """Key of the bucket that one budget line draws from."""
    return digest(tenant, budget, partition, unit, *map(str, window_fields(window)))


def window_fields(window: Window) -> tuple[str, int, str, int]:
    """The window as plain values, in the order every store keeps them."""
    return (window.type, window.duration_s, window.timezone, window.months)
