"""The ports an engine is given, in one place."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from promptward.errors import PortError
from promptward.ports import (
    AuditSink,
    BudgetLedger,
    Classifier,
    Clock,
    Entropy,
    Jwk,
    KeySource,
    LineState,
    ReserveOutcome,
    ReserveRequest,
    SettleRequest,
    SignatureVerifier,
    TokenCounter,
)
from promptward.values import value_object


class _Absent:
    """Stands for a port that the host does not have. A policy that needs it is refused when the
    engine is built; reached all the same, it fails closed."""

    async def reserve(self, request: ReserveRequest) -> ReserveOutcome:
        del request
        raise PortError("ledger", "not configured")

    async def settle(self, request: SettleRequest) -> tuple[LineState, ...]:
        del request
        raise PortError("ledger", "not configured")

    async def verify(self, alg: str, key: Jwk, signing_input: bytes, signature: bytes) -> bool:
        del alg, key, signing_input, signature
        raise PortError("verifier", "not configured")

    async def keys(self, jwks_uri: str, kid: str | None) -> Sequence[Jwk]:
        del jwks_uri, kid
        raise PortError("keys", "not configured")


ABSENT = _Absent()


def _forget(error: Exception) -> None:
    """For hosts without a log."""
    del error


@value_object(frozen=True, slots=True)
class Ports:
    """Everything an engine needs from its host.

    Attributes:
        clock: wall clock.
        entropy: random bytes, for request ids and pseudonyms.
        ledger: budgets; absent only when the policy has none.
        verifier: JWS signatures; absent only when the policy has no JWT issuer.
        keys: JWKS; absent only when no issuer has a `jwks_uri`.
        audit: where events go.
        classifier: external detector, when a check names one.
        tokens: exact token counts, when the policy wants them.
        report_bug: told of every exception that became a denial (or an unsettled budget); a host
            should log its type and its frames, but not its text, which may quote a prompt.
        sees_streams: whether the host reads event streams. One that does not could neither settle
            from a usage event nor take it out again, so none is asked for.
        outlives_requests: False where each request has an engine of its own: nothing that it
            remembers would ever be asked for.
    """

    clock: Clock
    entropy: Entropy
    audit: AuditSink
    ledger: BudgetLedger = ABSENT
    verifier: SignatureVerifier = ABSENT
    keys: KeySource = ABSENT
    classifier: Classifier | None = None
    tokens: TokenCounter | None = None
    report_bug: Callable[[Exception], None] = _forget
    sees_streams: bool = True
    outlives_requests: bool = True
