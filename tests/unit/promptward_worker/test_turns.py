"""Coroutines without an event loop, with a JavaScript of our own."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import promptward_worker

MODULE = "promptward_worker.turns"
BORDER = (Path(promptward_worker.__file__).parent / "border.mjs").read_text("utf-8")
# what border.mjs tells `wake`
WHAT = {name: int(number) for name, number in re.findall(r"const (\w+) = (\d);", BORDER)}


class FailedError(Exception):
    """As JavaScript's errors come to Python."""


class Resolvers:
    """`Promise.withResolvers()`: what came of the promise."""

    def __init__(self) -> None:
        self.promise = self
        self.outcome: list[tuple[str, Any]] = []

    def resolve(self, value: object) -> None:
        self.outcome.append(("kept", value))

    def reject(self, reason: object) -> None:
        self.outcome.append(("broken", reason))


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module, with stand-ins for what only a Worker has."""
    javascript, ffi = ModuleType("js"), ModuleType("pyodide.ffi")
    javascript.Promise = SimpleNamespace(withResolvers=Resolvers)  # type: ignore[attr-defined]
    javascript.Error = SimpleNamespace(new=str)  # type: ignore[attr-defined]
    ffi.create_once_callable = lambda function: function  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "js", javascript)
    monkeypatch.setitem(sys.modules, "pyodide", ModuleType("pyodide"))
    monkeypatch.setitem(sys.modules, "pyodide.ffi", ffi)
    yield importlib.import_module(MODULE)
    del sys.modules[MODULE]
    del promptward_worker.turns  # type: ignore[attr-defined]


class Border:
    """A function of border.mjs that the test ends."""

    def __init__(self) -> None:
        self.started: list[tuple[object, ...]] = []
        self.wakes: list[Callable[..., None]] = []

    def start(self, *arguments: Any) -> None:
        *given, wake = arguments
        self.started.append(tuple(given))
        self.wakes.append(wake)


def test_one_that_waits_for_nothing_is_done_at_once(turns: Any) -> None:
    async def work() -> int:
        return 7

    assert turns.begin(work()).outcome == [("kept", 7)]


def test_it_goes_on_with_what_it_waited_for(turns: Any) -> None:
    border = Border()

    async def work() -> list[object]:
        return [await turns.Waiting(border.start, "a", 1), await turns.Waiting(border.start)]

    promise = turns.begin(work())
    assert (promise.outcome, border.started) == ([], [("a", 1)])
    border.wakes[0](WHAT["KEPT"], "first")
    assert (promise.outcome, border.started) == ([], [("a", 1), ()])
    border.wakes[1](WHAT["KEPT"], None)
    assert promise.outcome == [("kept", ["first", None])]


def test_several_outcomes_are_a_tuple(turns: Any) -> None:
    border = Border()

    async def work() -> object:
        return await turns.Waiting(border.start)

    promise = turns.begin(work())
    border.wakes[0](WHAT["KEPT"], "head", "body")
    assert promise.outcome == [("kept", ("head", "body"))]


def test_a_promise_is_there_before_what_keeps_it(turns: Any) -> None:
    async def work(own: object) -> object:
        return own

    promised = turns.Promised()
    assert promised.promise.outcome == []
    promised.keep(work(promised.promise))
    assert promised.promise.outcome == [("kept", promised.promise)]


@pytest.mark.parametrize(
    ("what", "outcome", "raised"),
    [("BROKEN", FailedError("x"), "FailedError"), ("LATE", None, "TimeoutError")],
)
def test_a_failure_is_raised_where_it_is_awaited(
    turns: Any, what: str, outcome: object, raised: str
) -> None:
    border = Border()

    async def work() -> str:
        try:
            await turns.Waiting(border.start)
        except Exception as error:
            return type(error).__name__
        return "nothing"

    promise = turns.begin(work())
    border.wakes[0](WHAT[what], outcome)
    assert promise.outcome == [("kept", raised)]


def test_what_cannot_be_started_is_raised_where_it_is_awaited(turns: Any) -> None:
    def start(*_: object) -> None:
        raise FailedError("not an address")

    async def work() -> str:
        try:
            await turns.Waiting(start)
        except FailedError:
            return "told"
        return "nothing"

    assert turns.begin(work()).outcome == [("kept", "told")]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_one_that_raises_is_a_rejection_without_its_text(
    turns: Any, kind: type[BaseException]
) -> None:
    async def work() -> None:
        raise kind("the prompt said")

    assert turns.begin(work()).outcome == [("broken", kind.__name__)]


def test_two_that_wait_do_not_hear_of_each_other(turns: Any) -> None:
    border = Border()

    async def work() -> object:
        return await turns.Waiting(border.start)

    first, second = turns.begin(work()), turns.begin(work())
    border.wakes[1](WHAT["KEPT"], "second")
    assert (first.outcome, second.outcome) == ([], [("kept", "second")])
    border.wakes[0](WHAT["KEPT"], "first")
    assert first.outcome == [("kept", "first")]
