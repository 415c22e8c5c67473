"""A cache of issuers' published keys: the `KeySource` port for blocking and for asyncio hosts.

Rules, per address:
- keys are used for `ttl_s`; then the first caller fetches them again and everybody else goes on
  with the old ones meanwhile (single flight, no stampede);
- a key id that a fresh set does not have causes a fetch, but no more than one per `min_refresh_s`
  whatever ids are asked for: a flood of invented ids costs nothing (that is the negative cache);
- while the key server fails, keys are used until `ttl_s + stale_if_error_s` after their fetch, and
  fetches are tried no more often than every ERROR_BACKOFF_S;
- a key id that only an outdated set lacks is not "unknown" but an error: a new key may be there.

Time is monotonic, so that a clock step neither expires keys nor keeps them.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from cachetools import LRUCache

from promptward.auth.jwks import PORT
from promptward.auth.jwt_issuer import JwksCacheSettings
from promptward.errors import PortError
from promptward.ports import Jwk
from promptward_ports.jwks_fetch import fetch_jwks

Fetch = Callable[[str], Sequence[Jwk]]

ERROR_BACKOFF_S = 2.0
# policies name a handful of addresses; the bound is for hosts that reload many policies
MAX_ADDRESSES = 256


@dataclass(slots=True)
class _KeySet:
    """What is known of one address. Guarded by `lock` where it is written."""

    settings: JwksCacheSettings
    lock: threading.Lock = field(default_factory=threading.Lock)
    keys: tuple[Jwk, ...] | None = None
    fetched_s: float = 0.0
    failed_s: float | None = None
    generation: int = 0

    def is_fresh(self, now_s: float) -> bool:
        return self.keys is not None and now_s - self.fetched_s < self.settings.ttl_s

    def is_usable(self, now_s: float) -> bool:
        limit = self.settings.ttl_s + self.settings.stale_if_error_s
        return self.keys is not None and now_s - self.fetched_s < limit

    def is_backing_off(self, now_s: float) -> bool:
        return self.failed_s is not None and now_s - self.failed_s < ERROR_BACKOFF_S

    def select(self, kid: str | None) -> tuple[Jwk, ...]:
        keys = self.keys or ()
        return keys if kid is None else tuple(k for k in keys if k.get("kid") == kid)


class JwksKeySource:
    """`promptward.ports.KeySource` for blocking hosts; safe to share between threads.

    Args:
        caches: settings by address; others get the defaults.
        fetch: returns the keys published at an address or raises PortError; owns its timeout.
        monotonic_s: monotonic time in seconds.
    """

    def __init__(
        self,
        caches: Mapping[str, JwksCacheSettings] | None = None,
        *,
        fetch: Fetch = fetch_jwks,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._caches = dict(caches or {})
        self._fetch = fetch
        self._now_s = monotonic_s
        self._sets: LRUCache[str, _KeySet] = LRUCache(MAX_ADDRESSES)
        self._sets_lock = threading.Lock()

    async def keys(self, jwks_uri: str, kid: str | None) -> Sequence[Jwk]:
        """Candidate keys; blocks while fetching and never suspends.

        Raises:
            PortError: the key server failed and no cached set is fresh enough.
        """
        known = self.lookup(jwks_uri, kid)
        return self.refresh(jwks_uri, kid) if known is None else known

    def lookup(self, jwks_uri: str, kid: str | None) -> Sequence[Jwk] | None:
        """What is known without any I/O; None when the keys have to be fetched first.

        Raises:
            PortError: the key server failed a moment ago and no cached set is usable.
        """
        key_set, now_s = self._key_set(jwks_uri), self._now_s()
        found = key_set.select(kid)
        if key_set.is_fresh(now_s):
            settled = found or kid is None or not _may_look_again(key_set, now_s)
            return found if settled else None
        if key_set.lock.locked() or key_set.is_backing_off(now_s):
            if found and key_set.is_usable(now_s):
                return found
            if key_set.is_backing_off(now_s):
                raise PortError(PORT, "the key server failed a moment ago")
        return None

    def refresh(self, jwks_uri: str, kid: str | None) -> Sequence[Jwk]:
        """Fetch the keys, or wait for the fetch that is under way; blocks.

        Raises:
            PortError: the key server failed and no cached set is fresh enough.
        """
        key_set = self._key_set(jwks_uri)
        seen = key_set.generation
        with key_set.lock:
            if key_set.generation == seen:
                self._fetch_into(key_set, jwks_uri)
        return self.after_refresh(jwks_uri, kid)

    def after_refresh(self, jwks_uri: str, kid: str | None) -> Sequence[Jwk]:
        """What to answer when a fetch has just ended, well or badly; never fetches.

        Raises:
            PortError: the key server failed and no cached set is fresh enough.
        """
        key_set, now_s = self._key_set(jwks_uri), self._now_s()
        found = key_set.select(kid)
        if key_set.is_fresh(now_s) or (found and key_set.is_usable(now_s)):
            return found
        raise PortError(PORT, "the key server failed and no cached key is usable")

    def _fetch_into(self, key_set: _KeySet, jwks_uri: str) -> None:
        """Fetch once. The lock is held."""
        try:
            key_set.keys = tuple(self._fetch(jwks_uri))
            key_set.fetched_s, key_set.failed_s = self._now_s(), None
        except PortError:
            key_set.failed_s = self._now_s()
        key_set.generation += 1

    def _key_set(self, jwks_uri: str) -> _KeySet:
        with self._sets_lock:
            key_set = self._sets.get(jwks_uri)
            if key_set is None:
                key_set = _KeySet(self._caches.get(jwks_uri, JwksCacheSettings()))
                self._sets[jwks_uri] = key_set
            return key_set


def _may_look_again(key_set: _KeySet, now_s: float) -> bool:
    """Whether an unknown key id may cause another fetch of a fresh set, or wait for it.

    True also while such a fetch is under way: when keys rotate, the first request with the new key
    id starts it, and the others must wait and not be told that the key is unknown.
    """
    recent = now_s - key_set.fetched_s < key_set.settings.min_refresh_s
    return not (recent or key_set.is_backing_off(now_s))


class AsyncJwksKeySource:
    """`promptward.ports.KeySource` for one asyncio loop: fetches run in a thread.

    Known keys are answered without leaving the loop. At most one thread per address works at a
    time, however many requests wait for it; a request that is cancelled leaves the fetch running.

    Args:
        source: the cache; may be shared with other loops and threads.
        executor: where fetches run; None is the loop's default executor.
    """

    def __init__(self, source: JwksKeySource, executor: Executor | None = None) -> None:
        self._source = source
        self._executor = executor
        self._under_way: dict[str, asyncio.Future[None]] = {}

    async def keys(self, jwks_uri: str, kid: str | None) -> Sequence[Jwk]:
        """Candidate keys.

        Raises:
            PortError: the key server failed and no cached set is fresh enough.
        """
        known = self._source.lookup(jwks_uri, kid)
        if known is not None:
            return known
        await asyncio.shield(self._refresh(jwks_uri))
        return self._source.after_refresh(jwks_uri, kid)

    def _refresh(self, jwks_uri: str) -> asyncio.Future[None]:
        future = self._under_way.get(jwks_uri)
        if future is None:
            loop = asyncio.get_running_loop()
            try:
                future = loop.run_in_executor(self._executor, self._refresh_quietly, jwks_uri)
            except RuntimeError as error:  # the executor was shut down
                raise PortError(PORT, "the host is shutting down") from error
            self._under_way[jwks_uri] = future
            future.add_done_callback(lambda _: self._under_way.pop(jwks_uri, None))
        return future

    def _refresh_quietly(self, jwks_uri: str) -> None:
        """Refresh; a failure is remembered by the source and comes out of `after_refresh`."""
        try:
            self._source.refresh(jwks_uri, None)
        except PortError:
            return
