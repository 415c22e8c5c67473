"""The small ports of a Worker: entropy, audit, KV.

The larger ones have files of their own: `signatures`, `key_cache`, `ledger_client`, `http_ledger`.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Mapping
from typing import TypeVar

import js

from promptward.exchange import JSON
from promptward_worker import javascript

T = TypeVar("T")
_KV_TIMEOUT_S = 2.0


class SystemEntropy:
    """Entropy port; inside a request only (Workers have no randomness at import time)."""

    def token(self, size_bytes: int) -> bytes:
        return secrets.token_bytes(size_bytes)


class LogAudit:
    """AuditSink: one JSON line per event in the Worker's log."""

    def emit(self, event: Mapping[str, JSON]) -> None:
        javascript.log({"event": "audit", **event})


class WorkersKv:
    """KeyValue over a KV namespace binding."""

    def __init__(self, binding: js.KvNamespace) -> None:
        self._binding = binding

    async def get(self, key: str) -> str | None:
        value = await self._within(self._binding.get(key))
        return value if isinstance(value, str) else None

    async def put(self, key: str, value: str, ttl_s: int = 0) -> None:
        options = js.JSON.parse(f'{{"expirationTtl":{ttl_s}}}' if ttl_s else "{}")
        await self._within(self._binding.put(key, value, options))

    async def _within(self, work: Awaitable[T]) -> T:
        settled = javascript.settled(work, _KV_TIMEOUT_S)
        return await javascript.within("kv", _KV_TIMEOUT_S, settled)
