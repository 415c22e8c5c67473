"""Large bodies are read in a thread of their own; nothing is lost or passed on the way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from promptward.decision import Deny
from promptward.engine import StreamEnd
from promptward.exchange import Body, Exchange, Headers, Response
from promptward.sync import run_sync
from promptward_envoy.admission import Admission, OverloadedError
from promptward_envoy.deadlines import DeadlineEngine
from promptward_envoy.engines import FixedEngine
from promptward_envoy.ext_authz import Authorizer
from promptward_envoy.metrics import Metrics
from promptward_envoy.offload import LARGE_BYTES, SideThread, is_large, on_loop

NEVER_S = 60.0
SOON_S = 0.01
LARGE = b" " * LARGE_BYTES


class Bench:
    """A side thread with what it is given."""

    def __init__(self, deadline_s: float = NEVER_S) -> None:
        self.metrics = Metrics()
        self.admission = Admission(99, self.metrics.in_flight)
        self.aside = SideThread(self.admission, self.metrics.large, deadline_s)

    def waiting(self) -> float:
        return float(self.metrics.large._value.get())


class Reading:
    """A question whose one step is as long as the test wants."""

    def __init__(self, answer: object = "answer") -> None:
        self.begun, self.over = threading.Event(), threading.Event()
        self._answer = answer

    async def question(self) -> Any:
        self.begun.set()
        assert self.over.wait(NEVER_S)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, NEVER_S)


async def thread_of_port() -> int:
    await asyncio.sleep(0)
    return threading.get_ident()


async def asks_a_port() -> tuple[int, int, int]:
    before = threading.get_ident()
    return before, await on_loop(thread_of_port()), threading.get_ident()


@pytest.mark.parametrize(
    ("headers", "data", "large"),
    [
        ((), b"", False),
        ((), LARGE[1:], False),
        ((), LARGE, True),
        ((("content-encoding", "gzip"),), b"x", True),
        ((("content-encoding", "gzip"),), b"", False),
        ((("content-encoding", "gzip"), ("content-encoding", "br")), b"x", True),
    ],
)
def test_what_is_large(headers, data, large) -> None:
    assert is_large(Headers(headers), data) is large


def test_steps_run_aside_and_ports_are_asked_on_the_loop() -> None:
    here = threading.get_ident()
    before, port, after = asyncio.run(Bench().aside.ask(asks_a_port()))
    assert port == here
    assert before == after != here


def test_ports_are_asked_directly_by_whoever_is_on_the_loop() -> None:
    here = threading.get_ident()
    assert asyncio.run(asks_a_port()) == (here, here, here)


@pytest.mark.parametrize("kind", ["ask", "read"])
def test_loop_goes_on_while_a_body_is_read(kind: str) -> None:
    """The reading ends only when the loop says so."""

    async def scenario() -> None:
        bench, reading = Bench(), Reading()
        asked = asyncio.ensure_future(getattr(bench.aside, kind)(reading.question()))
        await reading.has_begun()
        assert bench.waiting() == 1
        reading.over.set()
        assert await asked == "answer"
        assert bench.waiting() == 0

    asyncio.run(scenario())


def test_one_is_read_at_a_time_in_order() -> None:
    async def scenario() -> None:
        bench, first, log = Bench(), Reading(), []

        async def later(number: int) -> None:
            log.append(("begins", number))
            log.append(("ends", number))

        asked = [asyncio.ensure_future(bench.aside.ask(first.question()))]
        await first.has_begun()
        asked += [asyncio.ensure_future(bench.aside.ask(later(n))) for n in range(9)]
        await asyncio.sleep(0)  # each has asked
        assert log == []
        first.over.set()
        await asyncio.gather(*asked)
        assert log == [(what, n) for n in range(9) for what in ("begins", "ends")]

    asyncio.run(scenario())


def test_question_keeps_its_turn_while_it_waits_for_a_port() -> None:
    """Else all would begin, hold what they have parsed, and end long after their deadlines."""

    async def scenario() -> None:
        bench, log = Bench(), []
        was_asked, gate = asyncio.Event(), asyncio.Event()

        async def port() -> None:
            was_asked.set()
            await gate.wait()

        async def first() -> None:
            await on_loop(port())
            log.append("first ends")

        async def second() -> None:
            log.append("second begins")

        asked = [asyncio.ensure_future(bench.aside.ask(q())) for q in (first, second)]
        await was_asked.wait()
        gate.set()
        await asyncio.gather(*asked)
        assert log == ["first ends", "second begins"]

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["ask", "read"])
def test_whoever_waits_too_long_for_a_turn_never_begins(kind: str) -> None:
    async def scenario() -> None:
        bench, reading, late = Bench(SOON_S), Reading(), Reading()
        asked = asyncio.ensure_future(bench.aside.read(reading.question()))
        await reading.has_begun()
        with pytest.raises(TimeoutError):
            await getattr(bench.aside, kind)(late.question())
        reading.over.set()
        assert await asked == "answer"
        await bench.admission.settled()
        assert not late.begun.is_set()
        assert bench.waiting() == 0

    asyncio.run(scenario())


def test_response_that_is_being_read_at_its_deadline_is_waited_for() -> None:
    async def scenario() -> None:
        bench, reading = Bench(SOON_S), Reading()
        asked = asyncio.ensure_future(bench.aside.read(reading.question()))
        await reading.has_begun()
        await asyncio.wait([asked], timeout=3 * SOON_S)
        assert not asked.done()
        reading.over.set()
        assert await asked == "answer"

    asyncio.run(scenario())


async def given_up_at_the_deadline(bench: Bench, asked: asyncio.Future[Any]) -> None:
    with pytest.raises(TimeoutError):
        await asked


async def given_up_by_the_caller(bench: Bench, asked: asyncio.Future[Any]) -> None:
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked


GIVING_UP = [(SOON_S, given_up_at_the_deadline), (NEVER_S, given_up_by_the_caller)]
GivingUp = Callable[[Bench, "asyncio.Future[Any]"], Awaitable[None]]


@pytest.mark.parametrize(("deadline_s", "give_up"), GIVING_UP)
def test_answer_that_nobody_waits_for_any_more_is_settled(
    deadline_s: float, give_up: GivingUp
) -> None:
    async def scenario() -> None:
        bench, reading, unheard = Bench(deadline_s), Reading(), []

        async def settle(answer: str) -> None:
            unheard.append(answer)

        asked = asyncio.ensure_future(bench.aside.ask(reading.question(), settle))
        await reading.has_begun()
        await give_up(bench, asked)
        assert unheard == []
        draining = asyncio.ensure_future(bench.admission.settled())
        await asyncio.sleep(0)
        assert not draining.done()
        reading.over.set()
        await draining
        assert unheard == ["answer"]
        assert bench.waiting() == 0

    asyncio.run(scenario())


@pytest.mark.parametrize(("deadline_s", "give_up"), GIVING_UP)
def test_fault_that_nobody_waits_for_is_logged_without_its_text(
    caplog, deadline_s: float, give_up: GivingUp
) -> None:
    async def scenario() -> None:
        bench, reading = Bench(deadline_s), Reading(RuntimeError("canary: quotes a prompt"))
        asked = asyncio.ensure_future(bench.aside.ask(reading.question()))
        await reading.has_begun()
        await give_up(bench, asked)
        reading.over.set()
        await bench.admission.settled()

    asyncio.run(scenario())
    assert [r.levelname for r in caplog.records] == ["ERROR"]
    assert "RuntimeError" in caplog.text
    assert "canary" not in caplog.text


def test_caller_that_leaves_the_queue_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        bench, reading, queued = Bench(), Reading(), Reading()
        first = asyncio.ensure_future(bench.aside.ask(reading.question()))
        await reading.has_begun()
        asked = asyncio.ensure_future(bench.aside.ask(queued.question()))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        reading.over.set()
        assert await first == "answer"
        await bench.admission.settled()
        assert not queued.begun.is_set()

    asyncio.run(scenario())


def test_fault_of_a_step_is_the_callers() -> None:
    async def broken() -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        asyncio.run(Bench().aside.ask(broken()))


def test_fault_of_a_port_is_the_questions() -> None:
    async def port() -> str:
        raise KeyError("down")

    async def question() -> tuple[object, ...]:
        try:
            await on_loop(port())
        except KeyError as error:
            return error.args
        return ()

    assert asyncio.run(Bench().aside.ask(question())) == ("down",)


@pytest.mark.parametrize("waits", [lambda: asyncio.sleep(0), lambda: asyncio.sleep(9)])
def test_question_that_waits_for_the_loop_by_itself_is_refused(waits) -> None:
    """The host forgot `on_loop`: an error at once, not a wait without an end."""

    async def question() -> None:
        await waits()

    with pytest.raises((TypeError, RuntimeError)):
        asyncio.run(Bench().aside.ask(question()))


class Witness:
    """An engine that says which thread asked it, and keeps what is given back."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.threads: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def on_request(self, exchange: Exchange, *, sees_response: bool = True) -> Any:
        self.threads.append(threading.get_ident())
        return await self._engine.on_request(exchange, sees_response=sees_response)

    async def on_response(self, ticket: Any, response: Response) -> Any:
        self.threads.append(threading.get_ident())
        return await self._engine.on_response(ticket, response)


