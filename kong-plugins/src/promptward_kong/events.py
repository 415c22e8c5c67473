"""One phase of one request: a coroutine, the RPC that waits for it, and a deadline.

States:  RUNNING → (WAIT_KONG | WAIT_WORK) → RUNNING → … → DONE

Invariants:
* Every RPC of a guarded phase is answered, and before Kong's socket timeout: with the next PDK
  call, with `ret` only after the coroutine returned PASSED, or else with a refusal (503).
* An event leaves the table exactly once, and its coroutine is closed then.
* The coroutine runs only inside `_advance`; nothing waits inside it.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Protocol

from promptward.values import value_object
from promptward_kong.effects import Effect, PdkCall, Work, WorkError
from promptward_kong.pdk import TERMINAL_METHODS

_log = logging.getLogger(__name__)

RET = "ret"


class Outcome(enum.Enum):
    """What a phase returns. A guarded phase that returns anything else is refused."""

    PASSED = "passed"


PASSED = Outcome.PASSED
PhaseCoroutine = Coroutine[Effect, object, Outcome]


@value_object(frozen=True, slots=True)
class Refusal:
    """The answer for a request whose check failed: status, body and headers for the client."""

    status: int
    body: bytes
    headers: dict[str, str]

    def call(self) -> dict[str, object]:
        return {
            "Method": "kong.response.exit",
            "Args": [self.status, self.body, self.headers],
        }


class Submit(Protocol):
    """Hands work to the worker pool; `done` is called exactly once, later."""

    def __call__(self, work: Work, deadline_s: float, done: Callable[[object], None]) -> None: ...


class Reply(Protocol):
    """Answers one RPC. Raises when `result` cannot be packed; a closed peer is no error."""

    def __call__(self, result: object) -> None: ...


class State(enum.Enum):
    RUNNING = "running"
    WAIT_KONG = "wait_kong"
    WAIT_WORK = "wait_work"
    DONE = "done"


@dataclass(slots=True)
class PhaseContext:
    """What a phase shares with its event.

    Attributes:
        refusal: what to send should the phase fail; replaced as soon as the phase knows in which
            protocol its caller speaks.
        late: gets a worker's answer that came after the event had ended.
    """

    refusal: Refusal
    late: Callable[[object], None] | None = None


@value_object(frozen=True, slots=True)
class Limits:
    """Deadlines in seconds.

    Attributes:
        answer_s: from an RPC to its answer; below Kong's lua_socket_read_timeout (60).
        kong_s: how long Kong may take over one PDK call before the event is forgotten.
        upload_s: the same for the call that waits for the client's body.
    """

    answer_s: float = 20.0
    kong_s: float = 60.0
    upload_s: float = 300.0


@dataclass(slots=True)
class Event:
    """See the module docstring."""

    id: int
    phase: str
    guarded: bool
    coroutine: PhaseCoroutine
    context: PhaseContext
    limits: Limits
    submit: Submit
    now_s: Callable[[], float]
    forget: Callable[[Event], None]
    state: State = State.RUNNING
    deadline_s: float = 0.0
    reply: Reply | None = field(default=None, repr=False)

    def start(self, reply: Reply) -> None:
        """Answer HandleEvent: run to the first effect."""
        self._take_rpc(reply)
        self._advance(None)

    def step(self, reply: Reply, data: object, failed: bool) -> bool:
        """Answer Step with the result of the PDK call Kong was asked for.

        Returns:
            False when the event did not wait for Kong; the reply is then not used.
        """
        if self.state is not State.WAIT_KONG:
            return False
        self._take_rpc(reply)
        self._advance(RuntimeError("Kong reports an error") if failed else data)
        return True

    def expire(self, now_s: float) -> None:
        """Refuse or forget when the deadline has passed."""
        if self.deadline_s > now_s:
            return
        _log.error("event in %s: %s passed its deadline", self.phase, self.state.value)
        self.end_refused("deadline")

    def end_refused(self, reason: str) -> None:
        """End now: refuse a guarded request that waits, and drop the coroutine."""
        if self.state is State.DONE:
            return
        _log.warning("event in %s ends early: %s", self.phase, reason)
        reply = self.reply
        self._end()
        if reply is not None:
            self._send(reply, self.context.refusal.call() if self.guarded else RET)

    def _take_rpc(self, reply: Reply) -> None:
        self.reply = reply
        self.deadline_s = self.now_s() + self.limits.answer_s

    def _advance(self, value: object) -> None:
        """Run the coroutine to its next effect, its end or its failure."""
        self.state = State.RUNNING
        try:
            if isinstance(value, Exception):
                effect = self.coroutine.throw(value)
            else:
                effect = self.coroutine.send(value)
        except StopIteration as stop:
            self._finish(passed=stop.value is PASSED)
            return
        except WorkError as error:
            _log.error("%s: %s", self.phase, error)
            self._finish(passed=False)
            return
        # The barrier: whatever a phase raises, Kong must get an answer that refuses.
        except BaseException:  # noqa: BLE001
            _log.exception("the %s phase failed", self.phase)
            self._finish(passed=False)
            return
        self._perform(effect)

    def _perform(self, effect: object) -> None:
        if isinstance(effect, PdkCall):
            self._call_kong(effect)
        elif isinstance(effect, Work):
            self.state = State.WAIT_WORK
            self.submit(effect, self.deadline_s, self._worked)
        else:
            _log.error("the %s phase awaited something foreign", self.phase)
            self._finish(passed=False)

    def _call_kong(self, call: PdkCall) -> None:
        terminal = call.method in TERMINAL_METHODS
        reply, self.reply = self.reply, None
        assert reply is not None, "the coroutine only runs while an RPC waits"
        if terminal:
            self._end()
        else:
            self.state = State.WAIT_KONG
            upload = call.method == "kong.request.get_raw_body"
            patience_s = self.limits.upload_s if upload else self.limits.kong_s
            self.deadline_s = self.now_s() + patience_s
        try:
            reply({"EventId": self.id, "Data": {"Method": call.method, "Args": list(call.args)}})
        except (TypeError, ValueError, OverflowError):
            _log.error("%s: arguments of %s cannot be packed", self.phase, call.method)
            self._end()
            self._send(reply, self.context.refusal.call() if self.guarded else RET)

    def _worked(self, result: object) -> None:
        if self.state is State.WAIT_WORK:
            self._advance(result)
        elif self.context.late is not None:
            self.context.late(result)

    def _finish(self, *, passed: bool) -> None:
        reply = self.reply
        self._end()
        if reply is not None:
            refuse = self.guarded and not passed
            self._send(reply, self.context.refusal.call() if refuse else RET)

    def _send(self, reply: Reply, data: object) -> None:
        reply({"EventId": self.id, "Data": data})

    def _end(self) -> None:
        if self.state is State.DONE:
            return
        self.state = State.DONE
        self.reply = None
        self.forget(self)
        try:
            self.coroutine.close()
        except BaseException:  # noqa: BLE001 - as above
            _log.exception("the %s phase failed while it was closed", self.phase)
