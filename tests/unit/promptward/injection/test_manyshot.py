"""Many-shot dialogues inside one text."""

from __future__ import annotations

from promptward.exchange import Source
from promptward.injection import InjectionDetector
from promptward.injection.manyshot import MIN_TURNS, dialogue_turns


def dialogue(turns: int) -> str:
    return "\n".join(
        f"User: question {i}?\nAssistant: certainly, answer {i}." for i in range(turns)
    )


def test_many_faked_turns_are_found(detector: InjectionDetector) -> None:
    found = {hit.rule for hit in detector.analyze(dialogue(MIN_TURNS), Source.USER).hits}
    assert "many_shot.dialogue" in found
    few = {hit.rule for hit in detector.analyze(dialogue(MIN_TURNS - 1), Source.USER).hits}
    assert "many_shot.dialogue" not in few


def test_labels_in_mid_line_do_not_count() -> None:
    text = "the assistant: was here. " * 20
    assert not dialogue_turns(text, frozenset(text.split()))
