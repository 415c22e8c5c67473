"""Spreading the budgets of one hot tenant over several Durable Objects.

An object sustains on the order of hundreds of requests a second. The budgets of a tenant with more
are spread over N objects: the request id picks the object, and each object holds an N-th of every
limit. That never admits more than the limit, but may refuse while another object still has room,
and cannot grant one request more than an N-th of a limit; so it is chosen per tenant
(`LEDGER_SHARDS`), for tenants whose budgets are large.

Invariants: the same request id always goes to the same object; the shares of a limit add up to it.
"""

from __future__ import annotations

from hashlib import sha256


def shard_of(request_id: str, shards: int) -> int:
    """Which of `shards` objects keeps the request."""
    if shards == 1:
        return 0
    return int.from_bytes(sha256(request_id.encode("utf-8", "surrogatepass")).digest()[:4]) % shards


def share(limit: int, shard: int, shards: int) -> int:
    """The part of `limit` that `shard` holds; the parts add up to it."""
    return limit // shards + (1 if shard < limit % shards else 0)
