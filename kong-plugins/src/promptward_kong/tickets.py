"""Tickets between access and the later phases of their requests.

They are kept here, under a random token, and only the token goes into Kong's request context:
a ticket's vault holds personal data, and other plugins can read that context.

Invariants: bounded in number, bytes and age; a lost ticket means that a response which needs it is
refused, and that its reservation expires and is charged as estimated.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_TOKEN_BYTES = 16


@dataclass(frozen=True, slots=True)
class _Kept:
    data: bytes
    until_s: float


class TicketStore:
    """Token → ticket bytes.

    Args:
        now_s: monotonic seconds.
        ttl_s: longest time from request to response, seconds; a day-long stream is an hour here.
    """

    def __init__(
        self,
        now_s: Callable[[], float],
        ttl_s: float = 3600.0,
        max_tickets: int = 100_000,
        max_bytes: int = 32 << 20,
    ) -> None:
        self._now_s = now_s
        self._ttl_s = ttl_s
        self._max_tickets = max_tickets
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, data: bytes) -> str:
        """Keep `data`; returns its token. The oldest give way when there is no room."""
        token = secrets.token_hex(_TOKEN_BYTES)
        self._kept[token] = _Kept(data, self._now_s() + self._ttl_s)
        self._bytes += len(data)
        while len(self._kept) > self._max_tickets or self._bytes > self._max_bytes:
            self._drop_oldest()
        return token

    def get(self, token: str) -> bytes | None:
        """The ticket, or None when it is gone."""
        kept = self._kept.get(token)
        return kept.data if kept is not None and kept.until_s > self._now_s() else None

    def pop(self, token: str) -> bytes | None:
        """The ticket, forgotten here from now on."""
        data = self.get(token)
        kept = self._kept.pop(token, None)
        if kept is not None:
            self._bytes -= len(kept.data)
        return data

    def expire(self) -> None:
        """Drop what is too old."""
        now_s = self._now_s()
        while self._kept and next(iter(self._kept.values())).until_s <= now_s:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, kept = self._kept.popitem(last=False)
        self._bytes -= len(kept.data)
