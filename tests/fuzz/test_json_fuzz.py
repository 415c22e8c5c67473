"""Fuzz target: request bodies. Mutates real ones; only `ExchangeError` may come out.

`FUZZ_ITERATIONS=1000000 pytest tests/fuzz` runs it for longer; `FUZZ_SEED` repeats a run.
"""

from __future__ import annotations

import os
import random

from promptward.errors import ExchangeError
from promptward.jsonstrict import JsonLimits, dumps_canonical, parse
from promptward.protocols import PROTOCOLS, RequestLimits

ITERATIONS = int(os.environ.get("FUZZ_ITERATIONS", "3000"))
SEED = int(os.environ.get("FUZZ_SEED", "20261123"))
JSON_LIMITS = JsonLimits(max_bytes=1 << 16, max_depth=32, max_items=5000)
CORPUS = [
    b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true,"n":2}',
    b'{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"},'
    b'{"type":"image_url","image_url":{"url":"data:,x","detail":"low"}}]}],"max_tokens":5}',
    b'{"model":"m","messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"c_1",'
    b'"type":"function","function":{"name":"f","arguments":"{\\"a\\":\\"\\u00e9\\"}"}}]},'
    b'{"role":"tool","tool_call_id":"c_1","content":"r"}],"stop":["x"],"logit_bias":{"5":-1}}',
    b'{"model":"m","tools":[{"type":"function","function":{"name":"f","parameters":{"type":'
    b'"object","properties":{"a":{"type":"string"}}}}}],"tool_choice":{"type":"function",'
    b'"function":{"name":"f"}},"messages":[{"role":"system","content":"s"}],"metadata":{"k":"v"}}',
]
CORPUS += [
    b'{"model":"m","max_tokens":9,"system":[{"type":"text","text":"s"}],"messages":[{"role":"user",'
    b'"content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"r"}]},'
    b'{"type":"image","source":{"type":"base64","data":"AA=="}}]}],"tools":[{"name":"f"}]}',
    b'{"model":"m","instructions":"s","input":[{"role":"user","content":[{"type":"input_text",'
    b'"text":"a"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},'
    b'{"type":"function_call_output","call_id":"c","output":"r"}],"previous_response_id":"r_1"}',
]
TOKENS = [b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"null", b"true", b"-1", b"1e999", b"{}"]
TOKENS += [b"NaN", b"\\ud800", b'"role":"user"', b'"a":1,"a":2', b"[" * 40, b"\xff", b"\x00", b"[]"]
TOKENS += [b"9" * 30, "é😀".encode(), b'"content":', b"\xef\xbb\xbf", b'"x y":"z"', b'""', b"0"]


def mutated(rng: random.Random, data: bytes) -> bytes:
    for _ in range(rng.randint(1, 4)):
        at, end = sorted(rng.randint(0, len(data)) for _ in range(2))
        kind = rng.randrange(5)
        if kind == 0:
            data = data[:at] + rng.choice(TOKENS) + data[at:]
        elif kind == 1:
            data = data[:at] + data[min(end, at + 8) :]
        elif kind == 2:
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        elif kind == 3:
            data = data[:at] + data[at:end] + data[at:]
        else:
            data = swapped(rng, data)
    return data


def swapped(rng: random.Random, data: bytes) -> bytes:
    """One value replaced by a value of another type: keeps the text valid JSON often."""
    values = [b'"user"', b'"hi"', b"null", b"2", b"true", b'"f"', b'"m"', b'"text"']
    return data.replace(rng.choice(values), rng.choice(TOKENS), 1)


def test_only_exchange_errors_come_out() -> None:
    rng = random.Random(SEED)
    statuses: set[int] = set()
    outcomes = {"refused": 0, "malformed": 0, "read": 0}
    for _ in range(ITERATIONS):
        data = mutated(rng, rng.choice(CORPUS))
        try:
            document = parse(data, JSON_LIMITS)
        except ExchangeError as error:
            statuses.add(error.status)
            outcomes["malformed"] += 1
            continue
        assert parse(dumps_canonical(document), JSON_LIMITS) == document
        for protocol in PROTOCOLS.values():
            try:
                request = protocol.parse_request(document, RequestLimits(50, 200))
                edits = {p.pointer: "edited text" for p in request.parts if p.pointer[-1] != "#"}
                out = protocol.rewrite_request(
                    request, edits, inject_usage=True, max_output_tokens=1
                )
            except ExchangeError as error:
                statuses.add(error.status)
                outcomes["refused"] += 1
                continue
            assert out is not None
            again = protocol.parse_request(parse(out), RequestLimits(50, 200))
            texts = {p.pointer: p.text for p in again.parts}
            assert all(texts[pointer] == "edited text" for pointer in edits)
            assert again.max_output_tokens == 1
            outcomes["read"] += 1
    assert statuses <= {400, 413}
    assert min(outcomes.values()) > ITERATIONS / 100, outcomes
