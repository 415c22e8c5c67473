"""The ledger port of the service process: shared with its own budgets, reload, workers, SIGTERM."""

from __future__ import annotations

import signal
import urllib.request
from pathlib import Path

import pytest

from promptward.ledger import wire
from promptward.ports import ReserveOutcome, ReserveRequest
from promptward.testing.ledgers import budget_line
from promptward_envoy.testing.service import Service, serving

pytestmark = pytest.mark.envoy
LEDGER_TOKEN = "ledger-token-of-a-test"


def reserve(service: Service, request_id: str) -> ReserveOutcome:
    text = wire.reserve_text(ReserveRequest(request_id, "", (budget_line(amount=60),), 60))
    address = f"http://127.0.0.1:{service.port('ledger_port')}{wire.RESERVE_PATH}"
    headers = {"authorization": f"Bearer {LEDGER_TOKEN}"}
    asked = urllib.request.Request(address, text.encode(), headers)
    with urllib.request.urlopen(asked, timeout=20) as answer:
        return wire.outcome(answer.read().decode())


@pytest.mark.parametrize("workers", ["1", "2"])
def test_others_draw_from_the_ledger_of_the_service(tmp_path: Path, workers: str) -> None:
    file = tmp_path / "token"
    file.write_text(LEDGER_TOKEN + "\n")
    options = ["--ledger-listen", "127.0.0.1:0", "--ledger-token-file", str(file)]
    with serving(tmp_path, *options, "--workers", workers) as service:
        assert reserve(service, "first").granted
        rows = service.ask("/budgets?budget=tokens")[1]["budgets"]
        assert [(row["spent"], row["reserved"]) for row in rows] == [(0, 60)]
        assert service.ask("/policy/reload", "POST")[0] == 200
        assert not reserve(service, "second").granted
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(30) == 0
        assert LEDGER_TOKEN not in service.log.read_text()
        assert "claim.sub" not in service.log.read_text()


def test_a_ledger_port_without_a_token_does_not_start(tmp_path: Path) -> None:
    service = Service(tmp_path, "--ledger-listen", "127.0.0.1:0")
    assert service.process.wait(30) == 1
    assert "the ledger port needs a token" in service.log.read_text()
