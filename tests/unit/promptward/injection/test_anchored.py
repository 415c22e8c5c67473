"""Patterns are searched where their literals stand, and find what `re` finds."""

from __future__ import annotations

import pytest

from promptward.injection.anchored import Anchored, literal_groups
from promptward.injection.patterns import PATTERN_RULES
from promptward.recognizers.syntax import parse


@pytest.mark.parametrize(
    ("pattern", "groups"),
    [
        ("ignore", [{"ignore"}]),
        ("rules?", [{"rule"}]),
        ("(?:send|post) [a-z]{1,9} to", [{"send", "post"}, {" "}, {" to"}]),
        ("(?:send|[a-z]) now", [{" now"}]),
        (r"a\bb", [{"ab"}]),
        ("(?:secret ){2,3}x", [{"secret "}, {"x"}]),
        ("(?:secret)?", []),
        ("[a-z]{3}", []),
    ],
)
def test_literals_are_read_off_the_pattern(pattern: str, groups: list[set[str]]) -> None:
    assert literal_groups(parse(pattern)) == groups


def test_every_shipped_pattern_has_literals_to_go_by() -> None:
    assert [rule.id for rule in PATTERN_RULES if rule.pattern and not rule.pattern.anchors] == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("send[^.]{0,20}secret", "send " + "x" * 30 + " secret, send the secret"),
        ("send[^.]{0,20}secret", "secret " * 9 + "send " + "secret " * 9),
        ("send[^.]{0,20}secret", "secret"),
        ("(?:^|[.])go on", "go on. go on"),
        ("(?:^|[.])go on", "let us go on." + " " * 200 + ".go on"),
        (r"important!{3,9}", "important!!" + "important!!!!!!!!!!!!"),
        (r"\bsecret\b", "secrets secret"),
        ("admin(?:[^(]|$)", "admin(" * 20 + "admin"),
        ("[0-9]{3}", "no literal at all 123"),
        # a mark that is seldom is looked for first
        (
            "secret[a-z ]{0,9}@[a-z]",
            "secret @ " + "secret word " * 40 + "secret to @me, secret @you",
        ),
        ("secret[a-z ]{0,9}@[a-z]", "secret word " * 40 + "an address, @me"),
        ("secret[a-z ]{0,9}@[a-z]", "secret word " * 40),
    ],
)
def test_the_first_match_is_that_of_re(pattern: str, text: str) -> None:
    anchored = Anchored(pattern)
    expected = anchored.pattern.search(text)
    found = anchored.search(text)
    assert (found and found.span()) == (expected and expected.span())


def test_a_pattern_out_of_the_subset_is_tried_everywhere() -> None:
    anchored = Anchored("secret+$")
    assert anchored.anchors == frozenset()
    assert anchored.search("the secret")
