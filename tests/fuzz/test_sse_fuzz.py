"""Fuzz target: response streams. Mutated events, random cuts: never an exception, never a leak.

`FUZZ_ITERATIONS` and `FUZZ_SEED` as in `test_json_fuzz`.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence

from promptward.findings import Finding
from promptward.protocols import PROTOCOLS, Channel, ChatProtocol
from promptward.stream.channels import ChannelFilter
from promptward.stream.guard import EventStreamGuard, StreamLimits

ITERATIONS = int(os.environ.get("FUZZ_ITERATIONS", "3000")) // 2
SEED = int(os.environ.get("FUZZ_SEED", "20261123"))
CANARY = b"c4 nary!"
HEAD = b'{"id":"c","choices":[{"index":0,"delta":{'
CHAT = [
    b"data: " + HEAD + b'"role":"assistant","content":"a c4 nary!"},"finish_reason":null}]}\n\n',
    b"data: " + HEAD + b'"content":"c4"}}],"usage":null}\n\n',
    b"data: " + HEAD + b'"content":" nary!"},"logprobs":{"content":[{"token":"c4 nary!"}]}}]}\n\n',
    b"data: " + HEAD + b'"tool_calls":[{"index":0,"id":"call_1","function":{"name":"f",'
    b'"arguments":"{\\"c4 nary!"}}]}}]}\n\n',
    b": c4 nary!\n\n",
    b'event: x\r\nid: 1\r\ndata: {"choices":[],"note":"c4 nary!"}\r\n\r\n',
    b"data: " + HEAD + b'},"finish_reason":"stop"}]}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n',
    b"data: [DONE]\n\n",
]
TOKENS = [b"\n", b"\r", b"\n\n", b"data: ", b"{", b"}", b"[", b"]", b'"', b"\\", b",", b"\xff"]
TOKENS += [
    b"null",
    b"c4 nary!",
    b'"c4 nary!"',
    b'"c4 nary!":1,',
    b"1",
    b"event: c4 nary!\n",
    b"id: c4 nary!\n",
]


class Erase:
    """Takes the canary out; holds everything back to the end, which is allowed."""

    findings: Sequence[Finding] = ()

    def __init__(self) -> None:
        self.held = ""

    def feed(self, text: str) -> str:
        self.held += text
        return ""

    def close(self) -> str:
        return self.held.replace("c4 nary!", "").replace("c4", "")


def read_all(_: Channel) -> Sequence[tuple[str, ChannelFilter]]:
    return [("x", Erase())]


def mutated(rng: random.Random, data: bytes) -> bytes:
    for _ in range(rng.randint(1, 3)):
        at = rng.randint(0, len(data))
        width = rng.choice([0, 0, 1, 6])
        data = data[:at] + rng.choice(TOKENS) + data[at + width :]
    return data


def play(protocol: ChatProtocol, data: bytes, sizes: Sequence[int]) -> tuple[bytes, str]:
    guard = EventStreamGuard(
        protocol, read_all, drop_usage=len(data) % 2 == 0, limits=StreamLimits(2000, 40, 100)
    )
    out, at = b"", 0
    while at < len(data):
        size = sizes[at % len(sizes)]
        out += guard.feed(data[at : at + size])
        at += size
    out += guard.close()
    assert guard.fault is None, guard.fault
    return out, guard.failure.code if guard.failure is not None else ""


def test_no_mutation_leaks_or_raises() -> None:
    rng = random.Random(SEED)
    outcomes: dict[str, int] = {}
    for _ in range(ITERATIONS):
        events = sorted(rng.sample(range(len(CHAT)), rng.randint(1, len(CHAT))))
        stream = b"".join(CHAT[i] for i in events)
        data = mutated(rng, stream) if rng.random() < 0.9 else stream
        whole = play(PROTOCOLS["openai.chat"], data, [len(data) + 1])
        cut = play(PROTOCOLS["openai.chat"], data, [rng.randint(1, 9) for _ in range(5)])
        assert cut == whole
        assert CANARY not in whole[0].lower(), data
        outcomes[whole[1]] = outcomes.get(whole[1], 0) + 1
    assert outcomes[""] > ITERATIONS / 50, outcomes
    assert outcomes["unexpected_event"] > ITERATIONS / 50, outcomes
