"""Public keys of token issuers: a JWKS cache in the isolate, backed by KV, filled by fetch.

Three steps: the isolate's memory; the KV namespace, so that not every isolate asks the key server;
the key server. Limits of KV that matter here: one write per second and key, reads may be a minute
old, 1,000 writes a day on the free plan. A write happens only after a fetch, at most once per
`min_refresh_s` and address.

Invariants: an unknown `kid` causes at most one fetch per `min_refresh_s` and isolate, however many
tokens name it; while the key server fails, keys are used for `stale_if_error_s` past their life
and not longer; documents and caches are bounded. KV failing is not an error: it is a cache.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from promptward.errors import PortError
from promptward.exchange import JSON
from promptward.ports import Clock, Jwk
from promptward_worker.policies import KeyValue

MAX_DOCUMENT_BYTES = 256 * 1024
MAX_KEYS = 100
MAX_ADDRESSES = 64
_KV_MIN_TTL_S = 60  # KV refuses shorter ones

Fetch = Callable[[str], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class CacheTimes:
    """How long keys of one address are used, in seconds (policy: `jwks_cache`)."""

    ttl_s: float = 300.0
    min_refresh_s: float = 30.0
    stale_if_error_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class KeySet:
    """Keys and when they were fetched (Unix time in seconds)."""

    fetched_s: float
    keys: tuple[Jwk, ...]

    def of(self, kid: str | None) -> Sequence[Jwk]:
        if kid is None:
            return self.keys
        return tuple(key for key in self.keys if key.get("kid") == kid)


class KeyMemory:
    """What an isolate remembers: key sets, and when each address was last tried."""

    def __init__(self) -> None:
        self.sets: dict[str, KeySet] = {}
        self.tried_s: dict[str, float] = {}

    def forget_oldest(self) -> None:
        """Keep both tables bounded; addresses come from the policy, so this is a backstop."""
        for table in (self.sets, self.tried_s):
            while len(table) > MAX_ADDRESSES:
                del table[next(iter(table))]


def parse_keys(document: bytes) -> tuple[Jwk, ...]:
    """The keys of a JWK Set document (RFC 7517 section 5).

    Raises:
        PortError: it is too large or is not one.
    """
    if len(document) > MAX_DOCUMENT_BYTES:
        raise PortError("keys", "the key set is too large")
    try:
        parsed = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise PortError("keys", "the key set is not JSON") from error
    keys = parsed.get("keys") if isinstance(parsed, dict) else None
    if not isinstance(keys, list) or len(keys) > MAX_KEYS:
        raise PortError("keys", f"expected a JWK Set with at most {MAX_KEYS} keys")
    return tuple(key for key in keys if isinstance(key, dict))


class KeyCache:
    """KeySource of one request; `memory` outlives it.

    Args:
        memory: see KeyMemory.
        store: KV namespace, or None.
        fetch: GET an address; raises PortError.
        clock: see Clock.
        times: address -> CacheTimes, from the policy.
    """

    def __init__(
        self,
        memory: KeyMemory,
        store: KeyValue | None,
        fetch: Fetch,
        clock: Clock,
        times: Mapping[str, CacheTimes],
    ) -> None:
        self._memory = memory
        self._store = store
        self._fetch = fetch
        self._clock = clock
        self._times = times

    async def keys(self, jwks_uri: str, kid: str | None) -> Sequence[Jwk]:
        times = self._times.get(jwks_uri, CacheTimes())
        now_s = self._clock.now_s()
        known = self._memory.sets.get(jwks_uri)
        if known is not None and now_s < known.fetched_s + times.ttl_s:
            found = known.of(kid)
            if found or not self._may_fetch(jwks_uri, times, now_s):
                return found
        else:
            known = await self._from_store(jwks_uri, known)
            if known is not None and now_s < known.fetched_s + times.ttl_s and known.of(kid):
                return known.of(kid)
        return await self._refreshed(jwks_uri, kid, known, times, now_s)

    def _may_fetch(self, uri: str, times: CacheTimes, now_s: float) -> bool:
        return now_s >= self._memory.tried_s.get(uri, 0.0) + times.min_refresh_s

    async def _refreshed(
        self, uri: str, kid: str | None, known: KeySet | None, times: CacheTimes, now_s: float
    ) -> Sequence[Jwk]:
        reason = "the key server failed a moment ago"
        if self._may_fetch(uri, times, now_s):
            self._memory.tried_s[uri] = now_s
            try:
                fresh = KeySet(now_s, parse_keys(await self._fetch(uri)))
            except PortError as error:
                reason = error.reason
            else:
                await self._keep(uri, fresh, times)
                return fresh.of(kid)
        if known is None or now_s > known.fetched_s + times.ttl_s + times.stale_if_error_s:
            raise PortError("keys", reason)
        return known.of(kid)

    async def _keep(self, uri: str, fresh: KeySet, times: CacheTimes) -> None:
        self._memory.sets[uri] = fresh
        self._memory.forget_oldest()
        if self._store is None:
            return
        text = json.dumps({"fetched_s": fresh.fetched_s, "keys": fresh.keys})
        ttl_s = max(_KV_MIN_TTL_S, int(times.ttl_s + times.stale_if_error_s))
        try:
            await self._store.put(_kv_key(uri), text, ttl_s)
        except PortError:
            return  # the next isolate asks the key server itself

    async def _from_store(self, uri: str, known: KeySet | None) -> KeySet | None:
        if self._store is None:
            return known
        try:
            stored = _stored_set(await self._store.get(_kv_key(uri)))
        except PortError:
            return known
        if stored is None or (known is not None and known.fetched_s >= stored.fetched_s):
            return known
        self._memory.sets[uri] = stored
        return stored


def _kv_key(uri: str) -> str:
    return "jwks." + hashlib.sha256(uri.encode()).hexdigest()[:32]


def _stored_set(text: str | None) -> KeySet | None:
    if text is None:
        return None
    try:
        stored: dict[str, JSON] = json.loads(text)
        fetched_s, keys = stored["fetched_s"], stored["keys"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(fetched_s, int | float) or not isinstance(keys, list):
        return None
    return KeySet(float(fetched_s), tuple(key for key in keys if isinstance(key, dict)))
