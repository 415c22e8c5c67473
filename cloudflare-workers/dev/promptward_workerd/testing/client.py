"""A chat client for tests: whole answers, and streams read event by event."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass

from promptward.exchange import JSON

CHAT = "/v1/chat/completions"
MODEL = "gpt-4o-mini"
_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; header names lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, JSON]:
        parsed = json.loads(self.body)
        assert isinstance(parsed, dict)
        return parsed

    @property
    def code(self) -> str:
        """The error's code."""
        error = self.document["error"]
        assert isinstance(error, dict)
        return str(error["code"])

    @property
    def text(self) -> str:
        """The assistant's text."""
        return str(json.loads(self.body)["choices"][0]["message"]["content"])


class OpenStream:
    """An answer that is still being read."""

    def __init__(
        self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse
    ) -> None:
        self._connection = connection
        self.response = response
        self.status = response.status

    def event(self) -> bytes:
        """The next event, without its blank line; empty at the end.

        Raises:
            http.client.HTTPException, OSError: the stream was cut.
        """
        lines: list[bytes] = []
        while True:
            line = self.response.readline()
            if line.rstrip(b"\r\n") == b"":
                if lines or not line:
                    return b"\n".join(lines)
                continue
            lines.append(line.rstrip(b"\r\n"))

    def rest(self) -> bytes:
        """Everything up to the end.

        Raises:
            http.client.HTTPException, OSError: the stream was cut.
        """
        try:
            return self.response.read()
        finally:
            self.leave()

    def leave(self) -> None:
        """Go away, as a client that closes its window."""
        self.response.close()
        self._connection.close()


class ChatClient:
    """Asks one gateway.

    Args:
        host, port: where it listens.
        key: API key, or empty.
    """

    def __init__(self, host: str, port: int, key: str = "") -> None:
        self._host, self._port, self._key = host, port, key

    def _open(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_S)
        connection.request(method, path, body, dict(headers))
        return connection, connection.getresponse()

    def send(
        self,
        body: bytes | None,
        *,
        method: str = "POST",
        path: str = CHAT,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One exchange with these very bytes and fields."""
        connection, response = self._open(method, path, body, headers or {})
        try:
            data = response.read()
        finally:
            connection.close()
        return Answer(response.status, {n.lower(): v for n, v in response.getheaders()}, data)

    def fields(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The usual header fields."""
        fields = {"content-type": "application/json"}
        if self._key:
            fields["authorization"] = f"Bearer {self._key}"
        return {**fields, **(more or {})}

    def chat(self, text: str, headers: Mapping[str, str] | None = None, **more: JSON) -> Answer:
        """One chat completion."""
        return self.send(chat_body(text, **more), headers=self.fields(headers))

    def stream(self, text: str, headers: Mapping[str, str] | None = None) -> OpenStream:
        """A streamed chat completion, opened."""
        body = chat_body(text, stream=True)
        return OpenStream(*self._open("POST", CHAT, body, self.fields(headers)))


def chat_body(text: str, **more: JSON) -> bytes:
    """A chat request."""
    message: JSON = {"role": "user", "content": text}
    return json.dumps({"model": MODEL, "messages": [message], **more}).encode()
