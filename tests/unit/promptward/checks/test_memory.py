"""Results are remembered per caller and analysis, bounded, and without any text."""

from __future__ import annotations

import gc

import pytest

from promptward.checks.memory import MIN_CHARS, Recall, TextMemory

KEY = bytes(range(32))
TEXT = "The committee met on Tuesday to review the proposal for the library. " * 2


class Counted:
    """An analysis that counts how often it ran."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self) -> int:
        self.runs += 1
        return self.runs


def ask(recall: Recall, analyse: Counted, text: str = TEXT, analysis: str = "length") -> int:
    return recall.result(analysis, text, analyse)


def test_a_text_seen_before_is_not_analysed_again() -> None:
    memory, analyse = TextMemory(KEY, 8), Counted()
    assert ask(memory.of("ann"), analyse) == 1
    assert ask(memory.of("ann"), analyse) == 1
    assert analyse.runs == 1


@pytest.mark.parametrize(
    ("caller", "analysis", "text"),
    [("bob", "length", TEXT), ("ann", "other", TEXT), ("ann", "length", TEXT + ".")],
)
def test_another_caller_analysis_or_text_is_analysed(caller: str, analysis: str, text: str) -> None:
    memory, analyse = TextMemory(KEY, 8), Counted()
    ask(memory.of("ann"), analyse)
    ask(memory.of(caller), analyse, text, analysis)
    assert analyse.runs == 2


def test_an_analysis_and_a_text_cannot_pass_for_others() -> None:
    memory, analyse = TextMemory(KEY, 8), Counted()
    ask(memory.of("ann"), analyse, TEXT, "a")
    ask(memory.of("ann"), analyse, f"a{TEXT}", "")
    assert analyse.runs == 2


def test_a_result_that_is_none_is_remembered_too() -> None:
    memory, runs = TextMemory(KEY, 8), []
    for _ in range(2):
        assert memory.of("ann").result("none", TEXT, lambda: runs.append(1)) is None
    assert len(runs) == 1


def test_short_texts_and_a_memory_of_nothing_remember_nothing() -> None:
    analyse = Counted()
    for memory, text in ((TextMemory(KEY, 8), "x" * (MIN_CHARS - 1)), (TextMemory(KEY, 0), TEXT)):
        before = analyse.runs
        ask(memory.of("ann"), analyse, text)
        ask(memory.of("ann"), analyse, text)
        assert analyse.runs == before + 2


def test_it_keeps_what_is_used_and_at_most_as_much_as_it_may() -> None:
    memory, analyse = TextMemory(KEY, 8), Counted()
    recall = memory.of("ann")
    for number in range(100):
        ask(recall, Counted(), f"{TEXT}{number}")
        assert ask(recall, analyse) == 1
    kept = [x for x in gc.get_referents(memory) if isinstance(x, dict)]
    assert sum(map(len, kept)) <= 8


def test_no_text_is_kept() -> None:
    memory = TextMemory(KEY, 8)
    ask(memory.of("ann"), Counted())
    kept = [x for x in gc.get_referents(memory) if isinstance(x, dict)]
    assert sum(map(len, kept)) == 1
    for results in kept:
        for digest, result in results.items():
            assert len(digest) == 16
            assert result == 1


def test_a_lone_surrogate_is_no_trouble() -> None:
    analyse = Counted()
    recall = TextMemory(KEY, 8).of("\ud800")
    assert ask(recall, analyse, "\ud800" * MIN_CHARS) == 1
    assert ask(recall, analyse, "\ud800" * MIN_CHARS) == 1


def test_results_that_take_more_than_a_function() -> None:
    recall = TextMemory(b"k", 10).of("ann")
    assert recall.get("a", "hi") is None
    recall.keep("a", "hi", (1,))
    assert recall.get("a", "hi") == (1,)
    assert recall.get("b", "hi") is None
    recall.keep("a", TEXT, 7)
    assert ask(recall, Counted(), analysis="a") == 7
