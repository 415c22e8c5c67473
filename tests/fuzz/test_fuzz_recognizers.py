"""A moment of the recognizers' fuzz target, and linear time on growing texts."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from time import process_time

import pytest

from promptward.recognizers import RecognizerSet, recognizers_for

_SPEC = importlib.util.spec_from_file_location(
    "fuzz_recognizers", Path(__file__).with_name("fuzz_recognizers.py")
)
assert _SPEC is not None
assert _SPEC.loader is not None
fuzz_recognizers = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(fuzz_recognizers)

EVERYTHING = RecognizerSet(recognizers_for(("PII", "SECRET")), accelerate=False)


def test_a_moment_of_fuzzing() -> None:
    for seed in range(60):
        fuzz_recognizers.attempt(seed)


@pytest.mark.parametrize(
    "unit",
    [
        "The quick brown fox jumps over the lazy dog. ",
        "1234 5678 9012 3456 ",
        "1",
        "a",
        "a.",
        "a@",
        "a@b.",
        "@",
        "-",
        "+1 ",
        "(0",
        "1.2.3.",
        "ab:",
        "key=",
        "password: aaaaaaaaaaa1 ",
        "://u:p",
        "eyJ",
        "-----BEGIN RSA PRIVATE KEY-----\n",
        "call 415-555-2671 or ann@example.org, card 4111 1111 1111 1111; ",
        "AB12 ",
        "中1",
    ],
)
def test_time_grows_with_the_text_and_no_faster(unit: str) -> None:
    def cost(size: int) -> float:
        text = (unit * (size // len(unit) + 1))[:size]
        best = float("inf")
        for _ in range(3):
            began = process_time()
            EVERYTHING.find(text)
            best = min(best, process_time() - began)
        return best

    small, large = cost(16_384), cost(131_072)
    # Eight times the text: linear is 8, quadratic would be 64; below a millisecond is noise.
    assert large < max(small, 0.001) * 24