def exchange(body: bytes, script: str = "") -> Exchange:
    return Exchange("POST", "api.test", "/", Headers([("x-script", script)]), Body(body))


@pytest.mark.parametrize(("body", "aside"), [(LARGE[1:], False), (LARGE, True)])
def test_only_large_requests_and_responses_leave_the_loop(engine, body, aside) -> None:
    async def scenario() -> None:
        witness = Witness(engine)
        deadlined = DeadlineEngine(witness, NEVER_S, Bench().aside)  # type: ignore[arg-type]
        decision = await deadlined.on_request(exchange(body))
        response = Response(200, Headers(), Body(body))
        await deadlined.on_response(decision.ticket, response)  # type: ignore[union-attr]
        here = threading.get_ident()
        assert [thread != here for thread in witness.threads] == [aside, aside]

    asyncio.run(scenario())


def check(engine: Any, messages: Any, script: str, **extensions: str) -> tuple[Any, Bench]:
    """The answer of ext_authz about a large body, after everything has settled."""
    bench = Bench(SOON_S if isinstance(engine, Blocking) else NEVER_S)
    message = messages.check(
        ("x-envoy-auth-partial-body", "false"),
        ("content-length", str(LARGE_BYTES)),
        ("x-script", script),
        body=LARGE,
    )
    for name, value in extensions.items():
        message.attributes.context_extensions[f"promptward.{name}"] = value

    async def scenario() -> Any:
        service = Authorizer(FixedEngine(engine), bench.admission, bench.metrics, 0.05, bench.aside)
        answer = await service.check(message, None)  # type: ignore[arg-type]
        if isinstance(engine, Blocking):
            engine.gate.set()
        await bench.admission.settled()
        return answer

    return asyncio.run(scenario()), bench


