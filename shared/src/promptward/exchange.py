"""The exchange: one HTTP request (and later its response) as every gateway shows it to the core.

Invariants: frozen; header names lower-case, order and repetition kept; a body says whether it is
complete. Parsing the LLM view out of the body belongs to `protocols`, judging it to `checks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from enum import StrEnum
from typing import Literal

from promptward.errors import ExchangeError
from promptward.values import value_object

JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]


class Source(StrEnum):
    """Where a piece of text in an exchange comes from; checks set thresholds by it."""

    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL_RESULT = "tool_result"
    DOCUMENT = "document"
    TOOL_DEFINITION = "tool_definition"
    TOOL_ARGUMENTS = "tool_arguments"


class Headers:
    """An immutable multi-map of header fields; names are lower-cased (RFC 9110 section 5.1)."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self.pairs: tuple[tuple[str, str], ...] = tuple([(n.lower(), v) for n, v in pairs])

    def get_all(self, name: str) -> list[str]:
        """Every value of `name` (lower-case), in order."""
        return [v for n, v in self.pairs if n == name]

    def get(self, name: str) -> str | None:
        """The one value of `name` (lower-case), or None.

        Raises:
            ExchangeError: `duplicate_header` when the field is repeated; for the single-valued
                fields the core reads, two values mean two readers may disagree.
        """
        values = self.get_all(name)
        if len(values) > 1:
            raise ExchangeError("duplicate_header", f"header {name!r} was sent more than once")
        return values[0] if values else None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self.pairs == other.pairs

    def __hash__(self) -> int:
        return hash(self.pairs)

    def __repr__(self) -> str:
        return f"Headers({[n for n, _ in self.pairs]})"  # names only: values may be secrets


@value_object(frozen=True, slots=True)
class Body:
    """Body bytes as received, and whether that is all of them."""

    data: bytes = b""
    complete: bool = True


# How a gateway verified an identity: what the adapters produce, and so all that a policy can trust.
GatewayMethod = Literal["kong_consumer", "envoy_jwt_authn", "cloudflare_access"]


@value_object(frozen=True, slots=True)
class GatewayIdentity:
    """Claims the gateway itself verified, and how."""

    method: GatewayMethod
    claims: Mapping[str, JSON]


@value_object(frozen=True, slots=True)
class Exchange:
    """A request as it arrived at the gateway.

    Attributes:
        method: upper-case HTTP method.
        host: authority without scheme.
        path: path with query, as received.
        headers: see Headers.
        body: see Body.
        peer: client address as the gateway sees it; empty when unknown.
        route: the gateway's name of the matched route; empty when unknown.
        request_id: idempotency key that the *client cannot choose*; empty lets the engine draw one.
        gateway_identity: what the gateway already verified, if anything.
    """

    method: str
    host: str
    path: str
    headers: Headers = field(default_factory=Headers)
    body: Body = field(default_factory=Body)
    peer: str = ""
    route: str = ""
    request_id: str = ""
    gateway_identity: GatewayIdentity | None = None


@value_object(frozen=True, slots=True)
class Response:
    """An upstream response, whole. Streams go through `StreamGuard` instead."""

    status: int
    headers: Headers
    body: Body
