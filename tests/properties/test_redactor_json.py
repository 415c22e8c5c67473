"""Redaction and restoring inside JSON source: the stream law, and JSON stays JSON."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from promptward.operators import Pseudonymize, Redact, Restorer
from promptward.recognizers import Match, RecognizerSet, recognizers_for
from promptward.stream.json_escaped import (
    JsonEscapedChannel,
    transform_json_source,
    unescaped_texts,
)
from promptward.stream.redactor import TextRedactor

ENTITIES = ("EMAIL_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD", "IP_ADDRESS", "PRIVATE_KEY")
KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "QUJDREVGR0g1\n" * 4 + "-----END RSA PRIVATE KEY-----"
VALUES = st.sampled_from(
    [
        "ann@example.org",
        "jürgen@müller.de",
        "4111111111111111",
        "+33 1 23 44 72 98",
        "10.1.2.3",
        KEY,
    ]
)
TEXTS = st.lists(
    st.one_of(VALUES, st.text(alphabet='ab \\"\n/\té😀\ud83d\u2028{}:,', max_size=8)), max_size=4
).map(" ".join)
DOCUMENTS = st.recursive(
    st.one_of(TEXTS, st.sampled_from([4111111111111111, 1.5, None, True, 17])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
# Not JSON at all: broken escapes, open strings.
RUBBISH = st.text(alphabet='\\u"dD83cd0ab@.e 4n{}:,😀', max_size=40)
SOURCES = st.one_of(
    st.tuples(DOCUMENTS, st.booleans()).map(lambda p: json.dumps(p[0], ensure_ascii=p[1])),
    RUBBISH,
)
CUTS = st.lists(st.integers(0, 10_000), max_size=6)


@cache
def recognizers() -> RecognizerSet:
    return RecognizerSet(recognizers_for(ENTITIES))


def redactor() -> TextRedactor:
    return TextRedactor(recognizers(), dict.fromkeys(ENTITIES, Redact()), bound_chars=20_000)


def stream(channel: JsonEscapedChannel, source: str, cuts: list[int]) -> tuple[str, list[Match]]:
    places = [0, *sorted(cut % (len(source) + 1) for cut in cuts), len(source)]
    out = [channel.feed(source[a:b]) for a, b in pairwise(places)]
    return "".join([*out, channel.close()]), channel.matches


@settings(max_examples=150, deadline=None)
@given(SOURCES, CUTS)
def test_any_cuts_equal_the_whole(source: str, cuts: list[int]) -> None:
    whole = transform_json_source(source, redactor())
    assert stream(JsonEscapedChannel(redactor()), source, cuts) == whole
    every = list(range(len(source)))
    assert stream(JsonEscapedChannel(redactor()), source, every) == whole


@settings(max_examples=150, deadline=None)
@given(SOURCES)
def test_nothing_but_the_matches_changes(source: str) -> None:
    out, matches = transform_json_source(source, redactor())
    at = 0
    for match in matches:
        same = source[at : match.start]
        assert out.startswith(same)
        out = out[len(same) :]
        mark = f"<{match.entity}>"
        quoted = f'"{mark}"'
        assert out.startswith((mark, quoted))
        out = out.removeprefix(quoted if out.startswith(quoted) else mark)
        at = match.end
    assert out == source[at:]


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS, st.booleans())
def test_json_stays_json_and_every_value_is_gone(document: object, ascii_only: bool) -> None:
    out, _ = transform_json_source(json.dumps(document, ensure_ascii=ascii_only), redactor())
    json.loads(out)
    assert "4111111111111111" not in out
    assert "example.org" not in out


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS, CUTS)
def test_pseudonyms_come_back(document: object, cuts: list[int]) -> None:
    source = json.dumps(document)
    operator = Pseudonymize("0badc0ffee")
    hidden, _ = transform_json_source(
        source,
        TextRedactor(recognizers(), dict.fromkeys(ENTITIES, operator), bound_chars=20_000),
    )
    restored, _ = stream(JsonEscapedChannel(Restorer(operator.vault)), hidden, cuts)
    # A bare number comes back as a string: the same text, now in quotes.
    assert json.dumps(json.loads(restored)).replace('"', "") == source.replace('"', "")


@settings(max_examples=150, deadline=None)
@given(SOURCES, CUTS, st.data())
def test_what_others_found_in_the_unescaped_texts_is_redacted_in_the_source(
    source: str, cuts: list[int], data: st.DataObject
) -> None:
    known = []
    for offset, text in unescaped_texts(source):
        start = data.draw(st.integers(0, len(text) - 1))
        end = data.draw(st.integers(start + 1, len(text)))
        known.append(Match("PERSON", offset + start, offset + end, 1.0, "classifier"))

    def fresh() -> TextRedactor:
        operators = {"PERSON": Redact()}
        return TextRedactor(RecognizerSet(()), operators, bound_chars=20_000, known=known)

    out, matches = transform_json_source(source, fresh())
    assert len(matches) == out.count("<PERSON>") == len(known)
    assert stream(JsonEscapedChannel(fresh()), source, cuts) == (out, matches)
