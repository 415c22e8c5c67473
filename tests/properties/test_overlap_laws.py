"""The stream law for system-prompt leaks: no cut changes the output."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from promptward.stream.overlap import KnownText, OverlapChannel

WORDS = ["alpha", "beta", "gamma", "delta", "the", "of", "x", "é", "银", "行"]
GAPS = [" ", ", ", "\n", "", "\u200b", " " * 70]
KNOWN = KnownText("alpha beta gamma delta the of x é 银行 alpha beta the gamma of delta x beta")

texts = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(GAPS)), max_size=60).map(
    lambda pairs: "".join(word + gap for word, gap in pairs)
)


def run(pieces: list[str]) -> tuple[str, list[tuple[int, int]]]:
    channel = OverlapChannel(KNOWN, "<X>")
    out = "".join(channel.feed(p) for p in pieces) + channel.close()
    return out, [(m.start, m.end) for m in channel.matches]


@given(texts, st.lists(st.integers(0, 400), max_size=20))
def test_any_cut_gives_the_same(text: str, cuts: list[int]) -> None:
    places = sorted({0, len(text), *(c for c in cuts if c < len(text))})
    pieces = [text[a:b] for a, b in pairwise(places)]
    assert run(pieces) == run([text])
    assert run(list(text)) == run([text])


@given(texts)
def test_what_is_no_leak_is_untouched(text: str) -> None:
    out, leaks = run([text])
    rebuilt, at = "", 0
    for start, end in leaks:
        rebuilt += text[at:start] + "<X>"
        at = end
    assert rebuilt + text[at:] == out
