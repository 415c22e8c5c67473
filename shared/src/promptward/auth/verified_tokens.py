"""Tokens that were verified a moment ago, so that a busy caller is not verified on every request.

An RS256 verification costs more than all other checks of a short prompt together; callers send
the same token for minutes.

Invariants: only whole, exact tokens hit (the key is their SHA-256); an entry ends with the token's
own validity and after the policy's `token_cache_s`, whichever comes first, so a withdrawn key is
honoured at most that much longer; a clock that steps back misses; memory is bounded; only
successes are kept, so nobody can fill it without valid tokens.

Why two generations of dictionaries and not an LRU: both reading and writing are single dictionary
operations, so threads need no lock (the core has none).
"""

from __future__ import annotations

import hashlib

from promptward.decision import Principal
from promptward.values import value_object

# Together at most 1,024 entries of at most 4 KiB of token: a few megabytes of parsed claims
_GENERATION_ENTRIES = 512
_LONGEST_TOKEN_CHARACTERS = 4096


@value_object(frozen=True, slots=True)
class _Verified:
    principal: Principal
    since_s: float
    until_s: float


class VerifiedTokens:
    """Principals by the digest of their token."""

    __slots__ = ("_older", "_recent")

    def __init__(self) -> None:
        self._recent: dict[bytes, _Verified] = {}
        self._older: dict[bytes, _Verified] = {}

    def find(self, token: str, now_s: float) -> Principal | None:
        """The principal of a token that is known to be valid at `now_s`."""
        if len(token) > _LONGEST_TOKEN_CHARACTERS:
            return None
        digest = _digest(token)
        entry = self._recent.get(digest) or self._older.get(digest)
        if entry is None or not entry.since_s <= now_s < entry.until_s:
            return None
        return entry.principal

    def keep(self, token: str, principal: Principal, now_s: float, until_s: float) -> None:
        """Remember that `token` was verified at `now_s` and is valid until `until_s`."""
        if len(token) > _LONGEST_TOKEN_CHARACTERS or until_s <= now_s:
            return
        if len(self._recent) >= _GENERATION_ENTRIES:
            self._older, self._recent = self._recent, {}
        self._recent[_digest(token)] = _Verified(principal, now_s, until_s)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
