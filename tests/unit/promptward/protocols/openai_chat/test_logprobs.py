"""Log probabilities: only an exact repetition of the text counts as one."""

from __future__ import annotations

import pytest

from promptward.exchange import JSON
from promptward.protocols.openai_chat.logprobs import repeats


def token(text: JSON, raw: JSON = None, **more: JSON) -> JSON:
    return {"token": text, "logprob": -1.5, "bytes": raw, "top_logprobs": [], **more}


REPEATS: dict[str, tuple[JSON, JSON, JSON]] = {
    "null": (None, "anything", None),
    "content": ({"content": [token("Hel"), token("lo")]}, "Hello", None),
    "refusal": ({"content": None, "refusal": [token("No")]}, None, "No"),
    "split character": (
        {"content": [token("\\xf0\\x9f", [240, 159]), token("\\x98\\x80", [152, 128])]},
        "😀",
        None,
    ),
    "alternatives": (
        {"content": [token("a", top_logprobs=[{"token": "b", "logprob": -2}])]},
        "a",
        None,
    ),
    "empty": ({"content": []}, None, None),
    "none for a text": ({"content": []}, "a", None),
}
DIFFERS: dict[str, tuple[JSON, JSON, JSON]] = {
    "other text": ({"content": [token("Hi")]}, "Hello", None),
    "more text": ({"content": [token("Hello"), token(" x")]}, "Hello", None),
    "no content": ({"content": [token("Hello")]}, None, None),
    "other bytes": ({"content": [token("a", [98])]}, "a", None),
    "unknown member": ({"content": [], "note": "text"}, "", None),
    "unknown member of a token": ({"content": [token("a", note="text")]}, "a", None),
    "text as probability": ({"content": [token("a", logprob="text")]}, "a", None),
    "a long alternative": (
        {"content": [token("a", top_logprobs=[{"token": "b" * 129}])]},
        "a",
        None,
    ),
    "alternative with a text": (
        {"content": [token("a", top_logprobs=[{"token": "b", "note": "text"}])]},
        "a",
        None,
    ),
    "bytes out of range": ({"content": [token("a", [97, 256])]}, "a", None),
    "bytes a text": ({"content": [token("a", "text")]}, "a", None),
    "tokens an object": ({"content": {"a": "b"}}, "a", None),
    "a token a string": ({"content": ["a"]}, "a", None),
    "an array": ([], "a", None),
    "a string": ("a", "a", None),
}


@pytest.mark.parametrize(("logprobs", "content", "refusal"), REPEATS.values(), ids=REPEATS.keys())
def test_repeats(logprobs: JSON, content: JSON, refusal: JSON) -> None:
    assert repeats(logprobs, content, refusal)


@pytest.mark.parametrize(("logprobs", "content", "refusal"), DIFFERS.values(), ids=DIFFERS.keys())
def test_differs(logprobs: JSON, content: JSON, refusal: JSON) -> None:
    assert not repeats(logprobs, content, refusal)
