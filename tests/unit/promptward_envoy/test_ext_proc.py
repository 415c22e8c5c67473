"""The Process service: no way out of a stream is clean before its exchange is done."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import grpc
import pytest

from promptward_envoy.admission import Admission
from promptward_envoy.engines import FixedEngine
from promptward_envoy.ext_proc import Processor
from promptward_envoy.metrics import Metrics
from promptward_envoy.offload import LARGE_BYTES, SideThread

JSON = ("content-type", "application/json")


class AbortedError(Exception):
    """What grpc raises inside `abort`."""


class Context:
    """The part of a servicer context that the service uses."""

    def __init__(self, sent: list[Any], **metadata: str) -> None:
        self._sent = iter(sent)
        self._metadata = tuple((k.replace("_", "-"), v) for k, v in metadata.items())
        self.written: list[Any] = []
        self.status: grpc.StatusCode | None = None

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata

    async def read(self) -> Any:
        return next(self._sent, grpc.aio.EOF)

    async def write(self, message: Any) -> None:
        self.written.append(message)

    async def abort(self, status: grpc.StatusCode, _details: str) -> None:
        self.status = status
        raise AbortedError


def serve(engine: Any, sent: list[Any], *, bound: int = 9, **metadata: str) -> Context:
    """Play a stream that Envoy then closes."""
    context = Context(sent, **metadata)

    async def scenario() -> None:
        metrics = Metrics()
        admission = Admission(bound, metrics.in_flight)
        aside = SideThread(admission, metrics.large, 0.05)
        service = Processor(FixedEngine(engine), admission, metrics, 0.05, 1000, aside)
        with contextlib.suppress(AbortedError):
            await service.process(None, context)  # type: ignore[arg-type]
        await admission.settled()
        assert metrics.in_flight._value.get() == 0

    asyncio.run(scenario())
    return context


def request(messages, script: str = "") -> list[Any]:
    return [messages.request_headers(("x-script", script)), messages.request_body(b"{}")]


def denial(context: Context) -> int:
    return int(context.written[-1].immediate_response.status.code)


def test_whole_exchange_ends_cleanly(engine, messages) -> None:
    response = [messages.response_headers(JSON), messages.response_body(b"{}", ended=True)]
    context = serve(engine, [*request(messages), *response])
    assert context.status is None
    assert [m.WhichOneof("response") for m in context.written] == [
        "request_headers",
        "request_body",
        "response_headers",
        "response_body",
    ]


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_stream_that_ends_early_is_never_ended_with_ok(engine, messages, count) -> None:
    sent = [*request(messages), messages.response_headers(JSON)][:count]
    assert serve(engine, sent).status is grpc.StatusCode.ABORTED


def test_stream_that_ends_early_is_settled(engine, messages) -> None:
    serve(engine, [*request(messages), messages.response_headers(JSON)])
    assert engine.named("on_no_response")[0]["reason"] == "client_gone"


@pytest.mark.parametrize("script", ["raise", "hang"])
def test_fault_in_the_request_is_denied_and_not_ok(engine, messages, script) -> None:
    context = serve(engine, request(messages, script))
    assert denial(context) == 503
    assert context.status is grpc.StatusCode.INTERNAL


@pytest.mark.parametrize("script", ["raise-response", "hang-response"])
def test_fault_in_the_response_is_denied_settled_and_not_ok(engine, messages, script) -> None:
    response = [messages.response_headers(JSON), messages.response_body(b"{}", ended=True)]
    context = serve(engine, [*request(messages, script), *response])
    assert denial(context) == 503
    assert context.status is grpc.StatusCode.INTERNAL
    assert len(engine.named("on_no_response")) == 1


def test_fault_in_mid_stream_resets(engine, messages) -> None:
    sse = ("content-type", "text/event-stream")
    head = messages.response_headers(sse, ("content-encoding", "gzip"))
    context = serve(engine, [*request(messages), head, messages.response_body(b"not gzip")])
    assert context.status is grpc.StatusCode.FAILED_PRECONDITION
    assert context.written[-1].WhichOneof("response") == "response_headers"
    assert len(engine.named("close_stream")) == 1


def test_message_out_of_order_resets(engine, messages) -> None:
    context = serve(engine, [messages.request_body(b"{}")])
    assert context.status is grpc.StatusCode.FAILED_PRECONDITION


def test_over_the_bound_is_denied(engine, messages) -> None:
    context = serve(engine, request(messages), bound=0)
    assert denial(context) == 503
    assert context.status is not None
    assert engine.named("on_request") == []


def test_unknown_policy_is_denied(engine, messages) -> None:
    context = serve(engine, request(messages), x_promptward_policy="nobody")
    assert denial(context) == 503
    assert engine.named("on_request") == []


def test_route_name_comes_from_grpc_metadata(engine, messages) -> None:
    serve(engine, request(messages), x_promptward_route="chat")
    assert engine.named("on_request")[0]["route"] == "chat"


def test_engine_without_a_denial_still_resets(engine, messages, monkeypatch) -> None:
    def broken(*_args: object) -> None:
        raise RuntimeError("twice broken")

    monkeypatch.setattr(engine, "fail_closed", broken)
    context = serve(engine, request(messages, "raise"))
    assert context.status is grpc.StatusCode.INTERNAL


def test_failed_settlement_is_counted_not_raised(engine, messages, monkeypatch) -> None:
    async def broken(*_args: object) -> None:
        raise RuntimeError("store gone")

    monkeypatch.setattr(engine, "on_no_response", broken)
    assert serve(engine, request(messages)).status is grpc.StatusCode.ABORTED


def test_cancelled_stream_does_not_cancel_the_read_under_way(engine) -> None:
    """A read that is cancelled under way leaks in grpc.aio."""

    class Waiting(Context):
        def __init__(self) -> None:
            super().__init__([])
            self.gate = asyncio.Event()
            self.outcome = ""

        async def read(self) -> Any:
            try:
                await self.gate.wait()
                self.outcome = "finished"
            except asyncio.CancelledError:
                self.outcome = "cancelled"
                raise
            raise RuntimeError("nobody waits for this any more")

    async def scenario() -> None:
        context = Waiting()
        metrics = Metrics()
        admission = Admission(9, metrics.in_flight)
        aside = SideThread(admission, metrics.large, 0.05)
        service = Processor(FixedEngine(engine), admission, metrics, 0.05, 1000, aside)
        stream = asyncio.create_task(service.process(None, context))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        stream.cancel()
        await asyncio.gather(stream, return_exceptions=True)
        assert stream.cancelled()
        context.gate.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert context.outcome == "finished"

    asyncio.run(scenario())


def test_answer_under_way_is_finished_and_settled_when_the_stream_is_cancelled(
    engine, messages, monkeypatch
) -> None:
    """Otherwise a reservation could be left half made, and a dead call be written to."""
    entered, gate = asyncio.Event(), asyncio.Event()
    decide = engine.on_request

    async def slow(exchange: Any, **asked: Any) -> Any:
        entered.set()
        await gate.wait()
        return await decide(exchange, **asked)

    monkeypatch.setattr(engine, "on_request", slow)

    async def scenario() -> None:
        context = Context(request(messages))
        metrics = Metrics()
        admission = Admission(9, metrics.in_flight)
        aside = SideThread(admission, metrics.large, 5)
        service = Processor(FixedEngine(engine), admission, metrics, 5, 1000, aside)
        stream = asyncio.create_task(service.process(None, context))  # type: ignore[arg-type]
        await entered.wait()
        stream.cancel()
        await asyncio.gather(stream, return_exceptions=True)
        assert stream.cancelled()
        gate.set()
        await admission.settled()
        assert [m.WhichOneof("response") for m in context.written] == ["request_headers"]
        assert engine.named("on_no_response")[0]["reason"] == "client_gone"
        assert metrics.in_flight._value.get() == 0

    asyncio.run(scenario())


def test_write_to_a_call_that_ends_meanwhile_is_no_fault(engine, messages, caplog) -> None:
    class Ending(Context):
        async def write(self, message: Any) -> None:
            stream.cancel()
            await asyncio.sleep(0)
            raise RuntimeError("the call is gone")

    async def scenario() -> None:
        nonlocal stream
        metrics = Metrics()
        admission = Admission(9, metrics.in_flight)
        aside = SideThread(admission, metrics.large, 5)
        service = Processor(FixedEngine(engine), admission, metrics, 5, 1000, aside)
        context = Ending(request(messages))
        stream = asyncio.create_task(service.process(None, context))  # type: ignore[arg-type]
        await asyncio.gather(stream, return_exceptions=True)
        await admission.settled()

    stream: asyncio.Task[None]
    asyncio.run(scenario())
    assert caplog.records == []


def test_large_request_beyond_the_queue_is_denied_as_overload(engine, messages) -> None:
    begun, gate = threading.Event(), threading.Event()

    async def read_before() -> None:
        begun.set()
        assert gate.wait(60)

    async def read_next() -> None:
        pass

    async def scenario() -> None:
        metrics = Metrics()
        admission = Admission(2, metrics.in_flight)
        aside = SideThread(admission, metrics.large, 60)
        service = Processor(FixedEngine(engine), admission, metrics, 60, 1000, aside)
        before = asyncio.ensure_future(aside.ask(read_before()))
        assert await asyncio.to_thread(begun.wait, 60)
        queued = asyncio.ensure_future(aside.ask(read_next()))
        large = messages.request_body(b" " * LARGE_BYTES)
        context = Context([messages.request_headers(("x-script", "")), large])
        with contextlib.suppress(AbortedError):
            await service.process(None, context)  # type: ignore[arg-type]
        gate.set()
        await asyncio.gather(before, queued)
        assert denial(context) == 503
        assert context.status is grpc.StatusCode.INTERNAL
        assert metrics.failures.labels("ext_proc", "overloaded")._value.get() == 1
        assert engine.named("on_request") == []

    asyncio.run(scenario())


def test_large_request_whose_client_leaves_the_queue_is_never_read(engine, messages) -> None:
    """Else whoever sends large bodies and leaves keeps the thread busy, and others out."""
    begun, gate = threading.Event(), threading.Event()

    async def read_before() -> None:
        begun.set()
        assert gate.wait(60)

    async def scenario() -> None:
        metrics = Metrics()
        admission = Admission(9, metrics.in_flight)
        aside = SideThread(admission, metrics.large, 60)
        service = Processor(FixedEngine(engine), admission, metrics, 60, 1000, aside)
        before = asyncio.ensure_future(aside.ask(read_before()))
        assert await asyncio.to_thread(begun.wait, 60)
        large = messages.request_body(b" " * LARGE_BYTES)
        context = Context([messages.request_headers(("x-script", "")), large])
        stream = asyncio.create_task(service.process(None, context))  # type: ignore[arg-type]
        for _ in range(9):  # turns of the loop, until the stream has come to its body
            await asyncio.sleep(0)
        assert metrics.large._value.get() == 2
        stream.cancel()
        await asyncio.gather(stream, return_exceptions=True)
        await asyncio.sleep(0)  # the work hears of it
        await asyncio.sleep(0)
        left = metrics.large._value.get(), metrics.in_flight._value.get()
        gate.set()
        await before
        await admission.settled()
        assert left == (1, 0)
        assert engine.named("on_request") == []

    asyncio.run(scenario())