class Blocking(Witness):
    """An engine that decides only after `gate` is set."""

    def __init__(self, engine: Any) -> None:
        super().__init__(engine)
        self.gate = threading.Event()

    async def on_request(self, exchange: Exchange, *, sees_response: bool = True) -> Any:
        decision = await super().on_request(exchange, sees_response=sees_response)
        assert self.gate.wait(NEVER_S)
        return decision


@pytest.mark.parametrize(
    ("script", "code"), [("deny", "scripted"), ("raise", "internal_error"), ("", "")]
)
def test_ext_authz_decides_on_large_bodies_as_on_small_ones(engine, messages, script, code) -> None:
    answer, bench = check(witness := Witness(engine), messages, script)
    assert answer.dynamic_metadata.fields["promptward_code"].string_value == code
    assert answer.HasField("ok_response") is (script == "")
    assert len(engine.named("on_unseen_response")) == (script == "")
    assert witness.threads != [threading.get_ident()]
    assert bench.metrics.in_flight._value.get() == 0


@pytest.mark.parametrize(
    ("extensions", "settled"),
    [({}, ["on_unseen_response"]), ({"then": "ext_proc"}, ["on_no_response"])],
)
def test_ext_authz_refuses_at_the_deadline_and_settles_what_came_of_it(
    engine, messages, extensions, settled
) -> None:
    answer, _ = check(Blocking(engine), messages, "", **extensions)
    code = answer.dynamic_metadata.fields["promptward_code"].string_value
    assert (answer.denied_response.status.code, code) == (503, "deadline_exceeded")
    ends = [call["event"] for call in engine.calls() if call["event"].startswith("on_")]
    assert ends == ["on_request", *settled]


