"""BudgetLedger over HTTP: the ledger port of a Promptward service (`--ledger-listen`).

With it the Worker draws from the budgets of the gateways at home. It costs a round trip to there
before a request is forwarded; the Durable Object is not asked.

Invariants: raises only PortError, whatever comes back; both calls are idempotent by request id, so
one that failed on its way is made once more; one timeout bounds both attempts.
"""

from __future__ import annotations

from promptward.errors import PortError
from promptward.ledger import wire
from promptward.ports import LineState, ReserveOutcome, ReserveRequest, SettleRequest
from promptward_worker import javascript

# The states of 32 lines with the longest partitions (4096 characters) are 140 KB.
_MAX_ANSWER_BYTES = 256 * 1024


class HttpLedger:
    """The ledger of one request.

    Args:
        url: base URL of the ledger port.
        token: its bearer token.
        timeout_s: longest wait per operation.
    """

    def __init__(self, url: str, token: str, timeout_s: float) -> None:
        self._url = url
        self._headers = (("authorization", f"Bearer {token}"), ("content-type", "application/json"))
        self._timeout_s = timeout_s

    async def reserve(self, request: ReserveRequest) -> ReserveOutcome:
        outcome = wire.outcome(await self._ask(wire.RESERVE_PATH, wire.reserve_text(request)))
        states, exceeded = outcome.states, outcome.exceeded
        complete = outcome.granted if exceeded is None else 0 <= exceeded < len(states)
        if not complete or [s.budget for s in states] != [x.budget for x in request.lines]:
            raise PortError("ledger", "the ledger port's answer does not fit the question")
        return outcome

    async def settle(self, request: SettleRequest) -> tuple[LineState, ...]:
        return wire.states(await self._ask(wire.SETTLE_PATH, wire.settle_text(request)))

    async def _ask(self, path: str, text: str) -> str:
        question = text.encode()
        status, body = await javascript.post_twice(
            "ledger", self._timeout_s, self._url + path, self._headers, question, _MAX_ANSWER_BYTES
        )
        if status != 200:
            raise PortError("ledger", f"the ledger port answered {status}")
        try:
            return body.decode()
        except ValueError as error:
            raise PortError("ledger", "the ledger port's answer is no text") from error
