"""An engine for the command line: blocking ports, events dropped."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from promptward.cli.reading import UnreadableError
from promptward.engine import Engine
from promptward.errors import PolicyError, PortError
from promptward.exchange import JSON
from promptward.policy import CompiledPolicy
from promptward.sync import run_sync

_LEDGER_TIMEOUT_S = 2.0


class _NoAudit:
    """`check` prints the decision itself."""

    def emit(self, event: Mapping[str, JSON]) -> None:
        del event


def engine_for(policy: CompiledPolicy, ledger_url: str) -> tuple[Engine, Callable[[], None]]:
    """An engine for `policy`, and what to call when it is not needed any more.

    Raises:
        UnreadableError: the port extras are not installed, or the ledger cannot be opened.
    """
    try:
        from promptward_ports.hosting import build_engine
        from promptward_ports.ledgers import open_ledger
    except ImportError as error:
        raise UnreadableError(f"{error.name} is missing: pip install 'promptward[ports]'") from None
    try:
        ledger = open_ledger(ledger_url, timeout_s=_LEDGER_TIMEOUT_S)
        engine = build_engine(policy, ledger, _NoAudit())
    except (PolicyError, PortError, ValueError) as error:
        raise UnreadableError(str(error)) from None
    return engine, lambda: run_sync(ledger.close())
