"""Checks of one phase together: order, edits, opaque parts and coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from promptward.checks.content import (
    Conversation,
    Denial,
    FailureMode,
    Inspection,
    Mode,
    Phase,
)
from promptward.engine.content import ContentResult, run_checks
from promptward.exchange import Source
from promptward.llm import OpaquePart, Part
from promptward.sync import run_sync

PARTS = (Part("/a", Source.USER, "one"), Part("/b", Source.TOOL_RESULT, "two"))
IMAGE = OpaquePart("/c", Source.USER, "inline_image")


class Scripted:
    """A check that does as told and remembers what it saw."""

    phases = frozenset({Phase.REQUEST})
    failure_mode = FailureMode.CLOSED
    needs_system_text = False

    def __init__(self, name: str, **inspection: Any) -> None:
        self.id = name
        self._inspection = Inspection(**inspection)
        self.seen: list[str] = []

    def wanted(self, conversation: Conversation) -> bool:
        return True

    async def inspect(
        self, phase: Phase, parts: Sequence[Part], conversation: Conversation
    ) -> Inspection:
        self.seen = [p.text for p in parts]
        return self._inspection

    def open_channel(self, channel: Any, conversation: Conversation) -> None:
        return None


def run(
    *checks: Scripted,
    opaque: Sequence[OpaquePart] = (),
    on: str = "block",
    mode: Mode = Mode.ENFORCE,
) -> ContentResult:
    return run_sync(run_checks(checks, Phase.REQUEST, PARTS, opaque, Conversation("00"), on, mode))


def states(result: ContentResult) -> Mapping[str, tuple[str, str, tuple[str, ...]]]:
    return {e.pointer: (e.state.value, e.reason, e.checks) for e in result.coverage}


def test_without_checks_everything_is_skipped_and_says_so() -> None:
    assert states(run(opaque=[IMAGE])) == {
        "/a": ("skipped", "no_check", ()),
        "/b": ("skipped", "no_check", ()),
        "/c": ("skipped", "no_check", ()),
    }


def test_each_check_sees_what_the_one_before_left() -> None:
    first, second = Scripted("one", edits={"/a": "ONE"}), Scripted("two")
    result = run(first, second)
    assert second.seen == ["ONE", "two"]
    assert result.edits == {"/a": "ONE"}
    assert states(result)["/a"] == ("inspected", "", ("one", "two"))


def test_after_a_denial_no_further_check_runs() -> None:
    last = Scripted("last")
    result = run(Scripted("first", denial=Denial("no", "No.")), last)
    assert last.seen == []
    assert result.denial == Denial("no", "No.")


def test_a_part_that_every_check_skips_is_not_called_inspected() -> None:
    result = run(Scripted("one", skipped={"/b": "source_not_selected"}))
    assert states(result)["/b"] == ("skipped", "source_not_selected", ())


@pytest.mark.parametrize(
    ("on", "mode", "denied", "effects"),
    [
        ("block", Mode.ENFORCE, True, ["block"]),
        ("block", Mode.SHADOW, False, ["shadow"]),
        ("flag", Mode.ENFORCE, False, ["flag"]),
        ("allow", Mode.ENFORCE, False, []),
    ],
)
def test_opaque_parts(on: str, mode: Mode, denied: bool, effects: list[str]) -> None:
    result = run(Scripted("one"), opaque=[IMAGE], on=on, mode=mode)
    assert (result.denial is not None) is denied
    assert [f.effect.value for f in result.findings] == effects
    assert states(result)["/c"] == ("uninspectable", "inline_image", ())


def test_a_part_read_with_less_than_asked_for_is_not_called_inspected() -> None:
    result = run(Scripted("one", incomplete={"/a": "classifier_unavailable"}), Scripted("two"))
    assert states(result)["/a"] == ("skipped", "classifier_unavailable", ("one", "two"))
    assert states(result)["/b"] == ("inspected", "", ("one", "two"))
