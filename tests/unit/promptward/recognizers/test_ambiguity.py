"""The lint that keeps patterns of a policy from backtracking, against the engine itself."""

from __future__ import annotations

import re
from time import process_time

import pytest

from promptward.recognizers import CATALOGUE, Recognizer
from promptward.recognizers.ambiguity import MAX_WAYS, problem, ways
from promptward.recognizers.compiled import CompiledRecognizer
from promptward.recognizers.syntax import parse, to_source

FINE = [
    "EMP-[0-9]{6}",
    "[a-z]{1,10}[a-z0-9]{1,10}",
    "(?:[a-z]{1,63}\\.){1,8}[a-z]{2,10}",
    "(?:[0-9][ -]?){5,11}[0-9]",
    "(?:[ -]?[0-9]){5,11}",
    "(?:ab?){1,40}c",
    "(?:red|green|blue){1,9}x",
    "[A-Z]{2}(?:-[0-9]{2,4}){1,6}",
]
SLOW = [
    "(?:a{1,50}){1,50}b",
    "(?:a|aa){1,40}b",
    "(?:a?){1,40}a{20}b",
    "[a-z]{0,200}[a-z]{0,200}[a-z]{0,200}1",
    "(?:[a-z]{1,20}[a-z0-9]{0,20}){1,10}-",
]


@pytest.mark.parametrize("pattern", FINE)
def test_fine(pattern: str) -> None:
    assert problem(parse(pattern)) == ""


@pytest.mark.parametrize("pattern", SLOW)
def test_slow(pattern: str) -> None:
    assert ways(parse(pattern)) > MAX_WAYS
    assert "ways" in problem(parse(pattern))


@pytest.mark.parametrize("pattern", FINE)
def test_what_is_called_fine_is_fast_on_its_own_prefixes(pattern: str) -> None:
    compiled = re.compile(to_source(parse(pattern)))
    texts = ["a" * 400, "0" * 400, "a-" * 200, "ab" * 200, "1 " * 200, "a." * 200, "red" * 130]
    start = process_time()
    for text in texts:
        for at in range(len(text)):
            compiled.match(text, at)
    assert process_time() - start < 2.0  # milliseconds when fine, hours when not


@pytest.mark.parametrize(
    "spec", [s for specs in CATALOGUE.values() for s in specs], ids=lambda s: s.id
)
def test_the_catalogue_is_fast_on_rows_of_its_own_characters(spec: Recognizer) -> None:
    compiled = CompiledRecognizer(spec)
    firsts = {chr(low) for low, _ in compiled.first[:6]}
    rows = [
        row * 600 for row in firsts | {"a", "0", "a.", "0 ", "A1", ":0", "-", "a@", "+0(", "\n"}
    ]
    start = process_time()
    for row in rows:
        compiled.exact.search(row)
        compiled.partial.search(row, max(0, len(row) - 600))
        for at in range(0, 300, 7):
            compiled.exact.match("x " + row, at)
            compiled.partial.match(row, at)
    assert process_time() - start < 2.0
