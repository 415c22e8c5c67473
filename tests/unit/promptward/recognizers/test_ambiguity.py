"""The lint that keeps patterns of a policy from backtracking, against the engine itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from time import process_time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from promptward.recognizers import CATALOGUE, Recognizer
from promptward.recognizers.ambiguity import MAX_STEPS, problem, steps
from promptward.recognizers.compiled import CompiledRecognizer
from promptward.recognizers.syntax import (
    Alternation,
    Boundary,
    Chars,
    Concat,
    Node,
    Repeat,
    parse,
    to_source,
)

FINE = [
    "EMP-[0-9]{6}",
    "[a-z]{1,10}[a-z0-9]{1,10}",
    "(?:[a-z]{1,63}\\.){1,8}[a-z]{2,10}",
    "(?:[0-9][ -]?){5,11}[0-9]",
    "(?:[ -]?[0-9]){5,11}",
    "(?:ab?){1,40}c",
    "(?:red|green|blue){1,9}x",
    "[A-Z]{2}(?:-[0-9]{2,4}){1,6}",
    "[a-z]{1,1000}!",
    "[a-z]{1,50}[a-z0-9]{1,40}!",
    "[A-Za-z0-9._%+-]{1,64}@[a-z0-9.-]{1,255}\\.[a-z]{2,10}",
    "[0-9a-z]{1,500}-[0-9a-z-]{1,400}!",
]
SLOW = [
    "(?:a{1,50}){1,50}b",
    "(?:a|aa){1,40}b",
    "(?:a?){1,40}a{20}b",
    "[a-z]{0,200}[a-z]{0,200}[a-z]{0,200}1",
    "(?:[a-z]{1,20}[a-z0-9]{0,20}){1,10}-",
    "[a-z]{1,300}[a-z0-9]{1,30}!",
    "[a-z]{1,300}[a-z]{30}!",
    "[a-z]{1,300}b[a-z]{30}!",
    "a{1,500}b?a{1,19}!",
    "[a-z0-9]{1,90}(?:x|[a-z]{1,90})!",
]


@pytest.mark.parametrize("pattern", FINE)
def test_fine(pattern: str) -> None:
    assert problem(parse(pattern)) == ""


@pytest.mark.parametrize("pattern", SLOW)
def test_slow(pattern: str) -> None:
    assert steps(parse(pattern)) > MAX_STEPS
    assert "lower the bounds" in problem(parse(pattern))


def ends(node: Node, text: str, at: int, looked: list[int]) -> Iterator[int]:
    """Where matches of `node` at `at` end, as a backtracking engine goes through them all."""
    match node:
        case Chars(ranges):
            looked[0] += 1
            if at < len(text) and any(low <= ord(text[at]) <= high for low, high in ranges):
                yield at + 1
        case Boundary():
            yield at
        case Alternation(options):
            for option in options:
                yield from ends(option, text, at, looked)
        case Concat(items):
            for end in ends(items[0], text, at, looked) if items else [at]:
                yield from ends(Concat(items[1:]), text, end, looked) if items else [end]
        case Repeat(item, least, most, lazy):
            if most:
                fewer = Repeat(item, max(least - 1, 0), most - 1, lazy)
                for end in ends(item, text, at, looked):
                    if end > at:
                        yield from ends(fewer, text, end, looked)
            if not least:
                yield at


def atoms() -> st.SearchStrategy[str]:
    counts = st.tuples(st.integers(0, 3), st.integers(1, 5)).map(lambda c: (c[0], sum(c)))
    chars = st.sampled_from(["a", "b", "[ab]", "-", "[a-]"])
    return st.recursive(
        chars,
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map("".join),
            st.lists(inner, min_size=2, max_size=3).map(lambda o: f"(?:{'|'.join(o)})"),
            st.builds(lambda i, c: f"(?:{i}){{{c[0]},{c[1]}}}", inner, counts),
        ),
        max_leaves=5,
    )


@given(atoms(), st.text("ab-", min_size=8, max_size=40))
@settings(max_examples=400)
def test_no_place_takes_more_steps_than_promised(pattern: str, text: str) -> None:
    node = parse(pattern + "!")
    assume(steps(node) <= MAX_STEPS)
    looked = [0]
    for _ in ends(node, text, 0, looked):
        pytest.fail("there is no '!' in the text")
    assert looked[0] <= 2 * steps(node)  # the one that fails after each repeat is not counted


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
