"""Tickets between access and the later phases of their requests.

They are kept here, under a random token, and only the token goes into Kong's request context:
a ticket's vault holds personal data, and other plugins can read that context.

Invariants: bounded in number, bytes and age; a ticket leaves exactly once: taken by a later phase,
or given up, and then handed to `abandoned`, so that its request is settled and recorded all the
same. A response that needs a ticket which was given up is refused.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable

_TOKEN_BYTES = 16

# Kong runs the log phase of every request, so these are requests under way. One core decides about
# 600 a second: the default is the load of a full server whose upstream takes 13 seconds.
MAX_TICKETS = 8192
# A ticket is about 350 bytes; with pseudonyms, or system prompts to compare answers with, far more.
MAX_BYTES = 32 << 20

Abandoned = Callable[[str, bytes], None]
"""Gets the instance key and the ticket of a request nobody will hear of any more."""

_Kept = tuple[str, bytes, float]  # instance key, ticket, until when


class TicketStore:
    """Token → ticket bytes.

    Args:
        now_s: monotonic seconds.
        abandoned: see `Abandoned`; must not raise.
        ttl_s: longest time from request to response, seconds; a day-long stream is an hour here.
    """

    def __init__(
        self,
        now_s: Callable[[], float],
        abandoned: Abandoned,
        *,
        ttl_s: float = 3600.0,
        max_tickets: int = MAX_TICKETS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._now_s = now_s
        self._abandoned = abandoned
        self._ttl_s = ttl_s
        self._max_tickets = max_tickets
        self._max_bytes = max_bytes
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, instance: str, data: bytes) -> str:
        """Keep `data` of an instance; returns its token. The oldest give way when there is no
        room."""
        token = secrets.token_bytes(_TOKEN_BYTES)
        self._kept[token] = (instance, data, self._now_s() + self._ttl_s)
        self._bytes += len(data)
        while len(self._kept) > self._max_tickets or self._bytes > self._max_bytes:
            self._give_up_oldest()
        return token.hex()

    def get(self, token: str) -> bytes | None:
        """The ticket, or None when it is gone."""
        kept = self._kept.get(_key(token))
        return kept[1] if kept is not None and kept[2] > self._now_s() else None

    def pop(self, token: str) -> bytes | None:
        """The ticket, forgotten here from now on; None when it is gone."""
        data = self.get(token)
        if data is not None:
            del self._kept[_key(token)]
            self._bytes -= len(data)
        return data

    def expire(self) -> None:
        """Give up what is too old."""
        now_s = self._now_s()
        while self._kept and next(iter(self._kept.values()))[2] <= now_s:
            self._give_up_oldest()

    def give_up(self) -> None:
        """Give up all: the server stops."""
        while self._kept:
            self._give_up_oldest()

    def _give_up_oldest(self) -> None:
        _, (instance, data, _) = self._kept.popitem(last=False)
        self._bytes -= len(data)
        self._abandoned(instance, data)


def _key(token: str) -> bytes:
    """The bytes of a token; of a text that is none, a key nothing is kept under."""
    try:
        return bytes.fromhex(token)
    except ValueError:
        return b""
