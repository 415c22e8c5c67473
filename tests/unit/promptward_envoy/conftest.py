"""Envoy's messages, written short; and an engine that does what a header says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from promptward_envoy.descriptors import CheckRequest, ProcessingMode, ProcessingRequest
from promptward_envoy.testing.scripted_service import ScriptedEngine

UPSTREAM = "via_upstream"


class Messages:
    """Builders for what Envoy sends."""

    def request_headers(
        self,
        *pairs: tuple[str, str],
        method: str = "POST",
        path: str = "/v1/chat/completions",
        ended: bool = False,
        request_mode: int = ProcessingMode.BUFFERED,
        response_mode: int = ProcessingMode.FULL_DUPLEX_STREAMED,
        attributes: dict[str, str] | None = None,
    ) -> Any:
        message = ProcessingRequest()
        pseudo = ((":method", method), (":path", path), (":authority", "api.test"))
        self._headers(message.request_headers, (*pseudo, *pairs), ended)
        message.protocol_config.request_body_mode = request_mode
        message.protocol_config.response_body_mode = response_mode
        self.attributes(message, attributes or {})
        return message

    def request_body(self, body: bytes, *, ended: bool = True) -> Any:
        message = ProcessingRequest()
        message.request_body.body = body
        message.request_body.end_of_stream = ended
        return message

    def response_headers(
        self,
        *pairs: tuple[str, str],
        status: int = 200,
        ended: bool = False,
        details: str = UPSTREAM,
    ) -> Any:
        message = ProcessingRequest()
        self._headers(message.response_headers, ((":status", str(status)), *pairs), ended)
        if details:
            self.attributes(message, {"response.code_details": details})
        return message

    def response_body(self, body: bytes, *, ended: bool = False) -> Any:
        message = ProcessingRequest()
        message.response_body.body = body
        message.response_body.end_of_stream = ended
        return message

    def response_trailers(self) -> Any:
        message = ProcessingRequest()
        message.response_trailers.SetInParent()
        return message

    def check(
        self, *pairs: tuple[str, str], body: bytes = b"", raw: bool = True, **http: Any
    ) -> Any:
        message = CheckRequest()
        request = message.attributes.request.http
        request.method, request.path, request.host = "POST", "/v1/chat/completions", "api.test"
        for name, value in http.items():
            setattr(request, name, value)
        request.raw_body = body
        for name, value in pairs:
            if raw:
                field = request.header_map.headers.add()
                field.key, field.raw_value = name, value.encode("latin-1")
            else:
                request.headers[name] = value
        message.attributes.source.address.socket_address.address = "192.0.2.7"
        return message

    @staticmethod
    def attributes(message: Any, values: dict[str, str]) -> None:
        fields = message.attributes["envoy.filters.http.ext_proc"].fields
        for name, value in values.items():
            fields[name].string_value = value

    @staticmethod
    def metadata(message: Any, namespace: str, values: dict[str, Any]) -> None:
        struct = message.metadata_context.filter_metadata[namespace]
        struct.update(values)

    @staticmethod
    def _headers(target: Any, pairs: tuple[tuple[str, str], ...], ended: bool) -> None:
        for name, value in pairs:
            field = target.headers.headers.add()
            field.key, field.raw_value = name, value.encode("latin-1")
        target.end_of_stream = ended


class Engine(ScriptedEngine):
    """The scripted engine with its record at hand."""

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self._file = file

    def calls(self) -> list[dict[str, Any]]:
        """Everything asked so far."""
        if not self._file.exists():
            return []
        return [json.loads(line) for line in self._file.read_text().splitlines()]

    def named(self, event: str) -> list[dict[str, Any]]:
        """Those calls with this name."""
        return [call for call in self.calls() if call["event"] == event]


@pytest.fixture
def messages() -> Messages:
    return Messages()


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path / "events.jsonl")


@pytest.fixture
def header_values() -> Callable[[Any], dict[str, str]]:
    """Names and values of a repeated HeaderValueOption."""

    def values(options: Any) -> dict[str, str]:
        return {
            o.header.key: o.header.raw_value.decode("latin-1") or o.header.value for o in options
        }

    return values
