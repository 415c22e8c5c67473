"""Token estimates: accurate on texts that were not fitted on, and counted as documented."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import groupby
from pathlib import Path
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptward.tokens import (
    ASCII_SHAPE,
    CHUNK_CHARS,
    SHAPE,
    WEIGHTS,
    Vocabulary,
    estimate_tokens,
    text_shape,
    vocabulary_of,
)

SAMPLES = json.loads((Path(__file__).parent / "token_samples.json").read_text("utf-8"))["samples"]
CLASSES = {"english", "code", "json", "cjk", "cyrillic", "arabic", "emoji"}


@pytest.mark.parametrize("vocabulary", ["o200k", "cl100k"])
def test_the_mean_error_over_all_classes_is_at_most_ten_percent(vocabulary: Vocabulary) -> None:
    errors: dict[str, list[float]] = defaultdict(list)
    for sample in SAMPLES:
        estimate = estimate_tokens(sample["text"], vocabulary)
        errors[sample["class"]].append(abs(estimate / sample[vocabulary] - 1))
    assert set(errors) == CLASSES
    assert mean(mean(of_class) for of_class in errors.values()) <= 0.10
    assert all(mean(of_class) <= 0.15 for of_class in errors.values())


def test_the_empty_text_has_no_tokens_and_any_other_at_least_one() -> None:
    assert estimate_tokens("") == 0
    assert estimate_tokens("a") == 1
    assert estimate_tokens("\ud800") >= 1


def test_vocabularies_differ_where_the_real_ones_do() -> None:
    russian = "Здравствуйте, как ваши дела сегодня утром?"
    assert estimate_tokens(russian, "cl100k") > 1.3 * estimate_tokens(russian, "o200k")


@pytest.mark.parametrize(
    ("model", "vocabulary"),
    [
        ("gpt-4o-mini", "o200k"),
        ("gpt-5", "o200k"),
        ("o3-mini", "o200k"),
        ("gpt-4", "cl100k"),
        ("gpt-4-turbo", "cl100k"),
        ("gpt-3.5-turbo", "cl100k"),
        ("claude-sonnet", "cl100k"),
        ("", "cl100k"),
    ],
)
def test_models_map_to_their_vocabulary(model: str, vocabulary: str) -> None:
    assert vocabulary_of(model) == vocabulary


def test_long_texts_are_counted_in_pieces() -> None:
    text = "word " * CHUNK_CHARS
    piece = "word " * 8
    one = sum(map(int.__mul__, WEIGHTS["o200k"], text_shape(piece))) * CHUNK_CHARS / 8
    assert estimate_tokens(text) == pytest.approx(one / 1000, rel=1e-3)
    with pytest.raises(ValueError, match="at most"):
        text_shape(text)


def spelled_out(text: str) -> dict[str, int]:
    """What `text_shape` promises to count, character by character."""

    def classes(character: str) -> set[str]:
        code = ord(character)
        if code < 0x80:
            if character.isalpha():
                return {"letter", "upper"} if character.isupper() else {"letter"}
            if character.isdigit():
                return {"digit"}
            if character == " ":
                return {"space"}
            return {"punct"} if 0x20 < code < 0x7F else {"break"}
        lead = character.encode("utf-8", "surrogatepass")[0]
        if 0xC3 <= lead <= 0xCD or lead == 0xE1:
            return {"letter", "latin"}
        ranges = {
            "cyrillic": (0xD0, 0xD3),
            "arabic": (0xD8, 0xDB),
            "kana": (0xE3, 0xE3),
            "han": (0xE4, 0xE9),
            "hangul": (0xEA, 0xED),
            "emoji": (0xF0, 0xF0),
        }
        for name, (first, last) in ranges.items():
            if first <= lead <= last:
                return {name}
        return {"symbol"} if lead in (0xC2, 0xE2, 0xEF) else {"other"}

    runs = {
        "letter": "word",
        "upper": "capital",
        "digit": "number",
        "punct": "puncts",
        "break": "breaks",
    }
    counts = dict.fromkeys(SHAPE, 0)
    for name in SHAPE:
        present = [name in classes(character) for character in text]
        if any(present):
            counts[name] = sum(present)
            run = runs.get(name, f"{name}_run")
            if run in counts:
                counts[run] = sum(1 for inside, _ in groupby(present) if inside)
    return counts


@given(
    st.text(
        st.one_of(
            st.sampled_from(" \n\tabZ09.,_{é«Жш،مあ漢字한국🎉—"),
            st.characters(),
        ),
        max_size=60,
    )
)
def test_the_fast_counts_equal_the_spelled_out_ones(text: str) -> None:
    shape = text_shape(text)
    assert len(shape) == (ASCII_SHAPE if text.isascii() else len(SHAPE))
    assert dict(zip(SHAPE, shape + [0] * len(SHAPE), strict=False)) == spelled_out(text)


@given(st.text(max_size=200), st.text(max_size=200))
def test_more_text_never_estimates_fewer_tokens(text: str, more: str) -> None:
    # One run may merge with the next where the texts meet; no weight of a run is over 2 tokens.
    assert estimate_tokens(text + " " + more) >= estimate_tokens(text) - 1


def test_weights_are_counts_of_thousandths() -> None:
    for weights in WEIGHTS.values():
        assert len(weights) == len(SHAPE)
        assert all(isinstance(weight, int) and weight >= 0 for weight in weights)
