"""Ports for the command line: they block, and events are dropped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from promptward.cli.reading import UnreadableError
from promptward.engine import Engine
from promptward.errors import PolicyError, PortError
from promptward.exchange import JSON
from promptward.policy import CompiledPolicy
from promptward.ports import Classifier, ClassifierQuery
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
        raise _missing(error) from None
    try:
        ledger = open_ledger(ledger_url, timeout_s=_LEDGER_TIMEOUT_S)
        engine = build_engine(policy, ledger, _NoAudit())
    except ImportError as error:  # a port that only this policy needs
        raise _missing(error) from None
    except (PolicyError, PortError, ValueError) as error:
        raise UnreadableError(str(error)) from None
    return engine, lambda: run_sync(ledger.close())


def classifier_for(queries: Sequence[ClassifierQuery]) -> Classifier | None:
    """The classifier that answers `queries`; None when there are none.

    Raises:
        UnreadableError: the port extras are not installed, or a model cannot run here.
    """
    if not queries:
        return None
    try:
        from promptward_ports.classifiers import open_classifier
    except ImportError as error:
        raise _missing(error) from None
    try:
        return open_classifier(queries)
    except PolicyError as error:
        raise UnreadableError(str(error)) from None


def _missing(error: ImportError) -> UnreadableError:
    return UnreadableError(f"{error.name} is missing: pip install 'promptward[ports]'")
