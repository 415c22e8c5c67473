"""Audit sinks of the service; the sink itself is tested with `promptward_ports`."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from promptward.errors import PortError
from promptward_envoy.admission import Admission
from promptward_envoy.metrics import Metrics
from promptward_envoy.offload import SideThread
from promptward_envoy.ports import LoopClassifier, LoopKeys, LoopLedger, NoAudit, open_audit


def test_file_gets_one_line_for_each_event(tmp_path) -> None:
    path = tmp_path / "audit.jsonl"
    for value in (1, 2):
        sink = open_audit(str(path))
        sink.emit({"n": value})
        sink.close()
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"n": 1}, {"n": 2}]


def test_file_that_cannot_be_opened_is_an_error_at_once(tmp_path) -> None:
    with pytest.raises(OSError, match="missing"):
        open_audit(str(tmp_path / "missing" / "audit.jsonl"))


def test_none_discards_and_loses_nothing() -> None:
    sink = open_audit("none")
    assert isinstance(sink, NoAudit)
    sink.emit({"a": 1})
    sink.close()
    assert sink.dropped + sink.failed == 0


class Port:
    """Answers any question with who asked it where, or fails."""

    def __init__(self, error: PortError | None = None) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        async def answer(*arguments: Any) -> Any:
            await asyncio.sleep(0)  # only works on the loop
            if self._error is not None:
                raise self._error
            return name, arguments, threading.get_ident()

        return answer


PORTS = [
    (LoopLedger, "reserve", ("request",)),
    (LoopLedger, "settle", ("request",)),
    (LoopKeys, "keys", ("https://keys.test", None)),
    (LoopClassifier, "classify", ("query", ["text"])),
]


async def asked_directly(question: Any) -> Any:
    return await question()


async def asked_aside(question: Any) -> Any:
    metrics = Metrics()
    aside = SideThread(Admission(9, metrics.in_flight), metrics.large, 5)
    return await aside.ask(question())


@pytest.mark.parametrize("asked", [asked_directly, asked_aside])
@pytest.mark.parametrize(("wrapper", "name", "arguments"), PORTS)
def test_port_is_asked_on_the_loop_wherever_the_engine_runs(
    asked, wrapper, name, arguments
) -> None:
    async def question() -> Any:
        return await getattr(wrapper(Port()), name)(*arguments)

    here = threading.get_ident()
    assert asyncio.run(asked(question)) == (name, arguments, here)


@pytest.mark.parametrize("asked", [asked_directly, asked_aside])
@pytest.mark.parametrize(("wrapper", "name", "arguments"), PORTS)
def test_failure_of_a_port_reaches_the_engine(asked, wrapper, name, arguments) -> None:
    async def question() -> str:
        try:
            await getattr(wrapper(Port(PortError("ledger", "down"))), name)(*arguments)
        except PortError as error:
            return error.port
        return ""

    assert asyncio.run(asked(question)) == "ledger"
