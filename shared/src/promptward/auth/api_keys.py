"""API keys: opaque secrets that are stored only as SHA-256 digests.

Why plain SHA-256 and not a password hash: keys are machine-made with at least 128 bits of
entropy, so there is nothing to guess, and a slow hash would cost every request milliseconds
(NIST SP 800-63B section 3.1.2 makes the same distinction for look-up secrets of 112 bits and more).

Why a dictionary look-up is safe in time: what is compared is the digest of the presented key. To
learn anything from the time of a partial match an attacker would have to choose keys whose
digests share a prefix with a stored one, that is to find partial preimages, and even a whole
digest does not give a key. The final comparison is `hmac.compare_digest` all the same.

Invariants: the presented key is never stored, logged or put into a message.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from promptward.auth.failure import AuthCode, AuthFailure
from promptward.decision import Principal
from promptward.exchange import JSON
from promptward.settings import Kind, setting
from promptward.values import value_object

# the longest keys of LLM providers are about 170 characters; the rest is room
MAX_KEY_CHARACTERS = 512

_UNKNOWN = AuthFailure(AuthCode.UNKNOWN_API_KEY, "the API key is not known")
_EXPIRED = AuthFailure(AuthCode.API_KEY_EXPIRED, "the API key has expired")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One API key, known by its digest."""

    id: str = setting("Stable name of the key's owner.", kind=Kind.IDENTIFIER)
    sha256: str = setting("SHA-256 of the key, hexadecimal.", kind=Kind.SHA256)
    claims: Mapping[str, JSON] = setting(
        "Claims of whoever presents it; `sub` defaults to the id.", default_factory=dict
    )
    not_after: str | None = setting(
        "First instant at which it is refused, RFC 3339 with offset.", default=None
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        try:
            expiry_s(self)
        except ValueError as error:
            yield "not_after", str(error)


@dataclass(frozen=True, slots=True)
class ApiKeySettings:
    """API keys and the headers that may carry them."""

    keys: tuple[ApiKey, ...] = setting("The keys.", min_length=1, max_length=100_000)
    header: str = setting(
        "Header with the key; in `authorization` after `Bearer`, in any other by itself.",
        kind=Kind.HEADER,
        default="authorization",
    )
    also_headers: tuple[str, ...] = setting(
        "Further headers that may carry it, for example `x-api-key` for Anthropic clients.",
        kind=Kind.HEADER,
        default=(),
        max_length=8,
    )

    @property
    def headers(self) -> tuple[str, ...]:
        return (self.header, *self.also_headers)

    def problems(self) -> Iterator[tuple[str, str]]:
        if any("*" in name for name in self.headers):
            yield "header", "expected a header name without '*'"
        for label in ("id", "sha256"):
            seen: set[str] = set()
            for index, key in enumerate(self.keys):
                value = getattr(key, label)
                if value in seen:
                    yield f"keys[{index}].{label}", "the same as in another key"
                seen.add(value)


def expiry_s(key: ApiKey) -> float:
    """Unix time at which `key` stops being accepted; infinity when it never does.

    Raises:
        ValueError: `not_after` is no RFC 3339 date-time with an offset.
    """
    if key.not_after is None:
        return float("inf")
    try:
        when = datetime.fromisoformat(key.not_after)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise ValueError('expected a date-time with an offset, like "2027-01-31T00:00:00Z"')
    return when.timestamp()


@value_object(frozen=True, slots=True)
class _Entry:
    digest: str = field(repr=False)
    principal: Principal
    expires_s: float


class ApiKeyTable:
    """The configured keys by digest."""

    __slots__ = ("_entries",)

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._entries = {
            key.sha256: _Entry(
                key.sha256,
                Principal(key.id, "api_key", {"sub": key.id, **key.claims}),
                expiry_s(key),
            )
            for key in keys
        }

    def authenticate(self, presented: str, now_s: float) -> Principal | AuthFailure:
        """Who presents this key. `now_s` is Unix time in seconds."""
        if len(presented) > MAX_KEY_CHARACTERS:
            return _UNKNOWN
        digest = hashlib.sha256(presented.encode("utf-8", "surrogatepass")).hexdigest()
        entry = self._entries.get(digest)
        if entry is None or not hmac.compare_digest(entry.digest, digest):
            return _UNKNOWN
        return entry.principal if now_s < entry.expires_s else _EXPIRED
