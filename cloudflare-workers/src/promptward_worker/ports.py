"""The small ports of a Worker: entropy, audit, KV.

The larger ones have files of their own: `signatures`, `key_cache`, `ledger_client`, `http_ledger`.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

import js

from promptward.exchange import JSON
from promptward_worker import javascript

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
        value = await javascript.within("kv", _KV_TIMEOUT_S, self._binding.get(key))
        return value if isinstance(value, str) else None

    async def put(self, key: str, value: str, ttl_s: int = 0) -> None:
        options = js.JSON.parse(f'{{"expirationTtl":{ttl_s}}}' if ttl_s else "{}")
        await javascript.within("kv", _KV_TIMEOUT_S, self._binding.put(key, value, options))
