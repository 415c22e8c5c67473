"""Fuzz target: recognizers and the redactor on anything, cut anywhere, in linear time.

    python tests/fuzz/fuzz_recognizers.py [SECONDS] [SEED]

Prints the input and exits with 1 at the first crash, broken law or slow input. `pytest` runs it
for a moment through `test_fuzz_recognizers.py`.
"""

from __future__ import annotations

import random
import sys
from itertools import pairwise
from time import monotonic, process_time

from promptward.operators import Operator, Redact
from promptward.recognizers import CATALOGUE, RecognizerSet, recognizers_for
from promptward.stream.json_escaped import JsonEscapedChannel, transform_json_source
from promptward.stream.redactor import TextRedactor, redact_text
from promptward.testing.patterns import matching_text

RECOGNIZERS = RecognizerSet(recognizers_for(("PII", "SECRET")))
OPERATORS: dict[str, Operator] = dict.fromkeys(RECOGNIZERS.entities, Redact())
PATTERNS = [spec.pattern for specs in CATALOGUE.values() for spec in specs]
CUES = [word for specs in CATALOGUE.values() for spec in specs for word in spec.context]
ATOMS = ["0", "1", "9", "a", "A", "-", " ", ".", ":", "/", "@", "+", "(", ")", "_", "=", '"', "\\",
         "\n", "é", "中", "😀", "\ud800", "\u0130", "\x00", "-----BEGIN ", "eyJ", "://", "sk-",
         "\\u00e9", "\\ud83d"]  # fmt: skip
BOUND = 40_000


def make(rng: random.Random) -> str:
    """A text out of atoms, matches, context words and long rows."""
    parts = []
    for _ in range(rng.randint(1, 12)):
        kind = rng.random()
        if kind < 0.35:
            parts.append(matching_text(rng.choice(PATTERNS), rng))
        elif kind < 0.5:
            parts.append(rng.choice(CUES) + " ")
        elif kind < 0.6:
            row = "".join(rng.choices(ATOMS, k=rng.randint(1, 3)))
            parts.append(row * rng.randint(10, 150))
        else:
            parts.append("".join(rng.choices(ATOMS, k=rng.randint(1, 15))))
    return "".join(parts)[:4000]


def check(text: str, rng: random.Random) -> None:
    """Raise AssertionError when a law is broken."""
    began = process_time()
    whole = redact_text(text, RECOGNIZERS, OPERATORS)
    spent = process_time() - began
    # A hundred times the usual cost of the densest text; quadratic behaviour exceeds it.
    assert spent < 0.02 + len(text) * 1e-4, f"slow: {spent:.3f} s for {len(text)} characters"
    places = [0, *sorted(rng.choices(range(len(text) + 1), k=5)), len(text)]
    channel = TextRedactor(RECOGNIZERS, OPERATORS, bound_chars=BOUND)
    out = [channel.feed(text[a:b]) for a, b in pairwise(places)]
    assert ("".join([*out, channel.close()]), channel.matches) == whole, "cuts change the output"
    fresh = TextRedactor(RECOGNIZERS, OPERATORS, bound_chars=BOUND)
    source = transform_json_source(text, fresh)
    escaped = JsonEscapedChannel(TextRedactor(RECOGNIZERS, OPERATORS, bound_chars=BOUND))
    out = [escaped.feed(text[a:b]) for a, b in pairwise(places)]
    assert ("".join([*out, escaped.close()]), escaped.matches) == source, "cuts change the JSON"


def attempt(seed: int) -> None:
    """Make one input and check it.

    Raises:
        AssertionError: with the seed and the input.
    """
    rng = random.Random(seed)
    text = make(rng)
    try:
        check(text, rng)
    except Exception as error:
        raise AssertionError(f"seed {seed}: {error}: {text!r}") from error


def run(seconds: float, seed: int) -> int:
    """Fuzz for a while; the number of inputs tried."""
    end, tried = monotonic() + seconds, 0
    while monotonic() < end:
        attempt(seed + tried)
        tried += 1
    return tried


if __name__ == "__main__":
    span = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    print(run(span, int(sys.argv[2]) if len(sys.argv) > 2 else 0), "inputs")
