"""Fuzz target: response streams. Mutated events, random cuts: never an exception, never a leak.

`FUZZ_ITERATIONS` and `FUZZ_SEED` as in `test_json_fuzz`.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence

import pytest

from promptward.findings import Finding
from promptward.protocols import PROTOCOLS, Channel, ChatProtocol
from promptward.stream.channels import ChannelFilter
from promptward.stream.guard import EventStreamGuard, StreamLimits

ITERATIONS = int(os.environ.get("FUZZ_ITERATIONS", "3000")) // 4
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
MESSAGES = [
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","content":[]}}\n\n',
    b'event: ping\ndata: {"type":"ping"}\n\n',
    b'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n',
    b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a c4"}}\n\n',
    b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta",'
    b'"text":" nary!"}}\n\n',
    b'data: {"type":"content_block_stop","index":0}\n\n',
    b'data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t",'
    b'"name":"f","input":{"q":"c4 nary!"}}}\n\n',
    b'data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta",'
    b'"partial_json":"{\\"c4 nary!"}}\n\n',
    b'data: {"type":"content_block_stop","index":1}\n\n',
    b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":"c4 nary!"},'
    b'"usage":{"output_tokens":2}}\n\n',
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
]
AT = b'"item_id":"m","output_index":0,"content_index":0,"sequence_number":1'
PART = b'{"type":"output_text","text":"a c4 nary!","annotations":[{"title":"c4 nary!"}]}'
RESPONSES = [
    b'event: response.created\ndata: {"type":"response.created","sequence_number":0,"response":'
    b'{"id":"r","instructions":"c4 nary!","output":[]}}\n\n',
    b'data: {"type":"response.output_text.delta",' + AT + b',"delta":"a c4","logprobs":[]}\n\n',
    b'data: {"type":"response.output_text.delta",' + AT + b',"delta":" nary!"}\n\n',
    b'data: {"type":"response.output_text.done",' + AT + b',"text":"a c4 nary!"}\n\n',
    b'data: {"type":"response.content_part.done",' + AT + b',"part":' + PART + b"}\n\n",
    b'data: {"type":"response.output_item.done","output_index":0,"item":{"type":"message",'
    b'"role":"assistant","content":[' + PART + b"]}}\n\n",
    b'data: {"type":"response.function_call_arguments.delta","output_index":1,"delta":"c4 nary!"}'
    b"\n\n",
    b'data: {"type":"response.completed","response":{"output":[{"type":"message","role":'
    b'"assistant","content":[' + PART + b'],"id":"c4 nary!"}]}}\n\n',
]
CORPORA = {
    "openai.chat": CHAT,
    "anthropic.messages": MESSAGES,
    "openai.responses": RESPONSES,
}
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


@pytest.mark.parametrize("name", CORPORA)
def test_no_mutation_leaks_or_raises(name: str) -> None:
    rng = random.Random(SEED)
    protocol, corpus = PROTOCOLS[name], CORPORA[name]
    outcomes: dict[str, int] = {}
    for _ in range(ITERATIONS):
        events = sorted(rng.sample(range(len(corpus)), rng.randint(1, len(corpus))))
        stream = b"".join(corpus[i] for i in events)
        data = mutated(rng, stream) if rng.random() < 0.9 else stream
        whole = play(protocol, data, [len(data) + 1])
        cut = play(protocol, data, [rng.randint(1, 9) for _ in range(5)])
        assert cut == whole
        assert CANARY not in whole[0].lower(), data
        outcomes[whole[1]] = outcomes.get(whole[1], 0) + 1
    assert outcomes[""] > ITERATIONS / 50, outcomes
    assert outcomes["unexpected_event"] > ITERATIONS / 50, outcomes


def test_every_protocol_is_fuzzed() -> None:
    assert CORPORA.keys() == PROTOCOLS.keys()
