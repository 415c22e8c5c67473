"""The Worker's ports keep the contracts that every implementation keeps, in a real workerd.

The ledger suite itself is tests/contracts/test_ledger.py, run here on the Durable Object.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from promptward.sync import run_sync
from promptward.testing.ledgers import LedgerDriver, budget_line
from promptward.testing.signatures import wrong_answers
from promptward.testing.stepped_clock import SteppedClock
from promptward_workerd.process import Workerd
from promptward_workerd.testing.remote_ports import RemoteLedger, RemoteVerifier

pytestmark = pytest.mark.workerd
SUITE = Path(__file__).parents[2] / "contracts" / "test_ledger.py"


def _suite_tests() -> dict[str, object]:
    spec = importlib.util.spec_from_file_location("ledger_contract", SUITE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: value for name, value in vars(module).items() if name.startswith("test_")}


globals().update(_suite_tests())


@pytest.fixture
def store(ports_worker: Workerd, request: pytest.FixtureRequest) -> Iterator[LedgerDriver]:
    """A Durable Object of its own for each test."""
    clock = SteppedClock()
    name = request.node.name
    opened = LedgerDriver(
        "durable-object", lambda: RemoteLedger(ports_worker, name, clock), clock, True
    )
    yield opened
    opened.run(opened.ledger.close())


def test_the_suite_was_found() -> None:
    assert len(_suite_tests()) > 20


def test_a_call_that_fails_half_way_leaves_no_trace(
    ports_worker: Workerd, store: LedgerDriver
) -> None:
    store.reserve("before", budget_line(amount=20))
    ledger = store.ledger
    assert isinstance(ledger, RemoteLedger)
    assert json.loads(ledger.call("crash", "")) == {"error": "crashed on purpose"}
    assert [(row.spent, row.reserved) for row in store.usage()] == [(0, 20)]
    assert store.reserve("after", budget_line(amount=80)).granted
    assert [entry.request_id for entry in store.entries()] == ["after", "before"]


def test_web_crypto_answers_every_signature_vector(ports_worker: Workerd) -> None:
    verifier = RemoteVerifier(ports_worker)
    assert run_sync(wrong_answers(verifier)) == []
    verifier.close()
