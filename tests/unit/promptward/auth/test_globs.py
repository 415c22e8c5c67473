"""Globs: what matches, what does not, and that hostile patterns stay linear."""

from __future__ import annotations

import time

import pytest

from promptward.auth.globs import GlobSet, fold, spellings


@pytest.mark.parametrize(
    ("glob", "name"),
    [
        ("gpt-4o", "gpt-4o"),
        ("*", ""),
        ("*", "anything/at all"),
        ("gpt-*", "gpt-"),
        ("gpt-*", "gpt-4o"),
        ("*-mini", "gpt-4o-mini"),
        ("gpt-*-mini", "gpt-4o-mini"),
        ("a*b*c", "aXbYbZc"),
        ("a*b*c", "abc"),
        ("a**c", "abc"),
        ("gpt-?", "gpt-4"),
        ("?*", "x"),
        ("*?", "x"),
        ("a?c*e", "abcde"),
        ("*b?d*", "abbcd"),
        ("[ab]", "[ab]"),
        ("a.c", "a.c"),
        ("*a", "aa"),
        ("a*a", "aa"),
    ],
)
def test_matches(glob: str, name: str) -> None:
    assert GlobSet([glob]).matches(name)


@pytest.mark.parametrize(
    ("glob", "name"),
    [
        ("gpt-4o", "gpt-4"),
        ("gpt-4", "gpt-4o"),
        ("gpt-4o", "GPT-4o"),
        ("gpt-*", "xgpt-4"),
        ("*-mini", "gpt-4o-mini-2"),
        ("a*a", "a"),
        ("ab*ba", "aba"),
        ("a*b*c", "acb"),
        ("gpt-?", "gpt-"),
        ("gpt-?", "gpt-40"),
        ("?", ""),
        ("?*", ""),
        ("[ab]", "a"),
        ("a.c", "abc"),
        ("*b?d*", "abd"),
    ],
)
def test_does_not_match(glob: str, name: str) -> None:
    assert not GlobSet([glob]).matches(name)


def test_any_of_several_globs_is_enough() -> None:
    globs = GlobSet(["claude-3", "gpt-*", "*-mini", "o?-*"])
    assert [globs.matches(n) for n in ("claude-3", "gpt-5", "x-mini", "o1-pro", "claude-4")] == [
        True,
        True,
        True,
        True,
        False,
    ]


def test_no_globs_match_nothing() -> None:
    assert not GlobSet([]).matches("")


@pytest.mark.parametrize("name", ["GPT-4O", " gpt-4o\n", "\tGpt-4o"])
def test_lenient_comparison_ignores_ascii_case_and_surrounding_whitespace(name: str) -> None:
    assert GlobSet(["gpt-4O"], lenient=True).matches(name)
    assert GlobSet(["GPT-*"], lenient=True).matches(name)
    assert not GlobSet(["gpt-4o"]).matches(name)


def test_folding_leaves_other_letters_alone() -> None:
    assert fold("ÀK\u212a") == "Àk\u212a"  # the Kelvin sign is not k: Unicode tables differ


def test_spellings_are_few() -> None:
    assert spellings("gpt-4o") == ("gpt-4o",)
    assert spellings(" GPT-4o\n") == (" gpt-4o\n", "gpt-4o")


@pytest.mark.parametrize("glob", ["a*" * 40 + "b", "*a?" * 40 + "b", "?*" * 40 + "b"])
def test_time_grows_with_the_name_not_with_its_combinations(glob: str) -> None:
    globs, name = GlobSet([glob]), "a" * 20_000
    started = time.process_time()
    assert not globs.matches(name)
    # a backtracking matcher needs more than 20,000**40 steps; this one less than a second of CPU
    assert time.process_time() - started < 2
