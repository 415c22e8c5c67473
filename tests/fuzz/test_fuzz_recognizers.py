"""A moment of the recognizers' fuzz target, and linear time on growing texts."""

from __future__ import annotations

import importlib.util
import random
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
        "tel. 1 ",
        "1234 is my ",
        "born on May 1 ",
        "0 0-0",
        "a1A1",
        "::",
        "1:",
        "-aa",
        "<a onx ",
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


def _numbered(line: str) -> str:
    """About 64 KB of lines, each with other numbers and letters in it."""
    rng = random.Random(7)
    lines = []
    while sum(map(len, lines)) < 65_536:
        a, b, c = (rng.randrange(10**size) for size in (3, 5, 9))
        lines.append(line.format(a=a, b=b, c=c, x=rng.randbytes(16).hex()))
    return "\n".join(lines)[:65_536]


CLASSES = {
    "prose": "The committee met on Tuesday; {a} members asked how the budget had been put together.",
    "table": "{a}\t{b}.{a}\t{c}\t{a}\t{b}\t{a}.{a}",
    "log": "2024-05-{a} 12:{a}:09 INFO [worker-{a}] id={x} path=/v1/items/{b} ip=10.{a}.2.{a} {a}ms",
    "json": '{{"id": {c}, "user": "{x}", "phone": "+1 415 {a} {b}", "mail": "u{a}@example.org"}},',
    "secrets": "API_KEY={x}\nDATABASE_URL=postgres://app:{x}@db:5432/app\npassword: {x}Aa",
    "letters": "Please call {b} {c} about invoice {b}; card {c}{b}, born on May {a}, 19{a}.",
    "hexadecimal": "{x}{x} {x}",
}


@pytest.mark.parametrize("name", CLASSES)
def test_realistic_text_of_a_megabyte_costs_sixteen_times_64_kilobytes(name: str) -> None:
    unit = _numbered(CLASSES[name])

    def cost(times: int, attempts: int) -> float:
        text = unit * times
        best = float("inf")
        for _ in range(attempts):
            began = process_time()
            EVERYTHING.find(text)
            best = min(best, process_time() - began)
        return best

    small = max(cost(1, 4), 0.001)
    # Linear is 4 and 16, quadratic 16 and 256; other work on the machine may cost a factor of 2.5.
    assert cost(4, 2) < small * 10
    assert cost(16, 1) < small * 40
