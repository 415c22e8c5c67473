"""A request through the phases of a Kong node: plugins by priority, upstream, response, log.

What happens when a plugin server fails is Kong's own behaviour: an RPC that fails is logged and
the request goes on (see `Answer.unchecked`). The gate, when present, is the real Lua file.
"""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from promptward_kong.testing.pdk import ExitError, HeaderList, Pdk, RequestState, header_table
from promptward_kong.testing.rpc import LuaError, NoDataError, RpcClient, RpcError, step_of

Upstream = Callable[[RequestState], tuple[int, HeaderList, bytes]]


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """What a client sends."""

    method: str = "POST"
    target: str = "/v1/chat/completions"
    headers: tuple[tuple[str, str | bytes], ...] = ()
    body: bytes = b""
    client_ip: str = "127.0.0.1"
    consumer: dict[str, Any] | None = None
    credential: dict[str, Any] | None = None
    ctx: dict[str, Any] = field(default_factory=dict)
    http_version: str = "HTTP/1.1"


@dataclass(slots=True)
class Answer:
    """What the client gets, and how it came about.

    Attributes:
        source: `service`, `exit` (a plugin answered) or `error` (Kong's own 500).
        unchecked: phases whose RPC failed, so that Kong let the request go on.
        upstream: the request as the upstream saw it, or None.
        log: lines plugins wrote to Kong's log, `(level, text)`.
    """

    status: int
    headers: HeaderList
    body: bytes
    source: str
    unchecked: list[str] = field(default_factory=list)
    upstream: RequestState | None = None
    log: list[tuple[str, str]] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        """The last value of a header."""
        found = [v for n, v in self.headers if n.lower() == name]
        return str(found[-1]) if found else None


class Gate(Protocol):
    """The companion Lua plugin: runs last in access and in header_filter."""

    def access(self, state: RequestState) -> None: ...

    def header_filter(self, state: RequestState, source: str) -> None: ...


@dataclass(slots=True)
class PluginConfig:
    """One plugin entity: a name, a configuration and the revision of it."""

    name: str
    config: dict[str, Any]
    phases: tuple[str, ...]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    seq: int = 1

    def conf(self) -> dict[str, Any]:
        """`config` as Kong sends it, with its own keys."""
        return {
            **{k: v for k, v in self.config.items() if v is not None},
            "__plugin_id": self.id,
            "__seq__": self.seq,
            "__key__": f"plugins:{self.name}:{self.id}::::ws",
            "__ws_id": "ws",
        }


class Node:
    """A Kong worker with one external plugin on its one route.

    Args:
        rpc: connection to the plugin server.
        plugin: changing its `config` and `seq` is a configuration change.
    """

    def __init__(
        self, rpc: RpcClient, plugin: PluginConfig, upstream: Upstream, gate: Gate | None = None
    ) -> None:
        self.rpc = rpc
        self.plugin = plugin
        self.upstream = upstream
        self.gate = gate
        self._instances: dict[str, tuple[int, int]] = {}
        self._starting = threading.Lock()
        self._saved: RequestState | None = None

    def handle(
        self, request: ClientRequest, deliver: Callable[[Answer], None] | None = None
    ) -> Answer:
        """Everything that happens to one request, log phase included.

        Args:
            deliver: gets the answer before the log phase, as the client does.
        """
        state = RequestState(
            method=request.method,
            target=request.target,
            headers=list(request.headers),
            body=request.body,
            client_ip=request.client_ip,
            consumer=request.consumer,
            credential=request.credential,
            ctx=dict(request.ctx),
            http_version=request.http_version,
            route={"id": "r1", "name": "chat", "protocols": ["http"]},
        )
        unchecked: list[str] = []
        answer = self._proxy(state, unchecked)
        answer.unchecked, answer.log = unchecked, state.log
        if deliver is not None:
            deliver(answer)
        state.phase, state.response_status = "log", answer.status
        state.response_headers, state.source = answer.headers, answer.source
        self._saved = None
        try:
            self._run("log", state, unchecked)
        except LuaError as error:  # in a timer: nobody waits for it
            state.log.append(("err", str(error)))
            self._saved = state  # see Pdk: the next request gets this coroutine
        return answer

    def _proxy(self, state: RequestState, unchecked: list[str]) -> Answer:
        seen: RequestState | None = None
        try:
            state.buffered = "response" in self.plugin.phases
            self._run("access", state, unchecked)
            if self.gate is not None:
                self.gate.access(state)
            seen = state
            state.buffered = state.buffered and state.http_version.startswith("HTTP/1.")
            state.upstream = status, headers, body = self.upstream(state)
            if state.buffered:  # Kong.response: in place of what access has set
                Pdk.put_response_headers(state, header_table(headers, len(headers)))
            else:  # nginx: beside what access has set
                state.response_headers = [*state.response_headers, *headers]
            state.response_status, state.phase = status, "response"
            if state.buffered:
                self._run("response", state, unchecked)
            state.phase = "header_filter"
            if self.gate is not None:
                self.gate.header_filter(state, "service")
            return Answer(status, state.response_headers, body, "service", upstream=seen)
        except ExitError as end:
            headers = _merged(state.response_headers, end.headers)
            return Answer(end.status, headers, end.body, "exit", upstream=seen)
        except LuaError as error:
            state.log.append(("err", str(error)))
            return Answer(500, [], b'{"message":"An unexpected error occurred"}', "error")

    def _run(self, phase: str, state: RequestState, unchecked: list[str]) -> None:
        """`Rpc:handle_event`: start the instance when needed, run the event, swallow errors."""
        if phase not in self.plugin.phases:
            return
        for _ in range(5):
            instance = self._instance()
            try:
                self._event(instance, phase, state)
                return
            except RpcError as error:
                if "no plugin instance" in str(error).lower():
                    self._instances.clear()
                    continue
                state.log.append(("err", str(error)))
                unchecked.append(phase)
                return
        raise LuaError("the plugin instance cannot be started")

    def _instance(self) -> int:
        conf = self.plugin.conf()
        with self._starting:
            current = self._instances.get(self.plugin.id)
            if current is not None and current[1] == conf["__seq__"]:
                return current[0]
            config = json.dumps(conf)
            try:
                started = self.rpc.call(
                    "plugin.StartInstance", {"Name": self.plugin.name, "Config": config}
                )
            except RpcError as error:
                raise LuaError(f"starting instance: {error}") from None
            self._instances[self.plugin.id] = (started["Id"], conf["__seq__"])
        if current is not None:
            with contextlib.suppress(RpcError):
                self.rpc.call("plugin.CloseInstance", current[0])
        return int(started["Id"])

    def _event(self, instance: int, phase: str, state: RequestState) -> None:
        pdk = Pdk(state, self._saved)
        step = self.rpc.call("plugin.HandleEvent", {"InstanceId": instance, "EventName": phase})
        event_id = step["EventId"]
        while step["Data"] != "ret":
            method, args = step["Data"]["Method"], step["Data"]["Args"]
            name, argument = step_of(event_id, method, pdk.call(method, args))
            step = self.rpc.call(name, argument)


def _merged(under: HeaderList, over: HeaderList) -> HeaderList:
    names = {name.lower() for name, _ in over}
    return [(n, v) for n, v in under if n.lower() not in names] + list(over)


__all__ = ["Answer", "ClientRequest", "Gate", "NoDataError", "Node", "PluginConfig", "Upstream"]
