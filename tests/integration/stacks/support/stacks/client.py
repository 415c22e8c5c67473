"""Ask a gateway as an application would."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests

from promptward.cli.demo import KEYS, MODEL

if TYPE_CHECKING:
    from stacks.stack import Stack

# Longer than any timeout of the stacks: a test never waits for a request that hangs.
TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Answer:
    """What the application got."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The assistant's text, of a whole answer or of a stream."""
        if self.body.startswith(b"{"):
            return str(json.loads(self.body)["choices"][0]["message"]["content"])
        lines = self.body.decode().splitlines()
        events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
        deltas = [e["choices"][0]["delta"] for e in events if e["choices"]]
        return "".join(delta.get("content") or "" for delta in deltas)


def post(stack: Stack, key: str, text: str, **fields: Any) -> requests.Response:
    """Send a chat request with one of the demo keys (none for an empty name)."""
    document = {"model": MODEL, "messages": [{"role": "user", "content": text}], **fields}
    return requests.post(
        f"{stack.http}/v1/chat/completions",
        json=document,
        headers={"authorization": f"Bearer {KEYS[key]}"} if key else {},
        stream=True,
        timeout=TIMEOUT_S,
    )


def chat(stack: Stack, key: str, text: str, **fields: Any) -> Answer:
    """The whole answer."""
    with post(stack, key, text, **fields) as response:
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, response.content)


def read_slow_stream(stack: Stack, text: str) -> None:
    """Read an answer whose upstream writes for seconds, and see that it comes as it is written."""
    slowly = f"[[split:200]] [[repeat:2]] [[slow:400]] {text}"
    with post(stack, "full", slowly, stream=True) as response:
        assert response.status_code == 200
        chunks = response.iter_content(chunk_size=None)
        first = next(chunks)
        # The last event is due seconds later: what has come by now was not held back to the end.
        assert b"[DONE]" not in first
        rest = b"".join(chunks)
    assert b"[DONE]" in first + rest
