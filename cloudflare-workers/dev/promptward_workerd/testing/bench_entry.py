"""Entry module of the bench: the real Worker beside the least a Worker can be. Never deployed.

POST /.bench/bare         read the body and answer
POST /.bench/proxy        read the body, ask the origin, read its answer and pass it on
POST /.bench/floor?n=N    what the real Worker reads, asks and answers; decide N times, as `core`
POST /.bench/stream       pass the origin's stream on untouched
POST /.bench/core?n=N     decide the body N times, ledger and audit faked: the core alone
POST /.bench/memory       bytes of Python's memory
anything else             the real Worker
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping

import js
import pyodide_js
from workers import Request

from promptward.decision import Allow
from promptward.engine import Engine
from promptward.engine.ports import Ports
from promptward.exchange import JSON, Body, Headers, Response
from promptward.policy import CompiledPolicy
from promptward.ports import LineState, ReserveOutcome, ReserveRequest, SettleRequest
from promptward_worker import codec, javascript, turns
from promptward_worker.ledger_object import BudgetLedgerObject as RealLedgerObject
from promptward_worker.ports import SystemEntropy
from promptward_worker.worker import Default as RealDefault
from promptward_worker.worker import Handling

__all__ = ["BudgetLedgerObject", "Default"]
_MAX_BYTES = 1 << 20
_JSON = (("content-type", "application/json"),)
_ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "gpt-4o-mini",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "ok"},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
    }
).encode()


# As long as the texts of a reservation and a settlement of two budgets. The former is another one
# each time: SQLite does not write a row that stays what it was.
_RESERVE_BYTES, _SETTLE = 140, "s" * 70
_WRITE = """INSERT INTO ledger VALUES ('floor', '', '', ?, '', 0)
    ON CONFLICT (kind, key) DO UPDATE SET state = excluded.state"""
_TIMEOUT_S = 30


class BudgetLedgerObject(RealLedgerObject):
    """The real object, and one that only has to be asked."""

    def write(self, text: str) -> str:
        """What reserving cannot do without: one row that is on disk before the answer."""
        self._shelf._sql.run(_WRITE, text)
        return text

    def look(self, text: str) -> str:
        """What settling cannot do without; its row is written with the next call."""
        return text


class _Granting:
    """A ledger that always grants, and an audit that forgets."""

    async def reserve(self, request: ReserveRequest) -> ReserveOutcome:
        states = tuple(
            LineState(x.budget, x.partition, x.unit, x.limit, 0, x.amount, 1.0)
            for x in request.lines
        )
        return ReserveOutcome(True, states)

    async def settle(self, _request: SettleRequest) -> tuple[LineState, ...]:
        return ()

    def emit(self, event: Mapping[str, JSON]) -> None:
        """Nobody listens."""


class _Core:
    """The core with one request in front of it."""

    def __init__(self, policy: CompiledPolicy, headers: javascript.Fields, body: Body) -> None:
        self._exchange = codec.exchange(
            method="POST",
            host="bench",
            path="/v1/chat/completions",
            headers=headers,
            body=body,
        )
        granting = _Granting()
        ports = Ports(
            clock=javascript.WallClock(), entropy=SystemEntropy(), audit=granting, ledger=granting
        )
        self._engine = Engine(policy, ports)

    async def decided(self) -> Allow:
        """The decision on the request; anything but allowed is a broken bench."""
        decision = await self._engine.on_request(self._exchange)
        assert isinstance(decision, Allow)
        return decision

    async def answered(self, allow: Allow, body: bytes) -> None:
        """Take the answer to the request."""
        await self._engine.on_response(allow.ticket, Response(200, Headers(_JSON), Body(body)))


class Default(RealDefault):
    """See the module's docstring."""

    def fetch(self, request: Request) -> object:
        """Run one variant."""
        _, marked, variant = request.url.partition("/.bench/")
        if not marked:
            return super().fetch(request)
        name, _, count = variant.partition("?n=")
        if name == "core":
            return turns.Answer(turns.begin(self._core(request.js_object, int(count))))
        if name == "floor":
            return turns.Answer(turns.begin(self._floor(request.js_object, int(count))))
        return self._bare(name, request.js_object)

    async def _floor(self, request: js.Request, count: int) -> js.Response:
        """By the same ways as the real Worker, which are the cheapest known."""
        ledger = self.bindings.LEDGER
        handling = Handling(self.bindings)
        url = f"{handling.settings.upstream}/v1/chat/completions"
        _, _, headers, body = await javascript.read_request(request, _MAX_BYTES)
        core = _Core(await handling.policy(), headers, body)
        decisions = [await core.decided() for _ in range(count)]
        reserve = secrets.token_hex(_RESERVE_BYTES)
        await javascript.call_object(ledger, "floor", "write", reserve, _TIMEOUT_S)
        sending = javascript.send(None, url, "POST", _JSON, body.data, _TIMEOUT_S, _MAX_BYTES)
        answer = (await sending).body
        assert answer is not None
        data = answer.data
        for decision in decisions:
            await core.answered(decision, data)
        await javascript.call_object(ledger, "floor", "look", _SETTLE, _TIMEOUT_S)
        return javascript.response(200, _JSON, data)

    async def _bare(self, name: str, request: js.Request) -> js.Response:
        """On Pyodide's event loop, as any handler that does not know better."""
        if name == "memory":
            size = pyodide_js._module.HEAP8.byteLength
            return javascript.response(200, _JSON, str(size).encode())
        body = await request.arrayBuffer()
        if name == "bare":
            return javascript.response(200, _JSON, b"{}")
        init = js.JSON.parse(json.dumps({"method": "POST", "headers": _JSON}))
        init.body = body
        url = Handling(self.bindings).settings.upstream
        answer = await js.fetch(f"{url}/v1/chat/completions", init)
        if name == "stream":
            return javascript.response(200, (), javascript.body_stream(answer))
        received = await answer.arrayBuffer()
        return javascript.response(200, _JSON, received.to_bytes())

    async def _core(self, request: js.Request, count: int) -> js.Response:
        policy = await Handling(self.bindings).policy()
        _, _, headers, body = await javascript.read_request(request, _MAX_BYTES)
        core = _Core(policy, headers, body)
        for _ in range(count):
            await core.answered(await core.decided(), _ANSWER)
        return javascript.response(200, _JSON, b"{}")
