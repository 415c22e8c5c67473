"""What the demo upstream answers: deterministic chat completions, steered by the prompt.

By default it echoes the last user message, so that redaction on the way in and restoring on the
way out are visible. Directives anywhere in that message change the answer; they are the test bench
of a gateway, not a model:

    [[emit:pii]]      an e-mail address, a phone number and a payment card
    [[emit:secret]]   an AWS access key id
    [[emit:tool]]     a tool call whose arguments carry the message
    [[repeat:N]]      N KiB of text
    [[tokens:N]]      report N output tokens
    [[split:N]]       N characters for each streamed chunk (default 7)
    [[slow:MS]]       wait MS milliseconds before each streamed chunk
    [[think:MS]]      wait MS milliseconds before the answer begins
    [[cut:N]]         break the connection after N chunks (0: after the headers)
    [[status:N]]      answer with HTTP status N and an error body
    [[no-usage]]      leave usage out, also when asked for it
    [[gzip]]          compress although identity was asked for
    [[coding:NAME]]   claim content-encoding NAME

Invariants: no clock, no randomness: the same request body gives the same bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from promptward.exchange import JSON

Document = dict[str, JSON]

_DIRECTIVE = re.compile(r"\[\[([a-z-]{1,16})(?::([A-Za-z0-9]{1,16}))?\]\]")
_CREATED_S = 1_700_000_000
_CHARACTERS_PER_TOKEN = 4  # OpenAI's rule of thumb for English text
_EMITTED = {
    "pii": "Write to jane.roe@example.com, call +1 415 555 0132, charge 4111 1111 1111 1111.",
    # The key id of AWS's own documentation.
    "secret": "The key is AKIAIOSFODNN7EXAMPLE.",
}
_ERROR: Document = {
    "message": "the demo upstream was told to fail",
    "type": "server_error",
    "code": None,
}


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat request, as far as the answer depends on it."""

    model: str
    text: str
    directives: dict[str, str]
    prompt_characters: int
    stream: bool
    include_usage: bool

    def number(self, name: str, default: int) -> int:
        """The numeric argument of a directive, or `default`."""
        value = self.directives.get(name, "")
        return int(value) if value.isdigit() else default

    @property
    def answer(self) -> str:
        """The assistant's text."""
        emitted = _EMITTED.get(self.directives.get("emit", ""))
        text = emitted or f"You said: {self.text}"
        size = self.number("repeat", 0) * 1024
        return (text + " ") * (size // (len(text) + 1) + 1) if size else text

    @property
    def calls_tool(self) -> bool:
        return self.directives.get("emit") == "tool"

    @property
    def usage(self) -> Document:
        """Token counts by the rule of thumb."""
        prompt = max(1, self.prompt_characters // _CHARACTERS_PER_TOKEN)
        output = self.number("tokens", max(1, len(self.answer) // _CHARACTERS_PER_TOKEN))
        return {
            "prompt_tokens": prompt,
            "completion_tokens": output,
            "total_tokens": prompt + output,
        }


def read_chat(body: bytes) -> Chat:
    """Understand a chat request.

    Raises:
        ValueError: it is not a chat request.
    """
    document = json.loads(body)
    if not isinstance(document, dict) or not isinstance(document.get("messages"), list):
        raise ValueError("messages must be a list")
    texts = [_text(m.get("content")) for m in document["messages"] if isinstance(m, dict)]
    asked = [
        _text(m.get("content"))
        for m in document["messages"]
        if isinstance(m, dict) and m.get("role") == "user"
    ]
    last = asked[-1] if asked else ""
    options = document.get("stream_options")
    return Chat(
        model=str(document.get("model", "")),
        text=_DIRECTIVE.sub("", last).strip(),
        directives={m[1]: m[2] or "" for m in _DIRECTIVE.finditer(last)},
        prompt_characters=sum(map(len, texts)),
        stream=document.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def _text(content: JSON) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(str(p.get("text", "")) for p in content if isinstance(p, dict))


def completion(chat: Chat) -> Document:
    """The whole answer."""
    message: Document = {"role": "assistant", "content": chat.answer}
    if chat.calls_tool:
        message = {"role": "assistant", "content": None, "tool_calls": [_tool_call(chat)]}
    finish = "tool_calls" if chat.calls_tool else "stop"
    choice: JSON = {"index": 0, "message": message, "finish_reason": finish}
    document = _head(chat, "chat.completion", [choice])
    if "no-usage" not in chat.directives:
        document["usage"] = chat.usage
    return document


def error(status: int) -> Document:
    """An error body in OpenAI's shape."""
    return {"error": {**_ERROR, "code": f"demo_{status}"}}


def events(chat: Chat) -> Iterator[bytes]:
    """The answer as server-sent events, one `data:` event at a time."""
    if chat.calls_tool:
        deltas = _tool_deltas(chat)
    else:
        deltas = ({"content": piece} for piece in _pieces(chat, chat.answer))
    yield _event(chat, {"role": "assistant", "content": ""}, None)
    for delta in deltas:
        yield _event(chat, delta, None)
    yield _event(chat, {}, "tool_calls" if chat.calls_tool else "stop")
    if chat.include_usage and "no-usage" not in chat.directives:
        document: Document = {**_head(chat, "chat.completion.chunk", []), "usage": chat.usage}
        yield _data(document)
    yield b"data: [DONE]\n\n"


def _tool_call(chat: Chat) -> Document:
    arguments = json.dumps({"to": chat.text}, ensure_ascii=False)
    return {
        "id": "call_demo",
        "type": "function",
        "function": {"name": "send", "arguments": arguments},
    }


def _tool_deltas(chat: Chat) -> Iterator[Document]:
    arguments = json.dumps({"to": chat.text}, ensure_ascii=False)
    first: Document = {
        **_tool_call(chat),
        "function": {"name": "send", "arguments": ""},
        "index": 0,
    }
    calls: list[JSON] = [first]
    yield {"tool_calls": calls}
    for piece in _pieces(chat, arguments):
        yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}


def _pieces(chat: Chat, text: str) -> Iterator[str]:
    size = max(1, chat.number("split", 7))
    return (text[at : at + size] for at in range(0, len(text), size))


def _event(chat: Chat, delta: Document, finish: str | None) -> bytes:
    choice: JSON = {"index": 0, "delta": delta, "finish_reason": finish}
    return _data(_head(chat, "chat.completion.chunk", [choice]))


def _head(chat: Chat, kind: str, choices: list[JSON]) -> Document:
    return {
        "id": "chatcmpl-demo",
        "object": kind,
        "created": _CREATED_S,
        "model": chat.model,
        "choices": choices,
    }


def _data(document: Document) -> bytes:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return b"data: " + text.encode() + b"\n\n"
