"""Whether log probabilities repeat a text and nothing else.

Source: OpenAI API reference, "The chat completion object", `choices[].logprobs`: `content` and
`refusal` are arrays of `{token, logprob, bytes, top_logprobs: [{token, logprob, bytes}]}`. A token
may be part of a character, so the `bytes` decide where there are some.
"""

from __future__ import annotations

from promptward.exchange import JSON

_MAX_TOKEN_CHARS = 128  # our bound; a longer "token" is a text that nobody inspected


def repeats(logprobs: JSON, content: JSON, refusal: JSON) -> bool:
    """Whether the joined tokens are exactly the texts beside them.

    Args:
        logprobs: the field's value; null counts as repeating.
        content: text of the message or delta, or null.
        refusal: likewise.
    """
    if logprobs is None:
        return True
    if not isinstance(logprobs, dict) or not logprobs.keys() <= {"content", "refusal"}:
        return False
    return _joined(logprobs.get("content"), content) and _joined(logprobs.get("refusal"), refusal)


def _joined(tokens: JSON, text: JSON) -> bool:
    if tokens is None or tokens == []:
        return True
    if not isinstance(tokens, list) or not isinstance(text, str):
        return False
    pieces = [_piece(token) for token in tokens]
    return None not in pieces and b"".join(p for p in pieces if p) == text.encode("utf-8")


def _piece(token: JSON) -> bytes | None:
    """The bytes of one entry, or None when it is not one or holds anything else."""
    if not isinstance(token, dict) or not token.keys() <= _ENTRY:
        return None
    for alternative in _list(token.get("top_logprobs")):
        if not isinstance(alternative, dict) or _piece({**alternative, "top_logprobs": []}) is None:
            return None
    text, raw = token.get("token"), token.get("bytes")
    if not isinstance(token.get("logprob", 0), (int, float)):
        return None
    if not isinstance(text, str) or len(text) > _MAX_TOKEN_CHARS:
        return None
    if raw is None:
        return text.encode("utf-8")
    if not isinstance(raw, list):
        return None
    numbers = [b for b in raw if isinstance(b, int) and 0 <= b <= 255]
    return bytes(numbers) if len(numbers) == len(raw) else None


_ENTRY = frozenset({"token", "logprob", "bytes", "top_logprobs"})


def _list(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []
