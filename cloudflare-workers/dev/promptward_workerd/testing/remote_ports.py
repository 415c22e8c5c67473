"""The Worker's ports as a test sees them: over HTTP, through a real workerd (`ports_entry`)."""

from __future__ import annotations

import base64
import http.client
import json
from urllib.parse import quote

from promptward.errors import PortError
from promptward.exchange import JSON
from promptward.ledger import wire
from promptward.ports import (
    Clock,
    Jwk,
    LedgerEntry,
    LineState,
    ReserveOutcome,
    ReserveRequest,
    SettleRequest,
    UsageRow,
)
from promptward_workerd.process import Workerd

_TIMEOUT_S = 30.0


class _Connection:
    def __init__(self, workerd: Workerd) -> None:
        self._connection = http.client.HTTPConnection(
            workerd.host, workerd.port, timeout=_TIMEOUT_S
        )

    def post(self, port: str, path: str, text: str) -> str:
        self._connection.request("POST", path, text.encode())
        answer = self._connection.getresponse()
        body = answer.read().decode()
        if answer.status != 200:
            raise PortError(port, f"status {answer.status}")
        return body

    def close(self) -> None:
        self._connection.close()


class RemoteVerifier:
    """SignatureVerifier: the Worker's WebCrypto."""

    def __init__(self, workerd: Workerd) -> None:
        self._connection = _Connection(workerd)

    async def verify(self, alg: str, key: Jwk, signing_input: bytes, signature: bytes) -> bool:
        question: list[JSON] = [
            alg,
            dict(key),
            base64.b64encode(signing_input).decode(),
            base64.b64encode(signature).decode(),
        ]
        return bool(json.loads(self._connection.post("verifier", "/verify", json.dumps(question))))

    def close(self) -> None:
        self._connection.close()


class RemoteLedger:
    """BudgetLedger and LedgerAdmin: the Durable Object `name`, on the test's clock."""

    def __init__(self, workerd: Workerd, name: str, clock: Clock) -> None:
        self._connection = _Connection(workerd)
        self._name = name
        self._clock = clock

    def call(self, method: str, text: str) -> str:
        """One method of the object, text to text."""
        now_us = int(self._clock.now_s() * 1_000_000)
        path = f"/ledger/{quote(self._name)}/{method}?now_us={now_us}"
        return self._connection.post("ledger", path, text)

    def _known(self, method: str, arguments: list[JSON]) -> bool:
        return wire.known(self.call(method, wire.dump(arguments)))

    async def reserve(self, request: ReserveRequest) -> ReserveOutcome:
        return wire.outcome(self.call("reserve", wire.reserve_text(request)))

    async def settle(self, request: SettleRequest) -> tuple[LineState, ...]:
        return wire.states(self.call("settle", wire.settle_text(request)))

    async def usage(
        self, *, budget: str | None = None, containing: str = "", at_most: int = 1000
    ) -> tuple[UsageRow, ...]:
        text = wire.dump([budget, containing, at_most])
        return wire.usage(self.call("usage", text))

    async def raise_limit(self, bucket: str, *, limit: int, for_s: int) -> bool:
        return self._known("raise_limit", [bucket, limit, for_s])

    async def reset(self, bucket: str) -> bool:
        return self._known("reset", [bucket])

    async def entries(self, *, at_most: int = 10_000) -> tuple[LedgerEntry, ...]:
        return wire.entries(self.call("entries", wire.dump([at_most])))

    async def close(self) -> None:
        self._connection.close()
