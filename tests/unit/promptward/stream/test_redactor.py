"""The incremental redactor, as transcripts: what goes in, what comes out, when."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from promptward.errors import ExchangeError
from promptward.operators import Mask, Operator, Pseudonymize, Redact
from promptward.recognizers import RecognizerSet, recognizers_for, user_recognizer
from promptward.stream.redactor import TextRedactor, redact_text

CORE = (
    "EMAIL_ADDRESS",
    "PHONE_NUMBER",
    "CREDIT_CARD",
    "IBAN_CODE",
    "US_SSN",
    "IP_ADDRESS",
    "SECRET",
)
RECOGNIZERS = RecognizerSet(recognizers_for(CORE))
REDACT: Mapping[str, Operator] = {entity: Redact() for entity in RECOGNIZERS.entities}


def redactor(bound_chars: int = 20_000) -> TextRedactor:
    return TextRedactor(RECOGNIZERS, REDACT, bound_chars=bound_chars)


def test_a_value_cut_in_two_is_redacted() -> None:
    channel = redactor()
    assert channel.feed("mail ann@exam") == "mail "
    assert channel.feed("ple.org now") == "<EMAIL_ADDRESS> "
    assert channel.close() == "now"


def test_prose_streams_word_by_word() -> None:
    channel = redactor()
    words = ["The ", "quick ", "brown ", "fox ", "jumps. ", "Over ", "the ", "lazy ", "dog.\n"]
    released = [channel.feed(word) for word in words]
    assert "".join(released) == "".join(words)
    for word, out in zip(words, released, strict=True):
        assert out.endswith(word)  # nothing of a finished word waits for the next one


def test_a_word_waits_only_for_its_own_end() -> None:
    channel = redactor()
    assert channel.feed("hello wor") == "hello "
    assert channel.feed("ld and") == "world "


def test_offsets_are_those_of_the_channel() -> None:
    channel = redactor()
    text = "x" * 500 + " ann@example.org and bob@example.org."
    for char in text:
        channel.feed(char)
    channel.close()
    assert [text[m.start : m.end] for m in channel.matches] == [
        "ann@example.org",
        "bob@example.org",
    ]


def test_context_is_remembered_over_what_was_released() -> None:
    channel = redactor()
    out = "".join(map(channel.feed, ["Tel", ". ", "467 ", "3395 ", "."])) + channel.close()
    assert out == "Tel. <PHONE_NUMBER> ."


def test_a_denial_is_remembered_too() -> None:
    text = "order 4111111111111111 delayed"
    channel = redactor()
    assert "".join(map(channel.feed, text)) + channel.close() == text


def test_an_entity_without_operator_is_reported_and_kept() -> None:
    channel = TextRedactor(RECOGNIZERS, {"US_SSN": Mask()}, bound_chars=1000)
    out = channel.feed("188-41-4132 and ann@example.org ") + channel.close()
    assert out == "***-**-4132 and ann@example.org "
    assert [match.entity for match in channel.matches] == ["US_SSN", "EMAIL_ADDRESS"]


def test_close_is_idempotent_and_an_empty_channel_is_empty() -> None:
    channel = redactor()
    assert channel.feed("") == ""
    assert channel.close() == ""
    channel = redactor()
    channel.feed("ann@example.org")
    assert channel.close() == "<EMAIL_ADDRESS>"
    assert channel.close() == ""


def test_more_than_the_bound_fails_instead_of_leaking() -> None:
    channel = redactor(bound_chars=100)
    key = "-----BEGIN RSA PRIVATE KEY-----\n" + "QUJD" * 40
    with pytest.raises(ExchangeError) as caught:
        list(map(channel.feed, key))
    assert caught.value.code == "stream_window_exceeded"


def test_what_is_held_back_stays_under_the_longest_match() -> None:
    channel = redactor()
    text = ("call 0412 346 047, 12 34 56 78 90 " * 40 + "a" * 3000 + "@" * 50 + "1" * 3000) * 2
    worst = 0
    for char in text:
        channel.feed(char)
        worst = max(worst, channel.pending)
    assert worst < 512


def test_settle_ends_a_stretch_and_keeps_its_context() -> None:
    channel = redactor()
    assert channel.feed("card: 4111") == "card: "
    edits = channel.settle('"')
    assert "".join(edit.text for edit in edits) == "4111"
    assert channel.feed("1111 1111 1111") + channel.close() == "1111 1111 1111"


def test_whole_text_with_pseudonyms() -> None:
    operator = Pseudonymize("0badc0ffee")
    text = "ann@example.org, bob@example.org, ann@example.org"
    out, matches = redact_text(text, RECOGNIZERS, {"EMAIL_ADDRESS": operator})
    assert out == (
        "<EMAIL_ADDRESS_1_0badc0ffee>, <EMAIL_ADDRESS_2_0badc0ffee>, <EMAIL_ADDRESS_1_0badc0ffee>"
    )
    assert len(matches) == 3
    assert operator.vault["<EMAIL_ADDRESS_2_0badc0ffee>"] == "bob@example.org"


def test_a_user_recognizer_streams_like_the_others() -> None:
    own = user_recognizer("badge", "BADGE", "EMP-[0-9]{6}")
    channel = TextRedactor(RecognizerSet([own]), {"BADGE": Redact()}, bound_chars=1000)
    assert channel.feed("id EMP-12") == "id "
    assert channel.feed("3456 ok EM") == "<BADGE> ok "
    assert channel.close() == "EM"
