"""An engine on this host's ports: shared by the command line, Envoy's service, Kong's plugin.

What only some policies need is imported for those: cryptography and PyJWT take 9 MB of each
process, requests and urllib3 another 8 MB.
"""

from __future__ import annotations

import logging
import traceback

from promptward.engine import Engine, Ports
from promptward.engine.ports import ABSENT
from promptward.policy import CompiledPolicy
from promptward.ports import AuditSink, BudgetLedger, Classifier, KeySource, SignatureVerifier
from promptward_ports.classifiers import open_classifier
from promptward_ports.clock import SystemClock
from promptward_ports.entropy import SystemEntropy
from promptward_ports.token_counter import open_token_counter

_LOG = logging.getLogger("promptward")


def log_bug(error: Exception) -> None:
    """Log where an exception came from: its type and frames, not its text: that may quote a prompt.

    Args:
        error: what became a denial.
    """
    frames = traceback.extract_tb(error.__traceback__)
    places = " < ".join(f"{f.filename}:{f.lineno} {f.name}" for f in reversed(frames[-8:]))
    _LOG.error("internal error, request refused: %s at %s", type(error).__name__, places)


def build_engine(
    policy: CompiledPolicy,
    ledger: BudgetLedger,
    audit: AuditSink,
    keys: KeySource | None = None,
    classifier: Classifier | None = None,
    *,
    sees_streams: bool = True,
) -> Engine:
    """An engine for `policy`.

    Args:
        ledger: where budgets are kept.
        audit: where events go.
        keys: JWKS cache; a blocking one of its own when left out (right under `run_sync`; an
            event loop wants `open_keys` with `suspending`).
        classifier: external detector; a blocking one of its own when left out and the policy needs
            one (an event loop wants `open_classifier` with `suspending`).
        sees_streams: see `Ports`.

    Raises:
        PolicyError: the policy needs what this host does not have.
    """
    return Engine(
        policy,
        Ports(
            clock=SystemClock(),
            entropy=SystemEntropy(),
            audit=audit,
            ledger=ledger,
            verifier=_verifier(policy),
            report_bug=log_bug,
            sees_streams=sees_streams,
            keys=keys or open_keys(policy),
            classifier=classifier or open_classifier(policy.classifier_queries),
            tokens=open_token_counter() if policy.spec.counts_exactly else None,
        ),
    )


def open_keys(policy: CompiledPolicy, *, suspending: bool = False) -> KeySource:
    """The keys of the policy's issuers; absent when none is published at an address.

    Args:
        suspending: for hosts with an asyncio loop, which must not be blocked.
    """
    caches = policy.spec.identity.jwks_caches()
    if not caches:
        return ABSENT
    from promptward_ports.jwks import AsyncJwksKeySource, JwksKeySource

    blocking = JwksKeySource(caches)
    return AsyncJwksKeySource(blocking) if suspending else blocking


def _verifier(policy: CompiledPolicy) -> SignatureVerifier:
    if not policy.spec.identity.jwt:
        return ABSENT
    from promptward_ports.signatures import CryptographyVerifier

    return CryptographyVerifier()
