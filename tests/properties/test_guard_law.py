"""The stream law on the whole guard, with the real redactor.

Whatever the upstream's events and wherever they are cut: the same bytes, and for every channel the
text that redacting the whole text gives.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from promptward.findings import Finding
from promptward.operators import Redact
from promptward.protocols import PROTOCOLS, Channel
from promptward.recognizers import CATALOGUE, RecognizerSet, recognizers_for
from promptward.stream.channels import ChannelFilter
from promptward.stream.guard import EventStreamGuard
from promptward.stream.redactor import TextRedactor, redact_text

CHAT = PROTOCOLS["openai.chat"]
OPERATORS = dict.fromkeys(CATALOGUE, Redact())


@cache
def recognizers() -> RecognizerSet:
    return RecognizerSet(recognizers_for(("PII", "SECRET")))


class Redacting(TextRedactor):
    findings: Sequence[Finding] = ()


def read_all(_: Channel) -> Sequence[tuple[str, ChannelFilter]]:
    return [("pii", Redacting(recognizers(), OPERATORS, bound_chars=4096))]


@dataclass(frozen=True)
class Piece:
    choice: int
    field: str  # "content", "refusal" or "0".."2": the arguments of that tool call
    text: str


TEXTS = st.lists(
    st.sampled_from(
        [
            "ann@",
            "example.com",
            "4111 1111 1111 1111",
            "4111",
            " 1111",
            " ",
            "mail ",
            "é😀",
            '"',
            "x",
        ]
        + ["\\", "\n", "DE89 3704 0044 0532 0130 00", ".", "bob@example.org", "10.0.0.1", "sk-"]
    ),
    max_size=4,
).map("".join)


@st.composite
def streams(draw: st.DrawFn) -> list[Piece]:
    """Pieces of several choices; tool calls of a choice come one after the other."""
    pieces = draw(
        st.lists(
            st.builds(
                Piece,
                st.integers(0, 1),
                st.sampled_from(["content", "content", "refusal", "0", "1", "2"]),
                TEXTS,
            ),
            max_size=12,
        )
    )
    calls = [p for p in pieces if p.field.isdigit()]
    in_order = iter(sorted(calls, key=lambda p: (p.choice, p.field)))
    return [next(in_order) if p.field.isdigit() else p for p in pieces]


def event(choice: int, delta: object, finish: str | None = None) -> bytes:
    body = {"id": "c", "choices": [{"index": choice, "delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def encoded(pieces: list[Piece]) -> bytes:
    out = []
    for piece in pieces:
        delta: dict[str, object] = {piece.field: piece.text}
        if piece.field.isdigit():
            call = {"index": int(piece.field), "function": {"arguments": piece.text}}
            delta = {"tool_calls": [call]}
        out.append(event(piece.choice, delta))
    finished = [event(choice, {}, "stop") for choice in (0, 1)]
    return b"".join([*out, *finished, b"data: [DONE]\n\n"])


def assembled(stream: bytes) -> dict[tuple[int, str], str]:
    """What a client puts together."""
    texts: dict[tuple[int, str], str] = {}
    for line in stream.split(b"\n\n"):
        if not line.startswith(b"data: {"):
            continue
        for choice in json.loads(line[6:])["choices"]:
            delta = dict(choice["delta"])
            for call in delta.pop("tool_calls", ()):
                delta[str(call["index"])] = call["function"]["arguments"]
            for field, text in delta.items():
                key = (choice["index"], field)
                texts[key] = texts.get(key, "") + text
    return texts


def run(pieces: Sequence[bytes]) -> bytes:
    guard = EventStreamGuard(CHAT, read_all)
    out = b"".join([guard.feed(piece) for piece in pieces]) + guard.close()
    assert guard.failure is None, (guard.failure, guard.fault)
    return out


@settings(max_examples=60)
@given(streams(), st.data())
def test_any_cut_gives_the_bytes_of_the_whole(pieces: list[Piece], data: st.DataObject) -> None:
    stream = encoded(pieces)
    whole = run([stream])
    assert run([stream[i : i + 1] for i in range(len(stream))]) == whole
    at = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    edges = [0, *at, len(stream)]
    assert run([stream[a:b] for a, b in pairwise(edges)]) == whole


@settings(max_examples=60)
@given(streams())
def test_clients_assemble_what_redacting_the_whole_text_gives(pieces: list[Piece]) -> None:
    stream = encoded(pieces)
    expected = {
        key: redact_text(text, recognizers(), OPERATORS)[0]
        for key, text in assembled(stream).items()
    }
    assert assembled(run([stream])) == expected


@settings(max_examples=60)
@given(st.lists(st.integers(0, 255), max_size=6), streams(), st.data())
def test_damaged_streams_end_in_one_error_the_same_for_every_cut(
    junk: list[int], pieces: list[Piece], data: st.DataObject
) -> None:
    stream = encoded(pieces)
    at = data.draw(st.integers(0, len(stream)))
    damaged = stream[:at] + bytes(junk) + stream[at + data.draw(st.integers(0, 30)) :]

    def play(step: int) -> tuple[bytes, str]:
        guard = EventStreamGuard(CHAT, read_all)
        parts = [guard.feed(damaged[i : i + step]) for i in range(0, len(damaged), step)]
        out = b"".join(parts) + guard.close()
        assert guard.fault is None
        return out, guard.failure.code if guard.failure else ""

    whole = play(len(damaged) + 1)
    assert play(1) == whole
    assert play(7) == whole
    assert whole[0].count(b'{"error":') <= 1
