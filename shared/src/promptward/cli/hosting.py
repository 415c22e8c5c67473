"""An engine for the command line: blocking ports, events dropped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from promptward.cli.reading import UnreadableError
from promptward.engine import Engine, Ports
from promptward.errors import PolicyError, PortError
from promptward.exchange import JSON
from promptward.policy import CompiledPolicy

_LEDGER_TIMEOUT_S = 2.0


class Closable(Protocol):
    """Something to close at the end."""

    def close(self) -> None: ...


class _NoAudit:
    """`check` prints the decision itself."""

    def emit(self, event: Mapping[str, JSON]) -> None:
        del event


def build_engine(policy: CompiledPolicy, ledger_url: str) -> tuple[Engine, Closable]:
    """An engine for `policy` and the ledger to close afterwards.

    Raises:
        UnreadableError: the port extras are not installed, or the ledger cannot be opened.
    """
    try:
        from promptward_ports.clock import SystemClock
        from promptward_ports.entropy import SystemEntropy
        from promptward_ports.jwks import JwksKeySource
        from promptward_ports.ledgers import open_ledger
        from promptward_ports.signatures import CryptographyVerifier
    except ImportError as error:
        raise UnreadableError(
            f"{error.name} is missing: pip install 'promptward[ports]'"
        ) from None
    try:
        ledger = open_ledger(ledger_url, timeout_s=_LEDGER_TIMEOUT_S)
        ports = Ports(
            clock=SystemClock(),
            entropy=SystemEntropy(),
            audit=_NoAudit(),
            ledger=ledger,
            verifier=CryptographyVerifier(),
            keys=JwksKeySource(policy.spec.identity.jwks_caches()),
        )
        return Engine(policy, ports), ledger
    except (PolicyError, PortError, ValueError) as error:
        raise UnreadableError(str(error)) from None
