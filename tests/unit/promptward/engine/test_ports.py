"""A port that is not there fails closed."""

from __future__ import annotations

import pytest

from promptward.engine.ports import ABSENT, Ports
from promptward.errors import PortError
from promptward.ports import ReserveRequest, SettleRequest
from promptward.sync import run_sync
from promptward.testing.fakes import CountingEntropy, FixedClock, RecordedAudit


def test_absent_ports_refuse() -> None:
    for call in (
        ABSENT.reserve(ReserveRequest("r", "", (), 1)),
        ABSENT.settle(SettleRequest("r", "")),
        ABSENT.verify("RS256", {}, b"", b""),
        ABSENT.keys("https://x.test", None),
    ):
        with pytest.raises(PortError):
            run_sync(call)  # type: ignore[arg-type]


def test_reporting_a_bug_may_go_nowhere() -> None:
    Ports(FixedClock(), CountingEntropy(), RecordedAudit()).report_bug(ValueError("x"))
