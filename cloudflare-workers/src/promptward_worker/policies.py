"""The policy in force: from KV, picked up without a deploy, the last good one kept on error.

KV is eventually consistent (an edit is seen everywhere within about a minute), which a policy
tolerates and a counter does not. Beside the policy itself the Worker keeps, under
`<key>.last-good`, the newest text that it could enforce: a new isolate that finds a broken policy
starts from that one.

Invariants: a policy that cannot be parsed, or asks for what a Worker cannot enforce, never
replaces a good one; without any good one there is no policy, and every request is refused. One
look per interval and isolate, never shared between requests (a request may not wait for the
input/output of another), so a second request simply uses what is there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from promptward.errors import PolicyError, PortError
from promptward.values import value_object

MAX_POLICY_BYTES = 1 << 20
_RETRY_S = 5.0  # after a failed read; keeps a KV outage from costing every request a read

P = TypeVar("P")
Report = Callable[[str, tuple[str, ...]], None]


class KeyValue(Protocol):
    """A KV namespace. Raises PortError."""

    async def get(self, key: str) -> str | None: ...

    async def put(self, key: str, value: str, ttl_s: int = 0) -> None: ...


@value_object(frozen=True, slots=True)
class Source(Generic[P]):
    """Where one request may look for the policy.

    Attributes:
        store: KV namespace, None when there is none.
        key: key of the policy in it.
        bundled: reads the policy deployed with the Worker; None when there is none.
        refresh_s: seconds between two looks.
        load: text -> enforceable policy; raises PolicyError.
        report: told of rejected policies and failed reads: (what, details).
    """

    store: KeyValue | None
    key: str
    bundled: Callable[[], str | None]
    refresh_s: float
    load: Callable[[str], P]
    report: Report


class PolicyStore(Generic[P]):
    """The isolate's cache of the policy."""

    def __init__(self) -> None:
        self._current: P | None = None
        self._text: str | None = None
        self._rejected: str | None = None
        self._next_look_s = 0.0

    async def current(self, source: Source[P], now_s: float) -> P | None:
        """The policy to enforce now; None when there is none. `now_s`: Unix time in seconds."""
        if now_s >= self._next_look_s and source.store is not None:
            self._next_look_s = now_s + source.refresh_s
            try:
                await self._look(source, source.store)
            except PortError as error:
                self._next_look_s = now_s + min(source.refresh_s, _RETRY_S)
                source.report("policy_read_failed", (error.reason,))
        if self._current is None:
            text = source.bundled()
            self._current = None if text is None else self._accepted(source, text)
        return self._current

    async def _look(self, source: Source[P], store: KeyValue) -> None:
        text = await store.get(source.key)
        if text is None:
            if self._current is None and source.bundled() is None:
                source.report("policy_missing", (source.key,))
            return
        if text == self._text:
            return
        policy = self._accepted(source, text)
        if policy is not None:
            self._current, self._text = policy, text
            await self._remember(store, source.key, text)
        elif self._current is None:
            await self._recover(source, store)

    def _accepted(self, source: Source[P], text: str) -> P | None:
        if text == self._rejected:
            return None
        try:
            if len(text.encode("utf-8", "surrogatepass")) > MAX_POLICY_BYTES:
                raise PolicyError(f"the policy is larger than {MAX_POLICY_BYTES} bytes")
            return source.load(text)
        except PolicyError as error:
            self._rejected = text
            source.report("policy_rejected", error.problems)
            return None

    async def _remember(self, store: KeyValue, key: str, text: str) -> None:
        last_good = f"{key}.last-good"
        if await store.get(last_good) != text:
            await store.put(last_good, text)

    async def _recover(self, source: Source[P], store: KeyValue) -> None:
        text = await store.get(f"{source.key}.last-good")
        policy = None if text is None else self._accepted(source, text)
        if policy is not None:
            self._current = policy
            source.report("policy_last_good", (source.key,))
