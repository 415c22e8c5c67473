"""The real service with an engine that does what a request header says.

    python -m promptward_envoy.testing.scripted_service ADDRESS EVENTS_FILE

`x-script` lists words: `raise`, `hang`, `deny`, `redact`, `no-body-change`, `raise-response`,
`deny-response`, `hang-response`, `pass`. Every call of the engine appends one JSON line to the
events file, so a test can see what was settled. Redaction replaces SECRET by [redacted]; a stream
that says BLOCKME is blocked there.
"""

# ruff: noqa: ARG002 - the engine's interface gives more than a script needs

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from promptward.decision import (
    Allow,
    Decision,
    Deny,
    HeaderPairs,
    Mutations,
    PolicyRef,
    Principal,
    Ticket,
)
from promptward.engine import ResponseAllow, ResponsePlan, StreamEnd, StreamGuard
from promptward.exchange import Exchange, Headers, Response
from promptward_envoy.engines import FixedEngine
from promptward_envoy.metrics import Metrics
from promptward_envoy.server import Server, ServerSettings

SECRET, REDACTED, BLOCK = b"SECRET", b"[redacted]", b"BLOCKME"
DENIAL = b'{"error":{"message":"denied by script","code":"scripted"}}'
JSON_TYPE = ("content-type", "application/json")


class ScriptedGuard:
    """Redacts with hold-back; blocks on BLOCK."""

    def __init__(self) -> None:
        self._held = b""
        self.blocked = False

    def feed(self, data: bytes) -> bytes:
        if self.blocked:
            return b""
        text = (self._held + data).replace(SECRET, REDACTED)
        if BLOCK in text:
            self.blocked = True
            return text.partition(BLOCK)[0] + b'\n\ndata: {"error":"blocked"}\n\n'
        keep = len(BLOCK) - 1
        self._held, out = text[-keep:], text[:-keep]
        return out

    def close(self) -> bytes:
        held, self._held = self._held, b""
        return held


class ScriptedEngine:
    """An EngineApi whose every outcome the test asks for."""

    def __init__(self, events: Path) -> None:
        self._events = events
        self._count = 0

    def _record(self, event: str, **fields: object) -> None:
        with self._events.open("a") as file:
            file.write(json.dumps({"event": event, **fields}) + "\n")

    async def on_request(self, exchange: Exchange, *, sees_response: bool = True) -> Decision:
        script = " ".join(exchange.headers.get_all("x-script"))
        self._count += 1
        request_id = exchange.request_id or f"drawn-{self._count}"
        self._record(
            "on_request",
            id=request_id,
            script=script,
            method=exchange.method,
            path=exchange.path,
            host=exchange.host,
            peer=exchange.peer,
            route=exchange.route,
            complete=exchange.body.complete,
            body=exchange.body.data.decode("latin-1"),
            headers=list(exchange.headers),
            claims=exchange.gateway_identity and dict(exchange.gateway_identity.claims),
            sees_response=sees_response,
        )
        words = script.split()
        if "raise" in words:
            raise RuntimeError("canary-7f3a: an exception text may quote the prompt")
        if "hang" in words:
            await asyncio.Event().wait()
        if "deny" in words or not exchange.body.complete:
            return self._deny(403)
        changed = exchange.body.data.replace(SECRET, REDACTED)
        body = changed if "redact" in words else None
        mutations = Mutations(
            (("x-verdict", "allowed"), ("accept-encoding", "identity")),
            ("x-user-*", "authorization"),
            body,
        )
        ticket = _ticket(request_id, script, exchange.route)
        return Allow(mutations, ticket, (), (), (("x-ratelimit-remaining", "7"),))

    def plan_response(self, ticket: Ticket, status: int, headers: Headers) -> ResponsePlan:
        if "pass" in ticket.model.split():
            return ResponsePlan.PASS
        content_type = " ".join(headers.get_all("content-type"))
        return ResponsePlan.STREAM if "event-stream" in content_type else ResponsePlan.BUFFER

    def response_headers(self, ticket: Ticket, headers: Headers) -> Mutations:
        return Mutations((("x-stream", "guarded"),))

    async def on_response(self, ticket: Ticket, response: Response) -> ResponseAllow | Deny:
        words = ticket.model.split()
        if "raise-response" in words:
            raise RuntimeError("canary-7f3a: a bug in the response phase")
        if "hang-response" in words:
            await asyncio.Event().wait()
        self._record("on_response", id=ticket.request_id, status=response.status)
        if "deny-response" in words:
            return self._deny(400)
        body = response.body.data.replace(SECRET, REDACTED)
        changed = body if body != response.body.data else None
        return ResponseAllow(Mutations((("x-checked", "yes"),), (), changed), None, (), ())

    def open_stream(self, ticket: Ticket, status: int, headers: Headers) -> StreamGuard:
        self._record("open_stream", id=ticket.request_id)
        return ScriptedGuard()

    async def close_stream(self, ticket: Ticket, guard: StreamGuard, end: StreamEnd) -> None:
        self._record("close_stream", id=ticket.request_id, end=end.value)

    async def on_unseen_response(self, ticket: Ticket, status: int) -> None:
        self._record("on_unseen_response", id=ticket.request_id, status=status)

    async def on_no_response(self, ticket: Ticket, reason: str) -> HeaderPairs:
        self._record("on_no_response", id=ticket.request_id, reason=reason)
        return ()

    def fail_closed(self, exchange: Exchange | None, reason: str) -> Deny:
        self._record("fail_closed", reason=reason)
        body = json.dumps({"error": {"code": reason}}).encode()
        return Deny(503, reason, "unavailable", reason, (JSON_TYPE,), body, (), ())

    def _deny(self, status: int) -> Deny:
        headers = (JSON_TYPE, ("retry-after", "3"))
        return Deny(status, "scripted", "content", "denied", headers, DENIAL, (), ())


def _ticket(request_id: str, script: str, route: str) -> Ticket:
    """A ticket that carries the script where a real one has the model."""
    return Ticket(
        request_id,
        Principal("p", "api_key", {}),
        PolicyRef("scripted", 1, "0" * 64),
        "openai.chat",
        script,
        route,
        (),
        {},
        False,
        False,
        1,
        0.0,
        vault={"pseudonym": "canary-vault"},
    )


async def main(address: str, events: str) -> None:
    settings = ServerSettings(
        address, max_message_bytes=4 << 20, max_in_flight=64, deadline_s=0.5, grace_s=5.0
    )
    server = Server(settings, FixedEngine(ScriptedEngine(Path(events))), Metrics())
    await server.start()
    sys.stdout.write("serving\n")
    sys.stdout.flush()
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await stopping.wait()
    await server.drain()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
