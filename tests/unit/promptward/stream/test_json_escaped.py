"""JSON source as a channel: escapes, bare numbers, structural quotes."""

from __future__ import annotations

import json

import pytest

from promptward.operators import Redact, Restorer
from promptward.recognizers import RecognizerSet, recognizers_for
from promptward.stream.json_escaped import (
    JsonEscapedChannel,
    transform_json_source,
    unescaped_texts,
)
from promptward.stream.redactor import TextRedactor

NAMES = ("EMAIL_ADDRESS", "CREDIT_CARD", "PHONE_NUMBER", "PRIVATE_KEY")
RECOGNIZERS = RecognizerSet(recognizers_for(NAMES))


def redact(source: str) -> str:
    channel = TextRedactor(RECOGNIZERS, dict.fromkeys(NAMES, Redact()), bound_chars=20_000)
    return transform_json_source(source, channel)[0]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('{"to":"ann@example.org"}', '{"to":"<EMAIL_ADDRESS>"}'),
        (r'{"to":"j\u00fcrgen@m\u00fcller.de"}', '{"to":"<EMAIL_ADDRESS>"}'),
        (r'{"to":"ann\u0040example.org"}', '{"to":"<EMAIL_ADDRESS>"}'),
        (r'{"a":"x\nann@example.org\ty"}', r'{"a":"x\n<EMAIL_ADDRESS>\ty"}'),
        (r'{"a":"\"ann@example.org\""}', r'{"a":"\"<EMAIL_ADDRESS>\""}'),
        ('{"n":4111111111111111,"m":1}', '{"n":"<CREDIT_CARD>","m":1}'),
        ('{"ann@example.org":1}', '{"<EMAIL_ADDRESS>":1}'),
        ('{"phone":"4155552671"}', '{"phone":"<PHONE_NUMBER>"}'),
        (r'"\ud83d\ude00 caf\u00e9 \\ \/ \u2028"', r'"\ud83d\ude00 caf\u00e9 \\ \/ \u2028"'),
        (r'"\ud83d alone"', r'"\ud83d alone"'),
        (r'"\q ann@example.org"', r'"\q <EMAIL_ADDRESS>"'),
        ("not json ann@example.org", 'not json "<EMAIL_ADDRESS>"'),
        ("", ""),
        ('"ann@example.org', '"<EMAIL_ADDRESS>'),
    ],
)
def test_whole(source: str, expected: str) -> None:
    assert redact(source) == expected


def test_nothing_reaches_across_a_structural_quote() -> None:
    source = '["4111 1111","1111 1111"]'
    assert redact(source) == source


def test_offsets_are_those_of_the_source() -> None:
    channel = TextRedactor(RECOGNIZERS, {}, bound_chars=1000)
    source = r'{"a":"\u00e9\n\ud83d\ude00 j\u00fcrgen@m\u00fcller.de!"}'
    out, (match,) = transform_json_source(source, channel)
    assert out == source
    assert source[match.start : match.end] == r"j\u00fcrgen@m\u00fcller.de"


def test_an_escape_waits_for_its_rest() -> None:
    channel = JsonEscapedChannel(TextRedactor(RECOGNIZERS, {}, bound_chars=1000))
    assert channel.feed('"a, \\ud8') == '"a, '
    assert channel.pending
    assert channel.feed("3d\\ude") == ""
    assert channel.feed('00"') == '\\ud83d\\ude00"'
    assert channel.close() == ""


def test_restored_values_are_escaped() -> None:
    vault = {"<NAME_1_0badc0ffee>": 'Ann "the\nboss" \\ O’Neil'}
    source = '{"who":"<NAME_1_0badc0ffee>"}'
    out, _ = transform_json_source(source, Restorer(vault))
    assert json.loads(out) == {"who": vault["<NAME_1_0badc0ffee>"]}


def test_a_placeholder_written_with_escapes_is_restored() -> None:
    out, _ = transform_json_source(
        r'{"who":"\u003cNAME_1_0badc0ffee\u003e"}', Restorer({"<NAME_1_0badc0ffee>": "Ann"})
    )
    assert json.loads(out) == {"who": "Ann"}


def test_a_lone_surrogate_in_a_value_travels_as_an_escape() -> None:
    out, _ = transform_json_source('"<N_1_0badc0ffee>"', Restorer({"<N_1_0badc0ffee>": "\ud83d"}))
    assert out == r'"\ud83d"'


def test_texts_end_at_structural_quotes_and_know_their_place_in_the_channel() -> None:
    source = r'{"a\n":"x\ud83d\ude00 y"} z'
    assert unescaped_texts(source) == [(0, "{"), (2, "a\n"), (5, ":"), (7, "x😀 y"), (12, "} z")]
    assert unescaped_texts("") == []
