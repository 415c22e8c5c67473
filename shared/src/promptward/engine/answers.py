"""Refusals: from a reason to the finished answer in the caller's own protocol."""

from __future__ import annotations

from collections.abc import Sequence

from promptward.checks.content import Denial
from promptward.decision import Deny, HeaderPairs, Principal
from promptward.errors import ExchangeError
from promptward.findings import Coverage, Finding
from promptward.protocols import NEUTRAL, ChatProtocol
from promptward.values import value_object

JSON_TYPE = ("content-type", "application/json; charset=utf-8")


@value_object(frozen=True, slots=True)
class Refusal(Exception):  # noqa: N818 - control flow inside the engine, not a failure
    """Why a phase stops the exchange.

    Attributes:
        status: HTTP status.
        code: stable code.
        category: as in `Deny`.
        message: for the client.
        headers: beside content-type.
    """

    status: int
    code: str
    category: str
    message: str
    headers: HeaderPairs = ()

    @staticmethod
    def of(error: ExchangeError) -> Refusal:
        """A refusal of malformed input."""
        return Refusal(error.status, error.code, "parse", error.message)

    @staticmethod
    def by(denial: Denial) -> Refusal:
        """A content check's refusal."""
        category = "unavailable" if denial.status >= 500 else "content"
        return Refusal(denial.status, denial.code, category, denial.message)


def deny(
    refusal: Refusal,
    protocol: ChatProtocol | None,
    findings: Sequence[Finding] = (),
    coverage: Coverage = (),
    principal: Principal | None = None,
) -> Deny:
    """The answer to give for `refusal`; a neutral error shape where the protocol is unknown."""
    body = (protocol or NEUTRAL).error_body(
        refusal.status, refusal.code, refusal.category, refusal.message
    )
    return Deny(
        refusal.status,
        refusal.code,
        refusal.category,
        refusal.message,
        (JSON_TYPE, ("cache-control", "no-store"), *refusal.headers),
        body,
        tuple(findings),
        coverage,
        principal,
    )