def test_ext_proc_is_told_at_the_deadline_and_what_is_granted_later_is_released(engine) -> None:
    async def scenario() -> None:
        bench, blocking = Bench(SOON_S), Blocking(engine)
        deadlined = DeadlineEngine(blocking, SOON_S, bench.aside)  # type: ignore[arg-type]
        with pytest.raises(TimeoutError):
            await deadlined.on_request(exchange(LARGE))
        assert engine.named("on_no_response") == []
        blocking.gate.set()
        await bench.admission.settled()

    asyncio.run(scenario())
    assert [call["reason"] for call in engine.named("on_no_response")] == ["answered_too_late"]


def test_denial_that_comes_too_late_owes_nothing(engine, messages) -> None:
    check(Blocking(engine), messages, "deny", then="ext_proc")
    assert engine.named("on_no_response") == []


def test_close_of_a_stream_stays_on_the_loop(engine) -> None:
    """It reads nothing."""
    decision = run_sync(engine.on_request(exchange(b"{}")))
    assert not isinstance(decision, Deny)
    guard = engine.open_stream(decision.ticket, 200, Headers())
    deadlined = DeadlineEngine(engine, NEVER_S, Bench().aside)
    run_sync(deadlined.close_stream(decision.ticket, guard, StreamEnd.COMPLETE))
    assert len(engine.named("close_stream")) == 1


async def one_read_and_one_queued(bench: Bench, size: int) -> tuple[Reading, list[Any]]:
    reading = Reading()
    asked: list[Any] = [asyncio.ensure_future(bench.aside.ask(reading.question()))]
    await reading.has_begun()
    asked.append(asyncio.ensure_future(bench.aside.ask(reading.question(), None, size)))
    await asyncio.sleep(0)
    return reading, asked


@pytest.mark.parametrize(("size", "fits"), [(48 * LARGE_BYTES, True), (49 * LARGE_BYTES, False)])
def test_queue_is_bounded_by_what_its_bodies_take(size: int, fits: bool) -> None:
    """Of 99 exchanges large ones may take 49; the rest is for others."""

    async def scenario() -> None:
        bench = Bench()
        reading, asked = await one_read_and_one_queued(bench, LARGE_BYTES)
        more = asyncio.ensure_future(bench.aside.ask(reading.question(), None, size))
        await asyncio.sleep(0)
        assert more.done() is not fits
        reading.over.set()
        await asyncio.gather(*asked)
        if fits:
            assert await more == "answer"
        else:
            with pytest.raises(OverloadedError):
                await more
        assert bench.waiting() == 0

    asyncio.run(scenario())


def test_body_of_any_size_may_wait_alone() -> None:
    async def scenario() -> None:
        bench = Bench()
        reading, asked = await one_read_and_one_queued(bench, 500 * LARGE_BYTES)
        reading.over.set()
        assert await asyncio.gather(*asked) == ["answer", "answer"]

    asyncio.run(scenario())


def test_large_requests_beyond_the_queue_are_refused_as_overload(engine, messages) -> None:
    async def scenario() -> None:
        bench, source = Bench(), FixedEngine(engine)
        reading, asked = await one_read_and_one_queued(bench, 49 * LARGE_BYTES)
        authorizer = Authorizer(source, bench.admission, bench.metrics, 60, bench.aside)
        message = messages.check(
            ("x-envoy-auth-partial-body", "false"),
            ("content-length", str(LARGE_BYTES)),
            body=LARGE,
        )
        answer = await authorizer.check(message, None)  # type: ignore[arg-type]
        assert answer.dynamic_metadata.fields["promptward_code"].string_value == "overloaded"
        deadlined = DeadlineEngine(engine, NEVER_S, bench.aside)
        with pytest.raises(OverloadedError):
            await deadlined.on_request(exchange(LARGE))
        small = await deadlined.on_request(exchange(b"{}"))
        assert not isinstance(small, Deny)
        reading.over.set()
        await asyncio.gather(*asked)

    asyncio.run(scenario())
