"""The ports an engine is given, in one place."""

from __future__ import annotations

from dataclasses import dataclass

from promptward.ports import (
    AuditSink,
    BudgetLedger,
    Classifier,
    Clock,
    Entropy,
    KeySource,
    SignatureVerifier,
)


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything an engine needs from its host.

    Attributes:
        clock: wall clock.
        entropy: random bytes, for request ids and pseudonyms.
        ledger: budgets; None only when the policy has none.
        verifier: JWS signatures; None only when the policy has no JWT issuer.
        keys: JWKS; None only when no issuer has a `jwks_uri`.
        audit: where events go.
        classifier: external detector, when a check names one.
    """

    clock: Clock
    entropy: Entropy
    audit: AuditSink
    ledger: BudgetLedger | None = None
    verifier: SignatureVerifier | None = None
    keys: KeySource | None = None
    classifier: Classifier | None = None
